//! Partitions and what else the queue depends on, as slurmctld shows it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::comment::Comment;
use super::facts::SlurmFacts;
use super::job::{Job, NO_VAL, number};
use super::listed;
use super::words::{PartitionState, seconds};
use crate::hostlist;
use crate::ids::NodeName;
use crate::time::Timestamp;

/// The queue and what it depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The pending jobs, those that wait for their nodes to boot, and the running tasks of arrays
    /// that still have pending ones. In any order.
    pub jobs: Vec<Job>,
    /// By name.
    pub partitions: BTreeMap<Arc<str>, Partition>,
    /// By name; `None` if they are not known.
    pub reservations: Option<BTreeMap<Arc<str>, Reservation>>,
    /// By name; `None` if they are not known.
    pub licenses: Option<BTreeMap<Arc<str>, License>>,
    /// How this Slurm shares out nodes.
    pub slurm: SlurmFacts,
    /// Jobs with an AdminComment: all that have a notice of slurm-asg's and have not ended, and
    /// those of `jobs` that have another one.
    pub comments: BTreeMap<u32, Comment>,
}

/// A partition (`partition_info_t`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Partition {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it takes and starts jobs.
    pub state_up: PartitionState,
    /// Its nodes.
    #[serde(serialize_with = "write_nodes", deserialize_with = "read_nodes")]
    pub nodes: Vec<NodeName>,
    /// How many jobs may share a CPU: 0 is whole nodes only, the highest bit "always"
    /// (slurm.h, `SHARED_FORCE`).
    pub max_share: u32,
    /// Nodes of one job, at least.
    pub min_nodes: u32,
    /// Nodes of one job, at most.
    pub max_nodes: u32,
    /// CPUs of one node, at most.
    pub max_cpus_per_node: u32,
    /// The longest run of a job, minutes.
    pub max_time: u32,
    /// The run of a job that does not say, minutes.
    pub default_time: u32,
    /// Jobs in partitions of a higher tier come first.
    pub priority_tier: u32,
    /// `PART_FLAG_*`.
    pub flags: u32,
    /// SuspendTime of the partition, seconds; `NO_VAL` is the global one, `INFINITE` never.
    pub suspend_time: u32,
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            name: Arc::from(""),
            state_up: PartitionState::UP,
            nodes: Vec::new(),
            max_share: 1,
            min_nodes: 1,
            max_nodes: u32::MAX,
            max_cpus_per_node: u32::MAX,
            max_time: u32::MAX,
            default_time: u32::MAX,
            priority_tier: 1,
            flags: 0,
            suspend_time: NO_VAL,
        }
    }
}

impl Partition {
    /// Its own SuspendTime, seconds, if it has one that comes.
    #[must_use]
    pub const fn suspend_secs(&self) -> Option<u32> {
        if self.suspend_time < NO_VAL { Some(self.suspend_time) } else { None }
    }

    /// slurm.h, `PART_FLAG_DEFAULT`.
    const FLAG_DEFAULT: u32 = 0x1;
    /// slurm.h, `PART_FLAG_REQ_RESV`.
    const FLAG_NEEDS_RESERVATION: u32 = 0x10;
    /// slurm.h, `PART_FLAG_LLN`.
    const FLAG_LEAST_LOADED: u32 = 0x20;
    /// slurm.h, `PART_FLAG_EXCLUSIVE_USER`.
    const FLAG_EXCLUSIVE_USER: u32 = 0x40;
    /// slurm.h, `SHARED_FORCE`.
    const SHARED_FORCE: u32 = 0x8000;

    /// Whether jobs that name no partition go here.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        self.flags & Self::FLAG_DEFAULT != 0
    }

    /// Whether jobs get whole nodes.
    #[must_use]
    pub const fn gives_whole_nodes(&self) -> bool {
        self.max_share == 0
    }

    /// Something about the way it places jobs that the count leaves to Slurm.
    #[must_use]
    pub const fn special(&self) -> Option<&'static str> {
        if self.max_share & Self::SHARED_FORCE != 0 && self.max_share & !Self::SHARED_FORCE > 1 {
            Some("OverSubscribe=FORCE")
        } else if self.flags & Self::FLAG_LEAST_LOADED != 0 {
            Some("LLN=YES")
        } else if self.flags & Self::FLAG_EXCLUSIVE_USER != 0 {
            Some("ExclusiveUser=YES")
        } else {
            None
        }
    }

    /// Whether jobs may share CPUs if they say so.
    #[must_use]
    pub const fn lets_jobs_share_cpus(&self) -> bool {
        self.max_share & !Self::SHARED_FORCE > 1
    }

    /// Whether only jobs with a reservation run here.
    #[must_use]
    pub const fn needs_reservation(&self) -> bool {
        self.flags & Self::FLAG_NEEDS_RESERVATION != 0
    }

    /// Minutes that a job with this `time_limit` may run; `None` is no limit.
    #[must_use]
    pub fn minutes_of(&self, time_limit: u32) -> Option<u32> {
        let limits = [time_limit, self.default_time, self.max_time];
        limits.into_iter().find_map(number)
    }
}

/// An advanced reservation (`reserve_info_t`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reservation {
    /// Its name.
    pub name: Arc<str>,
    /// Its nodes.
    #[serde(serialize_with = "write_nodes", deserialize_with = "read_nodes")]
    pub node_list: Vec<NodeName>,
    /// From when on.
    #[serde(with = "seconds")]
    pub start_time: Option<Timestamp>,
    /// Until when; `None` is without end.
    #[serde(with = "seconds")]
    pub end_time: Option<Timestamp>,
    /// `RESERVE_FLAG_*`.
    pub flags: u64,
    /// Set if it holds single cores of its nodes.
    pub core_cnt: u32,
}

/// A license (`slurm_license_info_t`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct License {
    /// Its name.
    pub name: Arc<str>,
    /// How many there are.
    pub total: u32,
    /// How many are in use.
    pub in_use: u32,
    /// How many reservations hold.
    pub reserved: u32,
}

fn write_nodes<S: Serializer>(nodes: &[NodeName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hostlist::compress(nodes))
}

/// A hostlist expression, or a list of them. `ALL` is left to the reader of the whole file.
fn read_nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeName>, D::Error> {
    deserializer.deserialize_any(NodeList)
}

struct NodeList;

impl NodeList {
    fn expand<E: Error>(text: &str) -> Result<Vec<NodeName>, E> {
        if text.is_empty() { Ok(Vec::new()) } else { hostlist::expand(text).map_err(E::custom) }
    }
}

impl<'de> Visitor<'de> for NodeList {
    type Value = Vec<NodeName>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node list, as \"compute-[1-8]\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<NodeName>, E> {
        Self::expand(text)
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<NodeName>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<NodeName>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            nodes.extend(Self::expand(&text)?);
            listed::check(nodes.len())?;
        }
        Ok(nodes)
    }
}
