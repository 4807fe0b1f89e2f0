//! Clusters and queues of any size, made from a seed: the same seed gives the same ones.
//!
//! [`Scale`] says how much there is of everything. Jobs are a mix of what sbatch can ask for, and of
//! what keeps jobs from starting.
#![forbid(unsafe_code)]

mod dice;
mod job;
mod node;

pub use dice::Dice;

use std::path::Path;
use std::sync::Arc;

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::policy::{self, Policy, PolicyError};
use slurm_asg_core::snapshot::file::File;
use slurm_asg_core::snapshot::{License, Node, Partition, Release, Reservation, SlurmFacts};
use slurm_asg_core::time::Timestamp;

/// The time of all snapshots, seconds since the epoch.
pub const NOW_SECS: i64 = 1_700_000_000;
/// The partition that has the nodes of all groups.
const ALL: &str = "all";

/// How a cluster stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Half of the nodes are powered down, the others are up in all states, most of them with jobs
    /// on some of their CPUs. The queue is longer than the cluster can serve: most jobs wait.
    Busy,
    /// All nodes are powered down, and jobs are small, for they all are to find a place.
    Fresh,
}

/// How large a cluster and its queue are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Pending jobs; an array is one.
    pub jobs: u32,
    /// Nodes.
    pub nodes: u32,
    /// Groups of asg.toml. The nodes of a group are alike.
    pub groups: u32,
    /// How they stand.
    pub mood: Mood,
}

impl Scale {
    /// What asg.toml says.
    #[must_use]
    pub fn asg_toml(self) -> String {
        let groups = (0..self.groups).map(|group| {
            let (name, nodes) = (self.group_name(group), self.node_names(group));
            let nodes = hostlist::compress(&nodes);
            format!("\n[[group]]\nname = \"{name}\"\nnodes = \"{nodes}\"\nasg = \"asg-{name}\"\n")
        });
        std::iter::once("region = \"eu-west-1\"\n".to_owned()).chain(groups).collect()
    }

    /// The policy of [`Self::asg_toml`].
    ///
    /// # Errors
    /// If the scale is too large for one asg.toml.
    pub fn policy(self) -> Result<Policy, PolicyError> {
        policy::parse(Path::new("asg.toml"), &self.asg_toml())
    }

    /// The snapshot's content.
    #[must_use]
    pub fn file(self, seed: u64) -> File {
        let mut dice = Dice::new(seed);
        let nodes = (0..self.groups).flat_map(|group| {
            let kind = node::kind(group);
            self.node_names(group).into_iter().map(move |name| (name, kind))
        });
        let nodes = (0..).zip(nodes).map(|(index, (name, kind))| {
            let node = node::node(&name, kind, self.mood, &mut dice);
            Node { index, ..node }
        });
        let nodes = nodes.collect();
        let texts = job::Texts::new(self.groups);
        let jobs = (1..=self.jobs).map(|id| job::job(id, &texts, self.mood, &mut dice)).collect();
        File {
            now: Some(Timestamp::from_secs(NOW_SECS)),
            slurm: SlurmFacts {
                version: Release::parse("24.11"),
                select_type_param: Some(match self.mood {
                    // CR_CORE | CR_MEMORY
                    Mood::Busy => 0x14,
                    // CR_CORE: a job that says nothing of memory leaves room for others.
                    Mood::Fresh => 0x4,
                }),
                ..SlurmFacts::default()
            },
            jobs,
            nodes,
            partitions: self.partitions(),
            reservations: Some(vec![self.reservation()]),
            licenses: Some(vec![License {
                name: Arc::from("matlab"),
                total: 40,
                in_use: 10,
                reserved: 0,
            }]),
            ..File::default()
        }
    }

    fn group_name(self, group: u32) -> String {
        format!("g{group}")
    }

    fn node_names(self, group: u32) -> Vec<NodeName> {
        let groups = self.groups.max(1);
        // What does not divide evenly goes to the first groups.
        let count = self.nodes / groups + u32::from(group < self.nodes % groups);
        let prefix = self.group_name(group);
        (1..=count).map(|nth| NodeName::new(&format!("{prefix}-{nth}"))).collect()
    }

    /// One for each group, one for all nodes, and one that gives whole nodes of every other group.
    fn partitions(self) -> Vec<Partition> {
        let mut partitions: Vec<Partition> = (0..self.groups)
            .map(|group| Partition {
                name: Arc::from(self.group_name(group)),
                nodes: self.node_names(group),
                ..Partition::default()
            })
            .collect();
        let of = |groups: &mut dyn Iterator<Item = u32>| -> Vec<NodeName> {
            groups.flat_map(|group| self.node_names(group)).collect()
        };
        partitions.push(Partition {
            name: Arc::from(ALL),
            nodes: of(&mut (0..self.groups)),
            // PART_FLAG_DEFAULT
            flags: 1,
            ..Partition::default()
        });
        partitions.push(Partition {
            name: Arc::from("whole"),
            nodes: of(&mut (0..self.groups).step_by(2)),
            max_share: 0,
            priority_tier: 2,
            max_nodes: 64,
            max_time: 24 * 60,
            ..Partition::default()
        });
        partitions
    }

    /// Some nodes are for others, in three hours.
    fn reservation(self) -> Reservation {
        Reservation {
            name: Arc::from("course"),
            node_list: self.node_names(0).into_iter().take(4).collect(),
            start_time: Some(Timestamp::from_secs(NOW_SECS + 3 * 3600)),
            end_time: Some(Timestamp::from_secs(NOW_SECS + 6 * 3600)),
            ..Reservation::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use slurm_asg_core::plan::plan;

    use super::*;

    const SMALL: Scale = Scale { jobs: 2000, nodes: 100, groups: 8, mood: Mood::Busy };

    #[test]
    fn the_same_seed_gives_the_same_cluster_and_another_one_another() {
        assert_eq!(SMALL.file(1), SMALL.file(1));
        assert_ne!(SMALL.file(1), SMALL.file(2));
        assert_eq!(SMALL.file(1).nodes.len(), 100);
    }

    #[test]
    fn a_queue_has_jobs_of_many_kinds_and_machines_are_launched_for_some() {
        let policy = SMALL.policy().unwrap();
        let (snapshot, memory) = SMALL.file(1).into_snapshot(&policy);
        let plan = plan(&policy, &memory, &snapshot);
        let launched = plan.groups.values().filter(|group| group.ahead > 0).count();
        assert!(launched > 4, "{launched} groups");
        let mut words: Vec<String> = plan.jobs.values().map(|job| job.why.word()).collect();
        words.sort();
        words.dedup();
        let expected = [
            "behind_others",
            "counted",
            "fits_on_nodes_that_are_up",
            "held",
            "held_back",
            "impossible",
            "no_free_nodes",
            "not_yet",
            "too_far_behind",
        ];
        assert_eq!(words, expected);
    }
}
