//! The rules as tables, and the invariants as properties.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::memory::{Boot, Outcome};
use crate::node_state::{NodeState, Phase};
use crate::notice::{Notice, NoticeKind};
use crate::snapshot::{Machine, Node};
use crate::testing::{STATES, World, is_repeated_with_growing_pauses, policy_with, state, told};

fn check(min: u32, max: u32, lines: &[&str], actions: &[&str]) {
    let mut world = World::new(min, max, lines);
    let plan = world.plan();
    assert_eq!(told(&plan), actions, "{lines:?}");
}

/// Nothing is done until so many seconds have passed, and this is done then.
fn acts_after(world: &mut World, secs: u64, actions: &[&str]) {
    world.pass(secs - 1);
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    world.pass(1);
    assert_eq!(told(&world.plan()), actions);
}

/// The first two nodes get their instances and are idle.
fn two_nodes_come_up(world: &mut World) {
    for (node, id) in [("n1", "i-1"), ("n2", "i-2")] {
        world.launch(id, crate::snapshot::Lifecycle::InService);
        world.bind(node, id);
        world.node_mut(node).state = NodeState(state("idle"));
    }
}

#[test]
fn a_node_that_slurm_wants_raises_capacity_by_one() {
    check(0, 8, &["n1 powering_up"], &["desired 0 -> 1"]);
    check(0, 8, &["n1 alloc_off"], &["desired 0 -> 1"]);
    check(0, 8, &["n1 idle on=i-1", "n2 powering_up"], &["desired 1 -> 2"]);
    check(0, 8, &["n1 off", "n2 down_off", "n3 idle"], &[]);
}

#[test]
fn capacity_is_raised_in_one_call_and_never_above_the_maximum() {
    check(0, 2, &["n1 powering_up", "n2 powering_up", "n3 powering_up"], &["desired 0 -> 2"]);
    let mut world = World::new(0, 1, &["n1 powering_up", "n2 powering_up"]);
    let plan = world.plan();
    assert_eq!(plan.nodes[&"n1".into()].why, Why::Raised);
    assert_eq!(plan.nodes[&"n2".into()].why, Why::AtMax { max: 1 });
}

#[test]
fn a_pending_job_raises_capacity_before_slurm_asks() {
    let off = ["n1 off", "n2 off", "n3 off"];
    check(0, 8, &[&off[..], &["job 2"]].concat(), &["desired 0 -> 2"]);
    check(0, 1, &[&off[..], &["job 2"]].concat(), &["desired 0 -> 1"]);
    check(0, 8, &[&off[..], &["job 2", "i-1 spare"]].concat(), &["desired 1 -> 2"]);
    check(0, 8, &[&off[..], &["job 4"]].concat(), &[]);
    check(0, 8, &["n1 idle on=i-1", "n2 off", "job 2"], &["desired 1 -> 2"]);
    check(0, 8, &["n1 alloc_off", "n2 off", "job 1"], &["desired 0 -> 2"]);
}

#[test]
fn without_prelaunch_slurm_is_waited_for() {
    let mut world = World::new(0, 8, &["n1 off", "job 1"]);
    world.policy = policy_with("prelaunch = false");
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

/// A world whose only group grows by alarms.
fn by_alarm(min: u32, max: u32, lines: &[&str]) -> World {
    let mut world = World::new(min, max, lines);
    let text = "[[group]]\nname = \"g\"\nnodes = \"n[1-64]\"\nasg = \"a\"\nscale_out = \"alarm\"";
    world.policy = crate::policy::parse(std::path::Path::new("asg.toml"), text).unwrap();
    world
}

#[test]
fn pending_instances_are_those_that_nothing_is_there_or_on_its_way_for() {
    /// Maximum, nodes and jobs, launches under way, actions, and what is pending.
    type Case = (u32, &'static [&'static str], u32, &'static [&'static str], u32);
    let table: [Case; 14] = [
        (8, &["n1 off"], 0, &[], 0),
        (8, &["n1 powering_up"], 0, &[], 1),
        (8, &["n1 alloc_off", "n2 powering_up"], 0, &[], 2),
        (8, &["n1 off", "n2 off", "job 2"], 0, &[], 2),
        (8, &["n1 alloc_off", "n2 off", "job 1"], 0, &[], 2),
        // Launched and not listed yet.
        (8, &["n1 powering_up", "n2 powering_up"], 1, &[], 1),
        (8, &["n1 powering_up", "n2 powering_up"], 2, &[], 0),
        (8, &["n1 powering_up", "n2 powering_up"], 3, &[], 0),
        // There, and waiting for its node to be asked for.
        (8, &["n1 alloc_off", "n2 alloc_off", "i-1 spare"], 0, &[], 1),
        (8, &["n1 off", "job 1", "i-1 spare"], 0, &[], 0),
        // Booting by its name, in service.
        (8, &["n1 powering_up on=i-1", "n2 alloc on=i-2", "n3 idle on=i-3"], 0, &[], 0),
        (8, &["n1 powering_up", "i-1 spare"], 0, &["bind n1 i-1"], 0),
        // What goes is replaced for it.
        (8, &["n1 powering_down on=i-1", "n2 powering_up"], 0, &["replace i-1"], 0),
        // The need, whatever the maximum.
        (1, &["n1 powering_up", "n2 powering_up"], 0, &[], 2),
    ];
    for (max, lines, asked, actions, pending) in table {
        let mut world = by_alarm(0, max, lines);
        world.asg_mut().desired += asked;
        let plan = world.plan();
        assert_eq!(told(&plan), actions, "{lines:?}");
        assert_eq!(plan.groups[&"g".into()].pending_instances, Some(pending), "{lines:?}");
    }
    let mut world = by_alarm(1, 8, &["n1 powering_down on=i-1", "n2 powering_up"]);
    let plan = world.plan();
    assert_eq!(told(&plan), ["replace i-1"], "at the minimum");
    assert_eq!(plan.groups[&"g".into()].pending_instances, Some(0));
}

#[test]
fn a_group_with_alarms_is_never_raised_and_its_nodes_say_what_they_wait_for() {
    let mut world = by_alarm(0, 2, &["n1 powering_up", "n2 alloc_off"]);
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    for node in ["n1", "n2"] {
        assert_eq!(plan.nodes[&node.into()].why, Why::WaitsForAlarm);
    }
    assert!(plan.watch_cloud, "the next figure rests on what the alarm has added");
    world.asg_mut().max = 0;
    assert_eq!(world.plan().nodes[&"n1".into()].why, Why::AtMax { max: 0 });
}

