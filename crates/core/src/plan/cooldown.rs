//! Groups that AWS gives no instances.
//!
//! After a failed launch an Auto Scaling group is asked for nothing until its cooldown is over; the
//! next one of the list is asked at once. If none is left, nodes that wait are set down, so that
//! Slurm requeues their jobs at once, and the group's powered-down nodes are closed to jobs until
//! the next try: Slurm takes others, if there are any. What was asked for and will not come is given
//! back, if no instance could be ended by that.

use std::collections::BTreeMap;

use super::group::{OWN_REASON, Pass};
use super::launch::cooldown_of_zones;
use super::shut::Shut;
use super::{Action, CloseNodes, GiveBack, MarkDown, OpenNodes, PowerDown, SETTLE};
use crate::ids::{AsgName, NodeName};
use crate::memory::{Cooldown, Memory};
use crate::node_state::{NodeState, Phase};
use crate::policy::{GroupPolicy, ScaleIn, ScaleOut};
use crate::snapshot::{Asg, Node};
use crate::time::Timestamp;

/// What is to be remembered of a group's failed launches; `None` if there were none.
pub fn cooldown(
    group: &GroupPolicy,
    name: &AsgName,
    asg: &Asg,
    memory: &Memory,
    now: Timestamp,
) -> Option<Cooldown> {
    let earlier = memory.cooldowns.get(name);
    if earlier.is_none_or(|earlier| !earlier.is_in_force(now))
        && let Some(cooldown) = cooldown_of_zones(group, name, asg, memory, now)
    {
        return Some(cooldown);
    }
    let Some(failure) = &asg.failure else { return earlier.cloned() };
    match earlier {
        Some(earlier) if earlier.failure.at >= failure.at => Some(earlier.clone()),
        // While it lasts, further failures are the same trouble.
        Some(earlier) if earlier.is_in_force(now) => {
            Some(Cooldown { failure: failure.clone(), ..earlier.clone() })
        }
        _ => Some(Cooldown {
            failure: failure.clone(),
            noticed_at: now,
            until: now.after(group.capacity_cooldown),
        }),
    }
}

