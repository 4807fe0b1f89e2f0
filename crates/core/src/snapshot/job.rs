//! A job as slurmctld shows it (`slurm_job_info_t`), with Slurm's own field names and numbers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::reason::Reason;
use super::words::{JobState, seconds};
use crate::array::pending_tasks;
use crate::hostlist;
use crate::ids::NodeName;
use crate::time::Timestamp;

/// Slurm's NO_VAL for 32 bits: from here on up a number means "not set" or "no limit".
pub(super) const NO_VAL: u32 = 0xffff_fffe;
/// Slurm's NO_VAL16, which 16-bit fields use for the same.
const NO_VAL16: u32 = 0xfffe;
const INFINITE16: u32 = 0xffff;
const NO_VAL64: u64 = 0xffff_ffff_ffff_fffe;
/// The bit of `pn_min_memory` that says "for each CPU" (slurm.h, `MEM_PER_CPU`).
const MEM_PER_CPU: u64 = 1 << 63;
/// `bitflags`: `--ntasks` was given (slurm.h, `JOB_NTASKS_SET`).
const NTASKS_SET: u64 = 1 << 14;
/// `bitflags`: of a range of nodes, the least is enough (slurm.h, `USE_MIN_NODES`).
const USE_MIN_NODES: u64 = 1 << 9;
/// `bitflags`: spread over as many nodes as may be (slurm.h, `SPREAD_JOB`).
const SPREAD_JOB: u64 = 1 << 8;
/// `shared`: the job takes whole nodes (slurm.h, `JOB_SHARED_NONE`).
const SHARED_NONE: u32 = 0;

/// A text of a record: shared, because records are kept from look to look.
pub type Text = Option<Arc<str>>;

/// One record of `slurm_job_info_t`, as far as demand depends on it: a job, all pending tasks of
/// an array, or one component of a heterogeneous job. Numbers are as Slurm has them: `NO_VAL`
/// and `INFINITE` of 16, 32 and 64 bits stand for "not set". Memory is in MiB, times are in
/// seconds since the epoch, `time_limit` in minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Slurm's job id. Never 0.
    pub job_id: u32,
    /// Base state and flags.
    pub job_state: JobState,
    /// Why it is pending.
    pub state_reason: Reason,
    /// 0 is held. Higher ones come first.
    pub priority: u32,
    /// One partition, or several with commas between. Empty is the default partition.
    pub partition: Arc<str>,
    /// The user's id.
    pub user_id: u32,
    /// The id of the array; 0 if it is none.
    pub array_job_id: u32,
    /// The array's pending tasks, as in `0-9:2%4`.
    pub array_task_str: Text,
    /// So many of the array's tasks may run at once; 0 is no limit.
    pub array_max_tasks: u32,
    /// The id of the first component of a heterogeneous job; 0 if it is none.
    pub het_job_id: u32,
    /// Which component it is.
    pub het_job_offset: u32,
    /// At least so many nodes. slurmctld shows a guess of its own for pending jobs:
    /// [`Job::nodes_min`] has what was asked for.
    pub num_nodes: u32,
    /// At most so many nodes; 0 is no limit.
    pub max_nodes: u32,
    /// At least so many CPUs in all; 0 if it follows from tasks.
    pub num_cpus: u32,
    /// At most so many CPUs in all; 0 is no limit.
    pub max_cpus: u32,
    /// Tasks.
    pub num_tasks: u32,
    /// CPUs for each task.
    pub cpus_per_task: u32,
    /// Tasks on each node.
    pub ntasks_per_node: u32,
    /// Tasks on each socket.
    pub ntasks_per_socket: u32,
    /// Tasks on each core.
    pub ntasks_per_core: u32,
    /// Tasks on each board.
    pub ntasks_per_board: u32,
    /// Tasks for each GPU.
    pub ntasks_per_tres: u32,
    /// At least so many boards on each node.
    pub boards_per_node: u32,
    /// At least so many sockets on each node.
    pub sockets_per_node: u32,
    /// At least so many cores on each socket.
    pub cores_per_socket: u32,
    /// So many threads of each core are used.
    pub threads_per_core: u32,
    /// Cores that are left to the system.
    pub core_spec: u32,
    /// At least so many CPUs on each node.
    pub pn_min_cpus: u32,
    /// Memory on each node, or for each CPU if the highest bit is set. 0 is all of the node's
    /// memory where Slurm shares memory out.
    pub pn_min_memory: u64,
    /// Temporary disk on each node, MiB.
    pub pn_min_tmp_disk: u32,
    /// GRES in all: `gres:gpu:4`.
    pub tres_per_job: Text,
    /// GRES on each node.
    pub tres_per_node: Text,
    /// GRES on each socket.
    pub tres_per_socket: Text,
    /// GRES for each task.
    pub tres_per_task: Text,
    /// CPUs for each GRES.
    pub cpus_per_tres: Text,
    /// Memory for each GRES.
    pub mem_per_tres: Text,
    /// `--constraint`.
    pub features: Text,
    /// `--prefer`.
    pub prefer: Text,
    /// `--batch`.
    pub batch_features: Text,
    /// `--cluster-constraint`.
    pub cluster_features: Text,
    /// `--nodelist`.
    pub req_nodes: Text,
    /// `--exclude`.
    pub exc_nodes: Text,
    /// `--licenses`.
    pub licenses: Text,
    /// `--dependency`, as far as it is not fulfilled.
    pub dependency: Text,
    /// `--reservation`.
    pub resv_name: Text,
    /// Burst buffers.
    pub burst_buffer: Text,
    /// 0: whole nodes, 1: CPUs may be shared, 2 and 3: whole nodes for the user or the MCS label.
    pub shared: u32,
    /// 1: nodes that follow one another.
    pub contiguous: u32,
    /// So many switches at most.
    pub req_switch: u32,
    /// 1: nodes are to reboot first.
    pub reboot: u32,
    /// Flags of the job.
    pub bitflags: u64,
    /// The longest run, minutes.
    pub time_limit: u32,
    /// Not to start before this time, or when Slurm expects it to start.
    #[serde(with = "seconds")]
    pub start_time: Option<Timestamp>,
    /// Not to start before this time.
    #[serde(with = "seconds")]
    pub eligible_time: Option<Timestamp>,
    /// The nodes that it has.
    pub nodes: Text,
}

