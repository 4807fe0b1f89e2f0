//! What pending jobs will want, before Slurm gives them nodes.
//!
//! Only jobs whose needs are plain are counted: nodes, tasks, CPUs, memory, whole nodes. What
//! asks for more (features, GRES, named nodes, reservations, …) and every pending reason that
//! is not known adds nothing: Slurm allocates powered-down nodes by itself a moment later, and
//! then they are wanted by name. So counting too little costs a second or two, counting too
//! much costs money, and in doubt nothing is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::ids::{GroupName, NodeName};
use crate::node_state::{NodeState, Phase};
use crate::policy::Policy;
use crate::snapshot::{JobMemory, Node, Partition, PendingJob, Queue};
use crate::time::Timestamp;

/// A job that was counted and that Slurm has not given nodes after this time is counted no
/// more: Slurm sees something that the count does not.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How many pending jobs (array tasks counted one by one) are looked at, from the highest
/// priority on.
pub const JOBS_MAX: usize = 20_000;

/// Slurm's pending reasons that leave a job countable (`enum job_state_reason`, slurm.h).
const REASON_NONE: u32 = 0;
const REASON_PRIORITY: u32 = 1;
const REASON_RESOURCES: u32 = 3;

/// Machines for pending jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Powered-down nodes that pending jobs will be given, per group.
    pub nodes: BTreeMap<GroupName, u32>,
    /// Jobs that such nodes are counted for, with the time since when.
    pub counted: BTreeMap<u32, Timestamp>,
    /// Every pending job, and why it counts or does not.
    pub jobs: BTreeMap<u32, JobWhy>,
}

/// Why a pending job counts or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum JobWhy {
    /// It will be given so many nodes that are powered down now.
    Counted {
        /// Powered-down nodes.
        nodes: u32,
    },
    /// Nodes that are up or on their way have room for it.
    FitsOnNodesThatAreUp,
    /// Slurm holds it back, with this reason number.
    HeldBack {
        /// Slurm's `state_reason`.
        reason: u32,
    },
    /// It has no priority: held.
    Held,
    /// It is not to start before a time.
    NotYet,
    /// It asks for something that is left to Slurm to place.
    LeftToSlurm {
        /// What.
        what: String,
    },
    /// Its partition takes no jobs, or is not known.
    PartitionClosed,
    /// It may fit beside other jobs on a node: Slurm will tell.
    MayShare,
    /// Not enough nodes are free.
    NoFreeNodes,
    /// Jobs before it in the partition wait for nodes.
    BehindOthers,
    /// It was counted, and Slurm did not give it nodes.
    NotTaken,
}

impl fmt::Display for JobWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted { nodes } => write!(f, "counted: {nodes} nodes will be powered up"),
            Self::FitsOnNodesThatAreUp => f.write_str("fits on nodes that are up or booting"),
            Self::HeldBack { reason } => write!(f, "held back by Slurm (reason {reason})"),
            Self::Held => f.write_str("held"),
            Self::NotYet => f.write_str("not to start yet"),
            Self::LeftToSlurm { what } => write!(f, "uses {what}: Slurm places it first"),
            Self::PartitionClosed => f.write_str("its partition takes no jobs"),
            Self::MayShare => f.write_str("may fit beside other jobs: Slurm places it first"),
            Self::NoFreeNodes => f.write_str("not enough nodes are free"),
            Self::BehindOthers => f.write_str("waits behind other jobs"),
            Self::NotTaken => f.write_str("Slurm did not give it nodes that seemed free"),
        }
    }
}

/// What the count reads.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Which nodes belong to which group.
    pub policy: &'a Policy,
    /// Slurm's nodes.
    pub nodes: &'a BTreeMap<NodeName, Node>,
    /// Nodes whose machine is gone, whatever Slurm says of them.
    pub broken: &'a BTreeSet<&'a NodeName>,
    /// The pending jobs.
    pub queue: &'a Queue,
    /// What was counted before, with the time since when.
    pub earlier: &'a BTreeMap<u32, Timestamp>,
    /// Now.
    pub now: Timestamp,
}

