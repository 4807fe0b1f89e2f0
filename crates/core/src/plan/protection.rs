//! Protection from scale-in: no policy, rebalance or lower number of anyone else is to choose an
//! instance that serves a node. What slurm-asg terminates by id goes all the same.

use std::collections::BTreeSet;

use super::group::Pass;
use super::{Action, Protect};
use crate::ids::InstanceId;
use crate::snapshot::Lifecycle;

/// Instances of one group that one plan protects, 50 a call: the calls are paced, and the loop waits
/// for them.
const PROTECT_MAX: usize = 500;

impl Pass<'_, '_> {
    /// Has instances protected that serve nodes and are not. AWS takes it from InService on.
    pub(super) fn protect(&mut self, leaving: &BTreeSet<InstanceId>) {
        let now = self.scene.snapshot.now;
        let mut found = Vec::new();
        let mut later = None;
        for book in &self.books {
            let members = book.asg.instances.iter();
            let bare = members.filter(|(id, member)| {
                member.lifecycle == Lifecycle::InService
                    && !member.protected
                    && self.scene.bound.contains_key(id)
                    && !self.scene.snapshot.is_dead(id)
                    && !leaving.contains(*id)
            });
            let asg = book.name;
            let all: Vec<_> =
                bare.map(|(id, _)| Protect { instance: id.clone(), asg: asg.clone() }).collect();
            let retry = self.scene.memory.protect_retry.get(asg);
            match retry.filter(|retry| retry.not_before > now && !all.is_empty()) {
                Some(retry) => later = Some(retry.not_before),
                None => found.extend(all.into_iter().take(PROTECT_MAX)),
            }
        }
        if let Some(at) = later {
            self.plan.wake(at);
        }
        self.plan.actions.extend(found.into_iter().map(Action::Protect));
    }
}

#[cfg(test)]
mod tests {
    use crate::snapshot::Lifecycle;
    use crate::testing::{World, is_repeated_with_growing_pauses, told};

    #[test]
    fn instances_that_serve_nodes_are_protected_once_they_are_in_service() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1", "n2 alloc_powering_up", "i-3 spare"]);
        world.launch("i-2", Lifecycle::Pending);
        world.bind("n2", "i-2");
        world.asg_mut().desired = 3;
        world.unprotect();
        let plan = world.plan();
        assert_eq!(told(&plan), ["protect i-1"], "not yet i-2, and not the spare");
        world.carry_out(&plan);
        world.comes_to("i-2", Lifecycle::InService);
        world.pass(5);
        assert_eq!(told(&world.plan()), ["protect i-2"]);
    }

    #[test]
    fn of_thousands_of_instances_a_part_is_protected_at_a_time() {
        let mut world = World::new(0, 1000, &[]);
        world.policy = crate::policy::parse(
            "asg.toml".as_ref(),
            "[[group]]\nname = 'g'\nnodes = 'n[1-600]'\nasg = 'a'\n",
        )
        .unwrap();
        for nth in 1..=600 {
            let (node, id) = (format!("n{nth}"), format!("i-{nth}"));
            world.node_mut(&node).state =
                crate::node_state::NodeState(crate::testing::state("idle"));
            world.launch(&id, Lifecycle::InService);
            world.bind(&node, &id);
        }
        world.asg_mut().desired = 600;
        world.unprotect();
        let plan = world.plan();
        assert_eq!(plan.actions.len(), 500);
        world.carry_out(&plan);
        let plan = world.plan();
        assert_eq!((plan.actions.len(), plan.wake_at.is_some()), (0, true));
        world.pass(5);
        assert_eq!(world.plan().actions.len(), 100);
    }

    #[test]
    fn what_is_terminated_is_not_protected() {
        let mut world = World::new(0, 8, &["n1 powering_down on=i-1"]);
        world.unprotect();
        assert_eq!(told(&world.plan()), ["terminate i-1"]);
    }

    #[test]
    fn what_is_dead_is_not_protected() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1"]);
        world.unprotect();
        world.die("i-1");
        assert_eq!(told(&world.plan()), ["down n1", "power_down n1"]);
    }

    #[test]
    fn a_refusal_is_repeated_at_growing_pauses_once_for_all_instances() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1", "n2 alloc on=i-2"]);
        world.unprotect();
        is_repeated_with_growing_pauses(world, &["protect i-1", "protect i-2"], "denied");
    }
}
