//! Nodes that a person has protected from suspension (`slurm-asg protect`).
//!
//! Slurm's power saving decides by the time for which a node has been idle, and knows no exception
//! that could be made at run time in all releases. So that time never comes to SuspendTime: Slurm
//! is asked to set the node IDLE, which it is, and counts anew (update_node() in
//! src/slurmctld/node_mgr.c, 22.05 to 26.05). If Slurm powers the node down all the same, because
//! an administrator told it to, the instance stays until the protection ends.

use std::time::Duration;

use super::group::{Pass, Scene};
use super::{Why, is_gone};
use crate::ids::NodeName;
use crate::memory::{Binding, Kept};
use crate::node_state::NodeState;
use crate::snapshot::Node;

/// The idle time of a protected node is never let come to more than this: SuspendTime in
/// slurm.conf may be made shorter at any time.
const REFRESH_MAX: Duration = Duration::from_secs(300);
/// Nor is Slurm asked more often than this.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// The protection of a node that is in force.
fn kept<'a>(scene: &Scene<'a>, name: &NodeName) -> Option<&'a Kept> {
    scene.memory.kept_at(name, scene.snapshot.now)
}

/// Whether the instance of a node that Slurm has powered down stays.
pub(super) fn keeps_instance(scene: &Scene<'_>, name: &NodeName) -> bool {
    let binding = scene.memory.bindings.get(name);
    kept(scene, name).is_some() && binding.is_some_and(|it| !is_gone(it, scene.snapshot))
}

/// Whether Slurm may be asked to set a node IDLE: it is, and nothing is asked of it.
#[must_use]
pub fn may_be_refreshed(node: &Node) -> bool {
    let asked = NodeState::POWER_DOWN
        | NodeState::POWERING_DOWN
        | NodeState::POWERED_DOWN
        | NodeState::POWERING_UP
        | NodeState::POWER_UP
        | NodeState::DRAIN
        | NodeState::FAIL
        | NodeState::COMPLETING
        | NodeState::NO_RESPOND
        | NodeState::REBOOT_REQUESTED
        | NodeState::REBOOT_ISSUED
        | NodeState::INVALID_REG;
    node.state.base() == NodeState::IDLE && !node.state.has(asked)
}

impl Pass<'_, '_> {
    /// What is said of an idle node that is protected; its idle time begins anew in time.
    pub(super) fn keep_idle(&mut self, name: &NodeName, node: &Node) -> Option<Why> {
        let kept = kept(self.scene, name)?;
        self.plan.wake(kept.until);
        if let Some(since) = node.idle_since.filter(|_| may_be_refreshed(node)) {
            let now = self.scene.snapshot.now;
            let rest = self.refresh_after(name);
            let due = since.after(rest);
            if due > now {
                self.plan.wake(due);
            } else {
                self.plan.refresh.insert(name.clone());
                self.plan.wake(now.after(rest));
            }
        }
        Some(Why::Kept { since: node.idle_since, words: kept.in_words() })
    }

    /// A protected node that has work is looked at in time once it has none any more.
    pub(super) fn watch_kept(&mut self, name: &NodeName) {
        if kept(self.scene, name).is_some() {
            let rest = self.refresh_after(name);
            self.plan.wake(self.scene.snapshot.now.after(rest));
        }
    }

    /// Half of the shortest SuspendTime that may hold for the node. Slurm takes the longest of its
    /// partitions', and the global one if they say nothing (power_save.c, 22.05 to 26.05).
    fn refresh_after(&self, name: &NodeName) -> Duration {
        let Some(queue) = self.scene.snapshot.queue.known() else { return REFRESH_MIN };
        let own = queue.partitions.values().filter(|partition| partition.nodes.contains(name));
        let own = own.filter_map(|partition| partition.suspend_secs());
        let shortest = own.chain(queue.slurm.suspend_time).min();
        let half = shortest.map(|secs| Duration::from_secs(secs.into()) / 2);
        half.unwrap_or(REFRESH_MAX).clamp(REFRESH_MIN, REFRESH_MAX)
    }

    /// What is said of a protected node that Slurm has powered down: its instance stays. `None` if
    /// it is as every other.
    pub(super) fn keep_instance(
        &mut self,
        name: &NodeName,
        node: &Node,
        binding: &Binding,
    ) -> Option<Why> {
        let kept = kept(self.scene, name)?;
        let is_gone = is_gone(binding, self.scene.snapshot);
        if node.state.has_work() || is_gone {
            return None;
        }
        self.plan.wake(kept.until);
        if self.recover(name, node) {
            return Some(Why::NeverRegistered);
        }
        self.plan.watch_slurm |= node.state.has(NodeState::POWERING_DOWN);
        Some(Why::InstanceKept { words: kept.in_words() })
    }
}

#[cfg(test)]
mod tests {
    use crate::check;
    use crate::memory::Kept;
    use crate::plan::{Action, Plan, PowerDown, PowerDownCause, Terminate, TerminateCause, Why};
    use crate::testing::{World, policy_with, told};
    use crate::time::Timestamp;

    /// A world in which n1 is protected for so many seconds.
    fn protect(world: &mut World, secs: u64) {
        let since = world.snapshot.now;
        let until = since.after(std::time::Duration::from_secs(secs));
        let kept = Kept { since, until, user: 7, reason: Some("debugging".to_owned()) };
        world.memory.kept.insert("n1".into(), kept);
    }

