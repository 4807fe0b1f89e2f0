//! What the event log has of whole lives.

use std::sync::Arc;

use slurm_asg_core::event::Event;
use slurm_asg_core::node_state::NodeState;
use slurm_asg_core::snapshot::{Job, Partition, Queue};
use slurm_asg_core::time::Timestamp;

use super::{BOOTING, Fake, RELEASED, SIZED, Turner, ready, turn};

const GROUP: &str = "
    [[group]]
    name = 'g'
    nodes = 'n[1-6]'
    asg = 'a'
";

/// One Auto Scaling group with room for all nodes, that keeps none.
fn quiet() -> Fake {
    let fake = Fake::new();
    let mut state = fake.state();
    state.asgs.remove(&"b".into());
    state.asgs.get_mut(&"a".into()).unwrap().max = 6;
    drop(state);
    fake
}

/// A node that is up and idle since now.
fn idle(fake: &Fake, name: &str) {
    let now = Timestamp::from_millis(fake.state().now);
    let mut state = fake.state();
    let node = state.nodes.get_mut(&name.into()).unwrap();
    node.state = NodeState(NodeState::IDLE);
    node.idle_since = Some(now);
}

fn submit(fake: &Fake, id: u32, nodes: u32) {
    let nodes_of = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let name: Arc<str> = "p".into();
    let nodes_all = nodes_of(&["n1", "n2", "n3", "n4", "n5", "n6"]);
    let partition = Partition { name: Arc::clone(&name), nodes: nodes_all, ..Partition::default() };
    let job = Job {
        job_id: id,
        priority: 1,
        partition: Arc::clone(&name),
        num_nodes: nodes,
        shared: 0,
        ..Job::default()
    };
    let partitions = [(name, partition)].into();
    fake.state().queue = Arc::new(Queue { jobs: vec![job], partitions, ..Queue::default() });
}

/// One turn; what it has recorded: each event's name and what it says, without time.
fn told(engine: &mut Turner, fake: &Fake) -> Vec<String> {
    turn(engine);
    let events = std::mem::take(&mut fake.state().recorded);
    assert_eq!(fake.state().flushed, events.len(), "all of a turn's events are handed on with it");
    events.iter().map(|event| format!("{}: {event}", event.event)).collect()
}

#[test]
fn a_job_and_its_node_are_told_from_the_first_count_to_the_end() {
    let fake = quiet();
    let mut engine = fake.engine_by(GROUP);
    assert_eq!(told(&mut engine, &fake), [""; 0]);
    submit(&fake, 12, 1);
    fake.pass(1000);
    assert_eq!(
        told(&mut engine, &fake),
        [
            "job_counted: group=g job=12 will get 1 node; 1 to be powered up for it",
            "capacity_raised: group=g asg=a desired capacity 0 -> 1",
        ]
    );
    fake.pass(300);
    assert_eq!(told(&mut engine, &fake), [""; 0], "nothing is told twice");
    fake.state().queue = Arc::default();
    fake.node("n1", BOOTING);
    fake.launch("a", 1);
    fake.pass(1000);
    let bound = "node_bound: group=g asg=a node=n1 instance=i-1 address=10.0.0.1 bound";
    assert_eq!(told(&mut engine, &fake), [bound]);
    // Slurm forgets the address and is told it again: that is no other decision.
    fake.node("n1", BOOTING);
    fake.pass(1000);
    assert_eq!(told(&mut engine, &fake), [""; 0]);
    fake.node("n1", NodeState::ALLOCATED);
    fake.pass(1000);
    assert_eq!(told(&mut engine, &fake), [""; 0]);
    idle(&fake, "n1");
    fake.pass(5000);
    assert_eq!(told(&mut engine, &fake), ["heartbeat: group=g 1 idle, for 5 s at most"]);
    fake.pass(59_000);
    assert_eq!(told(&mut engine, &fake), [""; 0]);
    fake.pass(1000);
    assert_eq!(told(&mut engine, &fake), ["heartbeat: group=g 1 idle, for 65 s at most"]);
    fake.node("n1", RELEASED);
    fake.pass(1000);
    assert_eq!(
        told(&mut engine, &fake),
        ["instance_terminated: group=g asg=a node=n1 instance=i-1 terminated: Slurm released the \
          node; capacity goes down"]
    );
    // The group lists it still: the call is repeated, and not told again.
    fake.state().log.clear();
    fake.pass(61_000);
    assert_eq!(told(&mut engine, &fake), [""; 0]);
    let log = fake.log();
    assert!(log.iter().any(|line| line.ends_with(" a i-1")), "{log:?}");
}

