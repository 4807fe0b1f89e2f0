//! What a plan says to the reader.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Plan;
use super::shut::Shut;
use super::sizes::SizesProblem;
use crate::ids::{InstanceId, NodeName};
use crate::node_state::{NodeState, Phase};
use crate::time::Timestamp;
use crate::word::variant_name;

/// The state of one group, in numbers of nodes and instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupReport {
    /// MinSize over its Auto Scaling groups.
    pub min: u32,
    /// DesiredCapacity over its Auto Scaling groups, before this plan.
    pub desired: u32,
    /// MaxSize over its Auto Scaling groups.
    pub max: u32,
    /// Instances in service.
    pub in_service: u32,
    /// Instances on their way.
    pub pending: u32,
    /// Nodes with work.
    pub busy: u32,
    /// Nodes up without work.
    pub idle: u32,
    /// Nodes that wait for their machine to register.
    pub booting: u32,
    /// Nodes that pending jobs will be given and that Slurm has not asked for yet.
    pub ahead: u32,
    /// Instances that nodes in service, nodes wanted by Slurm and pending jobs need.
    pub demand: u32,
    /// Instances that pending work needs and that, with this plan carried out, are neither there
    /// nor on their way. `None` if that could not be seen.
    pub pending_instances: Option<u32>,
    /// Instances that serve no node.
    pub spare: u32,
    /// Instances that are being terminated.
    pub releasing: u32,
    /// What keeps the group from being served, or from being as asg.toml says, in one line.
    pub problem: Option<String>,
    /// The same, if it is about the sizes.
    #[serde(skip)]
    pub sizes_problem: Option<SizesProblem>,
}

/// Nodes of a group that are idle and wait to be let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many there are.
    pub count: u32,
    /// For how long the first of them has been idle, if Slurm says.
    pub oldest: Option<Duration>,
}

impl Waiting {
    /// Those among `nodes` at a time, by SuspendTime or the billing hour. Nodes that the group
    /// keeps wait for nothing.
    #[must_use]
    pub fn of(plan: &Plan, nodes: &[NodeName], at: Timestamp) -> Self {
        let reports = nodes.iter().filter_map(|node| plan.nodes.get(node));
        let waits = |report: &&NodeReport| {
            matches!(
                report.why,
                Why::Idle { .. }
                    | Why::WaitsForBillingHour { .. }
                    | Why::BillingHourEnds { .. }
                    | Why::MakesRoom { .. }
            )
        };
        reports.filter(waits).fold(Self::default(), |all, report| Self {
            count: all.count.saturating_add(1),
            oldest: all.oldest.max(report.why.since().map(|since| at.since(since))),
        })
    }
}

/// One node in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeReport {
    /// What Slurm's state says about its machine.
    pub phase: Phase,
    /// Its state.
    pub state: NodeState,
    /// The instance that serves it.
    pub instance: Option<InstanceId>,
    /// Why the node is as it is, and what it waits for.
    pub why: Why,
}

/// Why a node's machine is kept, comes or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum Why {
    /// Jobs run on it.
    Busy,
    /// Slurm's SuspendTime decides.
    Idle {
        /// Since when, if Slurm says.
        since: Option<Timestamp>,
    },
    /// Part of what the group keeps, and nothing runs on it.
    Base {
        /// Since when, if Slurm says.
        since: Option<Timestamp>,
    },
    /// Its instance has the name and has not registered yet.
    Booting {
        /// When it was given the name.
        since: Timestamp,
    },
    /// It gets this instance now.
    Bound,
    /// An instance is there, its address is not known yet.
    WaitsForAddress,
    /// An instance is there for it; it gets its name when Slurm calls the resume program.
    WaitsForResume,
    /// The group is launching an instance for it.
    WaitsForLaunch,
    /// The capacity is raised for it now.
    Raised,
    /// The groups are at their maximum.
    AtMax {
        /// MaxSize over the group's Auto Scaling groups.
        max: u32,
    },
    /// Only CloudWatch alarms raise the capacity, and have not yet.
    WaitsForAlarm,
    /// Launches fail, in all of the group's Auto Scaling groups; they are tried again then.
    NoCapacity {
        /// EC2's error code.
        code: String,
        /// Not before.
        at: Timestamp,
    },
    /// Too many boots in a row have failed: nothing is launched until an administrator says so.
    ProtectedMode {
        /// How many.
        failures: u32,
    },
    /// An administrator has paused the group.
    Paused,
    /// The last call failed; it is repeated then.
    RetryAt {
        /// Not before.
        at: Timestamp,
    },
    /// The Auto Scaling group could not be read.
    CloudUnknown,
    /// The node is up, and no instance is known for it.
    NoInstanceKnown,
    /// Slurm set it down because it is silent, and no instance is left for it: it is powered down,
    /// to make it available again.
    NoMachine,
    /// Its instance is terminated now.
    Released,
    /// Its instance has been terminated, or has none; Slurm's SuspendTimeout runs.
    PoweringDown,
    /// Slurm released it, but still shows work on it: the instance is kept.
    ReleasedWithWork,
    /// Its instance is gone: the node is set down and powered down, so that jobs requeue.
    InstanceGone,
    /// It never registered within ResumeTimeout, and is made available again.
    NeverRegistered,
    /// Idle, and kept until the hour of its instance that is paid for is nearly over.
    WaitsForBillingHour {
        /// Since when it is idle.
        since: Timestamp,
        /// When it may go.
        at: Timestamp,
    },
    /// Idle, and the next hour of its instance is about to be billed: powered down now.
    BillingHourEnds {
        /// Since when it is idle.
        since: Timestamp,
    },
    /// Its job lacks instances, and gets none before all can be had (`launch = "all-or-nothing"`).
    Incomplete {
        /// The job.
        job: u32,
        /// How many of its nodes have instances.
        has: u32,
        /// How many nodes of the group it has.
        nodes: u32,
        /// When it is requeued.
        until: Timestamp,
    },
    /// Idle, and powered down now: a job waits for which there is no room.
    MakesRoom {
        /// Since when it is idle, if Slurm says.
        since: Option<Timestamp>,
    },
    /// It was asked to power down, and Slurm waits for it to be idle.
    PowerDownAsked,
    /// Slurm released it, but its group does not count its instance: missing, detached, standby.
    NotInGroup,
    /// Its instance is about to be terminated, not by slurm-asg; a life-cycle hook still holds it.
    /// The node drains.
    HeldByHook,
    /// Idle, and protected from suspension by an administrator's word.
    Kept {
        /// Since when Slurm calls it idle.
        since: Option<Timestamp>,
        /// Whose word it is, until when, and why.
        words: String,
    },
    /// Slurm has powered it down though it is protected: its instance stays.
    InstanceKept {
        /// Whose word it is, until when, and why.
        words: String,
    },
    /// AWS has said that it takes its instance: a Spot interruption, a rebalance recommendation or a
    /// scheduled event. The node drains.
    TakenByAws,
}

