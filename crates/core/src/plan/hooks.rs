//! Life-cycle hooks: an instance that someone else ends, or that a hook holds before it is in
//! service.
//!
//! A hook is told to wait while a job runs on the instance or while it boots, and to let go once
//! Slurm gives the node no job any more. No answer ends a machine that runs a job: after
//! `drain_limit` nothing is said, and the hook's own timeout decides. Only hooks whose names begin
//! with [`Hook::PREFIX`] are answered.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::group::Pass;
use super::{Action, AnswerHook, Drain, HookAnswer};
use crate::ids::{InstanceId, NodeName};
use crate::node_state::{NodeState, Phase};
use crate::snapshot::{Hook, Node, Transition};
use crate::time::Timestamp;

/// Answers of one group in one plan: each is a call of its own. The rest comes with the next plan.
const ANSWERS_MAX: usize = 50;

/// Whether Slurm will give a node no job any more and none runs on it.
fn is_closed(node: &Node) -> bool {
    match node.state.phase() {
        Phase::Off | Phase::Releasing => !node.state.has_work(),
        // Nothing can have begun on a machine that has not registered.
        Phase::Wanted | Phase::Booting => true,
        Phase::Up => {
            let no_more_jobs = NodeState::DRAIN | NodeState::POWER_DOWN;
            !node.state.has_work() && (node.state.is_down() || node.state.has(no_more_jobs))
        }
    }
}

/// Whether a node in service has its slurmd. One that never registered has neither power flag for
/// a moment while Slurm powers it down, and is DOWN then.
fn has_registered(node: &Node) -> bool {
    node.state.phase() == Phase::Up && !node.state.is_down()
}

/// The reason of a node whose instance someone else ends.
pub(super) fn being_terminated(instance: &InstanceId) -> String {
    format!("(Code:InstanceTerminating) {instance} is being terminated, not by slurm-asg")
}