#[test]
fn alarms_step_up_from_zero_to_the_demand_and_stop_there() {
    for (nodes, step) in [(1_u32, 1_u32), (3, 1), (5, 1), (4, 2), (5, 2)] {
        let lines: Vec<_> = (1..=nodes).map(|nth| format!("n{nth} alloc_powering_up")).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let mut world = by_alarm(0, 20, &lines);
        let mut launched = 0;
        for _ in 0..20 {
            let plan = world.plan();
            world.carry_out(&plan);
            // Instances take a minute from being asked for to being listed.
            for nth in launched + 1..=world.asg_mut().desired {
                world.launch(&format!("i-{nth}"), Lifecycle::Pending);
            }
            launched = launched.max(world.asg_mut().desired);
            if plan.groups[&"g".into()].pending_instances > Some(0) {
                world.asg_mut().desired += step;
            }
            world.pass(60);
        }
        // Only a step that is larger than what is left goes beyond it, for a while.
        assert_eq!(launched, nodes.next_multiple_of(step), "{nodes} by {step}");
        assert_eq!(world.asg_mut().desired, nodes, "{nodes} by {step}");
    }
}

#[test]
fn what_alarms_launched_too_much_goes_after_the_grace() {
    let mut world = by_alarm(0, 8, &["n1 alloc on=i-1", "i-2 spare"]);
    let plan = world.plan();
    world.carry_out(&plan);
    world.pass(300);
    assert_eq!(told(&world.plan()), ["terminate i-2"]);
}

#[test]
fn how_much_is_pending_is_not_known_while_something_cannot_be_seen() {
    let pending = |world: &mut World| world.plan().groups[&"g".into()].pending_instances;
    let lines = ["n1 alloc_powering_up", "n2 off", "job 1"];
    let mut world = by_alarm(0, 8, &lines);
    assert_eq!(pending(&mut world), Some(2));
    world.snapshot.queue = Seen::Unknown { why: "no answer".into() };
    assert_eq!(pending(&mut world), None);
    let mut world = by_alarm(0, 8, &lines);
    world.snapshot.asgs.insert("a".into(), Seen::Unknown { why: "throttled".into() });
    assert_eq!(pending(&mut world), None);
    let mut world = by_alarm(0, 8, &lines);
    world.snapshot.nodes = Seen::Unknown { why: "no answer".into() };
    assert_eq!(pending(&mut world), None);
}

#[test]
fn with_capacity_raised_directly_only_what_cannot_be_had_is_pending() {
    let pending = |max| {
        let mut world = World::new(0, max, &["n1 powering_up", "n2 powering_up"]);
        world.plan().groups[&"g".into()].pending_instances
    };
    assert_eq!((pending(8), pending(1)), (Some(0), Some(1)));
}

#[test]
fn what_was_launched_for_a_job_that_vanished_is_given_back_after_the_grace() {
    let mut world = World::new(0, 8, &["n1 off", "job 1"]);
    let plan = world.plan();
    assert_eq!(told(&plan), ["desired 0 -> 1"]);
    world.carry_out(&plan);
    world.launch("i-1", crate::snapshot::Lifecycle::InService);
    world.pass(400);
    let plan = world.plan();
    assert_eq!(plan.jobs[&1].why, crate::demand::JobWhy::NotTaken, "Slurm had its time");
    world.snapshot.queue = Seen::Known(std::sync::Arc::default());
    let plan = world.plan();
    world.carry_out(&plan);
    world.pass(300);
    assert_eq!(told(&world.plan()), ["terminate i-1"]);
}

#[test]
fn a_spare_serves_before_another_instance_is_asked_for() {
    check(0, 8, &["n1 powering_up", "i-1 spare"], &["bind n1 i-1"]);
    check(
        0,
        8,
        &["n1 powering_up", "n2 powering_up", "i-1 spare"],
        &["desired 1 -> 2", "bind n1 i-1"],
    );
}

#[test]
fn a_node_gets_its_instance_only_once_slurm_has_called_for_it() {
    let mut world = World::new(0, 8, &["n1 alloc_off", "i-1 spare"]);
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.nodes[&"n1".into()].why, Why::WaitsForResume);
    world.carry_out(&plan);
    world.pass(400);
    assert_eq!(told(&world.plan()), Vec::<String>::new(), "it is no orphan meanwhile");
    world.node_mut("n1").state = NodeState(state("alloc_powering_up"));
    assert_eq!(told(&world.plan()), ["bind n1 i-1"]);
}

#[test]
fn an_instance_from_before_a_power_down_is_replaced_when_the_node_is_wanted_again() {
    let mut world = World::new(0, 8, &["n1 alloc_off on=i-1"]);
    world.memory.bindings.get_mut(&"n1".into()).unwrap().boot = Boot::Registered;
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    world.carry_out(&plan);
    world.node_mut("n1").state = NodeState(state("alloc_powering_up"));
    assert_eq!(told(&world.plan()), ["desired 1 -> 2", "terminate i-1"]);
    // If it has registered all the same, it stays.
    world.node_mut("n1").state = NodeState(state("alloc"));
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

/// Its slurmd may start with the next breath: it would be younger than the request, and be taken.
#[test]
fn an_instance_that_has_not_registered_yet_serves_the_node_that_is_wanted_again() {
    let mut world = World::new(0, 8, &["n1 alloc_off on=i-1"]);
    let plan = world.plan();
    world.carry_out(&plan);
    world.node_mut("n1").state = NodeState(state("alloc_powering_up"));
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn what_is_being_launched_is_not_asked_for_again() {
    let mut world = World::new(0, 8, &["n1 powering_up"]);
    world.asg_mut().desired = 1;
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.nodes[&"n1".into()].why, Why::WaitsForLaunch);
    assert!(plan.watch_cloud);
}

#[test]
fn an_instance_whose_address_is_not_known_is_waited_for() {
    let mut world = World::new(0, 8, &["n1 powering_up", "i-1 spare"]);
    world.snapshot.machines.clear();
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.nodes[&"n1".into()].why, Why::WaitsForAddress);
    assert!(plan.look_up.contains(&"i-1".into()));
}

#[test]
fn slurm_is_told_an_address_again_if_it_has_another() {
    let mut world = World::new(0, 8, &["n1 powering_up on=i-1"]);
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    world.node_mut("n1").address = "n1".into();
    assert_eq!(told(&world.plan()), ["bind n1 i-1"]);
    // A node in service may register from any address (cloud_reg_addrs).
    world.node_mut("n1").state = NodeState(state("idle"));
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn exactly_the_instance_behind_a_released_node_goes() {
    check(0, 8, &["n1 idle on=i-1", "n2 powering_down on=i-2"], &["terminate i-2"]);
    check(0, 8, &["n1 off on=i-1", "n2 alloc on=i-2"], &["terminate i-1"]);
}

#[test]
fn a_node_with_work_keeps_its_instance() {
    for word in ["alloc", "mixed", "completing", "alloc_powering_down", "alloc_powering_up"] {
        check(0, 8, &[&format!("n1 {word} on=i-1")], &[]);
    }
}

#[test]
fn at_the_minimum_an_instance_is_replaced_and_capacity_stays() {
    check(1, 8, &["n1 powering_down on=i-1"], &["replace i-1"]);
    let nodes = ["n1 powering_down on=i-1", "n2 powering_down on=i-2"];
    check(1, 8, &nodes, &["terminate i-1", "replace i-2"]);
}

#[test]
fn in_a_full_group_an_instance_is_replaced_for_a_node_that_waits() {
    check(0, 1, &["n1 powering_down on=i-1", "n2 powering_up"], &["replace i-1"]);
}

#[test]
fn an_unreadable_cloud_never_releases() {
    let mut world =
        World::new(0, 8, &["n1 powering_down on=i-1", "n2 powering_up", "n3 idle on=i-3"]);
    world.snapshot.asgs.insert("a".into(), Seen::Unknown { why: "throttled".into() });
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.groups[&"g".into()].problem.as_deref(), Some("throttled"));
    assert_eq!(plan.nodes[&"n2".into()].why, Why::CloudUnknown);
}

