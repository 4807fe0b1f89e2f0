//! A node as slurmctld shows it (`node_info_t`).

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::job::{Text, small_number};
use super::words::seconds;
use crate::ids::NodeName;
use crate::node_state::NodeState;
use crate::time::Timestamp;

/// A node. In JSON with Slurm's own field names; memory in MiB, times in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// `name`.
    pub name: NodeName,
    /// Its place in slurmctld's table of nodes, from 0: Slurm prefers nodes that follow one
    /// another. In a file, its place in the list.
    #[serde(skip)]
    pub index: u32,
    /// `node_state`.
    #[serde(rename = "node_state")]
    pub state: NodeState,
    /// `node_addr`: where slurmctld reaches the node.
    #[serde(rename = "node_addr", skip_serializing_if = "str::is_empty")]
    pub address: String,
    /// `reason`, empty if there is none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: String,
    /// Since when the node has been idle: `last_busy`. `None` if it never was or is busy.
    #[serde(rename = "last_busy", with = "seconds")]
    pub idle_since: Option<Timestamp>,
    /// `cpus`; 0 is what sockets, cores and threads make.
    pub cpus: u32,
    /// `sockets`, in all.
    pub sockets: u32,
    /// `cores` of each socket.
    pub cores: u32,
    /// `threads` of each core.
    pub threads: u32,
    /// `core_spec_cnt`: cores that jobs do not get.
    pub core_spec_cnt: u32,
    /// `real_memory`, MiB.
    #[serde(rename = "real_memory")]
    pub memory_mib: u64,
    /// `mem_spec_limit`: memory that jobs do not get, MiB.
    pub mem_spec_limit: u64,
    /// `tmp_disk`, MiB.
    pub tmp_disk: u32,
    /// `weight`: Slurm takes lighter nodes first.
    pub weight: u32,
    /// `features`, with commas between.
    pub features: Text,
    /// `features_act`: those that are active; `None` is all of them.
    pub features_act: Text,
    /// `gres`: `gpu:tesla:2,lic:4`.
    pub gres: Text,
    /// `gres_used`: `gpu:tesla:1(IDX:0)`.
    pub gres_used: Text,
    /// CPUs that jobs hold. `None` is not known: none if no job is on it, else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alloc_cpus: Option<u32>,
    /// Memory that jobs hold, MiB. `None` is not known: none if no job is on it, else all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alloc_memory: Option<u64>,
}

/// What slurm.conf has where nothing is said of a node (slurm.conf(5)), idle.
impl Default for Node {
    fn default() -> Self {
        Self {
            name: NodeName::new(""),
            index: 0,
            state: NodeState(NodeState::IDLE),
            address: String::new(),
            reason: String::new(),
            idle_since: None,
            cpus: 0,
            sockets: 0,
            cores: 0,
            threads: 1,
            core_spec_cnt: 0,
            memory_mib: 1,
            mem_spec_limit: 0,
            tmp_disk: 0,
            weight: 1,
            features: None,
            features_act: None,
            gres: None,
            gres_used: None,
            alloc_cpus: None,
            alloc_memory: None,
        }
    }
}

impl Node {
    /// CPUs, as said or as sockets, cores and threads make them; at least one. At most what
    /// Slurm's 16 bits hold (`node_info_t` in slurm.h, 22.05): a count goes through each.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        let made = self.sockets.saturating_mul(self.cores).saturating_mul(self.threads);
        let said = [self.cpus, made].into_iter().find_map(small_number);
        said.unwrap_or(1).min(u32::from(u16::MAX))
    }

    /// CPUs that go together: the threads of a core, where Slurm counts threads as CPUs.
    #[must_use]
    pub fn cpus_of_a_core(&self) -> u32 {
        let cores = self.sockets.max(1).saturating_mul(self.cores.max(1));
        let counts_threads = cores.saturating_mul(self.threads) == self.cpus();
        if counts_threads { self.threads.max(1) } else { 1 }
    }

    /// Where slurmctld reaches the node, if that is an address and not a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address.parse().ok()
    }

    /// Whether slurmctld reaches the node at this address.
    #[must_use]
    pub fn is_at(&self, address: IpAddr) -> bool {
        self.ip() == Some(address)
    }

    /// Memory that jobs may have, MiB.
    #[must_use]
    pub const fn memory_for_jobs(&self) -> u64 {
        self.memory_mib.saturating_sub(self.mem_spec_limit)
    }

    /// The text of features that count.
    #[must_use]
    pub fn active_features(&self) -> Option<&Arc<str>> {
        self.features_act.as_ref().or(self.features.as_ref())
    }
}