impl<'a> Pass<'a, '_> {
    /// Takes down what is to be remembered, and says what the matter is.
    pub(super) fn note_cooldowns(&mut self) {
        let now = self.scene.snapshot.now;
        for book in &self.books {
            let Some(cooldown) = &book.cooldown else { continue };
            self.plan.cooldowns.insert(book.name.clone(), cooldown.clone());
        }
        let shut = self.books.iter().filter_map(|book| book.shut.as_ref());
        if let Some(until) = shut.filter_map(Shut::until).min() {
            self.plan.wake(until);
        }
        for book in &self.books {
            let begins = |since| since == now && !self.is_protected(book.name);
            if let Some(Shut::Protected { since, .. }) = &book.shut
                && begins(*since)
            {
                self.plan.protected.insert(book.name.clone());
            }
        }
        if let Some(shut) = self.without_capacity() {
            let problem = format!("no instances ({}): {}", shut.code(), shut.in_words());
            self.report.problem.get_or_insert(problem);
        }
    }

    /// Whether an Auto Scaling group has been in protected mode before this plan.
    fn is_protected(&self, asg: &AsgName) -> bool {
        let boots = self.scene.memory.boots.get(asg);
        boots.is_some_and(|boots| boots.protected_since.is_some())
    }

    /// What is over first, if all Auto Scaling groups of the group are shut.
    pub(super) fn without_capacity(&self) -> Option<Shut> {
        if self.books.is_empty() || self.books.len() < self.scene.group.asgs.len() {
            return None;
        }
        let all: Option<Vec<_>> = self.books.iter().map(|book| book.shut.clone()).collect();
        // What an administrator ends is over last.
        all?.into_iter().min_by_key(|shut| (shut.until().is_none(), shut.until()))
    }

    /// Has a node set down that waits for an instance which will not come. Its jobs requeue.
    pub(super) fn give_up(&mut self, name: &NodeName, shut: &Shut) {
        let Some(node) = self.scene.nodes.get(name) else { return };
        let settled = self.scene.snapshot.now.since(shut.since()) >= SETTLE;
        if node.state.phase() != Phase::Booting {
            return;
        }
        self.plan.watch_slurm = true;
        if !settled {
            // What was launched of the same request may just not be listed yet.
            self.plan.wake(shut.since().after(SETTLE));
            return;
        }
        let reason = shut.reason();
        if !(node.state.is_down() && node.reason.starts_with(OWN_REASON)) {
            self.plan.actions.push(Action::MarkDown(MarkDown { node: name.clone(), reason }));
        }
        self.plan.actions.push(Action::PowerDown(PowerDown::recover(name)));
    }

    /// Closes powered-down nodes to jobs while nothing can be launched for them, and opens them
    /// again.
    pub(super) fn close_or_open(&mut self) {
        let shut = self.without_capacity();
        let is_known = self.books.len() == self.scene.group.asgs.len();
        let those = |meant: &dyn Fn(&Node) -> bool| -> Vec<NodeName> {
            let nodes = self.scene.group.nodes.iter();
            nodes.filter(|name| self.scene.nodes.get(*name).is_some_and(meant)).cloned().collect()
        };
        let is_off = |node: &Node| node.state.phase() == Phase::Off;
        if let Some(shut) = &shut {
            let closed = NodeState::DRAIN | NodeState::FAIL | NodeState::POWER_DOWN;
            let nodes = those(&|node| {
                is_off(node) && node.state.base() == NodeState::IDLE && !node.state.has(closed)
            });
            if !nodes.is_empty() {
                let reason = shut.reason();
                self.plan.actions.push(Action::CloseNodes(CloseNodes { nodes, reason }));
            }
        }
        // A job may have been given the node in the moment in which it was closed: what is up
        // again is open, whatever the others wait for.
        let may_open = |node: &Node| match node.state.phase() {
            Phase::Up => true,
            Phase::Off => shut.is_none() && is_known,
            Phase::Wanted | Phase::Booting | Phase::Releasing => false,
        };
        let nodes = those(&|node| {
            node.state.has(NodeState::DRAIN)
                && !node.state.has(NodeState::POWER_DOWN)
                && !node.state.is_down()
                && node.reason.starts_with(OWN_REASON)
                && may_open(node)
        });
        if !nodes.is_empty() {
            self.plan.actions.push(Action::OpenNodes(OpenNodes { nodes }));
        }
    }

    /// Gives back what was asked for and never launched, where every living instance is protected:
    /// a lower number ends an unprotected one.
    pub(super) fn give_back(&mut self) {
        let now = self.scene.snapshot.now;
        let group = self.scene.group;
        if group.scale_out == ScaleOut::Alarm || group.scale_in == ScaleIn::Never {
            return;
        }
        let mut back = Vec::new();
        for book in &self.books {
            let Some(cooldown) = book.cooldown.as_ref().filter(|it| it.is_in_force(now)) else {
                continue;
            };
            let retry = self.scene.memory.raise_retry.get(book.name);
            let waits = retry.is_some_and(|retry| retry.not_before > now)
                || now.since(cooldown.noticed_at) < SETTLE;
            let living = book.asg.instances.values().filter(|it| it.lifecycle.is_capacity());
            let (mut count, mut protected) = (0_u32, true);
            for member in living {
                count = count.saturating_add(1);
                protected &= member.protected;
            }
            let to = count.max(book.sizes.keep);
            let waits = waits || book.launching() > 0;
            if protected && !waits && to < book.asg.desired && !self.shrinks(book.name) {
                let (asg, from) = (book.name.clone(), book.asg.desired);
                back.push(Action::GiveBack(GiveBack { asg, from, to }));
            }
        }
        self.plan.actions.extend(back);
    }

    /// Whether this plan takes instances out of an Auto Scaling group: one thing after the other.
    fn shrinks(&self, asg: &AsgName) -> bool {
        let mut terminated = self.plan.actions.iter().filter_map(Action::terminate);
        terminated.any(|terminate| terminate.asg == *asg)
    }
}