#[test]
fn an_unreadable_slurm_does_nothing_and_forgets_nothing() {
    let mut world = World::new(0, 8, &["i-1 spare"]);
    let plan = world.plan();
    world.carry_out(&plan);
    let since = world.memory.spare_since.clone();
    assert_eq!(since.len(), 1);
    world.snapshot.nodes = Seen::Unknown { why: "no answer".into() };
    world.pass(10_000);
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    world.carry_out(&plan);
    assert_eq!(world.memory.spare_since, since);
}

#[test]
fn an_orphan_goes_after_its_grace_and_not_before() {
    let mut world = World::new(0, 8, &["i-1 spare"]);
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.wake_at, Some(world.snapshot.now.after(Duration::from_secs(300))));
    world.carry_out(&plan);
    acts_after(&mut world, 300, &["terminate i-1"]);
}

/// A binding may not have been saved: only the address tells that a node runs on it.
#[test]
fn an_orphan_whose_address_is_not_known_stays() {
    let mut world = World::new(0, 8, &["i-1 spare"]);
    let plan = world.plan();
    world.carry_out(&plan);
    let facts = world.snapshot.machines.remove(&"i-1".into()).unwrap();
    world.pass(600);
    let plan = world.plan();
    assert_eq!((told(&plan), plan.look_up.len()), (Vec::new(), 1));
    world.snapshot.machines.insert("i-1".into(), facts);
    assert_eq!(told(&world.plan()), ["terminate i-1"]);
}

/// slurmctld came back with a state from before the node was powered down.
#[test]
fn a_node_that_is_up_after_all_keeps_its_instance_if_no_call_has_reached_it() {
    let mut world = World::new(0, 8, &["n1 powering_down on=i-1"]);
    let plan = world.plan();
    assert_eq!(told(&plan), ["terminate i-1"]);
    world.memory.intend(&plan, world.snapshot.now);
    world.node_mut("n1").state = NodeState(NodeState::IDLE);
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    world.carry_out(&plan);
    assert!(world.memory.bindings.contains_key(&"n1".into()) && world.memory.releases.is_empty());
}

/// The loop died between telling Slurm and saving.
#[test]
fn a_node_with_an_outdated_binding_keeps_the_instance_that_slurm_knows() {
    let mut world = World::new(0, 8, &["n1 powering_up on=i-1", "n2 powering_up", "i-2 spare"]);
    let binding = world.memory.bindings.get_mut(&"n1".into()).unwrap();
    (binding.outdated, binding.boot) = (true, Boot::Registered);
    world.node_mut("n1").address = crate::testing::address("i-2").to_string();
    let plan = world.plan();
    assert_eq!(told(&plan), ["desired 2 -> 3", "terminate i-1"]);
    assert_eq!(world.memory.bindings[&"n1".into()].instance, "i-2".into());
}

/// The call failed, the node is wanted again, and Slurm has forgotten its address.
#[test]
fn an_instance_that_was_to_go_and_has_not_booted_yet_serves_its_node_after_all() {
    for (boot, wanted) in [(Boot::Awaited, 0), (Boot::Registered, 2)] {
        let mut world = World::new(0, 8, &["n1 powering_down on=i-1"]);
        world.memory.bindings.get_mut(&"n1".into()).unwrap().boot = boot;
        let plan = world.plan();
        world.memory.intend(&plan, world.snapshot.now);
        world.node_mut("n1").state = NodeState(state("alloc_powering_up"));
        world.node_mut("n1").address = "n1".to_owned();
        let plan = world.plan();
        let told = told(&plan);
        assert_eq!(told.iter().filter(|it| !it.starts_with("bind")).count(), wanted, "{told:?}");
        world.memory.intend(&plan, world.snapshot.now);
        world.node_mut("n1").state = NodeState(state("alloc"));
        let plan = world.plan();
        assert!(plan.actions.iter().all(|action| action.terminate().is_none()), "{plan:?}");
    }
}

