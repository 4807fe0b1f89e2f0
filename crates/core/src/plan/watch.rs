//! Whether a plan will watch AWS, as far as that shows before it is made.
//!
//! Such a plan must rest on a young read of AWS. Over an old one it would only say so, and with a long
//! queue it takes its time.

use crate::ids::{InstanceId, NodeName};
use crate::memory::{Memory, Release};
use crate::node_state::Phase;
use crate::policy::{GroupPolicy, Launch, Policy};
use crate::snapshot::{Lifecycle, Node, Snapshot};

/// Whether [`Plan::watch_cloud`](super::Plan::watch_cloud) is certainly set in the plan for this.
/// `false` if only the plan can say.
#[must_use]
pub fn surely_watches_cloud(policy: &Policy, memory: &Memory, snapshot: &Snapshot) -> bool {
    let Some(nodes) = snapshot.nodes.known() else { return false };
    let awaits = |group: &GroupPolicy, name: &NodeName| {
        nodes.get(name).is_some_and(|node| awaits_instance(group, memory, name, node))
    };
    memory.releases.iter().any(|(id, release)| is_leaving(policy, snapshot, id, release))
        || policy.groups.values().any(|group| group.nodes.iter().any(|name| awaits(group, name)))
}

/// Whether a node waits for an instance to come or to register. Which jobs wait in vain, where all is
/// launched or nothing, only the plan can say.
fn awaits_instance(group: &GroupPolicy, memory: &Memory, name: &NodeName, node: &Node) -> bool {
    let is_bound = || memory.bindings.contains_key(name);
    match node.state.phase() {
        Phase::Booting => group.launch != Launch::AllOrNothing || is_bound(),
        Phase::Wanted => group.launch != Launch::AllOrNothing && !is_bound(),
        Phase::Off | Phase::Up | Phase::Releasing => false,
    }
}

/// Whether an instance that was terminated is still listed. One whose end AWS has not accepted may
/// serve its node all the same, which only the plan can say.
fn is_leaving(policy: &Policy, snapshot: &Snapshot, id: &InstanceId, release: &Release) -> bool {
    let member = snapshot.member(&release.asg, id);
    policy.group_of_asg(&release.asg).is_some()
        && member.is_some_and(|member| match member.lifecycle {
            Lifecycle::Pending | Lifecycle::PendingWait | Lifecycle::InService => {
                release.accepted.is_some()
            }
            Lifecycle::Terminating => true,
            Lifecycle::TerminatingWait | Lifecycle::Other(_) => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Outcome;
    use crate::testing::{World, policy_with};

    // That the plan does watch AWS then is checked wherever a plan is tested.
    fn check(line: &str, keys: &str, expected: bool) {
        let mut world = World::new(0, 8, &[line]);
        world.policy = policy_with(keys);
        world.plan();
        let World { policy, memory, snapshot, .. } = &world;
        assert_eq!(surely_watches_cloud(policy, memory, snapshot), expected, "{line} {keys}");
    }

    #[test]
    fn instances_that_come_and_go_are_watched_whatever_the_plan() {
        let whole = "launch = \"all-or-nothing\"";
        check("n1 powering_up", "", true);
        check("n1 alloc_off", "", true);
        check("n1 powering_up on=i-1", "", true);
        check("n1 powering_up on=i-1", whole, true);
        check("n1 powering_up", whole, false);
        check("n1 alloc on=i-1", "", false);
        check("n1 off", "", false);
        let mut world = World::new(0, 8, &["n1 powering_down on=i-1"]);
        let plan = world.plan();
        world.memory.intend(&plan, world.snapshot.now);
        let watches =
            |world: &World| surely_watches_cloud(&world.policy, &world.memory, &world.snapshot);
        assert!(!watches(&world), "AWS has not accepted it");
        let done: Vec<_> = plan.actions.into_iter().map(|it| (it, Outcome::Done)).collect();
        world.memory.settle(&done, world.snapshot.now);
        assert!(watches(&world), "it is listed still");
    }
}