impl Why {
    /// Since when it has been so, where that is known.
    #[must_use]
    pub const fn since(&self) -> Option<Timestamp> {
        if let Self::Idle { since }
        | Self::Base { since }
        | Self::MakesRoom { since }
        | Self::Kept { since, .. } = self
        {
            *since
        } else if let Self::Booting { since }
        | Self::WaitsForBillingHour { since, .. }
        | Self::BillingHourEnds { since } = self
        {
            Some(*since)
        } else {
            None
        }
    }

    /// The reason as one stable word, for programs.
    #[must_use]
    pub fn word(&self) -> String {
        variant_name(self)
    }
}

impl Why {
    /// Why nothing is launched for a node.
    pub(super) fn of_shut(shut: &Shut) -> Self {
        match shut {
            Shut::Cooldown(cooldown) => {
                Self::NoCapacity { code: cooldown.failure.code.clone(), at: cooldown.until }
            }
            Shut::Protected { failures, .. } => Self::ProtectedMode { failures: *failures },
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "jobs run on it",
            Self::Idle { .. } => "idle; Slurm's SuspendTime decides",
            Self::Base { .. } => "base: kept at the group's minimum",
            Self::Booting { .. } => "waits for its instance to register",
            Self::Bound => "gets its instance now",
            Self::WaitsForAddress => "its instance is launched; waits for the address",
            Self::WaitsForResume => "its instance is there; waits for Slurm to resume the node",
            Self::WaitsForLaunch => "waits for the group to launch an instance",
            Self::Raised => "capacity is being raised for it",
            Self::AtMax { max } => return write!(f, "waits: the group is at its maximum of {max}"),
            Self::WaitsForAlarm => "waits for the CloudWatch alarm to raise capacity",
            Self::NoCapacity { code, .. } => {
                return write!(f, "waits: no instance can be launched ({code})");
            }
            Self::ProtectedMode { failures } => {
                return write!(f, "waits: protected mode, {failures} boots in a row have failed");
            }
            Self::Paused => "waits: scaling of the group is paused",
            Self::RetryAt { .. } => "waits: the last AWS call failed and will be repeated",
            Self::CloudUnknown => "waits: the Auto Scaling group could not be read",
            Self::NoInstanceKnown => "up, but no instance is known for it",
            Self::NoMachine => "silent, and no instance is left for it; made available again",
            Self::Released => "released by Slurm; its instance is being terminated",
            Self::PoweringDown => "powering down; Slurm's SuspendTimeout runs",
            Self::ReleasedWithWork => "released by Slurm, but work is left on it; kept",
            Self::InstanceGone => "its instance is gone; set down, jobs requeue",
            Self::NeverRegistered => "never registered; made available again",
            Self::WaitsForBillingHour { .. } => "idle; kept while its instance's hour is paid for",
            Self::BillingHourEnds { .. } => "idle, and the next hour is about to be billed",
            Self::Incomplete { job, has, nodes, .. } => {
                return write!(f, "waits: job {job} can have {has} of its {nodes} nodes only");
            }
            Self::MakesRoom { .. } => "idle, and makes room for a job that waits",
            Self::PowerDownAsked => "waits for Slurm to power it down",
            Self::NotInGroup => "released by Slurm; its instance is not in its group",
            Self::Kept { words, .. } => return write!(f, "idle; {words}"),
            Self::InstanceKept { words } => {
                return write!(f, "powered down by Slurm; its instance stays: {words}");
            }
            Self::TakenByAws => "AWS takes its instance; it drains",
            Self::HeldByHook => {
                "its instance is being terminated; a life-cycle hook holds it while jobs run"
            }
        })
    }
}
