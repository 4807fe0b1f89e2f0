//! What pending jobs want, while their queue is not read again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Demand, JobVerdict};
use crate::ids::{GroupName, NodeName};
use crate::node_state::Phase;
use crate::policy::Policy;
use crate::snapshot::Node;
use crate::time::Timestamp;

type Nodes = BTreeMap<NodeName, Node>;

/// What was counted from a queue, with the nodes as they were then. To copy it costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// When that was.
    pub at: Timestamp,
    /// Every pending job, and why it counts or does not.
    pub jobs: Arc<BTreeMap<u32, JobVerdict>>,
    launch: BTreeMap<GroupName, u32>,
    launched: Arc<BTreeSet<NodeName>>,
    reuse: BTreeMap<GroupName, u32>,
    next_start: Option<Timestamp>,
    nodes: Arc<Nodes>,
}

impl Counted {
    /// Keeps what was counted with these nodes, at this time.
    #[must_use]
    pub fn new(demand: Demand, nodes: &Arc<Nodes>, at: Timestamp) -> Self {
        Self {
            at,
            jobs: Arc::new(demand.jobs),
            launch: demand.launch,
            launched: Arc::new(demand.launched),
            reuse: demand.reuse,
            next_start: demand.next_start,
            nodes: Arc::clone(nodes),
        }
    }

    /// What of it is left. Nodes that have been given work meanwhile were given it by Slurm for jobs
    /// that were counted, be it these nodes or others that are as good: each takes one off. So no job
    /// counts twice, once as pending and once by its nodes.
    #[must_use]
    pub fn left(&self, policy: &Policy, nodes: &Arc<Nodes>, now: Timestamp) -> Left {
        let next_start = self.next_start.filter(|at| *at > now);
        if Arc::ptr_eq(nodes, &self.nodes) {
            let (launch, reuse) = (self.launch.clone(), self.reuse.clone());
            return Left { launch, launched: Arc::clone(&self.launched), reuse, next_start };
        }
        let phase = |node: Option<&Node>| node.map(|node| node.state.phase());
        let was_off = |name: &NodeName| phase(self.nodes.get(name)) == Some(Phase::Off);
        let has_work = |node: Option<&Node>| node.is_some_and(|node| node.state.has_work());
        // Nodes that are powered up for no job take none off, unless a job will have them.
        let is_taken = |name: &NodeName| match phase(nodes.get(name)) {
            Some(Phase::Up) => true,
            Some(Phase::Wanted | Phase::Booting) => {
                has_work(nodes.get(name)) || self.launched.contains(name)
            }
            Some(Phase::Off | Phase::Releasing) | None => false,
        };
        let was_idle = |name: &NodeName| {
            let node = self.nodes.get(name);
            phase(node) == Some(Phase::Up) && !has_work(node)
        };
        let less = |counted: &BTreeMap<GroupName, u32>, taken: &dyn Fn(&NodeName) -> bool| {
            let left = counted.iter().map(|(name, counted)| {
                let nodes = policy.groups.get(name).map_or(&[][..], |group| &group.nodes);
                let taken = nodes.iter().filter(|name| taken(name)).count();
                let taken = u32::try_from(taken).unwrap_or(u32::MAX);
                (name.clone(), counted.saturating_sub(taken))
            });
            left.collect()
        };
        let still_off = |name: &&NodeName| phase(nodes.get(*name)) == Some(Phase::Off);
        Left {
            launch: less(&self.launch, &|name| was_off(name) && is_taken(name)),
            launched: Arc::new(self.launched.iter().filter(still_off).cloned().collect()),
            reuse: less(&self.reuse, &|name| was_idle(name) && has_work(nodes.get(name))),
            next_start,
        }
    }
}

