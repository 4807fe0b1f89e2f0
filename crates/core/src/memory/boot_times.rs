//! How long boots take: what the loop has seen, and nothing else.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{Binding, Boot, Memory};
use crate::ids::{AsgName, NodeName};
use crate::node_state::{NodeState, Phase};
use crate::snapshot::Snapshot;
use crate::time::Timestamp;

/// So many boots of an Auto Scaling group are remembered: what the last ones took says most.
const KEPT_MAX: usize = 20;
/// Of fewer boots nothing is said.
const ENOUGH: usize = 3;

/// From an instance's getting its node's name to the registration, milliseconds, the latest last.
pub type BootTimes = VecDeque<u64>;

impl Memory {
    /// What a boot takes usually in these Auto Scaling groups: the median of the last ones, and of
    /// how many. `None` as long as too few were seen.
    #[must_use]
    pub fn usual_boot<'a>(
        &self,
        asgs: impl IntoIterator<Item = &'a AsgName>,
    ) -> Option<(Duration, usize)> {
        let times = asgs.into_iter().filter_map(|asg| self.boot_times.get(asg)).flatten();
        let mut times: Vec<u64> = times.copied().collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2)?;
        (times.len() >= ENOUGH).then_some((Duration::from_millis(*median), times.len()))
    }

    /// Takes the time of boots that have ended well. Only of those that were seen under way at the
    /// look before: after a restart nobody knows when the node came up.
    pub(super) fn notice_boot_times(&mut self, snapshot: &Snapshot) {
        let Some(nodes) = snapshot.nodes.known() else { return };
        let before = std::mem::take(&mut self.watch.under_way);
        let mut under_way = BTreeMap::new();
        for (name, binding) in &self.bindings {
            let Some(node) = nodes.get(name) else { continue };
            let seen = before.get(name).filter(|began| **began == binding.bound_at);
            if node.state.phase() == Phase::Booting && binding.boot == Boot::Awaited {
                let began = self.watch.began.get(name).filter(|began| **began == binding.bound_at);
                if let Some(began) = began.or(seen) {
                    under_way.insert(name.clone(), *began);
                }
            } else if let Some(began) = seen
                && node.state.phase() == Phase::Up
                && !node.state.has(NodeState::NO_RESPOND)
                && !node.state.is_down()
            {
                let took = snapshot.now.since(*began).as_millis();
                let times = self.boot_times.entry(binding.asg.clone()).or_default();
                times.push_back(u64::try_from(took).unwrap_or(u64::MAX));
                while times.len() > KEPT_MAX {
                    times.pop_front();
                }
            }
        }
        self.watch = Watch { began: BTreeMap::new(), under_way };
    }

    /// A boot has begun with this binding, which is not one that was found.
    pub(super) fn note_began(&mut self, node: &NodeName, binding: &Binding) {
        self.watch.began.insert(node.clone(), binding.bound_at);
    }
}

/// Boots that are watched, by node, with the time of their beginning. After a restart there are none,
/// so that they make no difference between what is remembered and what is saved.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Those that have begun since the last look.
    began: BTreeMap<NodeName, Timestamp>,
    /// Those that were under way at the last look.
    under_way: BTreeMap<NodeName, Timestamp>,
}

impl Watch {
    pub(super) fn times(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        self.began.values_mut().chain(self.under_way.values_mut())
    }
}

impl PartialEq for Watch {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Watch {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::testing::{World, state};

    /// Boots that take so many seconds each, one after the other.
    fn boot(world: &mut World, secs: &[u64]) {
        for secs in secs {
            world.node_mut("n1").state.0 = state("powering_up");
            let id = format!("i-{}", world.snapshot.machines.len() + 1);
            world.launch(&id, crate::snapshot::Lifecycle::InService);
            world.asg_mut().desired += 1;
            let plan = world.plan();
            world.carry_out(&plan);
            world.pass(1);
            world.plan();
            world.pass(secs - 1);
            world.node_mut("n1").state.0 = state("idle");
            world.plan();
            world.pass(10);
            world.node_mut("n1").state.0 = state("powering_down");
            let plan = world.plan();
            world.carry_out(&plan);
            world.node_mut("n1").state.0 = state("off");
            world.plan();
        }
    }

    #[test]
    fn what_a_boot_takes_usually_is_the_median_of_those_that_were_seen() {
        let mut world = World::new(0, 8, &["n1 powering_up"]);
        let usual = |world: &World| world.memory.usual_boot([&"a".into()]);
        boot(&mut world, &[40, 60]);
        assert_eq!(usual(&world), None, "too few");
        boot(&mut world, &[55]);
        assert_eq!(usual(&world), Some((Duration::from_secs(55), 3)));
        // The same after a restart; and of many the last ones count.
        let saved = serde_json::to_string(&world.memory).unwrap();
        world.memory = serde_json::from_str(&saved).unwrap();
        assert_eq!(usual(&world), Some((Duration::from_secs(55), 3)));
        boot(&mut world, &[10; 20]);
        assert_eq!(usual(&world), Some((Duration::from_secs(10), 20)));
        assert_eq!(world.memory.usual_boot([&"b".into()]), None);
    }

    #[test]
    fn a_boot_that_was_not_seen_from_beginning_to_end_is_not_measured() {
        let mut world = World::new(0, 8, &["n1 powering_up on=i-1"]);
        // A restart between beginning and end: nobody has seen it end.
        world.plan();
        world.pass(100);
        world.node_mut("n1").state.0 = state("idle");
        world.plan();
        assert!(world.memory.boot_times.is_empty());
    }
}
