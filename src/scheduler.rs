//! Slurm for the engine: each call on a thread that may block, so that the loop's thread goes
//! on answering the programs and the command line.

use std::sync::Arc;

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::node_state::NodeState;
use slurm_asg_core::snapshot::Queue;
use slurm_asg_engine::{AddressUpdate, Nodes, Scheduler, SchedulerError};

use crate::slurm::{NodeUpdate, Slurm, SlurmError};

/// slurmctld, through its own API.
pub struct Slurmctld {
    cluster: String,
    slurm: Arc<Slurm>,
    queue: Arc<Queue>,
    jobs_at: libc::time_t,
    partitions_at: libc::time_t,
}

impl Slurmctld {
    /// The slurmctld that this process is, of the cluster of that name.
    pub fn new(slurm: Slurm, cluster: String) -> Self {
        let slurm = Arc::new(slurm);
        Self { cluster, slurm, queue: Arc::default(), jobs_at: 0, partitions_at: 0 }
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Slurm) -> Result<T, SlurmError> + Send + 'static,
    ) -> Result<T, SchedulerError> {
        let slurm = Arc::clone(&self.slurm);
        match tokio::task::spawn_blocking(move || work(&slurm)).await {
            Ok(result) => {
                result.map_err(|error| SchedulerError { call: error.call, message: error.message })
            }
            Err(error) => Err(SchedulerError { call: "slurm", message: error.to_string() }),
        }
    }

    async fn update(&self, update: NodeUpdate) -> Result<(), SchedulerError> {
        self.call(move |slurm| slurm.update_nodes(&update)).await
    }
}

impl Scheduler for Slurmctld {
    fn cluster(&self) -> &str {
        &self.cluster
    }

    async fn nodes(&mut self) -> Result<Nodes, SchedulerError> {
        self.call(Slurm::load_nodes).await.map(Arc::new)
    }

    async fn queue(&mut self) -> Result<Arc<Queue>, SchedulerError> {
        let (jobs_at, partitions_at) = (self.jobs_at, self.partitions_at);
        let load = move |slurm: &Slurm| {
            Ok((slurm.load_jobs(jobs_at)?, slurm.load_partitions(partitions_at)?))
        };
        let (jobs, partitions) = self.call(load).await?;
        if let Some((at, jobs)) = jobs {
            self.jobs_at = at;
            Arc::make_mut(&mut self.queue).jobs = jobs;
        }
        if let Some((at, partitions)) = partitions {
            self.partitions_at = at;
            Arc::make_mut(&mut self.queue).partitions = partitions;
        }
        Ok(Arc::clone(&self.queue))
    }

    async fn set_addresses(&mut self, updates: &[AddressUpdate]) -> Result<(), SchedulerError> {
        let join = |part: &dyn Fn(&AddressUpdate) -> String| {
            updates.iter().map(part).collect::<Vec<_>>().join(",")
        };
        self.update(NodeUpdate {
            names: join(&|update| update.node.to_string()),
            addresses: Some(join(&|update| update.address.to_string())),
            instances: Some(join(&|update| update.instance.to_string())),
            ..NodeUpdate::default()
        })
        .await
    }

    async fn mark_down(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.update(NodeUpdate {
            names: hostlist::compress(nodes),
            state: Some(NodeState::DOWN),
            reason: Some(reason.to_owned()),
            ..NodeUpdate::default()
        })
        .await
    }

    async fn power_down(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.update(NodeUpdate {
            names: hostlist::compress(nodes),
            state: Some(NodeState::POWER_DOWN),
            ..NodeUpdate::default()
        })
        .await
    }
}
