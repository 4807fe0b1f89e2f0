//! What one job asks for in one partition, in the terms of placing it on nodes.

use super::feature::Constraint;
use super::gres::{self, Ask};
use super::named::{Lists, Named};
use super::why::JobWhy;
use crate::snapshot::{Job, JobMemory, Partition, SlurmFacts, number, said, small_number};

/// No job gets more nodes (Slurm caps the number in get_node_cnts(), node_scheduler.c).
const NODES_MAX: u32 = 500_000;

/// A job's needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Fewer nodes are no use.
    pub nodes_min: u32,
    /// It gets no more.
    pub nodes_max: u32,
    /// It gets so many if they are there.
    pub nodes_wanted: u32,
    /// CPUs in all, at least.
    pub cpus: u32,
    /// CPUs in all, at most, if that is limited.
    pub cpus_max: Option<u32>,
    /// CPUs on each node, at least. Never 0.
    pub node_cpus_min: u32,
    /// CPUs on each node that its tasks need to start there. Never 0.
    pub node_tasks_cpus_min: u32,
    /// CPUs on each node, at most, of all jobs of the partition.
    pub node_cpus_max: Option<u32>,
    /// Tasks on each node, if that is said.
    pub tasks_per_node: Option<u32>,
    /// Tasks, if that is said.
    pub tasks: Option<u32>,
    /// Tasks on each node, if that follows from what is said.
    pub tasks_each: Option<u32>,
    /// CPUs for each task. Never 0.
    pub cpus_per_task: u32,
    /// Threads of each core that it uses, if not all.
    pub threads_used: Option<u32>,
    /// Sockets, cores of each socket and threads of each core that a node must have.
    pub layout: [u32; 3],
    /// Memory.
    pub memory: JobMemory,
    /// Temporary disk, MiB.
    pub disk_mib: u32,
    /// Whole nodes.
    pub whole: bool,
    /// Nodes that follow one another.
    pub contiguous: bool,
    /// GRES.
    pub gres: Vec<Ask>,
    /// Features.
    pub constraint: Constraint,
    /// Nodes that it must have.
    pub required: Named,
    /// Nodes that it must not have.
    pub excluded: Named,
}

impl Request {
    /// Reads a job's needs.
    ///
    /// # Errors
    /// Why it adds nothing, whatever nodes there are.
    pub fn read(
        job: &Job,
        partition: &Partition,
        slurm: &SlurmFacts,
        lists: &Lists<'_>,
    ) -> Result<Self, JobWhy> {
        if let Some(what) = special(job).or_else(|| partition.special()) {
            return Err(JobWhy::LeftToSlurm { what: what.to_owned() });
        }
        if job.shared == 1 && partition.lets_jobs_share_cpus() {
            return Err(JobWhy::LeftToSlurm { what: "--oversubscribe".to_owned() });
        }
        if slurm.gives_sockets() || slurm.least_loaded_first() {
            return Err(JobWhy::LeftToSlurm { what: "SelectTypeParameters".to_owned() });
        }
        let left = |what: &str| JobWhy::LeftToSlurm { what: what.to_owned() };
        let mut gres = gres::asks(job).map_err(left)?;
        // GRES for each task need a number of tasks, and make a number for the job
        // (_test_gres_cnt() in src/common/gres.c).
        let tasks = u64::from(number(job.num_tasks).unwrap_or(job.nodes_min()));
        for ask in gres.iter_mut().filter(|ask| ask.per_task > 0 && ask.per_job == 0) {
            ask.per_job = ask.per_task.saturating_mul(tasks);
        }
        let constraint = said(&job.features).map_or(Ok(Constraint::None), Constraint::parse);
        let constraint = constraint.map_err(|()| left("--constraint"))?;
        let list = |text| lists.get(text).map_err(|()| left("a node list"));
        let (required, excluded) = (list(&job.req_nodes)?, list(&job.exc_nodes)?);
        if job.num_nodes == 0 && number(job.max_nodes).is_none() {
            return Err(JobWhy::NoNodesAsked);
        }
        let mut request = Self {
            nodes_min: job.nodes_min(),
            nodes_max: 0,
            nodes_wanted: 0,
            cpus: number(job.num_cpus).unwrap_or(0),
            cpus_max: number(job.max_cpus),
            node_cpus_min: small_number(job.pn_min_cpus).unwrap_or(1),
            node_tasks_cpus_min: 1,
            node_cpus_max: number(partition.max_cpus_per_node),
            tasks_per_node: small_number(job.ntasks_per_node),
            tasks: job.tasks_said(),
            tasks_each: None,
            cpus_per_task: small_number(job.cpus_per_task).unwrap_or(1),
            threads_used: threads_used(job),
            layout: [job.sockets_per_node, job.cores_per_socket, job.threads_per_core]
                .map(|field| small_number(field).unwrap_or(1)),
            memory: job.memory(),
            disk_mib: number(job.pn_min_tmp_disk).unwrap_or(0),
            whole: job.takes_whole_nodes() || partition.gives_whole_nodes(),
            contiguous: job.contiguous == 1,
            gres,
            constraint,
            required,
            excluded,
        };
        request.count_nodes(job, partition)?;
        request.count_cpus(job);
        Ok(request)
    }

