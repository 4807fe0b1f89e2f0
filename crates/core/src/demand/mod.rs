//! What pending jobs will want, before Slurm gives them nodes.
//!
//! The count does what slurmctld would do with the queue as it is: in the order of priority, jobs
//! are placed on nodes that are up, on their way, or powered down. Powered-down nodes that are
//! taken are the machines to launch. A job that Slurm would not start now adds nothing, nor does
//! a pending reason that is not known, nor what the count leaves to Slurm to place: Slurm
//! allocates powered-down nodes by itself a moment later, and then they are wanted by name. So
//! counting too little costs a second or two, counting too much costs money.
//!
//! `request` reads what a job asks for, `pool` has the nodes, `fit` says what they offer,
//! `choose` which of them Slurm takes, `counts` with numbers of nodes for features, `entry` which
//! jobs may start and in which order, `kind` which of them ask for the same, `queue` with what
//! consequence, `share` how much of each node a job gets, `ahead` what is kept for jobs that wait.
//! `earlier` says what is left of a count while the queue is not read again.

mod ahead;
mod backfill;
mod choose;
mod counts;
mod earlier;
mod entry;
mod feature;
mod fit;
mod gres;
mod kind;
mod named;
mod places;
mod pool;
mod queue;
mod request;
mod share;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use earlier::{Counted, Left};
pub use why::{JobVerdict, JobWhy};

use crate::ids::{GroupName, NodeName};
use crate::policy::Policy;
use crate::snapshot::{Job, Node, Queue};
use crate::time::Timestamp;

/// A job that was counted and that Slurm has not given nodes after this time is counted no
/// more: Slurm sees something that the count does not.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How many jobs (array tasks one by one) are placed with one look, from the highest priority on.
pub const PLACED_MAX: usize = 200_000;
/// How many runs of nodes are looked at to place jobs in the order of priority. It bounds the time
/// of a look to about a second, whatever the queue is; jobs beyond wait for a later look.
pub const SEARCHED_MAX: usize = 100_000_000;
/// How many jobs behind one that waits are looked at, as Slurm's bf_max_job_test.
pub const BEHIND_MAX: usize = 500;

/// Machines for pending jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Powered-down nodes that pending jobs will be given, per group.
    pub launch: BTreeMap<GroupName, u32>,
    /// Which nodes these are.
    pub launched: BTreeSet<NodeName>,
    /// Nodes that are up and have no work, and that pending jobs will be given, per group.
    pub reuse: BTreeMap<GroupName, u32>,
    /// Jobs that machines are counted for, with the time since when.
    pub counted: BTreeMap<u32, Timestamp>,
    /// Every pending job, and why it counts or does not.
    pub jobs: BTreeMap<u32, JobVerdict>,
    /// When the next job may start that is not to start yet.
    pub next_start: Option<Timestamp>,
    /// The nodes of the job that was asked for.
    pub traced: Vec<NodeName>,
}

/// What the count reads.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// Which nodes belong to which group.
    pub policy: &'a Policy,
    /// Slurm's nodes.
    pub nodes: &'a BTreeMap<NodeName, Node>,
    /// Nodes whose machine is gone, whatever Slurm says of them.
    pub broken: BTreeSet<&'a NodeName>,
    /// The pending jobs.
    pub queue: &'a Queue,
    /// What was counted before, with the time since when.
    pub earlier: &'a BTreeMap<u32, Timestamp>,
    /// Now.
    pub now: Timestamp,
    /// A job whose nodes are to be named.
    pub trace: Option<u32>,
}

/// Counts what pending jobs will want.
#[must_use]
pub fn demand(look: &Look<'_>) -> Demand {
    if !look.queue.jobs.iter().any(Job::is_pending) {
        return Demand::default();
    }
    queue::Count::of(look).finish()
}

#[cfg(test)]
mod tests;
