//! Slurm's jobs and partitions, copied into owned data.

use std::collections::BTreeMap;
use std::ffi::c_char;

use slurm_asg_core::array::pending_tasks;
use slurm_asg_core::hostlist;
use slurm_asg_core::snapshot::{JobMemory, Partition, PendingJob};
use slurm_asg_core::time::Timestamp;

use super::ffi::{
    NO_VAL16, PARTITION_UP, job_info_msg_t, partition_info_msg_t, partition_info_t,
    slurm_job_info_t,
};
use super::host::{copy_text, has_text, records};

/// The low eight bits of `job_state`, without flags.
const STATE_BASE: u32 = 0xff;
const PENDING: u32 = 0;
const RUNNING: u32 = 1;
/// The bit of `pn_min_memory` that says "for each CPU" (slurm.h, `MEM_PER_CPU`).
const MEM_PER_CPU: u64 = 1 << 63;

/// Copies the pending jobs of an answer of slurm_load_jobs.
///
/// # Safety
/// `message` is such an answer and has not been freed.
pub unsafe fn copy_jobs(message: &job_info_msg_t) -> Vec<PendingJob> {
    // SAFETY: job_array has record_count elements (slurm.h, job_info_msg_t).
    let records = unsafe { records(message.job_array, message.record_count) };
    let mut running: BTreeMap<u32, u32> = BTreeMap::new();
    for record in records.iter().filter(|record| record.array_job_id != 0) {
        if record.job_state & STATE_BASE == RUNNING {
            *running.entry(record.array_job_id).or_insert(0) += 1;
        }
    }
    records
        .iter()
        .filter(|record| record.job_state & STATE_BASE == PENDING)
        .map(|record| {
            let busy = running.get(&record.array_job_id).copied().unwrap_or(0);
            // SAFETY: records of an answer that has not been freed.
            unsafe { copy_job(record, busy) }
        })
        .collect()
}

/// Copies one record. `running` tasks of its array run already.
///
/// # Safety
/// `record` is part of an answer of slurm_load_jobs that has not been freed.
#[allow(clippy::useless_conversion, reason = "state_reason has 16 bits in 22.05, 32 later")]
unsafe fn copy_job(record: &slurm_job_info_t, running: u32) -> PendingJob {
    // SAFETY: the strings of a record are NUL-terminated or NULL.
    let text = |field: *mut c_char| unsafe { copy_text(field) }.filter(|text| !text.is_empty());
    let (tasks, limit) = text(record.array_task_str).map_or((1, None), |it| pending_tasks(&it));
    let limit = limit.or(Some(record.array_max_tasks).filter(|limit| *limit > 0));
    let partition = text(record.partition).unwrap_or_default();
    let special = if partition.contains(',') {
        Some("several partitions".to_owned())
    } else {
        // SAFETY: as for this function.
        unsafe { special(record) }.map(str::to_owned)
    };
    PendingJob {
        id: record.job_id,
        reason: u32::from(record.state_reason),
        priority: record.priority,
        partition,
        nodes_min: record.num_nodes,
        nodes_max: record.max_nodes,
        cpus: record.num_cpus,
        cpus_per_task: said(record.cpus_per_task).unwrap_or(0),
        tasks_per_node: said(record.ntasks_per_node),
        cpus_per_node_min: said(record.pn_min_cpus).unwrap_or(0),
        memory: memory(record.pn_min_memory),
        exclusive: record.shared == 0,
        array_tasks: limit.map_or(tasks, |limit| tasks.min(limit.saturating_sub(running))),
        begins: Some(record.start_time).filter(|at| *at > 0).map(Timestamp::from_secs),
        special,
    }
}

/// A 16-bit number, unless it stands for "not said": 0, NO_VAL16 or INFINITE16.
fn said(number: u16) -> Option<u32> {
    let unsaid = number == 0 || u32::from(number) >= NO_VAL16;
    (!unsaid).then(|| u32::from(number))
}

/// `pn_min_memory`: MiB, for each CPU if the highest bit is set.
fn memory(field: u64) -> JobMemory {
    match field & !MEM_PER_CPU {
        0 => JobMemory::None,
        mib if field & MEM_PER_CPU != 0 => JobMemory::PerCpu(mib),
        mib => JobMemory::PerNode(mib),
    }
}