/// What Slurm has where a field was not given.
impl Default for Job {
    fn default() -> Self {
        Self {
            job_id: 0,
            job_state: JobState::PENDING,
            state_reason: Reason::NONE,
            priority: 1,
            partition: Arc::from(""),
            user_id: 0,
            array_job_id: 0,
            array_task_str: None,
            array_max_tasks: 0,
            het_job_id: 0,
            het_job_offset: 0,
            num_nodes: 1,
            max_nodes: 0,
            num_cpus: 0,
            max_cpus: 0,
            num_tasks: NO_VAL,
            cpus_per_task: NO_VAL16,
            ntasks_per_node: 0,
            ntasks_per_socket: INFINITE16,
            ntasks_per_core: INFINITE16,
            ntasks_per_board: 0,
            ntasks_per_tres: NO_VAL16,
            boards_per_node: 0,
            sockets_per_node: NO_VAL16,
            cores_per_socket: NO_VAL16,
            threads_per_core: NO_VAL16,
            core_spec: NO_VAL16,
            pn_min_cpus: 0,
            pn_min_memory: 0,
            pn_min_tmp_disk: 0,
            tres_per_job: None,
            tres_per_node: None,
            tres_per_socket: None,
            tres_per_task: None,
            cpus_per_tres: None,
            mem_per_tres: None,
            features: None,
            prefer: None,
            batch_features: None,
            cluster_features: None,
            req_nodes: None,
            exc_nodes: None,
            licenses: None,
            dependency: None,
            resv_name: None,
            burst_buffer: None,
            shared: NO_VAL16,
            contiguous: 0,
            req_switch: 0,
            reboot: 0,
            bitflags: 0,
            time_limit: NO_VAL,
            start_time: None,
            eligible_time: None,
            nodes: None,
        }
    }
}

/// `pn_min_memory`, MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobMemory {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// On each node.
    PerNode(u64),
    /// For each CPU.
    PerCpu(u64),
}

