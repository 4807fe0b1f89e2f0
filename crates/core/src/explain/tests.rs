//! What is said of instances and groups, word for word.

use crate::explain::{Explanation, Subject, explain};
use crate::memory::{Kept, Paused};
use crate::testing::World;
use crate::time::Timestamp;

fn told(world: &mut World, what: &str) -> Explanation {
    let plan = world.plan();
    explain(&Subject::parse(what), &world.policy, &world.memory, &world.snapshot, &plan)
}

/// All of it as lines.
fn lines(told: &Explanation) -> Vec<String> {
    let mut lines = vec![format!("{}: {} [{}]", told.subject, told.answer, told.why)];
    lines.extend(told.details.clone());
    lines.extend(told.waits_for.clone());
    let times = [told.for_secs, told.usually_secs, told.at_most_secs];
    if times != [None; 3] {
        lines.push(format!("{times:?}"));
    }
    lines
}

#[test]
fn an_instance_is_explained_by_what_it_serves_or_why_it_goes() {
    let lines_of = ["n1 powering_up on=i-1", "n2 powering_down on=i-2", "i-3 spare", "n4 alloc"];
    let mut world = World::new(0, 8, &lines_of);
    world.memory.boot_times.insert("a".into(), [40_000, 60_000, 55_000].into());
    world.pass(41);
    assert_eq!(
        lines(&told(&mut world, "i-1")),
        [
            "instance i-1: serves node n1: waits for its instance to register [booting]",
            "its state is IDLE+POWERING_UP",
            "group g: desired capacity 3 -> 2 of at most 8, 1 busy, 0 idle, 1 booting",
            "a lists it as InService in z, protected from scale-in, at 127.77.0.1, launched 41 s ago",
            "slurmd on its instance to register",
            "[Some(41), Some(55), None]",
        ]
    );
    let plan = world.plan();
    world.memory.intend(&plan, world.snapshot.now);
    world.pass(2);
    let leaving = lines(&told(&mut world, "instance=i-2"));
    assert_eq!(
        leaving[0],
        "instance i-2: is terminated: Slurm has released its node n2 [releasing]"
    );
    assert_eq!(leaving[1], "the call that terminates it is made now");
    assert_eq!(leaving.last().unwrap(), "[Some(2), None, None]");
    let spare = lines(&told(&mut world, "i-3"));
    assert_eq!(spare[0], "instance i-3: serves no node yet [spare]");
    world.node_mut("n1").state.0 = crate::testing::state("idle");
    let spare = lines(&told(&mut world, "i-3"));
    assert_eq!(spare[0], "instance i-3: serves no node, and none wants it [spare]");
    assert_eq!(spare[2..], ["a node, or the end of orphan_grace", "[Some(2), None, Some(298)]"]);
    let gone = told(&mut world, "i-9");
    assert!(!gone.known && gone.answer.starts_with("no Auto Scaling group of asg.toml lists it"));
}

#[test]
fn a_group_is_explained_with_what_is_in_its_way() {
    let mut world = World::new(0, 2, &["n1 alloc on=i-1", "n2 alloc on=i-2", "n3 powering_up"]);
    world.memory.boot_times.insert("a".into(), [40_000, 60_000, 55_000].into());
    assert_eq!(
        lines(&told(&mut world, "g")),
        [
            "group g: desired capacity 2 of at most 2, 2 busy, 0 idle, 1 booting [at_max]",
            "demand 3: 3 for nodes with work or that Slurm wants, 0 for pending jobs",
            "a: minimum 0, desired 2, maximum 2, 2 instances",
            "boots take 55 s usually (median of the last 3)",
            "n[1-2]: jobs run on it",
            "n3: waits: the group is at its maximum of 2",
            "an instance to be free, or a larger maximum",
        ]
    );
    world.fail_launch();
    world.asg_mut().max = 4;
    let shut = told(&mut world, "group=g");
    assert_eq!((shut.why.as_str(), shut.at_most_secs), ("no_capacity", Some(600)));
    let since = world.snapshot.now;
    world.pass(7);
    world.memory.paused.insert("g".into(), Paused { since, user: 7, reason: None });
    let paused = told(&mut world, "g");
    assert_eq!((paused.why.as_str(), paused.for_secs), ("paused", Some(7)));
    assert_eq!(paused.waits_for.as_deref(), Some("slurm-asg resume-scaling g"));
    let none = told(&mut world, "group=h");
    assert!(!none.known && none.answer.ends_with("it has g"), "{}", none.answer);
}

#[test]
fn a_node_goes_before_a_group_and_an_instance_of_its_name() {
    let mut world = World::new(0, 2, &["n1 idle on=i-1"]);
    assert_eq!(told(&mut world, "g").subject, "group g");
    for name in ["g", "i-1"] {
        world.node_mut(name).state.0 = crate::testing::state("off");
        assert_eq!(told(&mut world, name).subject, format!("node {name}"));
    }
    assert_eq!(told(&mut world, "instance=i-1").subject, "node i-1");
    assert_eq!(told(&mut world, "nothing").subject, "node nothing");
}

#[test]
fn a_protected_node_says_whose_word_it_is() {
    let mut world = World::new(0, 2, &["n1 alloc on=i-1"]);
    let until = world.snapshot.now.after(std::time::Duration::from_secs(60));
    let reason = Some("debugging".to_owned());
    let kept = Kept { since: Timestamp::default(), until, user: 7, reason };
    world.memory.kept.insert("n1".into(), kept);
    let words = "it is protected by user 7 until 1970-01-12 13:47 UTC: debugging";
    assert!(told(&mut world, "n1").details.iter().any(|it| it == words));
}
