//! What holds of the plan of every cluster and queue.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use slurm_asg_core::ids::GroupName;
use slurm_asg_core::memory::Memory;
use slurm_asg_core::node_state::{NodeState, Phase};
use slurm_asg_core::plan::{Plan, plan};
use slurm_asg_core::policy::Policy;
use slurm_asg_core::snapshot::file::{self, File};
use slurm_asg_core::snapshot::{Node, Snapshot};
use slurm_asg_core::view::PlanView;
use slurm_asg_workload::{Mood, Scale};

/// A cluster with its queue, and the plan that is made for it.
struct World {
    name: String,
    policy: Policy,
    memory: Memory,
    snapshot: Snapshot,
    plan: Plan,
}

impl World {
    fn of(scale: Scale, seed: u64) -> Self {
        let policy = scale.policy().unwrap();
        Self::read(format!("{scale:?}, seed {seed}"), policy, scale.file(seed))
    }

    fn read(name: String, policy: Policy, file: File) -> Self {
        let (snapshot, mut memory) = file.into_snapshot(&policy);
        memory.notice(&snapshot);
        let plan = plan(&policy, &memory, &snapshot);
        Self { name, policy, memory, snapshot, plan }
    }

    fn nodes(&self) -> impl Iterator<Item = (&GroupName, &Node)> {
        let nodes = self.snapshot.nodes.known().into_iter().flat_map(|nodes| nodes.iter());
        nodes.filter_map(|(name, node)| Some((self.policy.group_of(name)?, node)))
    }

    /// How many nodes of each group this is true of.
    fn count(&self, is: impl Fn(&Node) -> bool) -> BTreeMap<&GroupName, u32> {
        let mut counts = BTreeMap::new();
        for (group, _) in self.nodes().filter(|(_, node)| is(node)) {
            *counts.entry(group).or_insert(0) += 1;
        }
        counts
    }

    fn shown(&self) -> PlanView {
        PlanView::of(&self.policy, &self.plan, self.snapshot.now)
    }
}

/// Small and large clusters, with more jobs than they can serve and with fewer.
fn each_world(check: impl Fn(&World)) {
    for seed in 0..24 {
        for (jobs, nodes, groups) in [(1, 1, 1), (40, 12, 3), (300, 60, 8), (30, 200, 5)] {
            for mood in [Mood::Busy, Mood::Fresh] {
                check(&World::of(Scale { jobs, nodes, groups, mood }, seed));
            }
        }
    }
}

#[test]
fn no_more_is_launched_than_there_are_usable_nodes_that_are_powered_down() {
    let closed = NodeState::DRAIN | NodeState::FAIL | NodeState::POWER_DOWN;
    each_world(|world| {
        let off = world.count(|node| {
            let state = node.state;
            state.phase() == Phase::Off && state.base() == NodeState::IDLE && !state.has(closed)
        });
        let all = world.count(|_| true);
        for (name, group) in &world.plan.groups {
            let of = |counts: &BTreeMap<&GroupName, u32>| counts.get(name).copied().unwrap_or(0);
            assert!(group.ahead <= of(&off), "{}: {name} launches {}", world.name, group.ahead);
            assert!(group.demand <= of(&all), "{}: {name} needs {}", world.name, group.demand);
        }
    });
}

#[test]
fn what_jobs_have_launched_for_them_is_what_groups_launch() {
    each_world(|world| {
        let of_jobs: u32 = world.plan.jobs.values().map(|job| job.launch).sum();
        let of_groups: u32 = world.plan.groups.values().map(|group| group.ahead).sum();
        assert_eq!(of_jobs, of_groups, "{}", world.name);
    });
}

#[test]
fn a_job_that_is_not_counted_gets_nothing_and_one_that_is_gets_nodes() {
    each_world(|world| {
        for (id, job) in world.plan.jobs.iter() {
            let counted = job.why.is_counted();
            assert_eq!(counted, job.nodes > 0, "{}: job {id} {job:?}", world.name);
            assert!(job.launch <= job.nodes, "{}: job {id} {job:?}", world.name);
        }
    });
}

#[test]
fn each_pending_job_is_in_the_plan() {
    each_world(|world| {
        let queue = world.snapshot.queue.known().unwrap();
        let pending = queue.jobs.iter().filter(|job| job.is_pending()).count();
        assert_eq!(world.plan.jobs.len(), pending, "{}", world.name);
    });
}

#[test]
fn the_same_cluster_and_queue_give_the_same_plan() {
    each_world(|world| {
        assert_eq!(world.plan, plan(&world.policy, &world.memory, &world.snapshot));
    });
}

#[test]
fn a_snapshot_that_is_written_down_and_read_again_gives_the_same_plan() {
    each_world(|world| {
        let file = File::of(&world.policy, &world.snapshot, &world.memory);
        let text = serde_json::to_string(&file).unwrap();
        let read = file::read(&text).unwrap();
        assert_eq!(read.ignored, Vec::<String>::new(), "{}", world.name);
        assert!(read.file == file, "{}: the file reads otherwise", world.name);
        let again = World::read(world.name.clone(), world.policy.clone(), read.file);
        assert_eq!(again.shown(), world.shown(), "{}", world.name);
    });
}
