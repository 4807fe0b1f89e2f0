//! What was seen, at one moment, of Slurm and of AWS.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::demand::Counted;
use crate::ids::{AsgName, InstanceId, NodeName};
use crate::time::Timestamp;

mod comment;
mod facts;
pub mod file;
mod job;
mod launch;
mod listed;
mod node;
mod partition;
mod reason;
pub(crate) mod words;

pub use comment::Comment;
pub use facts::{Release, SlurmFacts};
pub use job::{Job, JobMemory, Text, number, said, small_number};
pub use launch::{FailureKind, LaunchFailure};
pub use node::Node;
pub use partition::{License, Partition, Queue, Reservation};
pub use reason::Reason;
pub use words::{JobState, PartitionState};

/// Something that was looked at: known, or not known. Unknown is never taken for absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// What was seen.
    Known(T),
    /// The look failed, or there was none yet.
    Unknown {
        /// Why, in one line for the reader.
        why: String,
    },
}

impl<T> Seen<T> {
    /// The value, if it is known.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

/// Everything that a plan is made from, beside policy and memory.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was taken.
    pub now: Timestamp,
    /// Slurm's nodes: all of them, not only those of groups.
    pub nodes: Seen<Arc<BTreeMap<NodeName, Node>>>,
    /// The pending jobs, seen after the nodes: a job that Slurm places in between is missed, not
    /// counted twice.
    pub queue: Seen<Arc<Queue>>,
    /// If the queue is of an earlier look: what was counted from it then. It is not counted again, as
    /// Slurm may have given jobs nodes since.
    pub counted: Option<Counted>,
    /// The Auto Scaling groups of the policy. One that is not in the map was not looked at.
    pub asgs: BTreeMap<AsgName, Seen<Asg>>,
    /// What EC2 said of single instances. One that is not in the map was not asked for.
    pub machines: BTreeMap<InstanceId, Machine>,
}

impl Snapshot {
    /// When the queue was read, if it is known.
    #[must_use]
    pub fn queue_read_at(&self) -> Option<Timestamp> {
        let at = self.counted.as_ref().map_or(self.now, |counted| counted.at);
        self.queue.known().map(|_| at)
    }

    /// The group as it was seen, if it was.
    #[must_use]
    pub fn asg(&self, name: &AsgName) -> Option<&Asg> {
        self.asgs.get(name).and_then(Seen::known)
    }

    /// An instance in the list of its group, if that could be seen.
    #[must_use]
    pub fn member(&self, asg: &AsgName, instance: &InstanceId) -> Option<&Member> {
        self.asg(asg)?.instances.get(instance)
    }

    /// Whether EC2 says that nothing runs on an instance any more.
    #[must_use]
    pub fn is_dead(&self, instance: &InstanceId) -> bool {
        self.machines.get(instance).and_then(Machine::facts).is_some_and(|facts| facts.dead)
    }

    /// The private address of an instance, if EC2 has said it.
    #[must_use]
    pub fn address(&self, instance: &InstanceId) -> Option<IpAddr> {
        self.machines.get(instance).and_then(Machine::facts).and_then(|facts| facts.address)
    }
}

/// An Auto Scaling group (DescribeAutoScalingGroups).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asg {
    /// MinSize, instances.
    pub min: u32,
    /// MaxSize, instances.
    pub max: u32,
    /// DesiredCapacity, instances.
    pub desired: u32,
    /// AvailabilityZones, in its order.
    #[serde(default)]
    pub zones: Vec<String>,
    /// The instances it lists, by id.
    pub instances: BTreeMap<InstanceId, Member>,
    /// NewInstancesProtectedFromScaleIn.
    #[serde(default)]
    pub protects_new: bool,
    /// SuspendedProcesses has `AZRebalance`.
    #[serde(default)]
    pub suspends_az_rebalance: bool,
    /// Its life-cycle hooks; `None` if it was not asked for them.
    #[serde(skip)]
    pub hooks: Option<Vec<Hook>>,
    /// The last launch that failed, as far as that was asked for.
    #[serde(skip)]
    pub failure: Option<LaunchFailure>,
}