#[test]
fn heartbeats_have_their_own_pace_and_wake_the_loop_for_it() {
    let fake = quiet();
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    idle(&fake, "n1");
    let mut engine = fake.engine_by(&format!("[events]\nheartbeat = 7\n{GROUP}"));
    let mut seconds = Vec::new();
    let began = fake.state().now;
    while fake.state().now < began + 60_000 {
        let look = turn(&mut engine);
        let recorded = std::mem::take(&mut fake.state().recorded);
        let beats = recorded.iter().filter(|event| event.event.as_str() == "heartbeat");
        seconds.extend(beats.map(|event| (event.time.millis() - began) / 1000));
        fake.pass(u64::try_from(look.pause.max(look.rest).as_millis()).unwrap());
    }
    assert_eq!(seconds, [0, 7, 14, 21, 28, 35, 42, 49, 56]);
}

#[test]
fn a_call_that_fails_is_told_when_it_begins_and_when_it_is_done_at_last() {
    let fake = quiet();
    fake.node("n1", RELEASED);
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    fake.state().fail.insert("terminate");
    let mut engine = fake.engine_by(GROUP);
    let names = |engine: &mut Turner, secs: u64| {
        let mut names = Vec::new();
        for _ in 0..secs {
            let events = told(engine, &fake);
            names.extend(events.iter().map(|event| event.split(':').next().unwrap().to_owned()));
            fake.pass(1000);
        }
        names
    };
    assert_eq!(names(&mut engine, 120), ["instance_terminated_failed"]);
    fake.state().fail.clear();
    assert_eq!(names(&mut engine, 61), ["instance_terminated"]);
}

#[test]
fn nodes_that_are_kept_and_nodes_that_die_are_told_with_the_reason() {
    let fake = Fake::new();
    let mut engine = fake.engine_by(SIZED);
    assert_eq!(
        told(&mut engine, &fake),
        [
            "group_problem: group=g has 6 nodes and room for 5 instances; raise max_size in \
             asg.toml, or Slurm will wait for nodes that cannot come",
            "sizes_set: group=g asg=a minimum 0 -> 2, maximum 4 -> 5, as in asg.toml",
            "node_power_up: group=g node=n1 power up asked, as the group keeps so many nodes",
            "node_power_up: group=g node=n2 power up asked, as the group keeps so many nodes",
        ]
    );
    for (name, nth) in [("n1", 1), ("n2", 2)] {
        fake.launch("a", nth);
        fake.node(name, BOOTING);
    }
    fake.pass(1000);
    assert_eq!(told(&mut engine, &fake).len(), 2, "both are bound");
    fake.node("n1", NodeState::ALLOCATED);
    fake.node("n2", NodeState::ALLOCATED);
    let mut state = fake.state();
    state.asgs.get_mut(&"a".into()).unwrap().instances.remove(&"i-1".into());
    state.machines.remove(&"i-1".into());
    drop(state);
    let mut events = Vec::new();
    for _ in 0..120 {
        fake.pass(1000);
        events.extend(told(&mut engine, &fake));
        if !events.is_empty() {
            break;
        }
    }
    assert_eq!(
        events,
        [
            "node_down: group=g node=n1 set down: (Code:InstanceGone) i-1 is gone",
            "node_power_down: group=g node=n1 power down asked, to make it available again",
            "node_power_up: group=g node=n3 power up asked, as the group keeps so many nodes",
        ]
    );
}

