//! Instances that AWS has said it will take, or that it says have changed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Memory;
use crate::ids::InstanceId;
use crate::notice::Notice;
use crate::snapshot::{Asg, Seen, Snapshot};

/// Notices of instances that are not seen because a group cannot be read are kept for so long,
/// and no more than so many.
const UNSEEN_AGE_MAX: Duration = Duration::from_secs(3600);
const UNSEEN_MAX: usize = 1000;
/// EC2 is asked for so long about an instance that is said to have changed.
const STIRRED_AGE_MAX: Duration = Duration::from_secs(300);

impl Memory {
    /// Takes note that an instance goes. `false` if that was known.
    pub fn take_notice(&mut self, instance: &InstanceId, notice: Notice) -> bool {
        let earlier = self.notices.get(instance);
        let is_new = match earlier {
            Some(earlier) => notice.supersedes(earlier),
            None => self.notices.len() < UNSEEN_MAX || self.is_bound(instance),
        };
        if is_new {
            self.notices.insert(instance.clone(), notice);
        }
        is_new
    }

    /// Takes note that an instance which serves a node has changed its state. `false` if it serves
    /// none.
    pub fn take_state_change(&mut self, instance: &InstanceId, snapshot: &Snapshot) -> bool {
        let is_bound = self.is_bound(instance) && !snapshot.is_dead(instance);
        if is_bound {
            self.stirred.insert(instance.clone(), snapshot.now);
        }
        is_bound
    }

    /// Whether an instance may be one of the groups': listed, serving a node, or not to be seen.
    #[must_use]
    pub fn may_be_ours(&self, instance: &InstanceId, snapshot: &Snapshot) -> bool {
        let may_list = |seen: &Seen<_>| match seen {
            Seen::Known(asg) => is_listed(asg, instance),
            Seen::Unknown { .. } => true,
        };
        self.is_bound(instance) || snapshot.asgs.values().any(may_list)
    }

    fn is_bound(&self, instance: &InstanceId) -> bool {
        self.bindings.values().any(|binding| binding.instance == *instance)
    }

    /// A notice is over once its instance is. What could not be seen is as it was.
    pub(super) fn forget_notices(&mut self, snapshot: &Snapshot) {
        if self.notices.is_empty() && self.stirred.is_empty() {
            return;
        }
        let bound: BTreeSet<_> = self.bindings.values().map(|binding| &binding.instance).collect();
        let known = || snapshot.asgs.values().filter_map(Seen::known);
        let all_known = known().count() == snapshot.asgs.len();
        self.notices.retain(|id, notice| {
            let is_young = snapshot.now.since(notice.at) < UNSEEN_AGE_MAX;
            let unseen = !all_known && is_young;
            bound.contains(id) || known().any(|asg| is_listed(asg, id)) || unseen
        });
        self.stirred.retain(|id, at| {
            let is_young = snapshot.now.since(*at) < STIRRED_AGE_MAX;
            is_young && bound.contains(id) && !snapshot.is_dead(id)
        });
    }
}