    fn idle_for(world: &mut World, node: &str, secs: i64) {
        let now = i64::try_from(world.snapshot.now.millis() / 1000).unwrap();
        world.node_mut(node).idle_since = Some(Timestamp::from_secs(now - secs));
    }

    fn refreshed(plan: &Plan) -> Vec<String> {
        plan.refresh.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_idle_time_of_a_protected_node_begins_anew_at_half_of_suspend_time() {
        let mut world = World::new(0, 8, &["n1 idle on=i-1", "n2 idle on=i-2"]);
        world.submit(8);
        let crate::snapshot::Seen::Known(queue) = &mut world.snapshot.queue else { panic!() };
        std::sync::Arc::make_mut(queue).slurm.suspend_time = Some(100);
        protect(&mut world, 1000);
        idle_for(&mut world, "n1", 49);
        idle_for(&mut world, "n2", 90);
        let plan = world.plan();
        assert_eq!(refreshed(&plan), Vec::<String>::new());
        assert_eq!(plan.wake_at, Some(world.snapshot.now.after(std::time::Duration::from_secs(1))));
        let Why::Kept { words, .. } = &plan.nodes[&"n1".into()].why else { panic!() };
        assert_eq!(words, "protected by user 7 until 1970-01-12 14:03 UTC: debugging");
        idle_for(&mut world, "n1", 50);
        assert_eq!(refreshed(&world.plan()), ["n1"]);
        // A partition's own SuspendTime may be shorter.
        let crate::snapshot::Seen::Known(queue) = &mut world.snapshot.queue else { panic!() };
        let partitions = &mut std::sync::Arc::make_mut(queue).partitions;
        partitions.get_mut("p").unwrap().suspend_time = 20;
        idle_for(&mut world, "n1", 10);
        assert_eq!(refreshed(&world.plan()), ["n1"]);
        // Nothing is asked for a node that is not just idle, nor when the time is over.
        for word in ["power_down", "down", "completing", "alloc", "drain_off"] {
            world.node_mut("n1").state.0 = crate::testing::state(word);
            let plan = world.plan();
            assert_eq!(refreshed(&plan), Vec::<String>::new(), "{word}");
            // Its job may end, and Slurm suspend it, before the next look otherwise.
            let soon = world.snapshot.now.after(std::time::Duration::from_secs(10));
            assert!(word != "alloc" || plan.wake_at == Some(soon), "{:?}", plan.wake_at);
        }
        world.node_mut("n1").state.0 = crate::testing::state("idle");
        world.pass(1000);
        assert_eq!(refreshed(&world.plan()), Vec::<String>::new());
        assert_eq!(world.memory.take_expired().len(), 1);
        assert!(world.memory.kept.is_empty());
    }

    #[test]
    fn the_instance_of_a_protected_node_stays_until_the_protection_ends() {
        let lines = ["n1 powering_down on=i-1", "n2 powering_down on=i-2"];
        let mut world = World::new(0, 8, &lines);
        protect(&mut world, 60);
        let plan = world.plan();
        assert_eq!(told(&plan), ["terminate i-2"]);
        assert!(matches!(plan.nodes[&"n1".into()].why, Why::InstanceKept { .. }));
        world.carry_out(&plan);
        world.node_mut("n1").state.0 = crate::testing::state("off");
        assert_eq!(told(&world.plan()), Vec::<String>::new());
        world.pass(60);
        assert_eq!(told(&world.plan()), ["terminate i-1"]);
    }

    #[test]
    fn a_protected_node_that_a_job_wants_anew_gets_a_fresh_instance() {
        let mut world = World::new(0, 8, &["n1 idle on=i-1"]);
        protect(&mut world, 60);
        world.plan();
        world.node_mut("n1").state.0 = crate::testing::state("off");
        assert_eq!(told(&world.plan()), Vec::<String>::new());
        world.node_mut("n1").state.0 = crate::testing::state("alloc_powering_up");
        assert_eq!(told(&world.plan()), ["desired 1 -> 2", "terminate i-1"], "jobs come first");
    }

    #[test]
    fn a_base_does_not_take_the_instance_of_a_protected_node() {
        let mut world = World::new(1, 8, &["n1 off on=i-1", "n2 off"]);
        world.memory.bindings.get_mut(&"n1".into()).unwrap().boot = crate::memory::Boot::Registered;
        protect(&mut world, 60);
        assert_eq!(told(&world.plan()), ["desired 1 -> 2", "power_up n2"]);
    }

    #[test]
    fn the_checker_refuses_to_end_or_suspend_what_is_protected() {
        let mut world = World::new(0, 8, &["n1 idle on=i-1"]);
        let lines = "scale_in = 'billing-hour'\n";
        world.policy = policy_with(lines);
        let terminate = Action::Terminate(Terminate {
            instance: "i-1".into(),
            asg: "a".into(),
            node: Some("n1".into()),
            decrement: true,
            cause: TerminateCause::NodeReleased,
        });
        let cause = PowerDownCause::BillingHour;
        let down = Action::PowerDown(PowerDown { node: "n1".into(), cause });
        protect(&mut world, 60);
        for action in [down, terminate] {
            let word = if action.terminate().is_some() { "powering_down" } else { "idle" };
            world.node_mut("n1").state.0 = crate::testing::state(word);
            let plan = Plan { actions: vec![action], ..Plan::default() };
            let broken = check::check(&world.policy, &world.memory, &world.snapshot, &plan);
            assert_eq!(broken[0].rule, "the node is protected", "{plan:?}");
        }
    }
}
