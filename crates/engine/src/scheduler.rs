//! What the loop needs of Slurm.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use slurm_asg_core::ids::{InstanceId, NodeName};
use slurm_asg_core::snapshot::{Node, Queue};

/// slurmctld, as far as the loop needs it.
pub trait Scheduler {
    /// ClusterName.
    fn cluster(&self) -> &str;

    /// All nodes, as they are now.
    ///
    /// # Errors
    /// If slurmctld did not answer.
    fn nodes(&mut self) -> impl Future<Output = Result<Nodes, SchedulerError>>;

    /// The pending jobs and the partitions, as they are now.
    ///
    /// # Errors
    /// If slurmctld did not answer.
    fn queue(&mut self) -> impl Future<Output = Result<Arc<Queue>, SchedulerError>>;

    /// Tells Slurm where nodes can be reached, all in one update.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn set_addresses(
        &mut self,
        updates: &[AddressUpdate],
    ) -> impl Future<Output = Result<(), SchedulerError>>;

    /// Sets nodes DOWN; their jobs requeue.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn mark_down(
        &mut self,
        nodes: &[NodeName],
        reason: &str,
    ) -> impl Future<Output = Result<(), SchedulerError>>;

    /// Asks for `state=POWER_DOWN`.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn power_down(
        &mut self,
        nodes: &[NodeName],
    ) -> impl Future<Output = Result<(), SchedulerError>>;

    /// Asks for `state=POWER_DOWN_ASAP`: no job is placed on them any more, and they are powered
    /// down when theirs have ended.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn drain(
        &mut self,
        nodes: &[NodeName],
        reason: &str,
    ) -> impl Future<Output = Result<(), SchedulerError>>;

    /// Closes nodes to jobs (`state=DRAIN`), all in one update.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn close(
        &mut self,
        nodes: &[NodeName],
        reason: &str,
    ) -> impl Future<Output = Result<(), SchedulerError>>;

    /// Opens nodes that were closed (`state=UNDRAIN`), all in one update.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn open(&mut self, nodes: &[NodeName]) -> impl Future<Output = Result<(), SchedulerError>>;

    /// Asks for `state=POWER_UP`, all in one update.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn power_up(&mut self, nodes: &[NodeName]) -> impl Future<Output = Result<(), SchedulerError>>;

    /// Writes the AdminComment of jobs; an empty text takes it away. In the background, one after
    /// the other: what fails is seen with a later look, and nobody waits for it.
    fn note_jobs_later(&mut self, notices: Vec<(u32, String)>);

    /// Has the time for which idle nodes have been idle counted anew (`state=IDLE`), all in one
    /// update. A node that has work is refused and left alone.
    ///
    /// # Errors
    /// If the update was refused or not answered.
    fn refresh_idle(
        &mut self,
        nodes: &[NodeName],
    ) -> impl Future<Output = Result<(), SchedulerError>>;
}

/// One node's new address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressUpdate {
    /// The node.
    pub node: NodeName,
    /// Its instance, for releases that keep it (23.11 and later).
    pub instance: InstanceId,
    /// Its private address.
    pub address: IpAddr,
}

/// Slurm's nodes, by name.
pub type Nodes = Arc<BTreeMap<NodeName, Node>>;

/// A call to Slurm that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {message}")]
pub struct SchedulerError {
    /// The function of Slurm's API.
    pub call: &'static str,
    /// Slurm's own words, in one line.
    pub message: String,
}