/// Counts what pending jobs will want.
#[must_use]
pub fn demand(look: &Look<'_>) -> Demand {
    let Look { queue, earlier, now, .. } = *look;
    let mut jobs: Vec<&PendingJob> = queue.jobs.iter().collect();
    // Slurm's order: priority, then age.
    jobs.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.id));
    let mut count = Count { look, places: BTreeMap::new(), blocked: BTreeSet::new() };
    let mut demand = Demand::default();
    let mut left = JOBS_MAX;
    for job in jobs {
        let since = earlier.get(&job.id).copied().unwrap_or(now);
        let verdict = count.judge(job, now, &mut left);
        let (why, off) = match verdict {
            Ok(off) if off.is_empty() => (JobWhy::FitsOnNodesThatAreUp, off),
            // Its nodes stay taken: what comes behind it must not count on them either.
            Ok(_) if now.since(since) > PATIENCE => {
                demand.counted.insert(job.id, since);
                (JobWhy::NotTaken, Vec::new())
            }
            Ok(off) => {
                demand.counted.insert(job.id, since);
                let nodes = u32::try_from(off.len()).unwrap_or(u32::MAX);
                (JobWhy::Counted { nodes }, off)
            }
            Err(why) => (why, Vec::new()),
        };
        for group in off {
            *demand.nodes.entry(group).or_insert(0) += 1;
        }
        demand.jobs.insert(job.id, why);
    }
    demand
}

struct Count<'a> {
    look: &'a Look<'a>,
    /// What is left of nodes that this count has looked at.
    places: BTreeMap<&'a NodeName, Place>,
    /// Partitions in which a job already waits for nodes.
    blocked: BTreeSet<&'a str>,
}

/// What is left of one node.
#[derive(Clone, Copy, Debug)]
struct Place {
    cpus: u32,
    memory_mib: u64,
    /// Powered down, and no job of this count has it yet.
    off: bool,
    weight: u32,
    /// Holds nothing yet, of this count or before.
    empty: bool,
}

/// How much of one node one job takes.
#[derive(Clone, Copy)]
struct Share {
    cpus: u32,
    memory_mib: u64,
}

impl<'a> Count<'a> {
    /// The groups of the powered-down nodes that the job will be given, one entry a node.
    fn judge(
        &mut self,
        job: &'a PendingJob,
        now: Timestamp,
        left: &mut usize,
    ) -> Result<Vec<GroupName>, JobWhy> {
        if job.priority == 0 {
            return Err(JobWhy::Held);
        }
        if !matches!(job.reason, REASON_NONE | REASON_PRIORITY | REASON_RESOURCES) {
            return Err(JobWhy::HeldBack { reason: job.reason });
        }
        if job.begins.is_some_and(|begins| begins > now) {
            return Err(JobWhy::NotYet);
        }
        if let Some(what) = &job.special {
            return Err(JobWhy::LeftToSlurm { what: what.clone() });
        }
        let partition = self
            .look
            .queue
            .partitions
            .get(&job.partition)
            .filter(|partition| partition.up)
            .ok_or(JobWhy::PartitionClosed)?;
        if self.blocked.contains(job.partition.as_str()) {
            return Err(JobWhy::BehindOthers);
        }
        let mut off = Vec::new();
        for task in 0..job.array_tasks.max(1) {
            if *left == 0 {
                break;
            }
            *left -= 1;
            match self.place(job, partition) {
                Ok(more) => off.extend(more),
                Err(why) => {
                    self.blocked.insert(&job.partition);
                    // Some tasks of an array may have found their place.
                    if task == 0 {
                        return Err(why);
                    }
                    break;
                }
            }
        }
        Ok(off)
    }