#[test]
fn what_was_gone_gets_no_other_name_when_an_old_read_shows_it_again() {
    let mut world = World::new(0, 8, &["n1 powering_up on=i-1", "n2 powering_up", "i-2 spare"]);
    world.comes_to("i-1", Lifecycle::Terminating);
    let plan = world.plan();
    assert_eq!(told(&plan), ["bind n1 i-2"]);
    world.carry_out(&plan);
    world.comes_to("i-1", Lifecycle::InService);
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn only_as_many_spares_are_kept_as_are_wanted() {
    let mut world = World::new(0, 8, &["n1 alloc_off", "i-1 spare", "i-2 spare"]);
    let plan = world.plan();
    world.carry_out(&plan);
    world.pass(400);
    assert_eq!(told(&world.plan()), ["terminate i-2"]);
}

#[test]
fn base_instances_without_a_node_stay() {
    let mut world = World::new(1, 8, &["i-1 spare", "i-2 spare"]);
    let plan = world.plan();
    world.carry_out(&plan);
    world.pass(400);
    assert_eq!(told(&world.plan()), ["terminate i-1"]);
}

#[test]
fn an_instance_that_dies_under_a_node_sets_it_down_and_powers_it_down() {
    let mut world = World::new(0, 8, &["n1 alloc on=i-1", "n2 alloc on=i-2"]);
    world.die("i-1");
    let plan = world.plan();
    assert_eq!(told(&plan), ["down n1", "power_down n1"]);
    world.carry_out(&plan);
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    world.node_mut("n1").state = NodeState(state("powering_down"));
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    assert!(!world.memory.bindings.contains_key(&"n1".into()));
}

#[test]
fn a_slurmctld_that_forgot_where_a_silent_node_is_is_told_again() {
    let mut world = World::new(0, 8, &["n1 alloc on=i-1", "n2 alloc on=i-2"]);
    // What answers at another address is left alone: Slurm has learnt that by itself.
    world.node_mut("n1").address = "n1".into();
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    world.node_mut("n1").state = NodeState(NodeState::ALLOCATED | NodeState::NO_RESPOND);
    let plan = world.plan();
    assert_eq!(told(&plan), ["bind n1 i-1"]);
    world.carry_out(&plan);
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn an_instance_that_dies_while_it_boots_is_followed_by_another() {
    let mut world = World::new(0, 8, &["n1 alloc_powering_up on=i-1"]);
    world.die("i-1");
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.nodes[&"n1".into()].why, Why::WaitsForLaunch, "the group replaces it");
    world.launch("i-2", crate::snapshot::Lifecycle::Pending);
    assert_eq!(told(&world.plan()), ["bind n1 i-2"]);
}

#[test]
fn a_missing_instance_is_gone_only_when_ec2_says_so_for_a_minute() {
    let mut world = World::new(0, 8, &["n1 alloc on=i-1"]);
    world.asg_mut().instances.clear();
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert!(plan.look_up.contains(&"i-1".into()));
    world.snapshot.machines.insert("i-1".into(), Machine::NotFound);
    acts_after(&mut world, 60, &["down n1", "power_down n1"]);
}

#[test]
fn a_node_that_never_registered_comes_back_and_its_instance_goes() {
    let mut world = World::new(0, 8, &["n1 down_off on=i-1 reason=ResumeTimeout_reached"]);
    let plan = world.plan();
    // Its slurmd may come late, and a job with it: Slurm closes the node first.
    assert_eq!(told(&plan), ["power_down n1"]);
    world.carry_out(&plan);
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    world.node_mut("n1").state = NodeState(state("powering_down"));
    assert_eq!(told(&world.plan()), ["terminate i-1"]);
    check(0, 8, &["n1 down_off reason=ResumeTimeout_reached"], &["power_down n1"]);
    check(0, 8, &["n1 down_off reason=broken_fan"], &[]);
}

#[test]
fn a_failed_terminate_is_repeated_with_growing_pauses() {
    let mut world = World::new(0, 8, &["n1 powering_down on=i-1"]);
    let plan = world.plan();
    world.memory.intend(&plan, world.snapshot.now);
    let failed = Outcome::Failed { why: "throttled".into() };
    let outcomes = vec![(plan.actions[0].clone(), failed)];
    world.memory.settle(&outcomes, world.snapshot.now);
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.wake_at, Some(world.snapshot.now.after(Duration::from_secs(1))));
    world.pass(1);
    let plan = world.plan();
    assert_eq!(told(&plan), ["terminate i-1"]);
    world.memory.settle(&outcomes, world.snapshot.now);
    acts_after(&mut world, 2, &["terminate i-1"]);
}

#[test]
fn a_read_from_before_an_accepted_terminate_changes_nothing() {
    let mut world = World::new(0, 8, &["n1 powering_down on=i-1", "n2 powering_up"]);
    let before = world.snapshot.asgs.clone();
    let plan = world.plan();
    assert_eq!(told(&plan), ["desired 1 -> 2", "terminate i-1"]);
    world.carry_out(&plan);
    world.snapshot.asgs = before;
    let plan = world.plan();
    // The instance that goes is not taken for capacity, and the call is not made again.
    assert_eq!(told(&plan), ["desired 0 -> 1"]);
}

#[test]
fn lost_memory_is_rebuilt_from_addresses_and_tags() {
    let mut world =
        World::new(0, 8, &["n1 alloc on=i-1", "n2 idle on=i-2", "n3 powering_up on=i-3"]);
    world.memory = crate::memory::Memory::default();
    if let Some(Machine::Known(facts)) = world.snapshot.machines.get_mut(&"i-3".into()) {
        facts.node_tag = Some("n3".into());
    }
    world.node_mut("n3").address = "n3".into();
    let plan = world.plan();
    assert_eq!(told(&plan), ["bind n3 i-3"]);
    world.carry_out(&plan);
    assert_eq!(world.memory.bindings.len(), 3);
    assert_eq!(world.memory.bindings[&"n2".into()].instance, "i-2".into());
}

/// Of the latest binding only the tag was written; then the loop died.
#[test]
fn a_younger_instance_with_the_nodes_tag_is_its_successor() {
    let serves = |address: &str, launched: Option<i64>| {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1", "i-2 spare"]);
        let bound_at = world.memory.bindings[&"n1".into()].bound_at;
        if let Some(Machine::Known(facts)) = world.snapshot.machines.get_mut(&"i-2".into()) {
            facts.node_tag = Some("n1".into());
            facts.launched = launched.map(|later| {
                Timestamp::from_millis(bound_at.millis().saturating_add_signed(later))
            });
        }
        if !address.is_empty() {
            world.node_mut("n1").address = address.into();
        }
        let snapshot = world.snapshot.clone();
        world.memory.notice(&snapshot);
        world.memory.bindings[&"n1".into()].instance.to_string()
    };
    assert_eq!(serves("n1", Some(1)), "i-2");
    // Slurm reaches the node at its own instance; or the tag is from an earlier time.
    assert_eq!(serves("", Some(1)), "i-1");
    assert_eq!(serves("n1", Some(-1)), "i-1");
    assert_eq!(serves("n1", None), "i-1");
    // Where the node's own instance has died nothing serves, whatever address Slurm has.
    let mut world = World::new(0, 8, &["n1 alloc on=i-1", "i-2 spare"]);
    if let Some(Machine::Known(facts)) = world.snapshot.machines.get_mut(&"i-2".into()) {
        facts.node_tag = Some("n1".into());
    }
    world.die("i-1");
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    assert_eq!(world.memory.bindings[&"n1".into()].instance, "i-2".into());
}

#[test]
fn an_instance_that_had_a_name_never_gets_another() {
    let mut world = World::new(0, 8, &["n1 powering_up", "i-1 spare"]);
    if let Some(Machine::Known(facts)) = world.snapshot.machines.get_mut(&"i-1".into()) {
        facts.node_tag = Some("n7".into());
    }
    assert_eq!(told(&world.plan()), ["desired 1 -> 2"]);
}

#[test]
fn groups_are_used_in_order_of_preference() {
    let mut world = World::new(0, 1, &["n1 powering_up", "n2 powering_up"]);
    let text = "[[group]]\nname = \"g\"\nnodes = \"n[1-64]\"\nasg = [\"a\", \"b\"]";
    world.policy = crate::policy::parse(std::path::Path::new("asg.toml"), text).unwrap();
    let second = crate::snapshot::Asg { max: 5, ..Default::default() };
    world.snapshot.asgs.insert("b".into(), Seen::Known(second));
    let plan = world.plan();
    let raises: Vec<_> = plan
        .actions
        .iter()
        .filter_map(|action| {
            let Action::SetDesired(raise) = action else { return None };
            Some((raise.asg.as_str(), raise.to))
        })
        .collect();
    assert_eq!(raises, [("a", 1), ("b", 1)]);
}