#[test]
fn troubles_are_told_when_they_begin_and_when_they_end() {
    let fake = quiet();
    let mut engine = fake.engine_by(GROUP);
    assert_eq!(told(&mut engine, &fake), [""; 0]);
    fake.state().fail.extend(["nodes", "journal"]);
    fake.pass(1000);
    assert_eq!(told(&mut engine, &fake), ["problem: nodes: injected", "problem: the disk is full"]);
    fake.pass(1000);
    assert_eq!(told(&mut engine, &fake), [""; 0]);
    fake.state().fail.clear();
    fake.pass(1000);
    let over = ["problem_over: over: nodes: injected", "problem_over: over: the disk is full"];
    assert_eq!(told(&mut engine, &fake), over);
    fake.state().asgs.clear();
    fake.pass(30_000);
    let missing = told(&mut engine, &fake);
    let begin = "group_problem: group=g asg=a Auto Scaling group a does not exist";
    assert!(matches!(missing.as_slice(), [one] if one.starts_with(begin)), "{missing:?}");
}

#[test]
fn state_that_cannot_be_read_is_told_until_it_is_saved_again_and_stops_nothing() {
    let fake = quiet();
    fake.state().fail.extend(["load", "save"]);
    fake.node("n1", BOOTING);
    let mut engine = fake.engine_by(GROUP);
    let begun = told(&mut engine, &fake);
    let lost = "problem: state: /dev/null/none: Not a directory (os error 20); starting from what \
                Slurm and AWS show";
    assert_eq!(begun.first().map(String::as_str), Some(lost));
    assert!(begun.iter().any(|line| line.starts_with("capacity_raised")), "{begun:?}");
    fake.state().fail.clear();
    fake.pass(1000);
    let over = told(&mut engine, &fake);
    assert!(over.contains(&lost.replace("problem: ", "problem_over: over: ")), "{over:?}");
}

#[test]
fn a_journal_that_cannot_write_changes_no_decision() {
    let (well, ill) = (quiet(), quiet());
    ill.state().fail.insert("journal");
    let calls = |fake: &Fake| {
        fake.node("n1", BOOTING);
        let mut engine = fake.engine_by(GROUP);
        for _ in 0..5 {
            turn(&mut engine);
            fake.pass(1000);
        }
        (fake.log(), fake.state().saved.clone())
    };
    assert_eq!(calls(&well), calls(&ill));
}

#[test]
fn a_restart_tells_nothing_again() {
    let fake = quiet();
    submit(&fake, 12, 2);
    fake.node("n5", RELEASED);
    fake.launch("a", 1);
    fake.bind("n5", "a", 1);
    let names = |events: &[Event]| -> Vec<&str> {
        events.iter().map(|event| event.event.as_str()).collect()
    };
    turn(&mut fake.engine_by(GROUP));
    let first = std::mem::take(&mut fake.state().recorded);
    assert_eq!(names(&first), ["job_counted", "capacity_raised", "instance_terminated"]);
    fake.pass(1000);
    turn(&mut fake.engine_by(GROUP));
    let second = std::mem::take(&mut fake.state().recorded);
    assert!(second.iter().all(|event| event.event.as_str() == "capacity_raised"), "{second:?}");
}

#[test]
fn an_instance_is_retired_by_draining_its_node_and_nothing_else() {
    let fake = quiet();
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    fake.node("n1", NodeState::ALLOCATED);
    let mut engine = fake.engine_by(GROUP);
    turn(&mut engine);
    let retire = |engine: &mut Turner, what: &str| {
        let retired = ready(engine.retire(what, " bad\nGPU", 0));
        retired.map(|retired| format!("{} {}", retired.node, retired.instance))
    };
    fake.state().fail.insert("drain");
    let failed = retire(&mut engine, "i-1").unwrap_err();
    assert!(failed.contains("injected"), "{failed}");
    fake.state().fail.clear();
    fake.state().log.clear();
    assert_eq!(retire(&mut engine, "i-1"), Ok("n1 i-1".to_owned()));
    let log = fake.log();
    assert!(log.iter().any(|line| line == "drain n1 (Code:Retired) bad GPU (user 0)"), "{log:?}");
    let recorded = std::mem::take(&mut fake.state().recorded);
    let names: Vec<_> = recorded.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["node_drained_failed", "node_drained"]);
    for (what, words) in [("n1", "on its way out already"), ("i-9", "neither a node that has")] {
        let refused = retire(&mut engine, what).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
    // Its job goes on.
    fake.pass(1000);
    turn(&mut engine);
    let log = fake.log();
    assert!(!log.iter().any(|line| line.starts_with("terminate")), "{log:?}");
}