/// A life-cycle hook of a group (DescribeLifecycleHooks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// LifecycleHookName.
    pub name: String,
    /// LifecycleTransition.
    pub transition: Transition,
    /// HeartbeatTimeout: for how long it holds an instance if nobody says anything.
    pub timeout: Duration,
}

/// When a life-cycle hook holds an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// `autoscaling:EC2_INSTANCE_LAUNCHING`: before it is in service.
    Launching,
    /// `autoscaling:EC2_INSTANCE_TERMINATING`: before it is terminated.
    Terminating,
}

impl Hook {
    /// How the names of hooks begin that slurm-asg answers. Others are left to who made them.
    pub const PREFIX: &str = "slurm-asg";

    /// Whether slurm-asg answers it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.name.starts_with(Self::PREFIX)
    }
}

/// An instance in the list of its group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// LifecycleState.
    pub lifecycle: Lifecycle,
    /// HealthStatus is `Healthy`.
    pub healthy: bool,
    /// AvailabilityZone.
    pub zone: String,
    /// ProtectedFromScaleIn.
    pub protected: bool,
}

/// LifecycleState, as far as decisions depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifecycle {
    /// `Pending`, `Pending:Proceed`: on its way, may have an address already.
    Pending,
    /// `Pending:Wait`: the same, and a hook holds it before it is in service.
    PendingWait,
    /// `InService`.
    InService,
    /// `Terminating:Wait`: the group has given it up, a hook still holds it.
    TerminatingWait,
    /// `Terminating`, `Terminating:Proceed`, `Terminated`: it goes, whatever anyone says.
    Terminating,
    /// Anything else, carried as it was: standby, detached, warm pool, states of the future.
    Other(String),
}

impl Lifecycle {
    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "Pending" | "Pending:Proceed" => Self::Pending,
            "Pending:Wait" => Self::PendingWait,
            "InService" => Self::InService,
            "Terminating:Wait" => Self::TerminatingWait,
            "Terminating" | "Terminating:Proceed" | "Terminated" => Self::Terminating,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The API's word; of several that mean the same here, one.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Pending => "Pending",
            Self::PendingWait => "Pending:Wait",
            Self::InService => "InService",
            Self::TerminatingWait => "Terminating:Wait",
            Self::Terminating => "Terminating",
            Self::Other(other) => other,
        }
    }

    /// Whether the instance counts towards the group's capacity.
    #[must_use]
    pub const fn is_capacity(&self) -> bool {
        matches!(self, Self::Pending | Self::PendingWait | Self::InService)
    }

    /// At which transition a life-cycle hook holds the instance, if one does.
    #[must_use]
    pub const fn held_at(&self) -> Option<Transition> {
        match self {
            Self::PendingWait => Some(Transition::Launching),
            Self::TerminatingWait => Some(Transition::Terminating),
            Self::Pending | Self::InService | Self::Terminating | Self::Other(_) => None,
        }
    }
}

/// What EC2 answered for an instance id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Machine {
    /// EC2 knows it.
    Known(MachineFacts),
    /// EC2 does not know it: long gone, or too young for an eventually consistent answer.
    NotFound,
}

impl Machine {
    /// What EC2 knows, if it knows the instance.
    #[must_use]
    pub const fn facts(&self) -> Option<&MachineFacts> {
        match self {
            Self::Known(facts) => Some(facts),
            Self::NotFound => None,
        }
    }
}

/// Whether nothing runs any more on an instance in this state, by EC2's name of it.
#[must_use]
pub fn is_dead_state(state: &str) -> bool {
    matches!(state, "shutting-down" | "terminated" | "stopping" | "stopped")
}

/// An instance as DescribeInstances shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// `shutting-down`, `terminated`, `stopping` or `stopped`: nothing runs on it any more.
    pub dead: bool,
    /// PrivateIpAddress.
    pub address: Option<IpAddr>,
    /// LaunchTime.
    pub launched: Option<Timestamp>,
    /// The value of its tag `slurm-asg:node`: the node name it was given.
    pub node_tag: Option<NodeName>,
}