/// What the job asks for that the count of demand leaves to Slurm.
///
/// # Safety
/// As for [`copy_job`].
unsafe fn special(record: &slurm_job_info_t) -> Option<&'static str> {
    let texts = [
        (record.features, "--constraint"),
        (record.prefer, "--prefer"),
        (record.batch_features, "--batch"),
        (record.cluster_features, "--cluster-constraint"),
        (record.tres_per_job, "GRES"),
        (record.tres_per_node, "GRES"),
        (record.tres_per_socket, "GRES"),
        (record.tres_per_task, "GRES"),
        (record.cpus_per_tres, "--cpus-per-gpu"),
        (record.mem_per_tres, "--mem-per-gpu"),
        (record.req_nodes, "--nodelist"),
        (record.exc_nodes, "--exclude"),
        (record.licenses, "--licenses"),
        (record.dependency, "--dependency"),
        (record.resv_name, "--reservation"),
        (record.burst_buffer, "burst buffers"),
    ];
    // SAFETY: the strings of a record are NUL-terminated or NULL.
    let is_said = |field: *mut c_char| unsafe { has_text(field) };
    if let Some((_, name)) = texts.iter().find(|(field, _)| is_said(*field)) {
        return Some(name);
    }
    let layout = [
        record.sockets_per_node,
        record.cores_per_socket,
        record.threads_per_core,
        record.ntasks_per_socket,
        record.ntasks_per_core,
        record.ntasks_per_tres,
        record.core_spec,
    ];
    if layout.iter().any(|number| said(*number).is_some()) {
        return Some("a layout of sockets, cores or threads");
    }
    let others = [
        (record.het_job_id != 0, "a heterogeneous job"),
        (record.contiguous != 0, "--contiguous"),
        (record.req_switch != 0, "--switches"),
        (record.pn_min_tmp_disk != 0, "--tmp"),
        (record.reboot != 0, "--reboot"),
    ];
    others.iter().find(|(asked, _)| *asked).map(|(_, name)| *name)
}

/// Copies the partitions of an answer of slurm_load_partitions.
///
/// # Safety
/// `message` is such an answer and has not been freed.
pub unsafe fn copy_partitions(message: &partition_info_msg_t) -> BTreeMap<String, Partition> {
    // SAFETY: partition_array has record_count elements (slurm.h, partition_info_msg_t).
    let records = unsafe { records(message.partition_array, message.record_count) };
    records
        .iter()
        // SAFETY: records of an answer that has not been freed.
        .filter_map(|record| unsafe { copy_partition(record) })
        .collect()
}

/// Copies one record; `None` if it has no name.
///
/// # Safety
/// `record` is part of an answer of slurm_load_partitions that has not been freed.
unsafe fn copy_partition(record: &partition_info_t) -> Option<(String, Partition)> {
    // SAFETY: the strings of a record are NUL-terminated or NULL.
    let (name, nodes) = unsafe { (copy_text(record.name)?, copy_text(record.nodes)) };
    let partition = Partition {
        up: u32::from(record.state_up) == PARTITION_UP,
        nodes: nodes.and_then(|nodes| hostlist::expand(&nodes).ok()).unwrap_or_default(),
        exclusive: record.max_share == 0,
    };
    Some((name, partition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_slurm_does_not_mean_are_not_said() {
        for number in [0, 0xfffe, 0xffff] {
            assert_eq!(said(number), None);
        }
        assert_eq!(said(2), Some(2));
    }

    #[test]
    fn memory_is_for_a_node_or_for_a_cpu() {
        assert_eq!(memory(0), JobMemory::None);
        assert_eq!(memory(100), JobMemory::PerNode(100));
        assert_eq!(memory(MEM_PER_CPU | 100), JobMemory::PerCpu(100));
    }

    #[test]
    fn a_job_that_asks_for_nothing_special_is_plain() {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut record: slurm_job_info_t = unsafe { std::mem::zeroed() };
        // SAFETY: its strings are NULL.
        assert_eq!(unsafe { special(&record) }, None);
        record.ntasks_per_core = 1;
        // SAFETY: its strings are NULL.
        assert_eq!(unsafe { special(&record) }, Some("a layout of sockets, cores or threads"));
        record.features = c"gpu".as_ptr().cast_mut();
        // SAFETY: its strings are NULL or literals.
        assert_eq!(unsafe { special(&record) }, Some("--constraint"));
    }
}