    /// Places one job on nodes, those that are up first, and takes what it needs of them.
    fn place(
        &mut self,
        job: &PendingJob,
        partition: &'a Partition,
    ) -> Result<Vec<GroupName>, JobWhy> {
        let whole = job.exclusive || partition.exclusive;
        let mut candidates = Vec::new();
        for name in &partition.nodes {
            let Some(node) = self.look.nodes.get(name) else { continue };
            if self.look.broken.contains(name) {
                continue;
            }
            if !whole && node.state.base() == NodeState::MIXED && node.state.phase() == Phase::Up {
                // How much of it is free is not known here.
                return Err(JobWhy::MayShare);
            }
            let place = *self.places.entry(name).or_insert_with(|| Place::of(node));
            if let Some(share) = share(job, &place, whole) {
                candidates.push((place.off, place.weight, name, share));
            }
        }
        // Stable: nodes of one kind keep the partition's order.
        candidates.sort_by_key(|(off, weight, ..)| (*off, *weight));
        let chosen = choose(job, candidates).ok_or(JobWhy::NoFreeNodes)?;
        let mut off = Vec::new();
        for (was_off, _, name, share) in chosen {
            if let Some(place) = self.places.get_mut(name) {
                place.take(share, whole);
            }
            if was_off && let Some(group) = self.look.policy.group_of(name) {
                off.push(group.clone());
            }
        }
        Ok(off)
    }
}

type Candidate<'a> = (bool, u32, &'a NodeName, Share);

/// The first candidates that together are enough for the job.
fn choose<'a>(job: &PendingJob, candidates: Vec<Candidate<'a>>) -> Option<Vec<Candidate<'a>>> {
    let least = job.nodes_min.max(1) as usize;
    let most = if job.nodes_max == 0 { usize::MAX } else { job.nodes_max as usize };
    let mut missing = job.cpus.max(1);
    let mut chosen = Vec::new();
    for mut candidate in candidates {
        if chosen.len() >= least && missing == 0 || chosen.len() >= most {
            break;
        }
        // The nodes that are still to come must each get a CPU of it.
        let others = least.saturating_sub(chosen.len() + 1);
        let reserve = u32::try_from(others).unwrap_or(u32::MAX);
        let take = candidate.3.cpus.min(missing.saturating_sub(reserve).max(1));
        candidate.3.cpus = take;
        missing = missing.saturating_sub(take);
        chosen.push(candidate);
    }
    (chosen.len() >= least && missing == 0).then_some(chosen)
}

impl Place {
    fn of(node: &Node) -> Self {
        let closed = node.state.is_down()
            || node.state.has_work()
            || node
                .state
                .has(NodeState::DRAIN | NodeState::FAIL | NodeState::MAINT | NodeState::POWER_DOWN)
            || node.state.phase() == Phase::Releasing;
        Self {
            cpus: if closed { 0 } else { node.cpus },
            memory_mib: node.memory_mib,
            off: node.state.phase() == Phase::Off,
            weight: node.weight,
            empty: !closed,
        }
    }

    fn take(&mut self, share: Share, whole: bool) {
        self.off = false;
        self.empty = false;
        self.cpus = if whole { 0 } else { self.cpus.saturating_sub(share.cpus) };
        self.memory_mib = self.memory_mib.saturating_sub(share.memory_mib);
    }
}