impl Job {
    /// Whether it waits for its start.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.job_state.base() == JobState::PENDING
    }

    /// Whether it is a task of an array that holds one of the array's places to run.
    #[must_use]
    pub fn is_running_task(&self) -> bool {
        self.array_job_id != 0 && self.job_state.base() == JobState::RUNNING
    }

    /// Whether it has its nodes and waits for them to boot.
    #[must_use]
    pub const fn is_configuring(&self) -> bool {
        self.job_state.0 & JobState::CONFIGURING != 0
    }

    /// The nodes that Slurm has given it; none if it has none yet.
    #[must_use]
    pub fn node_names(&self) -> Vec<NodeName> {
        said(&self.nodes).and_then(|text| hostlist::expand(text).ok()).unwrap_or_default()
    }

    /// How many tasks of an array the record stands for; 1 if it is no array.
    #[must_use]
    pub fn tasks(&self) -> u32 {
        said(&self.array_task_str).map_or(1, |text| pending_tasks(text).0)
    }

    /// How many tasks of the array may run at once, if that is limited.
    #[must_use]
    pub fn tasks_at_once_max(&self) -> Option<u32> {
        let written = said(&self.array_task_str).and_then(|text| pending_tasks(text).1);
        written.or_else(|| number(self.array_max_tasks))
    }

    /// What it says of memory.
    #[must_use]
    pub const fn memory(&self) -> JobMemory {
        if self.pn_min_memory >= NO_VAL64 {
            return JobMemory::Unsaid;
        }
        match self.pn_min_memory & !MEM_PER_CPU {
            0 => JobMemory::Unsaid,
            mib if self.pn_min_memory & MEM_PER_CPU != 0 => JobMemory::PerCpu(mib),
            mib => JobMemory::PerNode(mib),
        }
    }

    /// Whether it takes whole nodes.
    #[must_use]
    pub const fn takes_whole_nodes(&self) -> bool {
        self.shared == SHARED_NONE
    }

    /// Tasks, where the job says how many and that is not only the number of its nodes.
    #[must_use]
    pub fn tasks_said(&self) -> Option<u32> {
        // sbatch sends a number of its own with GRES for each task.
        let is_sent = self.bitflags & NTASKS_SET != 0 || said(&self.tres_per_task).is_some();
        number(self.num_tasks).filter(|_| self.bitflags == 0 || is_sent)
    }

    /// At least so many nodes.
    ///
    /// Of a pending job slurmctld shows in `num_nodes` how many nodes it took at submission, as
    /// if all were free, or would need of the largest (`node_cnt_wag` and
    /// _pack_default_job_details() in src/slurmctld/job_mgr.c, 22.05.8). What was asked for
    /// shows elsewhere: sbatch sets `max_nodes` whenever it is given nodes, and where the number
    /// of tasks was not given, `num_tasks` is the number of nodes. A record without flags was
    /// not written by slurmctld, and means what it says.
    #[must_use]
    pub fn nodes_min(&self) -> u32 {
        let shown = number(self.num_nodes).unwrap_or(1);
        if self.bitflags == 0 {
            return shown;
        }
        let Some(most) = number(self.max_nodes) else { return 1 };
        let tasks = number(self.num_tasks);
        let asked = if self.bitflags & NTASKS_SET == 0 {
            tasks
        } else {
            // sbatch makes tasks of nodes if it is told how many go on each. A job that was
            // given the most is taken to want no fewer: `-N 3 -n 4 --ntasks-per-node=2` and
            // `-N 2-3 --ntasks-per-node=2` look the same, and the latter takes three if it can.
            let each = small_number(self.ntasks_per_node).filter(|_| shown < most);
            tasks
                .zip(each)
                .filter(|(tasks, each)| tasks % each == 0)
                .map(|(tasks, each)| tasks / each)
        };
        asked.unwrap_or(shown).min(shown).min(most).max(1)
    }

    /// Whether the least of a range of nodes is what it wants.
    #[must_use]
    pub const fn is_content_with_fewest(&self) -> bool {
        self.bitflags & USE_MIN_NODES != 0
    }

    /// Whether it wants to be spread over many nodes.
    #[must_use]
    pub const fn is_spread(&self) -> bool {
        self.bitflags & SPREAD_JOB != 0
    }
}

/// A number, unless it stands for "not set": 0, and NO_VAL or INFINITE of 16 or 32 bits.
#[must_use]
pub const fn small_number(field: u32) -> Option<u32> {
    match field {
        0 | NO_VAL16 | INFINITE16 => None,
        field => number(field),
    }
}