impl<'a> Pass<'a, '_> {
    /// Has a node drained whose instance is about to go; Slurm powers it down then.
    pub(super) fn drain(&mut self, name: &NodeName, node: &Node, reason: String) {
        self.plan.watch_slurm = true;
        let is_closed = node.state.has(NodeState::DRAIN) || node.state.is_down();
        if is_closed && node.state.has(NodeState::POWER_DOWN) {
            return;
        }
        self.plan.actions.push(Action::Drain(Drain { node: name.clone(), reason }));
    }

    /// Answers the hooks that hold instances of the group.
    pub(super) fn answer_hooks(&mut self, leaving: &BTreeSet<InstanceId>) {
        let members = self.books.iter().flat_map(|book| {
            book.asg.instances.iter().map(move |(id, member)| (book.name, book.asg, id, member))
        });
        let held: Vec<_> = members
            .filter_map(|(name, asg, id, member)| {
                Some((name, asg, id, member.lifecycle.held_at()?))
            })
            .collect();
        if held.is_empty() {
            return;
        }
        let working = self.working_addresses();
        let mut answers = Vec::new();
        for (name, asg, id, transition) in held {
            let Some(hooks) = &asg.hooks else {
                self.plan.look_up_hooks.insert(name.clone());
                continue;
            };
            let is_meant = |hook: &&Hook| hook.is_ours() && hook.transition == transition;
            let hooks: Vec<&Hook> = hooks.iter().filter(is_meant).collect();
            let Some(timeout) = hooks.iter().map(|hook| hook.timeout).min() else { continue };
            let node = self.scene.bound.get(id).copied();
            let unknown = node.is_none() && self.may_serve(id);
            if unknown {
                self.plan.look_up.insert(id.clone());
            }
            let works = unknown || self.is_among(id, &working);
            let answer = match transition {
                Transition::Terminating => self.answer_terminating(node, works),
                Transition::Launching => {
                    self.answer_launching(id, node, works, leaving.contains(id))
                }
            };
            if self.is_due(id, answer, timeout) {
                answers.extend(hooks.iter().map(|hook| AnswerHook {
                    instance: id.clone(),
                    asg: name.clone(),
                    node: node.cloned(),
                    hook: hook.name.clone(),
                    answer,
                }));
            }
        }
        // Whoever waits has a deadline.
        answers.sort_by_key(|answer| answer.answer != HookAnswer::Wait);
        if answers.len() > ANSWERS_MAX {
            answers.truncate(ANSWERS_MAX);
            self.plan.wake(self.scene.snapshot.now);
        }
        self.plan.actions.extend(answers.into_iter().map(Action::AnswerHook));
    }

    /// Whether the hooks of an instance are to be told so now. If later, the plan is made anew then.
    fn is_due(&mut self, id: &InstanceId, answer: HookAnswer, timeout: Duration) -> bool {
        let due = match answer {
            HookAnswer::Wait => self.next_beat(id, timeout),
            HookAnswer::Continue | HookAnswer::Abandon => {
                self.plan.watch_cloud = true;
                Some(self.not_before(id))
            }
        };
        let later = due.filter(|due| *due > self.scene.snapshot.now);
        if let Some(at) = later {
            self.plan.wake(at);
        }
        due.is_some() && later.is_none()
    }

    fn answer_terminating(&self, node: Option<&NodeName>, works: bool) -> HookAnswer {
        let may_go = match node {
            // A node that Slurm does not show may have work.
            Some(name) => self.scene.nodes.get(name).is_some_and(is_closed),
            None => !works,
        };
        if may_go { HookAnswer::Continue } else { HookAnswer::Wait }
    }

    fn answer_launching(
        &self,
        id: &InstanceId,
        node: Option<&NodeName>,
        works: bool,
        leaves: bool,
    ) -> HookAnswer {
        let node = node.and_then(|name| self.scene.nodes.get(name));
        let leaves = leaves || self.scene.memory.releases.contains_key(id);
        // A release that no call has reached yet may have come up after all.
        if leaves && !works {
            HookAnswer::Abandon
        } else if node.is_some_and(has_registered) {
            HookAnswer::Continue
        } else {
            HookAnswer::Wait
        }
    }

    /// Addresses of nodes that have work, where that may have begun.
    fn working_addresses(&self) -> BTreeSet<IpAddr> {
        let waits = |node: &Node| matches!(node.state.phase(), Phase::Wanted | Phase::Booting);
        let nodes = self.scene.nodes.values();
        let working = nodes.filter(|node| node.state.has_work() && !waits(node));
        working.filter_map(Node::ip).collect()
    }

    fn is_among(&self, id: &InstanceId, addresses: &BTreeSet<IpAddr>) -> bool {
        let address = self.scene.snapshot.address(id);
        address.is_some_and(|address| addresses.contains(&address))
    }

    /// When the hooks of an instance are to be told to wait again; `None` if not any more.
    fn next_beat(&self, id: &InstanceId, timeout: Duration) -> Option<Timestamp> {
        let now = self.scene.snapshot.now;
        let Some(held) = self.scene.memory.held.get(id) else { return Some(now) };
        if now.since(held.since) >= self.scene.group.drain_limit {
            return None;
        }
        // How long it has been held when it is first seen is not known.
        let beat = held.beaten_at.map_or(held.since, |at| at.after(timeout / 2));
        Some(beat.max(self.not_before(id)))
    }

    fn not_before(&self, id: &InstanceId) -> Timestamp {
        let retry = self.scene.memory.held.get(id).and_then(|held| held.retry);
        retry.map_or(self.scene.snapshot.now, |retry| retry.not_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Lifecycle;
    use crate::testing::{World, is_repeated_with_growing_pauses, told};

    /// A group with hooks whose timeout is 100 s, and nothing else to be done.
    fn world(lines: &[&str]) -> World {
        let mut world = World::new(0, 8, lines);
        world.hook(100);
        world
    }

    /// What one plan does, carried out.
    fn turn(world: &mut World) -> Vec<String> {
        let plan = world.plan();
        world.carry_out(&plan);
        told(&plan)
    }

    #[test]
    fn a_busy_node_drains_and_its_hook_waits_until_slurm_has_powered_it_down() {
        let mut world = world(&["n1 alloc on=i-1"]);
        world.comes_to("i-1", Lifecycle::TerminatingWait);
        assert_eq!(turn(&mut world), ["drain n1", "wait i-1"]);
        world.pass(49);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        world.pass(1);
        assert_eq!(turn(&mut world), ["wait i-1"]);
        // The job ends; Slurm has closed the node already.
        world.node_mut("n1").state =
            NodeState(NodeState::IDLE | NodeState::DRAIN | NodeState::POWER_DOWN);
        world.pass(10);
        assert_eq!(turn(&mut world), ["continue i-1"]);
        world.node_mut("n1").state = NodeState(NodeState::IDLE | NodeState::POWERED_DOWN);
        world.asg_mut().instances.clear();
        world.asg_mut().desired = 0;
        world.die("i-1");
        assert_eq!(turn(&mut world), Vec::<String>::new());
        assert!(world.memory.bindings.is_empty() && world.memory.held.is_empty());
    }

    #[test]
    fn an_idle_node_is_closed_before_its_hook_lets_go() {
        let mut world = world(&["n1 idle on=i-1"]);
        world.comes_to("i-1", Lifecycle::TerminatingWait);
        // A job may land on it in this moment.
        assert_eq!(turn(&mut world), ["drain n1", "wait i-1"]);
        world.pass(10);
        assert_eq!(turn(&mut world), ["continue i-1"]);
    }

    #[test]
    fn after_the_limit_nothing_is_said_and_the_busy_machine_is_not_let_go() {
        let mut world = world(&["n1 alloc on=i-1"]);
        world.policy = crate::testing::policy_with("drain_limit = 120");
        world.comes_to("i-1", Lifecycle::TerminatingWait);
        assert_eq!(turn(&mut world), ["drain n1", "wait i-1"]);
        world.pass(119);
        assert_eq!(turn(&mut world), ["wait i-1"]);
        world.pass(1000);
        assert_eq!(turn(&mut world), Vec::<String>::new());
    }

    #[test]
    fn an_instance_that_serves_nobody_is_let_go_at_once_unless_a_node_has_its_address() {
        let mut world = world(&["i-1 spare", "n2 alloc", "i-3 spare"]);
        for id in ["i-1", "i-3"] {
            world.comes_to(id, Lifecycle::TerminatingWait);
        }
        world.node_mut("n2").address = crate::testing::address("i-3").to_string();
        assert_eq!(turn(&mut world), ["drain n2", "wait i-3", "continue i-1"]);
    }

    #[test]
    fn after_a_restart_a_hook_waits_until_it_is_known_whom_its_instance_serves() {
        // slurmctld came back with a state from before the node was powered down.
        let mut world = world(&["n1 powering_down on=i-1"]);
        let plan = world.plan();
        world.carry_out(&plan);
        world.launch("i-1", Lifecycle::TerminatingWait);
        let facts = world.snapshot.machines.remove(&InstanceId::new("i-1")).unwrap();
        world.node_mut("n1").state = NodeState(NodeState::IDLE);
        let plan = world.plan();
        assert_eq!((told(&plan), plan.look_up.len()), (vec!["wait i-1".to_owned()], 1));
        world.snapshot.machines.insert("i-1".into(), facts);
        assert_eq!(turn(&mut world), ["drain n1", "wait i-1"]);
        world.pass(10);
        assert_eq!(turn(&mut world), ["continue i-1"]);
    }

    #[test]
    fn what_slurm_released_is_let_go_at_once() {
        let mut world = world(&["n1 powering_down on=i-1"]);
        assert_eq!(turn(&mut world), ["terminate i-1"]);
        world.launch("i-1", Lifecycle::TerminatingWait);
        world.pass(1);
        assert_eq!(turn(&mut world), ["continue i-1"]);
    }

    #[test]
    fn a_launch_waits_for_its_node_and_is_completed_when_that_is_up() {
        let mut world = world(&["n1 alloc_powering_up"]);
        world.launch("i-1", Lifecycle::PendingWait);
        world.asg_mut().desired = 1;
        assert_eq!(turn(&mut world), ["bind n1 i-1", "wait i-1"]);
        world.pass(50);
        assert_eq!(turn(&mut world), ["wait i-1"]);
        world.node_mut("n1").state = NodeState(NodeState::ALLOCATED);
        world.pass(6);
        assert_eq!(turn(&mut world), ["continue i-1"]);
    }

    #[test]
    fn a_launch_whose_node_never_registered_is_terminated_and_then_abandoned() {
        let mut world = world(&["n1 down_off reason=ResumeTimeout_reached"]);
        world.launch("i-1", Lifecycle::PendingWait);
        world.asg_mut().desired = 1;
        world.bind("n1", "i-1");
        // Its slurmd may still come: Slurm closes the node first.
        assert_eq!(turn(&mut world), ["power_down n1", "wait i-1"]);
        // Marked, and not yet powering down: it is not up for that.
        world.pass(50);
        assert_eq!(turn(&mut world), ["wait i-1"]);
        world.node_mut("n1").state = NodeState(NodeState::IDLE | NodeState::POWERING_DOWN);
        world.pass(1);
        assert_eq!(turn(&mut world), ["terminate i-1", "abandon i-1"]);
        assert_eq!(world.asg_mut().desired, 0, "it is not replaced");
    }

    #[test]
    fn hooks_of_others_and_hooks_that_are_not_known_are_not_answered() {
        let mut world = world(&["i-1 spare"]);
        world.comes_to("i-1", Lifecycle::TerminatingWait);
        for hook in world.asg_mut().hooks.iter_mut().flatten() {
            hook.name = "logs".to_owned();
        }
        let plan = world.plan();
        assert_eq!((told(&plan), plan.look_up_hooks.len()), (Vec::new(), 0));
        world.asg_mut().hooks = None;
        let plan = world.plan();
        assert_eq!((told(&plan), plan.look_up_hooks.len()), (Vec::new(), 1));
    }

    #[test]
    fn a_failed_answer_is_repeated_at_growing_pauses() {
        let mut world = world(&["i-1 spare"]);
        world.comes_to("i-1", Lifecycle::TerminatingWait);
        is_repeated_with_growing_pauses(world, &["continue i-1"], "throttled");
    }

    #[test]
    fn one_plan_has_a_bounded_number_of_answers_and_those_that_wait_come_first() {
        let spares: Vec<_> = (1..=70).map(|nth| format!("i-{nth} spare")).collect();
        let mut lines: Vec<&str> = spares.iter().map(String::as_str).collect();
        lines.push("n1 alloc on=i-99");
        let mut world = world(&lines);
        for nth in (1..=70).chain([99]) {
            world.comes_to(&format!("i-{nth}"), Lifecycle::TerminatingWait);
        }
        let plan = told(&world.plan());
        assert_eq!((plan.len(), plan[1].as_str()), (1 + ANSWERS_MAX, "wait i-99"));
    }
}