/// What is left of a count: as of the same names in [`Demand`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Powered-down nodes that pending jobs will be given, per group.
    pub launch: BTreeMap<GroupName, u32>,
    /// Which nodes these are, as far as they are still powered down.
    pub launched: Arc<BTreeSet<NodeName>>,
    /// Nodes that are up and have no work, and that pending jobs will be given, per group.
    pub reuse: BTreeMap<GroupName, u32>,
    /// When the next job may start that is not to start yet.
    pub next_start: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_state::NodeState;
    use crate::plan::Plan;
    use crate::testing::{World, state, told};

    const OFF: [&str; 4] = ["n1 off", "n2 off", "n3 off", "n4 off"];

    /// A world whose plan has been carried out, and whose queue is not read again.
    fn counted(lines: &[&str]) -> World {
        let mut world = World::new(0, 8, lines);
        let plan = world.plan();
        world.carry_out(&plan);
        world.snapshot.counted = Some(plan.count);
        world
    }

    fn is(world: &mut World, nodes: &[&str], word: &str) {
        for node in nodes {
            world.node_mut(node).state = NodeState(state(word));
        }
    }

    fn numbers(plan: &Plan) -> (u32, u32) {
        let report = &plan.groups[&"g".into()];
        (report.ahead, report.demand)
    }

    #[test]
    fn a_job_that_slurm_has_placed_since_is_not_counted_twice() {
        // These nodes, others, and after they have come up.
        for (nodes, word) in [
            (["n1", "n2"], "alloc_powering_up"),
            (["n3", "n4"], "alloc_powering_up"),
            (["n3", "n4"], "alloc_off"),
        ] {
            let mut world = counted(&[&OFF[..], &["job 2"]].concat());
            assert_eq!(world.asg_mut().desired, 2);
            is(&mut world, &nodes, word);
            let plan = world.plan();
            assert_eq!(told(&plan), Vec::<String>::new(), "{nodes:?} {word}");
            assert_eq!(numbers(&plan), (0, 2));
            // The whole queue would say that it is pending, and that its nodes wait.
            world.snapshot.counted = None;
            assert_eq!(told(&world.plan()), ["desired 2 -> 4"]);
        }
    }

    #[test]
    fn what_slurm_has_not_placed_still_counts() {
        let mut world = counted(&[&OFF[..], &["job 2", "job 1"]].concat());
        assert_eq!(world.asg_mut().desired, 3);
        is(&mut world, &["n1"], "alloc_powering_up");
        let plan = world.plan();
        assert_eq!((told(&plan), numbers(&plan)), (Vec::new(), (2, 3)));
        assert_eq!(plan.jobs.len(), 2, "jobs are shown as they were");
        // Nodes that come besides are wanted besides.
        is(&mut world, &["n2", "n3", "n4"], "alloc_powering_up");
        assert_eq!(told(&world.plan()), ["desired 3 -> 4"]);
    }

    #[test]
    fn a_node_that_somebody_powers_up_is_wanted_besides() {
        let mut world = counted(&[&OFF[..], &["job 2"]].concat());
        is(&mut world, &["n4"], "powering_up");
        assert_eq!(told(&world.plan()), ["desired 2 -> 3"]);
        // One that a job will be given is not.
        is(&mut world, &["n4"], "off");
        is(&mut world, &["n1"], "powering_up");
        assert_eq!(told(&world.plan()), Vec::<String>::new());
    }

    #[test]
    fn an_instance_that_a_counted_job_waits_for_is_kept() {
        let mut world = counted(&["n1 off", "job 1"]);
        world.launch("i-1", crate::snapshot::Lifecycle::InService);
        for _ in 0..10 {
            world.pass(60);
            let plan = world.plan();
            assert_eq!(told(&plan), Vec::<String>::new());
            world.carry_out(&plan);
        }
        assert_eq!(world.memory.counted_since.len(), 1);
    }

    #[test]
    fn a_node_that_has_got_work_is_not_kept_for_another_job() {
        let mut world = counted(&["n1 idle on=i-1", "n2 idle on=i-2", "job 2"]);
        assert_eq!(numbers(&world.plan()), (0, 2));
        is(&mut world, &["n1"], "alloc");
        assert_eq!(numbers(&world.plan()), (0, 2), "one busy, one that a job will get");
        is(&mut world, &["n2"], "alloc");
        assert_eq!(numbers(&world.plan()), (0, 2));
    }

    #[test]
    fn a_start_that_has_come_calls_for_no_look_at_each_moment() {
        let at = Timestamp::from_secs(100);
        let demand = Demand { next_start: Some(at), ..Demand::default() };
        let nodes = Arc::default();
        let policy = crate::testing::policy_with("");
        let counted = Counted::new(demand, &nodes, Timestamp::from_secs(50));
        let left = |secs| counted.left(&policy, &nodes, Timestamp::from_secs(secs)).next_start;
        assert_eq!((left(99), left(100)), (Some(at), None));
    }
}