/// A number, unless it stands for "not set": 0, and NO_VAL or INFINITE of 32 bits.
#[must_use]
pub const fn number(field: u32) -> Option<u32> {
    if field == 0 || field >= NO_VAL { None } else { Some(field) }
}

/// A text that says something.
#[must_use]
pub fn said(text: &Text) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_slurm_does_not_mean_are_not_said() {
        for field in [0, 0xfffe, 0xffff, 0xffff_fffe, 0xffff_ffff] {
            assert_eq!(small_number(field), None, "{field:x}");
        }
        assert_eq!(small_number(2), Some(2));
        assert_eq!(number(0xfffe), Some(0xfffe));
        assert_eq!(number(NO_VAL), None);
    }

    #[test]
    fn memory_is_for_a_node_or_for_a_cpu() {
        let memory = |pn_min_memory| Job { pn_min_memory, ..Job::default() }.memory();
        assert_eq!(memory(0), JobMemory::Unsaid);
        assert_eq!(memory(100), JobMemory::PerNode(100));
        assert_eq!(memory(MEM_PER_CPU | 100), JobMemory::PerCpu(100));
        assert_eq!(memory(NO_VAL64), JobMemory::Unsaid);
        assert_eq!(memory(u64::MAX), JobMemory::Unsaid);
    }

    #[test]
    fn a_job_of_which_only_the_id_is_said_is_what_sbatch_would_make_of_it() {
        let job: Job = serde_json::from_str("{\"job_id\": 7}").unwrap();
        assert!(job.is_pending());
        assert!(!job.takes_whole_nodes());
        assert_eq!((job.num_nodes, job.tasks(), job.tasks_said()), (1, 1, None));
        assert_eq!((job.priority, job.start_time), (1, None));
    }

    #[test]
    fn what_slurmctld_guesses_of_nodes_is_not_what_was_asked_for() {
        let nodes = |num_nodes, max_nodes, num_tasks, ntasks_per_node, bitflags| {
            let job = Job {
                num_nodes,
                max_nodes,
                num_tasks,
                ntasks_per_node,
                bitflags,
                ..Job::default()
            };
            job.nodes_min()
        };
        let (some, set) = (1 << 9, 1 << 9 | NTASKS_SET);
        assert_eq!(nodes(3, 0, 4, 0, 0), 3, "a record that slurmctld did not write");
        assert_eq!(nodes(3, 0, 20, 0, set), 1, "-n 20");
        assert_eq!(nodes(3, 3, 3, 0, some), 3, "-N 3");
        assert_eq!(nodes(5, 5, 2, 0, some), 2, "-N 2-5");
        assert_eq!(nodes(4, 5, 4, 2, set), 2, "-N 2-5 --ntasks-per-node=2");
        assert_eq!(nodes(3, 3, 4, 2, set), 3, "-N 3 -n 4 --ntasks-per-node=2");
        assert_eq!(nodes(3, 3, 7, 0, set), 3, "-N 3 -n 7");
        assert_eq!(nodes(3, 3, 7, 4, set), 3, "-N 3 -n 7 --ntasks-per-node=4");
    }

    #[test]
    fn tasks_are_said_by_the_user_or_go_with_gres_for_each() {
        let tasks = |bitflags, tres_per_task: Option<&str>| {
            let tres_per_task = tres_per_task.map(Into::into);
            Job { num_tasks: 2, bitflags, tres_per_task, ..Job::default() }.tasks_said()
        };
        assert_eq!(tasks(NTASKS_SET, None), Some(2), "-n 2");
        assert_eq!(tasks(1 << 9, None), None, "-N 2");
        assert_eq!(tasks(1 << 9, Some("gres:gpu:1")), Some(2), "-N 2 --gpus-per-task=1");
        assert_eq!(tasks(0, None), Some(2), "a record that slurmctld did not write");
    }

    #[test]
    fn an_array_s_limit_is_read_from_either_place() {
        let array = |text: &str, array_max_tasks| {
            let job = Job { array_task_str: Some(text.into()), array_max_tasks, ..Job::default() };
            (job.tasks(), job.tasks_at_once_max())
        };
        assert_eq!(array("0-9%4", 0), (10, Some(4)));
        assert_eq!(array("0-9", 3), (10, Some(3)));
        assert_eq!(array("0-9", 0), (10, None));
    }
}
