//! Why a pending job counts or does not.

use std::fmt;

use serde::Serialize;

use crate::snapshot::{PartitionState, Reason};
use crate::time::Timestamp;
use crate::word::variant_name;

/// What the count says of one pending job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobVerdict {
    /// Nodes that it will be given.
    pub nodes: u32,
    /// Those of them that are powered down now and that no job before it takes.
    pub launch: u32,
    /// Why.
    pub why: JobWhy,
}

impl fmt::Display for JobVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, launch, why } = self;
        if *why == JobWhy::Counted {
            let s = if *nodes == 1 { "" } else { "s" };
            write!(f, "gets {nodes} node{s}; {launch} to be powered up for it")
        } else {
            why.fmt(f)
        }
    }
}

/// Why a pending job counts or does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum JobWhy {
    /// It will be given nodes, of which some are powered down now.
    Counted,
    /// Nodes that are up, on their way, or powered up for jobs before it have room for it.
    FitsOnNodesThatAreUp,
    /// It has no priority: held by its user, an administrator or Slurm.
    Held,
    /// Slurm holds it back for a reason that more machines do not change.
    HeldBack {
        /// Slurm's reason.
        reason: Reason,
    },
    /// It waits for other jobs.
    WaitsForOtherJobs,
    /// It is not to start before a time.
    NotYet {
        /// The time.
        at: Timestamp,
    },
    /// As many tasks of its array run as may.
    ArrayLimit {
        /// Tasks at once.
        max: u32,
    },
    /// Its partition is not known.
    NoSuchPartition,
    /// Its partition starts no jobs.
    PartitionClosed {
        /// The partition's state.
        state: PartitionState,
    },
    /// Its time limit is longer than the partition's.
    OverTimeLimit {
        /// Minutes.
        max: u32,
    },
    /// It needs more nodes than one job may have.
    OverNodeLimit {
        /// Nodes.
        max: u32,
    },
    /// It asks for no nodes at all.
    NoNodesAsked,
    /// Its reservation is not active now, or not known.
    ReservationNotActive,
    /// Its partition is for jobs with a reservation.
    NeedsReservation,
    /// Licenses that it needs are in use.
    WaitsForLicenses,
    /// It asks for something that is left to Slurm to place; nodes are launched when it has.
    LeftToSlurm {
        /// What, by the name of sbatch's or slurm.conf's option.
        what: String,
    },
    /// No nodes of its partition can ever run it.
    Impossible,
    /// Nodes that could run it are down, drained, or powering down.
    NodesUnavailable,
    /// Nodes that could run it are taken.
    NoFreeNodes,
    /// Jobs before it wait for the nodes that it could have.
    BehindOthers,
    /// It was counted, and Slurm did not give it nodes.
    NotTaken,
    /// So many jobs are before it that it was not looked at.
    TooFarBehind,
}

impl JobWhy {
    /// The reason as one stable word, for programs.
    #[must_use]
    pub fn word(&self) -> String {
        variant_name(self)
    }

    /// Whether it keeps the job out of slurmctld's queue: its partition or its reservation does
    /// not let it in, whatever nodes there are (build_job_queue() in job_scheduler.c, 22.05.8).
    #[must_use]
    pub const fn keeps_out_of_queue(&self) -> bool {
        matches!(
            self,
            Self::PartitionClosed { .. }
                | Self::OverTimeLimit { .. }
                | Self::OverNodeLimit { .. }
                | Self::NeedsReservation
                | Self::ReservationNotActive
        )
    }

    /// Whether the job's needs are part of the demand.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        matches!(self, Self::Counted | Self::FitsOnNodesThatAreUp)
    }
}

impl fmt::Display for JobWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counted => "counted: nodes will be powered up for it",
            Self::FitsOnNodesThatAreUp => "fits on nodes that are up or on their way",
            Self::Held => "held; scontrol release lets it go",
            Self::HeldBack { reason } => return write!(f, "held back by Slurm: {reason}"),
            Self::WaitsForOtherJobs => "waits for the jobs that it depends on",
            Self::NotYet { .. } => "not to start yet",
            Self::ArrayLimit { max } => {
                return write!(f, "its array may run {max} tasks at once, and they run");
            }
            Self::NoSuchPartition => "its partition is not known",
            Self::PartitionClosed { state } => {
                return write!(f, "its partition is {state} and starts no jobs");
            }
            Self::OverTimeLimit { max } => {
                return write!(f, "runs longer than its partition's limit of {max} minutes");
            }
            Self::OverNodeLimit { max } => {
                return write!(f, "needs more nodes than the {max} that it may have");
            }
            Self::NoNodesAsked => "asks for no nodes",
            Self::ReservationNotActive => "its reservation is not active now",
            Self::NeedsReservation => "its partition is for jobs with a reservation",
            Self::WaitsForLicenses => "waits for licenses",
            Self::LeftToSlurm { what } => {
                return write!(f, "uses {what}, which is left to Slurm to place");
            }
            Self::Impossible => "no nodes of its partition can ever run it",
            Self::NodesUnavailable => "nodes that could run it are down, drained or powering down",
            Self::NoFreeNodes => "waits for nodes: those that could run it are taken",
            Self::BehindOthers => "waits behind other jobs",
            Self::NotTaken => "Slurm did not give it nodes that seemed free",
            Self::TooFarBehind => "so many jobs are before it that it is not looked at yet",
        })
    }
}