/// The most of a node that the job can use; `None` if it cannot use it at all.
fn share(job: &PendingJob, place: &Place, whole: bool) -> Option<Share> {
    if place.cpus == 0 || whole && !place.empty {
        return None;
    }
    let per_task = job.cpus_per_task.max(1);
    let mut cpus = place.cpus - place.cpus % per_task;
    if let Some(tasks) = job.tasks_per_node {
        cpus = cpus.min(tasks.saturating_mul(per_task));
        // Fewer tasks than were asked for each node are no use.
        if cpus < tasks.saturating_mul(per_task) {
            return None;
        }
    }
    let memory_mib = match job.memory {
        JobMemory::None => 0,
        JobMemory::PerNode(mib) => mib,
        JobMemory::PerCpu(mib) => {
            let fit = u32::try_from(place.memory_mib.checked_div(mib).unwrap_or(u64::MAX));
            cpus = cpus.min(fit.unwrap_or(u32::MAX));
            cpus -= cpus % per_task;
            mib.saturating_mul(u64::from(cpus))
        }
    };
    let enough = cpus >= job.cpus_per_node_min.max(1) && memory_mib <= place.memory_mib;
    (enough && cpus > 0).then_some(Share { cpus, memory_mib })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy;
    use std::path::Path;

    /// Nodes as `name:cpus:state`, jobs as changes of a job of one CPU in partition p.
    fn count(nodes: &[&str], jobs: &[PendingJob]) -> Demand {
        count_at(nodes, jobs, &BTreeMap::new(), 1000)
    }

    fn count_at(
        lines: &[&str],
        jobs: &[PendingJob],
        earlier: &BTreeMap<u32, Timestamp>,
        now: i64,
    ) -> Demand {
        let text = "[[group]]\nname = \"g\"\nnodes = \"n[1-64]\"\nasg = \"a\"";
        let policy = policy::parse(Path::new("asg.toml"), text).unwrap();
        let mut nodes = BTreeMap::new();
        let mut partition = Partition { up: true, ..Partition::default() };
        for line in lines {
            let mut parts = line.split(':');
            let name = NodeName::new(parts.next().unwrap());
            let cpus = parts.next().unwrap().parse().unwrap();
            let state = NodeState(crate::testing::state(parts.next().unwrap()));
            partition.nodes.push(name.clone());
            nodes
                .insert(name, Node { state, cpus, memory_mib: 1000, weight: 1, ..Node::default() });
        }
        let partitions = [("p".to_owned(), partition)].into();
        let queue = Queue { jobs: jobs.to_vec(), partitions };
        let broken = BTreeSet::new();
        let now = Timestamp::from_secs(now);
        demand(&Look {
            policy: &policy,
            nodes: &nodes,
            broken: &broken,
            queue: &queue,
            earlier,
            now,
        })
    }

    fn job(id: u32) -> PendingJob {
        PendingJob {
            id,
            partition: "p".into(),
            priority: 1000,
            nodes_min: 1,
            cpus: 1,
            ..PendingJob::default()
        }
    }

    fn wanted(demand: &Demand) -> u32 {
        demand.nodes.values().sum()
    }

    const OFF: [&str; 4] = ["n1:2:off", "n2:2:off", "n3:2:off", "n4:2:off"];

    #[test]
    fn nodes_tasks_and_cpus_are_counted_as_slurm_places_them() {
        let table: [(&str, PendingJob, u32); 9] = [
            ("one task", job(1), 1),
            ("two tasks on a node of two", PendingJob { cpus: 2, ..job(1) }, 1),
            ("three tasks", PendingJob { cpus: 3, ..job(1) }, 2),
            ("four nodes", PendingJob { nodes_min: 4, cpus: 4, ..job(1) }, 4),
            ("two CPUs a task, two tasks", PendingJob { cpus: 4, cpus_per_task: 2, ..job(1) }, 2),
            (
                "one task a node",
                PendingJob { nodes_min: 2, cpus: 2, tasks_per_node: Some(1), ..job(1) },
                2,
            ),
            ("whole nodes", PendingJob { exclusive: true, ..job(1) }, 1),
            (
                "memory for one CPU a node",
                PendingJob { cpus: 2, memory: JobMemory::PerCpu(600), ..job(1) },
                2,
            ),
            ("an array of three", PendingJob { array_tasks: 3, exclusive: true, ..job(1) }, 3),
        ];
        for (name, job, nodes) in table {
            assert_eq!(wanted(&count(&OFF, &[job])), nodes, "{name}");
        }
    }

    #[test]
    fn jobs_share_what_other_jobs_leave() {
        assert_eq!(wanted(&count(&OFF, &[job(1), job(2)])), 1);
        assert_eq!(wanted(&count(&OFF, &[job(1), job(2), job(3)])), 2);
        let whole = |id| PendingJob { exclusive: true, ..job(id) };
        assert_eq!(wanted(&count(&OFF, &[whole(1), whole(2)])), 2);
    }

    #[test]
    fn nodes_that_are_up_or_booting_are_used_first() {
        let demand = count(&["n1:2:off", "n2:2:idle"], &[job(1)]);
        assert_eq!((wanted(&demand), &demand.jobs[&1]), (0, &JobWhy::FitsOnNodesThatAreUp));
        assert_eq!(wanted(&count(&["n1:2:off", "n2:2:powering_up"], &[job(1)])), 0);
        assert_eq!(wanted(&count(&["n1:2:off", "n2:2:alloc"], &[job(1)])), 1);
    }

    #[test]
    fn what_slurm_would_not_start_adds_nothing() {
        let table = [
            (PendingJob { priority: 0, ..job(1) }, JobWhy::Held),
            (PendingJob { reason: 2, ..job(1) }, JobWhy::HeldBack { reason: 2 }),
            (PendingJob { reason: 99, ..job(1) }, JobWhy::HeldBack { reason: 99 }),
            (PendingJob { begins: Some(Timestamp::from_secs(2000)), ..job(1) }, JobWhy::NotYet),
            (
                PendingJob { special: Some("GRES".into()), ..job(1) },
                JobWhy::LeftToSlurm { what: "GRES".into() },
            ),
            (PendingJob { partition: "q".into(), ..job(1) }, JobWhy::PartitionClosed),
            (PendingJob { nodes_min: 5, cpus: 5, ..job(1) }, JobWhy::NoFreeNodes),
            (PendingJob { cpus_per_task: 3, cpus: 3, ..job(1) }, JobWhy::NoFreeNodes),
            (PendingJob { memory: JobMemory::PerNode(1001), ..job(1) }, JobWhy::NoFreeNodes),
            (
                PendingJob { cpus: u32::MAX - 1, nodes_min: u32::MAX - 1, ..job(1) },
                JobWhy::NoFreeNodes,
            ),
        ];
        for (job, why) in table {
            let demand = count(&OFF, &[job]);
            assert_eq!((wanted(&demand), &demand.jobs[&1]), (0, &why));
        }
        let closed = ["n1:2:down", "n2:2:down_off", "n3:2:powering_down", "n4:2:power_down"];
        assert_eq!(count(&closed, &[job(1)]).jobs[&1], JobWhy::NoFreeNodes);
        assert_eq!(count(&["n1:2:off", "n2:2:mixed"], &[job(1)]).jobs[&1], JobWhy::MayShare);
    }

    #[test]
    fn jobs_behind_one_that_waits_are_not_counted() {
        let first = PendingJob { nodes_min: 5, cpus: 5, priority: 2000, ..job(1) };
        let demand = count(&OFF, &[job(2), first]);
        assert_eq!(demand.jobs[&2], JobWhy::BehindOthers);
        assert_eq!(wanted(&demand), 0);
    }

    #[test]
    fn a_job_that_slurm_does_not_take_is_counted_for_a_while_only() {
        let first = count_at(&OFF, &[job(1)], &BTreeMap::new(), 1000);
        assert_eq!(wanted(&first), 1);
        let later = count_at(&OFF, &[job(1)], &first.counted, 1120);
        assert_eq!(wanted(&later), 1);
        let last = count_at(&OFF, &[job(1)], &later.counted, 1121);
        assert_eq!((wanted(&last), &last.jobs[&1]), (0, &JobWhy::NotTaken));
        assert_eq!(last.counted, first.counted, "it stays known");
    }

    #[test]
    fn enormous_arrays_end() {
        let array = PendingJob { array_tasks: u32::MAX, ..job(1) };
        assert_eq!(wanted(&count(&OFF, &[array])), 4);
    }
}