    /// How many nodes it may have, as _part_access_check() in job_mgr.c, get_node_cnts() in
    /// node_scheduler.c and _select_nodes() in cons_common/job_test.c do it (22.05.8).
    fn count_nodes(&mut self, job: &Job, partition: &Partition) -> Result<(), JobWhy> {
        let said_max = number(job.max_nodes);
        let partition_max = number(partition.max_nodes).unwrap_or(u32::MAX);
        self.nodes_min = self.nodes_min.max(partition.min_nodes);
        self.nodes_min = self.nodes_min.max(self.required.count);
        self.nodes_max = said_max.unwrap_or(u32::MAX).min(partition_max).min(NODES_MAX);
        // Of a range the most counts, though fewer would do.
        let over =
            self.nodes_max < self.nodes_min || said_max.is_some_and(|max| max > partition_max);
        if over {
            return Err(JobWhy::OverNodeLimit { max: self.nodes_max });
        }
        let takes_most = said_max.is_some() && !job.is_content_with_fewest();
        self.nodes_wanted = if takes_most { self.nodes_max } else { self.nodes_min };
        if let (Some(tasks), Some(each)) = (self.tasks, self.tasks_per_node) {
            self.nodes_min = self.nodes_min.max(tasks.div_ceil(each));
        }
        if let Some(tasks) = self.tasks
            && self.nodes_max > tasks
        {
            self.nodes_max = tasks.max(self.nodes_min);
        }
        let over = self.nodes_max < self.nodes_min;
        if over { Err(JobWhy::OverNodeLimit { max: self.nodes_max }) } else { Ok(()) }
    }

    fn count_cpus(&mut self, job: &Job) {
        let tasks = self.tasks.unwrap_or(self.nodes_min);
        let for_tasks = tasks.saturating_mul(self.cpus_per_task);
        if self.cpus == 0 {
            self.cpus = for_tasks;
        }
        self.cpus = self.cpus.max(self.nodes_min);
        self.tasks_each = match (self.tasks_per_node, self.tasks) {
            (Some(each), _) => Some(each),
            (None, Some(tasks)) if job.max_nodes == 1 => Some(tasks),
            (None, Some(tasks))
                if tasks == 1 || tasks == self.nodes_min && tasks == job.max_nodes =>
            {
                Some(1)
            }
            (None, _) => None,
        };
        let each = self.tasks_each.unwrap_or(1);
        self.node_tasks_cpus_min = each.saturating_mul(self.cpus_per_task).max(1);
        self.node_cpus_min = self.node_cpus_min.max(self.cpus_per_task);
    }

    /// How many threads of a core that has so many it uses.
    pub fn threads_of(&self, core: u32) -> u32 {
        let core = core.max(1);
        self.threads_used.unwrap_or(core).clamp(1, core)
    }

    /// CPUs that it needs of a node at least.
    pub fn least_cpus(&self) -> u32 {
        self.node_tasks_cpus_min.max(self.node_cpus_min).max(self.node_gres_cpus_min())
    }

    /// Whether any node that has room for a part of it has room for all, and no other than the
    /// usual rules choose it.
    pub fn is_content_with_one(&self) -> bool {
        let free = matches!(self.constraint, Constraint::None | Constraint::Each(_));
        let one = self.nodes_min <= 1 && self.nodes_wanted <= 1;
        let all = self.nodes_max == 1 || self.cpus <= self.least_cpus();
        free && one
            && all
            && !self.contiguous
            && !self.whole
            && self.gres.is_empty()
            && self.required.count == 0
    }

    /// Whether resources are asked for in all, on whatever nodes.
    pub fn asks_in_all(&self) -> bool {
        self.gres.iter().any(|ask| ask.per_job > 0)
    }

    /// CPUs of one node that its GRES there need at least.
    pub fn node_gres_cpus_min(&self) -> u32 {
        let of = |ask: &Ask| {
            let tasks = u64::from(self.tasks_per_node.unwrap_or(1));
            ask.cpus_for(ask.on_node(tasks).unwrap_or(1))
        };
        self.gres.iter().map(of).max().unwrap_or(0)
    }