#[test]
fn a_silent_node_comes_back_once_it_is_certain_that_no_instance_is_its_own() {
    let silent = "n1 down reason=Not_responding";
    check(0, 8, &[silent, "n2 idle on=i-2"], &["power_down n1"]);
    check(0, 8, &["n1 down reason=broken_fan", "n2 idle on=i-2"], &[]);
    // slurmctld came back with a state from before it was powered down.
    let ours = "n1 down reason=(Code:InstanceGone)_i-1_is_gone";
    check(0, 8, &[ours, "n2 idle on=i-2"], &["power_down n1"]);
    check(0, 8, &["n1 down on=i-1 reason=Not_responding"], &[]);
    let mut world = World::new(0, 8, &[silent, "n2 idle on=i-2", "i-3 spare"]);
    // An instance whose address is not known may be the one.
    world.snapshot.machines.clear();
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    world.snapshot.asgs.insert("a".into(), Seen::Unknown { why: "throttled".into() });
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

/// A world with these sizes in asg.toml.
fn sized(min: u32, max: u32, sizes: &str, lines: &[&str]) -> World {
    let mut world = World::new(min, max, lines);
    world.policy = policy_with(sizes);
    world
}

const OFF: [&str; 4] = ["n1 off", "n2 off", "n3 off", "n4 off"];

/// n1 and n2 idle since 700 s on instances that were launched `ages` seconds ago.
fn hourly(keys: &str, ages: [u64; 2], more: &[&str]) -> World {
    let lines = [&["n1 idle on=i-1", "n2 idle on=i-2"], more].concat();
    let mut world = World::new(0, 8, &lines);
    world.policy = policy_with(&format!("scale_in = \"billing-hour\"\n{keys}"));
    let now = world.snapshot.now;
    let ago = |secs: u64| Timestamp::from_millis(now.millis() - secs * 1000);
    for (node, id, age) in [("n1", "i-1", ages[0]), ("n2", "i-2", ages[1])] {
        world.node_mut(node).idle_since = Some(ago(700));
        if let Some(Machine::Known(facts)) = world.snapshot.machines.get_mut(&InstanceId::new(id)) {
            facts.launched = Some(ago(age));
        }
    }
    world
}

#[test]
fn by_the_billing_hour_an_idle_node_goes_in_the_last_part_of_its_hour_only() {
    /// Keys of the group, ages of the instances, more lines, and what is done.
    type Case = (&'static str, [u64; 2], &'static [&'static str], &'static [&'static str]);
    let table: [Case; 8] = [
        ("", [3500, 1000], &[], &["power_down n1"]),
        ("", [3599, 7190], &[], &["power_down n1", "power_down n2"]),
        ("", [3600, 3400], &[], &[]),
        ("cooldown = 701", [3500, 3500], &[], &[]),
        ("billing_window_percent = 100", [800, 900], &[], &["power_down n1", "power_down n2"]),
        // The group keeps one.
        ("min_size = 1\nmax_size = 8", [3500, 3500], &[], &["sizes 1 8", "power_down n2"]),
        // A job could use them.
        ("", [3500, 3500], &["job 1"], &[]),
        // A job that can never run could not.
        ("", [3500, 3500], &["job 70"], &["power_down n1", "power_down n2"]),
    ];
    for (keys, ages, more, actions) in table {
        assert_eq!(told(&hourly(keys, ages, more).plan()), actions, "{keys} {ages:?} {more:?}");
    }
    let mut world = hourly("", [3500, 1000], &[]);
    let plan = world.plan();
    let at = Timestamp::from_millis(world.snapshot.now.millis() + 2420 * 1000);
    assert!(
        matches!(plan.nodes[&"n2".into()].why, Why::WaitsForBillingHour { at: goes, .. } if goes == at)
    );
    assert_eq!(plan.wake_at, Some(at));
    world.carry_out(&plan);
    assert_eq!(told(&world.plan()), Vec::<String>::new(), "Slurm closes the node first");
    world.node_mut("n1").state = NodeState(state("powering_down"));
    assert_eq!(told(&world.plan()), ["terminate i-1"]);
    // What is not known keeps the node.
    let mut world = hourly("", [3500, 3500], &[]);
    world.snapshot.machines.clear();
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn where_nothing_scales_in_capacity_stays_and_waits_for_the_next_job() {
    let lines = ["n1 idle on=i-1", "n2 powering_down on=i-2", "n3 off"];
    let mut world = World::new(0, 8, &lines);
    world.policy = policy_with("scale_in = \"never\"");
    let plan = world.plan();
    assert_eq!(told(&plan), ["replace i-2"], "the capacity stays");
    assert!(plan.advice.iter().any(|line| line.contains("SuspendTime=INFINITE")));
    world.carry_out(&plan);
    world.node_mut("n2").state = NodeState(state("off"));
    world.launch("i-5", Lifecycle::InService);
    world.pass(10_000);
    assert_eq!(told(&world.plan()), Vec::<String>::new(), "a spare is no orphan here");
    world.node_mut("n3").state = NodeState(state("powering_up"));
    assert_eq!(told(&world.plan()), ["bind n3 i-5"]);
}

#[test]
fn sizes_of_the_file_are_written_and_others_left_alone() {
    let table: [(&str, &[&str]); 8] = [
        ("", &[]),
        ("min_size = 0", &[]),
        ("max_size = 8", &[]),
        ("max_size = 3", &["sizes 0 3"]),
        ("max_size = 64", &["sizes 0 64"]),
        ("min_size = 2\nmax_size = 9", &["sizes 2 9", "power_up n1", "power_up n2"]),
        ("min_size = 2", &["sizes 2 8", "power_up n1", "power_up n2"]),
        ("min_size = 0\nmax_size = 0", &["sizes 0 0"]),
    ];
    for (sizes, actions) in table {
        let mut world = sized(0, 8, sizes, &OFF);
        let plan = world.plan();
        assert_eq!(told(&plan), actions, "{sizes}");
        world.carry_out(&plan);
        assert_eq!(told(&world.plan()), Vec::<String>::new(), "{sizes}");
    }
}

#[test]
fn a_maximum_below_the_capacity_in_use_waits_for_releases() {
    let nodes = ["n1 alloc on=i-1", "n2 powering_down on=i-2", "n3 off", "n4 powering_up"];
    let mut world = sized(0, 8, "max_size = 1", &nodes);
    let plan = world.plan();
    // Nor is anything asked for, and what is released is not replaced for the node that waits.
    assert_eq!(told(&plan), ["terminate i-2"]);
    assert_eq!(plan.nodes[&"n4".into()].why, Why::AtMax { max: 1 });
    assert_eq!(
        plan.groups[&"g".into()].problem.as_deref(),
        Some(
            "max_size = 1 is written to the Auto Scaling group once its desired capacity, 2 now, \
             has come down as Slurm releases nodes"
        )
    );
    world.carry_out(&plan);
    let plan = world.plan();
    assert_eq!(told(&plan), ["sizes 0 1"]);
    assert_eq!(plan.groups[&"g".into()].problem, None);
}

#[test]
fn a_maximum_is_not_written_over_a_raise_that_a_read_does_not_show() {
    let mut world = sized(0, 8, "", &["n1 powering_up", "n2 powering_up"]);
    let plan = world.plan();
    let before = world.snapshot.asgs.clone();
    world.carry_out(&plan);
    world.snapshot.asgs = before;
    world.policy = policy_with("max_size = 1");
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    world.pass(60);
    assert_eq!(told(&world.plan()), ["sizes 0 1", "desired 0 -> 1"]);
}

#[test]
fn sizes_that_do_not_fit_the_auto_scaling_group_are_named_and_not_written() {
    let table = [
        (
            0,
            1,
            "min_size = 2",
            "asg.toml keeps 2 instances and the Auto Scaling group has MaxSize 1; write max_size = 2 or more",
        ),
        (
            3,
            4,
            "max_size = 2",
            "max_size = 2 is below the Auto Scaling group's MinSize of 3; write min_size = 2 or less",
        ),
        (
            0,
            1,
            "initial_size = 2",
            "initial_size = 2 is above the Auto Scaling group's MaxSize of 1; write max_size = 2 or more",
        ),
    ];
    for (min, max, sizes, problem) in table {
        let mut world = sized(min, max, sizes, &OFF);
        let plan = world.plan();
        assert_eq!(plan.groups[&"g".into()].problem.as_deref(), Some(problem));
        assert!(!told(&plan).iter().any(|action| action.starts_with("sizes")));
    }
}

#[test]
fn a_failed_write_of_sizes_is_repeated_with_growing_pauses() {
    let world = sized(0, 8, "max_size = 3", &OFF);
    is_repeated_with_growing_pauses(world, &["sizes 0 3"], "throttled");
}

#[test]
fn base_nodes_are_powered_up_without_any_job_and_stay() {
    // The minimum that the group has itself, or the file's.
    for (min, sizes) in
        [(2, ""), (0, "min_size = 2"), (0, "initial_size = 2\nmaintain_initial_size = true")]
    {
        let mut world = sized(min, 8, sizes, &OFF);
        let plan = world.plan();
        let mut actions = told(&plan);
        actions.retain(|action| !action.starts_with("sizes"));
        assert_eq!(actions, ["power_up n1", "power_up n2"], "{sizes}");
        world.carry_out(&plan);
        let plan = world.plan();
        assert_eq!(told(&plan), Vec::<String>::new(), "the minimum brings the instances");
        assert_eq!(plan.nodes[&"n1".into()].why, Why::WaitsForLaunch);
        two_nodes_come_up(&mut world);
        world.pass(10_000);
        let plan = world.plan();
        assert_eq!(told(&plan), Vec::<String>::new());
        assert!(matches!(plan.nodes[&"n1".into()].why, Why::Base { .. }));
    }
}

#[test]
fn nodes_that_jobs_use_are_part_of_the_base() {
    check(2, 8, &["n1 off", "n2 off", "n3 alloc on=i-3", "n4 powering_up on=i-4"], &[]);
    check(2, 8, &["n1 off", "n2 alloc on=i-1", "n3 off"], &["power_up n1"]);
    let mut world = World::new(1, 8, &["n1 idle on=i-1", "n2 idle on=i-2"]);
    let plan = world.plan();
    assert!(matches!(plan.nodes[&"n1".into()].why, Why::Base { .. }));
    assert!(matches!(plan.nodes[&"n2".into()].why, Why::Idle { .. }));
}

#[test]
fn only_usable_nodes_are_powered_up_and_no_more_than_the_maximum() {
    let nodes = ["n1 down_off reason=broken_fan", "n2 drain_off", "n3 off", "n4 off"];
    check(1, 8, &nodes, &["power_up n3"]);
    check(3, 3, &["n1 off", "n2 down on=i-2"], &["power_up n1"]);
    let mut world = sized(0, 2, "initial_size = 4", &OFF);
    assert_eq!(told(&world.plan()), ["desired 0 -> 2", "power_up n1", "power_up n2"]);
}

#[test]
fn a_job_that_waits_is_served_by_what_comes_up_for_the_base() {
    check(2, 8, &[&OFF[..], &["job 1"]].concat(), &["power_up n1", "power_up n2"]);
    let three = ["desired 2 -> 3", "power_up n1", "power_up n2"];
    check(2, 8, &[&OFF[..], &["job 3"]].concat(), &three);
}

#[test]
fn nothing_is_powered_up_for_a_group_that_cannot_be_read() {
    let mut world = sized(0, 8, "min_size = 2", &OFF);
    world.snapshot.asgs.insert("a".into(), Seen::Unknown { why: "throttled".into() });
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert!(plan.begun.is_empty());
}

#[test]
fn a_base_node_that_slurm_suspends_comes_back_once_it_is_down_and_rested() {
    let mut world = World::new(2, 8, &OFF);
    let plan = world.plan();
    world.carry_out(&plan);
    two_nodes_come_up(&mut world);
    world.pass(20);
    world.node_mut("n1").state = NodeState(state("powering_down"));
    let plan = world.plan();
    // Not another one in its place.
    assert_eq!(told(&plan), ["replace i-1"]);
    let advice: Vec<_> = plan.advice.iter().map(String::as_str).collect();
    assert_eq!(
        advice,
        ["group=g: Slurm powers nodes down that the group keeps, and they are brought back each \
          time; write SuspendExcNodes=n[1-2] in slurm.conf"]
    );
    world.carry_out(&plan);
    world.node_mut("n1").state = NodeState(state("off"));
    world.node_mut("n1").address = "n1".into();
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    assert_eq!(plan.wake_at, Some(world.snapshot.now.after(Duration::from_secs(40))));
    assert!(plan.advice.is_empty());
    world.pass(40);
    assert_eq!(told(&world.plan()), ["power_up n1"]);
}

#[test]
fn a_power_up_that_slurm_refuses_is_repeated_with_growing_pauses() {
    is_repeated_with_growing_pauses(World::new(1, 8, &OFF), &["power_up n1"], "no answer");
}

#[test]
fn a_base_node_whose_instance_dies_is_replaced_by_the_next_one() {
    let mut world = World::new(1, 8, &["n1 idle on=i-1", "n2 off"]);
    world.die("i-1");
    assert_eq!(told(&world.plan()), ["down n1", "power_down n1", "power_up n2"]);
}

#[test]
fn the_initial_size_comes_up_once_and_is_let_go() {
    let mut world = sized(0, 8, "initial_size = 2", &OFF);
    let plan = world.plan();
    assert_eq!(told(&plan), ["desired 0 -> 2", "power_up n1", "power_up n2"]);
    world.carry_out(&plan);
    assert!(!world.memory.begun.contains(&"g".into()), "not before it is seen");
    let plan = world.plan();
    assert_eq!(told(&plan), Vec::<String>::new());
    world.carry_out(&plan);
    for node in ["n1", "n2"] {
        world.node_mut(node).state = NodeState(state("off"));
    }
    world.pass(100);
    assert_eq!(told(&world.plan()), Vec::<String>::new());
    // Over a restart, too: memory survives it.
    let text = serde_json::to_string(&world.memory).unwrap();
    world.memory = serde_json::from_str(&text).unwrap();
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn a_power_up_that_was_lost_is_made_up_for_before_the_group_counts_as_begun() {
    let mut world = sized(0, 8, "initial_size = 1", &OFF);
    let plan = world.plan();
    world.memory.intend(&plan, world.snapshot.now);
    // Killed here: nothing was done.
    assert_eq!(told(&world.plan()), ["desired 0 -> 1", "power_up n1"]);
}

#[test]
fn an_initial_size_that_is_written_later_is_for_the_next_cluster() {
    let mut world = sized(0, 8, "", &OFF);
    let plan = world.plan();
    world.carry_out(&plan);
    world.policy = policy_with("initial_size = 2");
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn a_static_cluster_has_minimum_desired_and_maximum_the_same() {
    let sizes = "initial_size = 4\nmax_size = 4\nmaintain_initial_size = true";
    let mut world = sized(0, 8, sizes, &OFF);
    let plan = world.plan();
    let all = ["sizes 4 4", "power_up n1", "power_up n2", "power_up n3", "power_up n4"];
    assert_eq!(told(&plan), all);
    world.carry_out(&plan);
    let asg = world.asg_mut();
    assert_eq!((asg.min, asg.desired, asg.max), (4, 4, 4));
    assert_eq!(told(&world.plan()), Vec::<String>::new());
}

#[test]
fn several_auto_scaling_groups_keep_the_sum_of_their_minimums() {
    let mut world = World::new(1, 8, &OFF);
    let text = "[[group]]\nname = 'g'\nnodes = 'n[1-64]'\nasg = ['a', 'b']";
    world.policy = crate::policy::parse(std::path::Path::new("asg.toml"), text).unwrap();
    assert_eq!(told(&world.plan()), Vec::<String>::new(), "b has not been seen");
    let second = crate::snapshot::Asg { min: 2, desired: 2, max: 5, ..Default::default() };
    world.snapshot.asgs.insert("b".into(), Seen::Known(second));
    assert_eq!(told(&world.plan()), ["power_up n1", "power_up n2", "power_up n3"]);
}

/// One node or instance of a random world.
#[derive(Clone, Debug)]
struct Piece {
    state: usize,
    served: bool,
    dead: bool,
    listed: bool,
    asked: bool,
    tagged: bool,
    told: bool,
    lifecycle: u8,
    healthy: bool,
    own_reason: bool,
    silent: bool,
}

fn piece() -> impl Strategy<Value = Piece> {
    let flags = proptest::collection::vec(any::<bool>(), 4);
    let often = || prop::bool::weighted(0.85);
    (0..STATES.len(), often(), flags, often(), often(), often(), 0..12u8, often(), any::<bool>())
        .prop_map(|(state, served, flags, listed, asked, told, lifecycle, healthy, own)| Piece {
            state,
            served,
            dead: flags[0] && flags[1],
            listed,
            asked,
            tagged: flags[2],
            told,
            lifecycle,
            healthy,
            own_reason: own,
            silent: flags[3],
        })
}

/// What one random world is made of: pieces, minimum, room above, launches asked,
/// spares, age, pending jobs and whether alarms raise it, sizes in asg.toml.
type Recipe = (Vec<Piece>, u32, u32, u32, usize, (u64, Vec<u32>, bool), bool, (String, bool));

/// Sizes in asg.toml, and whether the group has begun before.
fn sizes() -> impl Strategy<Value = (String, bool)> {
    let given = || proptest::option::weighted(0.4, 0..12u32);
    (given(), given(), given(), any::<bool>(), any::<bool>(), 0..3u8).prop_map(
        |(min, initial, max, maintain, begun, scale_in)| {
            // As the file demands: minimum, initial size, maximum in this order.
            let initial = initial.map(|size| size.max(min.unwrap_or(0)));
            let max = max.map(|size| size.max(min.unwrap_or(0)).max(initial.unwrap_or(0)));
            let line = |key: &str, size: Option<u32>| {
                size.map_or_else(String::new, |size| format!("{key} = {size}\n"))
            };
            let text =
                [line("min_size", min), line("initial_size", initial), line("max_size", max)];
            let kept = maintain && initial.is_some();
            let scale_in = ["slurm", "billing-hour", "never"][usize::from(scale_in)];
            let kept = format!("maintain_initial_size = {kept}\nscale_in = \"{scale_in}\"");
            (text.concat() + &kept, begun)
        },
    )
}

fn recipe() -> impl Strategy<Value = Recipe> {
    (
        proptest::collection::vec(piece(), 0..24),
        0..4u32,
        0..12u32,
        0..4u32,
        0..4usize,
        (0..700u64, proptest::collection::vec(1..6u32, 0..3), prop::bool::weighted(0.2)),
        prop::bool::weighted(0.05),
        sizes(),
    )
}

fn build(
    (pieces, min, room, asked, spares, (age, jobs, alarm), blind, (sizes, begun)): Recipe,
) -> World {
    let keys = match (alarm, age % 2) {
        (true, _) => "scale_out = \"alarm\"",
        (false, 0) => "launch = \"all-or-nothing\"\nlaunch_limit = 60",
        (false, _) => "scale_out = \"direct\"",
    };
    let by_zone = !alarm && age % 4 > 1;
    let api = if by_zone { "api = \"launch-instances\"" } else { "" };
    let mut world = sized(0, 0, &format!("{sizes}\n{keys}\n{api}"), &[]);
    world.asg_mut().zones = vec!["y".to_owned(), "z".to_owned()];
    world.addresses_later = true;
    if begun {
        world.memory.begun.insert("g".into());
    }
    for (at, piece) in pieces.iter().enumerate() {
        let (node, id) = (format!("n{}", at + 1), format!("i-{}", at + 1));
        world.node_mut(&node).state = NodeState(state(STATES[piece.state]));
        world.node_mut(&node).address.clone_from(&node);
        world.node_mut(&node).cpus = 2;
        let now = world.snapshot.now;
        let ago = |secs: u64| Some(Timestamp::from_millis(now.millis() - secs * 1000));
        world.node_mut(&node).idle_since =
            if STATES[piece.state] == "idle" { ago(age + 100) } else { None };
        if piece.own_reason {
            world.node_mut(&node).reason = "ResumeTimeout reached".into();
        } else if piece.silent {
            world.node_mut(&node).reason = "Not responding".into();
        }
        if piece.served {
            let lifecycle = ["InService", "Pending", "Terminating", "Terminating:Wait", "Standby"]
                .get(usize::from(piece.lifecycle))
                .copied()
                .unwrap_or("InService");
            world.launch(&id, Lifecycle::parse(lifecycle));
            world.bind(&node, &id);
            world.asg_mut().instances.get_mut(&InstanceId::new(&id)).unwrap().healthy =
                piece.healthy;
        }
        if piece.lifecycle == 7 {
            let (kind, at) = (NoticeKind::SpotInterruption, world.snapshot.now);
            let notice = Notice { kind, what: "terminate".into(), at, goes_at: None };
            world.memory.notices.insert(id.as_str().into(), notice);
        }
        if piece.dead {
            world.die(&id);
        }
        if let Some(Machine::Known(facts)) = world.snapshot.machines.get_mut(&InstanceId::new(&id))
        {
            facts.launched = ago(if piece.told { 3500 } else { 5 * age });
        }
        if piece.tagged
            && let Some(Machine::Known(facts)) =
                world.snapshot.machines.get_mut(&InstanceId::new(&id))
        {
            facts.node_tag = Some(node.as_str().into());
        }
        if !piece.listed {
            world.asg_mut().instances.remove(&InstanceId::new(&id));
        }
        if !piece.asked {
            world.snapshot.machines.remove(&InstanceId::new(&id));
        }
        if let Some(binding) = world.memory.bindings.get_mut(&NodeName::new(&node)) {
            binding.outdated = piece.own_reason && piece.tagged;
            binding.boot = if binding.outdated { Boot::Registered } else { Boot::Awaited };
        }
        if !piece.told {
            world.memory.bindings.remove(&NodeName::new(&node));
        }
    }
    for nodes in jobs {
        world.submit(nodes);
    }
    // Of the nodes that wait with work, some belong to jobs of several nodes.
    let waits = |(_, node): &(&NodeName, &Node)| {
        matches!(node.state.phase(), Phase::Booting | Phase::Wanted) && node.state.has_work()
    };
    let waiting = world.snapshot.nodes.known().unwrap().iter().filter(waits);
    let waiting: Vec<NodeName> = waiting.map(|(name, _)| name.clone()).collect();
    for (at, nodes) in waiting.chunks(1 + spares).take(3).enumerate() {
        let id = 100 + u32::try_from(at).unwrap();
        world.configure(id, &crate::hostlist::compress(nodes), 999_000 + i64::from(id));
        let since = world.snapshot.now;
        world.memory.incomplete.insert(id, since);
    }
    for spare in 0..spares {
        let id = format!("i-{}", 100 + spare);
        world.launch(&id, Lifecycle::Pending);
        world.memory.spare_since.insert(id.as_str().into(), world.snapshot.now);
    }
    let asg = world.asg_mut();
    let living = asg.instances.values().filter(|member| member.lifecycle.is_capacity()).count();
    let living = u32::try_from(living).unwrap();
    asg.desired = living + asked;
    asg.min = min.min(asg.desired);
    asg.max = asg.desired + room;
    world.pass(age);
    if blind {
        world.snapshot.asgs.insert("a".into(), Seen::Unknown { why: "throttled".into() });
    }
    world
}

/// As many nodes are up or on their way as the group keeps, or no more can be had.
fn base_is_there(world: &World) -> bool {
    let nodes = world.snapshot.nodes.known().unwrap();
    let count = |phases: &[Phase]| {
        let usable = |node: &&Node| {
            let closed = node.state.base() != NodeState::IDLE || node.state.has(NodeState::DRAIN);
            let phase = node.state.phase();
            phases.contains(&phase) && (phase != Phase::Off || !closed)
        };
        nodes.values().filter(usable).count()
    };
    let up = count(&[Phase::Up, Phase::Wanted, Phase::Booting]);
    let min = world.snapshot.asg(&"a".into()).unwrap().min as usize;
    up + count(&[Phase::Releasing]) >= min || count(&[Phase::Off]) == 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var_os("SLURM_ASG_CASES")
            .and_then(|cases| cases.to_str()?.parse().ok())
            .unwrap_or(10_000)
    ))]

    /// Invariants 1 to 6: deterministic, checked, explained, and done when carried out.
    #[test]
    fn a_plan_keeps_its_rules_and_leaves_nothing_to_do(recipe in recipe()) {
        let mut world = build(recipe);
        let plan = world.plan();
        prop_assert!(plan.actions.len() <= ACTIONS_MAX);
        for action in &plan.actions {
            if let Action::Terminate(terminate) = action
                && let Some(node) = &terminate.node
            {
                let outdated = terminate.cause == TerminateCause::Outdated;
                let node = &world.snapshot.nodes.known().unwrap()[node];
                prop_assert!(!node.state.has_work() || outdated && node.state.phase() == Phase::Booting);
            }
        }
        if world.snapshot.asg(&"a".into()).is_none() {
            prop_assert!(!plan.actions.iter().any(|action| matches!(
                action,
                Action::Terminate(_)
                    | Action::SetDesired(_)
                    | Action::Launch(_)
                    | Action::MarkDown(_)
                    | Action::SetSizes(_)
                    | Action::PowerUp(_)
            )));
            return Ok(());
        }
        world.carry_out(&plan);
        let asg = world.asg_mut().clone();
        prop_assert!(asg.min <= asg.desired && asg.desired <= asg.max);
        // Sizes that are written, or that waited for the capacity to come down, make room for more;
        // a group that has had what it begins with may let go of it.
        let mut next = world.plan();
        let mut last = plan.clone();
        for _ in 0..3 {
            let sized = |plan: &Plan| plan.actions.iter().any(|it| matches!(it, Action::SetSizes(_)));
            let begins = next.begun.iter().any(|group| !world.memory.begun.contains(group));
            // A node that is given up with its job counts no more among those that are kept.
            let gives_up = |plan: &Plan| {
                let downs = plan.actions.iter();
                downs.filter_map(Action::mark_down).any(|it| it.reason.contains("IncompleteJob"))
            };
            if !sized(&last) && !sized(&next) && !begins && !gives_up(&last) {
                break;
            }
            world.carry_out(&next);
            last = std::mem::replace(&mut next, world.plan());
        }
        let next = told(&next);
        prop_assert!(next.is_empty(), "planned again: {next:?} after {:?}", told(&plan));
        prop_assert!(base_is_there(&world), "the base is missing after {:?}", told(&plan));
    }

    /// Invariant 2: taking knowledge away never adds a release.
    #[test]
    fn knowing_less_never_releases_more(recipe in recipe()) {
        let mut world = build(recipe);
        let terminated = |plan: &Plan| -> Vec<InstanceId> {
            let gone = plan.actions.iter().filter_map(Action::terminate);
            gone.map(|terminate| terminate.instance.clone()).collect()
        };
        let all = terminated(&world.plan());
        world.snapshot.machines.clear();
        for id in terminated(&world.plan()) {
            // Without EC2's answer a dead instance counts as living: it may be let go, as then.
            let listed = all.contains(&id) || world.memory.releases.contains_key(&id)
                || world.memory.bindings.values().any(|binding| binding.instance == id);
            prop_assert!(listed || world.memory.spare_since.contains_key(&id), "{id} is released blindly");
        }
        world.snapshot.nodes = Seen::Unknown { why: "no answer".into() };
        prop_assert!(terminated(&world.plan()).is_empty());
    }
}