/// Cooldowns that begin with a plan, and those that have come to their end.
#[must_use]
pub fn changed_cooldowns<'a>(
    before: &'a BTreeMap<AsgName, Cooldown>,
    plan: &'a BTreeMap<AsgName, Cooldown>,
) -> Vec<(&'a AsgName, &'a Cooldown)> {
    let is_new = |(name, cooldown): &(&AsgName, &Cooldown)| {
        before.get(*name).is_none_or(|earlier| earlier.noticed_at != cooldown.noticed_at)
    };
    plan.iter().filter(is_new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_state::NodeState;
    use crate::plan::Why;
    use crate::snapshot::{Asg, Seen};
    use crate::testing::{World, policy_with, told};

    /// Asked for as many instances as nodes wait; the launch has failed.
    fn failing(lines: &[&str], asked: u32) -> World {
        let mut world = World::new(0, 8, lines);
        world.asg_mut().desired += asked;
        world.fail_launch();
        world
    }

    fn turn(world: &mut World) -> Vec<String> {
        let plan = world.plan();
        world.carry_out(&plan);
        told(&plan)
    }

    #[test]
    fn nodes_that_wait_are_set_down_others_are_closed_and_the_backlog_is_given_back() {
        let lines = ["n1 alloc_powering_up", "n2 alloc on=i-2", "n3 off", "n4 drain_off"];
        let mut world = failing(&lines, 1);
        // What was launched of the same request may not be listed yet.
        let plan = world.plan();
        assert_eq!(told(&plan), ["close n3"]);
        let why = &plan.nodes[&"n1".into()].why;
        let code = "InsufficientInstanceCapacity".to_owned();
        assert_eq!(
            *why,
            Why::NoCapacity {
                code,
                at: world.snapshot.now.after(std::time::Duration::from_secs(600))
            }
        );
        world.carry_out(&plan);
        world.pass(2);
        let plan = world.plan();
        assert_eq!(told(&plan), ["back 2 -> 1", "down n1", "power_down n1"]);
        world.carry_out(&plan);
        let reason = world.node_mut("n1").reason.clone();
        let words = "(Code:InsufficientInstanceCapacity) AWS has no capacity in z, next try ";
        assert!(reason.starts_with(words) && reason.ends_with(" UTC"), "{reason}");
        assert_eq!(turn(&mut world), Vec::<String>::new());
        // Slurm has powered it down: it is closed like the others.
        world.node_mut("n1").state = NodeState(NodeState::IDLE | NodeState::POWERED_DOWN);
        assert_eq!(turn(&mut world), ["close n1"]);
        world.pass(597);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        world.pass(1);
        assert_eq!(turn(&mut world), ["open n[1,3]"], "and not what somebody else closed");
        assert_eq!(turn(&mut world), Vec::<String>::new());
    }

    #[test]
    fn a_node_that_got_a_job_while_it_was_closed_is_opened_once_it_is_up() {
        let mut world = failing(&["n1 off"], 0);
        assert_eq!(turn(&mut world), ["close n1"]);
        let drained = |state| NodeState(state | NodeState::DRAIN);
        let up = drained(NodeState::ALLOCATED | NodeState::POWERING_UP);
        world.launch("i-1", crate::snapshot::Lifecycle::InService);
        world.bind("n1", "i-1");
        world.node_mut("n1").state = up;
        assert_eq!(turn(&mut world), Vec::<String>::new());
        world.node_mut("n1").state = drained(NodeState::ALLOCATED);
        assert_eq!(turn(&mut world), ["open n1"]);
        assert_eq!(turn(&mut world), Vec::<String>::new());
    }

    #[test]
    fn after_the_cooldown_it_is_tried_again_and_an_old_failure_is_no_new_one() {
        let mut world = failing(&["n1 off"], 0);
        assert_eq!(turn(&mut world), ["close n1"]);
        world.pass(600);
        assert_eq!(turn(&mut world), ["open n1"]);
        world.submit(1);
        assert_eq!(turn(&mut world), ["desired 0 -> 1"]);
        world.fail_launch();
        assert_eq!(turn(&mut world), ["close n1"]);
    }

    #[test]
    fn the_next_group_of_the_list_is_asked_at_once() {
        let mut world = failing(&["n1 alloc_powering_up", "n2 off"], 1);
        let text = "[[group]]\nname = 'g'\nnodes = 'n[1-64]'\nasg = ['a', 'b']\n";
        world.policy = crate::policy::parse("asg.toml".as_ref(), text).unwrap();
        let second = Asg { max: 5, ..Asg::default() };
        world.snapshot.asgs.insert("b".into(), Seen::Known(second));
        let plan = world.plan();
        assert_eq!(told(&plan), ["desired 0 -> 1"]);
        assert_eq!(plan.nodes[&"n1".into()].why, Why::Raised);
        assert_eq!(plan.groups[&"g".into()].problem, None);
    }

    #[test]
    fn nothing_is_given_back_while_an_instance_could_be_ended_by_that() {
        let mut world = failing(&["n1 alloc on=i-1", "i-2 spare"], 2);
        world.pass(5);
        world.fail_launch();
        turn(&mut world);
        world.pass(5);
        assert_eq!(turn(&mut world), ["back 4 -> 2"]);
        let mut world = failing(&["n1 alloc on=i-1", "i-2 spare"], 2);
        turn(&mut world);
        world.pass(5);
        let spare = world.asg_mut().instances.get_mut(&"i-2".into()).unwrap();
        spare.protected = false;
        assert_eq!(turn(&mut world), Vec::<String>::new());
    }

    #[test]
    fn a_group_that_alarms_raise_or_that_never_shrinks_keeps_its_backlog() {
        for lines in ["scale_out = \"alarm\"", "scale_in = \"never\""] {
            let mut world = failing(&["n1 alloc on=i-1"], 2);
            world.policy = policy_with(lines);
            turn(&mut world);
            world.pass(5);
            assert_eq!(turn(&mut world), Vec::<String>::new(), "{lines}");
        }
    }

    #[test]
    fn pending_jobs_raise_nothing_and_the_base_is_not_powered_up_in_vain() {
        let mut world = failing(&["n1 off", "n2 off", "job 1"], 0);
        world.asg_mut().min = 1;
        world.asg_mut().desired = 1;
        let plan = world.plan();
        assert_eq!(told(&plan), ["close n[1-2]"]);
        let problem = plan.groups[&"g".into()].problem.clone().unwrap();
        assert!(problem.contains("InsufficientInstanceCapacity"), "{problem}");
    }

    #[test]
    fn a_clock_that_was_set_back_ends_a_cooldown() {
        let mut world = failing(&["n1 off"], 0);
        assert_eq!(turn(&mut world), ["close n1"]);
        world.snapshot.now = Timestamp::from_secs(500_000);
        assert_eq!(turn(&mut world), ["open n1"]);
    }
}