    /// CPUs that its GRES need in all.
    pub fn gres_cpus_min(&self) -> u32 {
        let nodes = u64::from(self.nodes_min);
        let of = |ask: &Ask| {
            let tasks = u64::from(self.tasks_per_node.unwrap_or(1));
            let on_all = |each: u64| each.saturating_mul(nodes);
            let in_all = Some(ask.per_job).filter(|count| *count > 0);
            ask.cpus_for(in_all.or_else(|| ask.on_node(tasks).map(on_all)).unwrap_or(0))
        };
        self.gres.iter().map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
impl Request {
    /// Reads a job's needs, where no nodes are known.
    pub fn of(job: &Job, partition: &Partition, slurm: &SlurmFacts) -> Result<Self, JobWhy> {
        Self::read(job, partition, slurm, &Lists::of_job(job))
    }
}

/// `--ntasks-per-core` and `--threads-per-core` leave threads of a core idle.
fn threads_used(job: &Job) -> Option<u32> {
    let per_task = small_number(job.cpus_per_task).unwrap_or(1);
    let by_tasks = small_number(job.ntasks_per_core).map(|tasks| tasks.saturating_mul(per_task));
    [by_tasks, small_number(job.threads_per_core)].into_iter().flatten().min()
}

/// What the job asks for that the count leaves to Slurm, by the name of sbatch's option.
fn special(job: &Job) -> Option<&'static str> {
    let texts = [
        (&job.prefer, "--prefer"),
        (&job.batch_features, "--batch"),
        (&job.cluster_features, "--cluster-constraint"),
        (&job.burst_buffer, "burst buffers"),
    ];
    let others = [
        (matches!(job.shared, 2 | 3), "--exclusive=user or mcs"),
        (small_number(job.ntasks_per_socket).is_some(), "--ntasks-per-socket"),
        (small_number(job.ntasks_per_board).is_some(), "--ntasks-per-board"),
        (small_number(job.ntasks_per_tres).is_some(), "--ntasks-per-gpu"),
        (small_number(job.core_spec).is_some(), "--core-spec"),
        (number(job.req_switch).is_some(), "--switches"),
        (job.reboot == 1, "--reboot"),
        (job.is_spread(), "--spread-job"),
    ];
    let texts = texts.iter().filter(|(text, _)| said(text).is_some()).map(|(_, name)| *name);
    let others = others.iter().filter(|(asked, _)| *asked).map(|(_, name)| *name);
    texts.chain(others).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(job: Job) -> Result<Request, JobWhy> {
        Request::of(&job, &Partition::default(), &SlurmFacts::default())
    }

    #[test]
    fn numbers_of_nodes_follow_from_nodes_tasks_and_limits() {
        let job = |num_nodes, max_nodes, num_tasks, ntasks_per_node| {
            let job = Job { num_nodes, max_nodes, num_tasks, ntasks_per_node, ..Job::default() };
            let request = request(job).unwrap();
            (request.nodes_min, request.nodes_wanted, request.nodes_max)
        };
        let unset = u32::MAX - 1;
        assert_eq!(job(2, 0, unset, 0), (2, 2, NODES_MAX));
        assert_eq!(job(2, 4, unset, 0), (2, 4, 4), "a range takes the most");
        assert_eq!(job(1, 0, 7, 2), (4, 1, 7), "tasks on each node need nodes");
        assert_eq!(job(1, 0, 3, 0), (1, 1, 3), "no more nodes than tasks");
        assert_eq!(job(2, 0, 1, 0), (2, 2, 2));
    }

    #[test]
    fn what_cannot_be_counted_says_why() {
        let with = |change: fn(&mut Job)| {
            let mut job = Job { job_id: 1, ..Job::default() };
            change(&mut job);
            request(job).unwrap_err().to_string()
        };
        assert_eq!(with(|job| job.num_nodes = 0), "asks for no nodes");
        let left = "uses --prefer, which is left to Slurm to place";
        assert_eq!(with(|job| job.prefer = Some("a".into())), left);
        assert!(with(|job| job.req_nodes = Some("n[1-".into())).contains("a node list"));
        assert!(with(|job| job.features = Some("a&&b".into())).contains("--constraint"));
        assert!(with(|job| job.shared = 2).contains("--exclusive=user"));
    }

    #[test]
    fn enormous_numbers_stay_numbers() {
        let job = Job {
            num_nodes: u32::MAX - 2,
            num_tasks: u32::MAX - 2,
            cpus_per_task: 0xfffd,
            ntasks_per_node: 0xfffd,
            ..Job::default()
        };
        assert!(matches!(request(job), Err(JobWhy::OverNodeLimit { .. })));
        let job = Job { num_tasks: u32::MAX - 2, cpus_per_task: 0xfffd, ..Job::default() };
        assert_eq!(request(job).unwrap().cpus, u32::MAX);
    }
}