fn is_listed(asg: &Asg, instance: &InstanceId) -> bool {
    asg.instances.contains_key(instance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_state::NodeState;
    use crate::notice::NoticeKind;
    use crate::plan::Why;
    use crate::testing::{World, told};
    use crate::time::Timestamp;

    const KINDS: [NoticeKind; 3] = [
        NoticeKind::ScheduledEvent,
        NoticeKind::RebalanceRecommendation,
        NoticeKind::SpotInterruption,
    ];

    fn notice(kind: NoticeKind, at: Timestamp) -> Notice {
        Notice { kind, what: "terminate".to_owned(), at, goes_at: Some(at) }
    }

    fn notify(world: &mut World, id: &str, kind: NoticeKind) -> bool {
        let notice = notice(kind, world.snapshot.now);
        world.memory.take_notice(&id.into(), notice)
    }

    /// What one plan does, carried out.
    fn turn(world: &mut World) -> Vec<String> {
        let plan = world.plan();
        world.carry_out(&plan);
        told(&plan)
    }

    const NOTHING: &[&str] = &[];

    #[test]
    fn a_busy_node_drains_and_its_instance_goes_once_slurm_has_powered_it_down() {
        for kind in KINDS {
            let mut world = World::new(0, 8, &["n1 alloc on=i-1"]);
            assert!(notify(&mut world, "i-1", kind));
            let plan = world.plan();
            assert_eq!(plan.nodes[&"n1".into()].why, Why::TakenByAws);
            assert_eq!(turn(&mut world), ["drain n1"]);
            let reason = world.node_mut("n1").reason.clone();
            assert!(reason.starts_with(&format!("(Code:{}) i-1", kind.code())), "{reason}");
            assert_eq!(turn(&mut world), NOTHING, "it is told once");
            world.node_mut("n1").state = NodeState(NodeState::IDLE | NodeState::POWERING_DOWN);
            assert_eq!(turn(&mut world), ["terminate i-1"]);
            assert_eq!(turn(&mut world), NOTHING);
            assert!(world.memory.notices.is_empty(), "it is over");
        }
    }

    #[test]
    fn an_instance_that_dies_after_its_notice_has_its_node_set_down() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1"]);
        notify(&mut world, "i-1", NoticeKind::SpotInterruption);
        assert_eq!(turn(&mut world), ["drain n1"]);
        world.die("i-1");
        // It has been asked to power down after its job, which will never end.
        assert!(world.node_mut("n1").state.has(NodeState::POWER_DOWN));
        assert_eq!(turn(&mut world), ["down n1"]);
        assert_eq!(turn(&mut world), ["power_down n1"], "if that has taken the mark away");
        assert_eq!(turn(&mut world), NOTHING);
    }

    #[test]
    fn a_job_that_waits_gets_another_instance_than_one_that_goes() {
        let mut world = World::new(0, 8, &["n1 idle on=i-1", "n2 off", "job 1"]);
        notify(&mut world, "i-1", NoticeKind::RebalanceRecommendation);
        assert_eq!(turn(&mut world), ["desired 1 -> 2", "drain n1"]);
    }

    #[test]
    fn a_spare_that_goes_gets_no_node_and_is_let_go_at_once() {
        let mut world = World::new(0, 8, &["i-1 spare", "n1 alloc_powering_up"]);
        notify(&mut world, "i-1", NoticeKind::SpotInterruption);
        assert_eq!(turn(&mut world), ["desired 1 -> 2", "terminate i-1"]);
        // There is no room for another, or the group keeps as many: it is replaced.
        for min in [0, 1] {
            let mut world = World::new(min, 1, &["i-1 spare", "n1 alloc_powering_up"]);
            notify(&mut world, "i-1", NoticeKind::RebalanceRecommendation);
            assert_eq!(turn(&mut world), ["replace i-1"]);
        }
    }

    #[test]
    fn a_state_change_has_ec2_asked_and_sets_nothing_down_by_itself() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1", "i-2 spare"]);
        world.plan();
        let snapshot = world.snapshot.clone();
        assert!(!world.memory.take_state_change(&"i-2".into(), &snapshot), "it serves nobody");
        assert!(world.memory.take_state_change(&"i-1".into(), &snapshot));
        let plan = world.plan();
        assert_eq!((told(&plan), plan.watch_cloud), (Vec::new(), true));
        assert!(plan.look_up.contains(&"i-1".into()));
        world.pass(299);
        assert!(world.plan().look_up.contains(&"i-1".into()), "EC2's answers may lag behind");
        world.pass(1);
        assert!(!world.plan().look_up.contains(&"i-1".into()));
    }

    #[test]
    fn notices_of_instances_that_are_not_seen_are_kept_for_a_while_and_bounded() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1"]);
        world.snapshot.asgs.insert("a".into(), Seen::Unknown { why: "down".to_owned() });
        for nth in 2..2 + UNSEEN_MAX {
            assert!(notify(&mut world, &format!("i-{nth}"), NoticeKind::SpotInterruption));
        }
        assert!(!notify(&mut world, "i-99999", NoticeKind::SpotInterruption));
        assert!(notify(&mut world, "i-1", NoticeKind::SpotInterruption), "it serves a node");
        world.plan();
        assert_eq!(world.memory.notices.len(), UNSEEN_MAX + 1);
        world.pass(3600);
        world.plan();
        assert_eq!(world.memory.notices.keys().collect::<Vec<_>>(), [&InstanceId::new("i-1")]);
    }

    #[test]
    fn a_notice_of_an_instance_that_no_group_has_is_forgotten() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1"]);
        assert!(!world.memory.may_be_ours(&"i-9".into(), &world.snapshot));
        assert!(world.memory.may_be_ours(&"i-1".into(), &world.snapshot));
        notify(&mut world, "i-9", NoticeKind::SpotInterruption);
        world.plan();
        assert!(world.memory.notices.is_empty());
    }
}
