//! Slurm for the engine: each call on a thread that may block, so that the loop's thread goes
//! on answering the programs and the command line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::node_state::NodeState;
use slurm_asg_core::snapshot::{License, Queue, SlurmFacts};
use slurm_asg_engine::{AddressUpdate, Nodes, Scheduler, SchedulerError};

use tokio::task::JoinHandle;

use crate::slurm::{NodeUpdate, Slurm, SlurmError};

/// slurmctld, through its own API.
pub struct Slurmctld {
    cluster: String,
    slurm: Arc<Slurm>,
    queue: Arc<Queue>,
    jobs_at: libc::time_t,
    partitions_at: libc::time_t,
    reservations_at: libc::time_t,
    /// When partitions and reservations were asked for last: they change seldom, and each
    /// question costs slurmctld time.
    settings_read: Option<Instant>,
    /// Writes jobs' notices, if it has not ended.
    noting: Option<JoinHandle<()>>,
}

/// Partitions and reservations are asked for again after this time.
const SETTINGS_AGE_MAX: Duration = Duration::from_secs(2);

impl Slurmctld {
    /// The slurmctld that this process is, of the cluster of that name, which shares out nodes so.
    pub fn new(slurm: Slurm, cluster: String, sharing: SlurmFacts) -> Self {
        Self {
            cluster,
            slurm: Arc::new(slurm),
            queue: Arc::new(Queue { slurm: sharing, ..Queue::default() }),
            jobs_at: 0,
            partitions_at: 0,
            reservations_at: 0,
            settings_read: None,
            noting: None,
        }
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

    async fn set_state(&self, nodes: &[NodeName], state: u32) -> Result<(), SchedulerError> {
        self.update(NodeUpdate {
            names: hostlist::compress(nodes),
            state: Some(state),
            ..NodeUpdate::default()
        })
        .await
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
        let since = (self.jobs_at, self.partitions_at, self.reservations_at);
        let old = Arc::clone(&self.queue);
        let ask = self.settings_read.is_none_or(|at| at.elapsed() >= SETTINGS_AGE_MAX);
        let load = move |slurm: &Slurm| {
            let jobs = slurm.load_jobs(since.0)?;
            let partitions = if ask { slurm.load_partitions(since.1)? } else { None };
            let reservations = if ask { slurm.load_reservations(since.2)? } else { None };
            let now = jobs.as_ref().map_or(&old.jobs, |(_, (jobs, _))| jobs);
            // Licenses are in use or free without anything else changing.
            let asked_for = now.iter().any(|job| job.licenses.is_some());
            let licenses = if asked_for { Some(slurm.load_licenses()?) } else { None };
            Ok((jobs, partitions, reservations, licenses))
        };
        let (jobs, partitions, reservations, licenses) = self.call(load).await?;
        if ask {
            self.settings_read = Some(Instant::now());
        }
        let licenses = licenses.map(|all| by_name(all, |it: &License| &it.name));
        if jobs.is_none()
            && partitions.is_none()
            && reservations.is_none()
            && licenses == self.queue.licenses
        {
            return Ok(Arc::clone(&self.queue));
        }
        let old = &self.queue;
        let mut queue = Queue {
            jobs: Vec::new(),
            partitions: old.partitions.clone(),
            reservations: old.reservations.clone(),
            licenses,
            slurm: old.slurm,
            comments: BTreeMap::new(),
        };
        (queue.jobs, queue.comments) = match jobs {
            Some((at, jobs)) => {
                self.jobs_at = at;
                jobs
            }
            None => (old.jobs.clone(), old.comments.clone()),
        };
        if let Some((at, partitions)) = partitions {
            self.partitions_at = at;
            queue.partitions = by_name(partitions, |it| &it.name);
        }
        if let Some((at, reservations)) = reservations {
            self.reservations_at = at;
            queue.reservations = Some(by_name(reservations, |it| &it.name));
        }
        self.queue = Arc::new(queue);
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
        self.set_state(nodes, NodeState::POWER_DOWN).await
    }

    async fn drain(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.update(NodeUpdate {
            names: hostlist::compress(nodes),
            // `scontrol update state=POWER_DOWN_ASAP` (src/scontrol/update_node.c, 22.05.8).
            state: Some(NodeState::POWER_DOWN | NodeState::POWER_DRAIN),
            reason: Some(reason.to_owned()),
            ..NodeUpdate::default()
        })
        .await
    }

    async fn close(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.update(NodeUpdate {
            names: hostlist::compress(nodes),
            state: Some(NodeState::DRAIN),
            reason: Some(reason.to_owned()),
            ..NodeUpdate::default()
        })
        .await
    }

    async fn open(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.set_state(nodes, NodeState::UNDRAIN).await
    }

    async fn power_up(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.set_state(nodes, NodeState::POWER_UP).await
    }

    fn note_jobs_later(&mut self, notices: Vec<(u32, String)>) {
        // An update may take its time, as Slurm lets it wait for the accounting database
        // (_slurm_rpc_update_job() in src/slurmctld/proc_req.c): what comes meanwhile comes again.
        if self.noting.as_ref().is_some_and(|noting| !noting.is_finished()) {
            return;
        }
        let slurm = Arc::clone(&self.slurm);
        self.noting = Some(tokio::task::spawn_blocking(move || {
            for (job, text) in notices {
                match slurm.set_admin_comment(job, &text) {
                    Ok(()) if text.is_empty() => tracing::debug!("job={job} its notice is over"),
                    Ok(()) => tracing::debug!("job={job} told: {text}"),
                    Err(error) => tracing::debug!("job={job} cannot be told: {error}"),
                }
            }
        }));
    }

    async fn refresh_idle(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.set_state(nodes, NodeState::IDLE).await
    }
}

fn by_name<T>(records: Vec<T>, name: impl Fn(&T) -> &Arc<str>) -> BTreeMap<Arc<str>, T> {
    records.into_iter().map(|record| (Arc::clone(name(&record)), record)).collect()
}
