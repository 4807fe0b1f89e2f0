//! Slurm's jobs, partitions, reservations and licenses, copied into owned data.
//!
//! Numbers are copied as they are: what NO_VAL and its like mean is known to the core. Fields have
//! other widths in other releases, hence the conversions that some of them do not need.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char};
use std::sync::Arc;

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::job_notice::MARK;
use slurm_asg_core::snapshot::{
    Comment, Job, JobState, License, Partition, PartitionState, Reason, Reservation, Text,
};
use slurm_asg_core::time::Timestamp;

use super::ffi::{
    job_info_msg_t, license_info_msg_t, partition_info_msg_t, partition_info_t, reserve_info_msg_t,
    reserve_info_t, slurm_job_info_t, slurm_license_info_t,
};
use super::host::{copy_text, records};
use super::release::max_nodes_said;

/// Copies the pending jobs of an answer of slurm_load_jobs, those that wait for their nodes to
/// boot, and the running tasks of arrays that have pending ones.
///
/// # Safety
/// `message` is such an answer and has not been freed.
pub unsafe fn copy_jobs(message: &job_info_msg_t) -> Vec<Job> {
    // SAFETY: job_array has record_count elements (slurm.h, job_info_msg_t).
    let records = unsafe { records(message.job_array, message.record_count) };
    let base = |record: &slurm_job_info_t| JobState(record.job_state).base();
    let is_pending = |record: &&slurm_job_info_t| base(record) == JobState::PENDING;
    let arrays: BTreeSet<u32> =
        records.iter().filter(is_pending).map(|record| record.array_job_id).collect();
    let counts = |record: &&slurm_job_info_t| {
        let task = record.array_job_id != 0 && base(record) == JobState::RUNNING;
        let configuring = record.job_state & JobState::CONFIGURING != 0;
        is_pending(record) || configuring || task && arrays.contains(&record.array_job_id)
    };
    // SAFETY: records of an answer that has not been freed.
    records.iter().filter(counts).map(|record| unsafe { copy_job(record) }).collect()
}

/// Copies what is known of jobs' AdminComment: slurm-asg's own notices of all jobs that have not
/// ended, and of the others whether there is one.
///
/// # Safety
/// `message` is an answer of slurm_load_jobs and has not been freed.
pub unsafe fn copy_comments(message: &job_info_msg_t) -> BTreeMap<u32, Comment> {
    // SAFETY: job_array has record_count elements (slurm.h, job_info_msg_t).
    let records = unsafe { records(message.job_array, message.record_count) };
    let lives = |record: &&slurm_job_info_t| {
        let base = JobState(record.job_state).base();
        base == JobState::PENDING || base == JobState::RUNNING
    };
    let comment = |record: &slurm_job_info_t| {
        if record.admin_comment.is_null() {
            return None;
        }
        // SAFETY: the strings of a record are NUL-terminated.
        let text = unsafe { CStr::from_ptr(record.admin_comment) }.to_bytes();
        if text.is_empty() {
            return None;
        }
        let comment = if text.starts_with(MARK.as_bytes()) {
            Comment::Ours(String::from_utf8_lossy(text).into())
        } else {
            Comment::Others
        };
        Some((record.job_id, comment))
    };
    records.iter().filter(lives).filter_map(comment).collect()
}

/// Copies one record.
///
/// # Safety
/// `record` is part of an answer of slurm_load_jobs that has not been freed.
#[allow(
    clippy::useless_conversion,
    reason = "some fields have 16 bits in one release, 32 in another"
)]
unsafe fn copy_job(record: &slurm_job_info_t) -> Job {
    // SAFETY: the strings of a record are NUL-terminated or NULL.
    let text = |field: *mut c_char| unsafe { shared_text(field) };
    Job {
        job_id: record.job_id,
        job_state: JobState(record.job_state),
        state_reason: Reason(u32::from(record.state_reason)),
        priority: record.priority,
        partition: text(record.partition).unwrap_or_else(|| Arc::from("")),
        user_id: record.user_id,
        array_job_id: record.array_job_id,
        array_task_str: text(record.array_task_str),
        array_max_tasks: record.array_max_tasks,
        het_job_id: record.het_job_id,
        het_job_offset: record.het_job_offset,
        num_nodes: record.num_nodes,
        max_nodes: max_nodes_said(record),
        num_cpus: record.num_cpus,
        max_cpus: record.max_cpus,
        num_tasks: record.num_tasks,
        cpus_per_task: u32::from(record.cpus_per_task),
        ntasks_per_node: u32::from(record.ntasks_per_node),
        ntasks_per_socket: u32::from(record.ntasks_per_socket),
        ntasks_per_core: u32::from(record.ntasks_per_core),
        ntasks_per_board: u32::from(record.ntasks_per_board),
        ntasks_per_tres: u32::from(record.ntasks_per_tres),
        boards_per_node: u32::from(record.boards_per_node),
        sockets_per_node: u32::from(record.sockets_per_node),
        cores_per_socket: u32::from(record.cores_per_socket),
        threads_per_core: u32::from(record.threads_per_core),
        core_spec: u32::from(record.core_spec),
        pn_min_cpus: u32::from(record.pn_min_cpus),
        pn_min_memory: record.pn_min_memory,
        pn_min_tmp_disk: record.pn_min_tmp_disk,
        tres_per_job: text(record.tres_per_job),
        tres_per_node: text(record.tres_per_node),
        tres_per_socket: text(record.tres_per_socket),
        tres_per_task: text(record.tres_per_task),
        cpus_per_tres: text(record.cpus_per_tres),
        mem_per_tres: text(record.mem_per_tres),
        features: text(record.features),
        prefer: text(record.prefer),
        batch_features: text(record.batch_features),
        cluster_features: text(record.cluster_features),
        req_nodes: text(record.req_nodes),
        exc_nodes: text(record.exc_nodes),
        licenses: text(record.licenses),
        dependency: text(record.dependency),
        resv_name: text(record.resv_name),
        burst_buffer: text(record.burst_buffer),
        shared: u32::from(record.shared),
        contiguous: u32::from(record.contiguous),
        req_switch: record.req_switch,
        reboot: u32::from(record.reboot),
        bitflags: record.bitflags,
        time_limit: record.time_limit,
        start_time: time(record.start_time),
        eligible_time: time(record.eligible_time),
        nodes: text(record.nodes),
    }
}

/// Copies the partitions of an answer of slurm_load_partitions.
///
/// # Safety
/// `message` is such an answer and has not been freed.
pub unsafe fn copy_partitions(message: &partition_info_msg_t) -> Vec<Partition> {
    // SAFETY: partition_array has record_count elements (slurm.h, partition_info_msg_t).
    let records = unsafe { records(message.partition_array, message.record_count) };
    // SAFETY: records of an answer that has not been freed.
    records.iter().filter_map(|record| unsafe { copy_partition(record) }).collect()
}

/// Copies one record; `None` if it has no name.
///
/// # Safety
/// `record` is part of an answer of slurm_load_partitions that has not been freed.
#[allow(clippy::useless_conversion, reason = "flags have 16 bits in 22.05, 32 later")]
unsafe fn copy_partition(record: &partition_info_t) -> Option<Partition> {
    // SAFETY: the strings of a record are NUL-terminated or NULL.
    let (name, nodes) = unsafe { (shared_text(record.name)?, copy_nodes(record.nodes)) };
    Some(Partition {
        name,
        state_up: PartitionState(u32::from(record.state_up)),
        nodes,
        max_share: u32::from(record.max_share),
        min_nodes: record.min_nodes,
        max_nodes: record.max_nodes,
        max_cpus_per_node: record.max_cpus_per_node,
        max_time: record.max_time,
        default_time: record.default_time,
        priority_tier: u32::from(record.priority_tier),
        flags: u32::from(record.flags),
        suspend_time: record.suspend_time,
    })
}

/// Copies the reservations of an answer of slurm_load_reservations.
///
/// # Safety
/// `message` is such an answer and has not been freed.
pub unsafe fn copy_reservations(message: &reserve_info_msg_t) -> Vec<Reservation> {
    // SAFETY: reservation_array has record_count elements (slurm.h, reserve_info_msg_t).
    let records = unsafe { records(message.reservation_array, message.record_count) };
    // SAFETY: records of an answer that has not been freed.
    records.iter().filter_map(|record| unsafe { copy_reservation(record) }).collect()
}

/// Copies one record; `None` if it has no name.
///
/// # Safety
/// `record` is part of an answer of slurm_load_reservations that has not been freed.
unsafe fn copy_reservation(record: &reserve_info_t) -> Option<Reservation> {
    // SAFETY: the strings of a record are NUL-terminated or NULL.
    let (name, node_list) = unsafe { (shared_text(record.name)?, copy_nodes(record.node_list)) };
    Some(Reservation {
        name,
        node_list,
        start_time: time(record.start_time),
        end_time: time(record.end_time),
        flags: record.flags,
        core_cnt: record.core_cnt,
    })
}

/// Copies the licenses of an answer of slurm_load_licenses.
///
/// # Safety
/// `message` is such an answer and has not been freed.
pub unsafe fn copy_licenses(message: &license_info_msg_t) -> Vec<License> {
    // SAFETY: lic_array has num_lic elements (slurm.h, license_info_msg_t).
    let records = unsafe { records(message.lic_array, message.num_lic) };
    let copy = |record: &slurm_license_info_t| {
        // SAFETY: the strings of a record are NUL-terminated or NULL.
        let name = unsafe { shared_text(record.name) }?;
        let (total, in_use, reserved) = (record.total, record.in_use, record.reserved);
        Some(License { name, total, in_use, reserved })
    };
    records.iter().filter_map(copy).collect()
}

/// A time, unless it is not set.
fn time(field: libc::time_t) -> Option<Timestamp> {
    (field > 0).then(|| Timestamp::from_secs(field))
}

/// Copies a text; `None` if it is NULL or empty.
///
/// # Safety
/// As for [`copy_text`].
pub(super) unsafe fn shared_text(field: *const c_char) -> Text {
    // SAFETY: the caller's promise.
    unsafe { copy_text(field) }.filter(|text| !text.is_empty()).map(Arc::from)
}

/// Copies a list of nodes; one that is not understood is empty.
///
/// # Safety
/// As for [`copy_text`].
unsafe fn copy_nodes(field: *const c_char) -> Vec<NodeName> {
    // SAFETY: the caller's promise.
    let text = unsafe { copy_text(field) };
    text.and_then(|text| hostlist::expand(&text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_s_numbers_and_texts_are_copied_as_they_are() {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut record: slurm_job_info_t = unsafe { std::mem::zeroed() };
        record.job_id = 7;
        record.ntasks_per_node = 0xfffe;
        record.features = c"gpu".as_ptr().cast_mut();
        record.tres_per_node = c"".as_ptr().cast_mut();
        record.pn_min_memory = 1 << 63 | 100;
        // SAFETY: its strings are NULL or literals.
        let job = unsafe { copy_job(&record) };
        assert_eq!((job.job_id, job.ntasks_per_node), (7, 0xfffe));
        assert_eq!((job.features.as_deref(), job.tres_per_node), (Some("gpu"), None));
        assert_eq!((job.pn_min_memory, job.start_time), (1 << 63 | 100, None));
    }

    #[test]
    fn of_others_comments_nothing_is_kept_but_that_they_are_there() {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let zero: slurm_job_info_t = unsafe { std::mem::zeroed() };
        let job = |job_id, job_state, comment: &'static CStr| slurm_job_info_t {
            job_id,
            job_state,
            admin_comment: comment.as_ptr().cast_mut(),
            ..zero
        };
        let mut all = [
            job(1, 0, c"slurm-asg: none"),
            job(2, 1, c"slurm-asg: of before"),
            job(3, 0, c"private"),
            job(4, 0, c""),
            job(5, 3, c"slurm-asg: it has ended"),
            slurm_job_info_t { job_id: 6, ..zero },
        ];
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut message: job_info_msg_t = unsafe { std::mem::zeroed() };
        message.record_count = 6;
        message.job_array = all.as_mut_ptr();
        // SAFETY: six records, whose strings are NULL or literals.
        let kept = unsafe { copy_comments(&message) };
        let ours = |text: &str| Comment::Ours(text.into());
        let expected =
            [(1, ours("slurm-asg: none")), (2, ours("slurm-asg: of before")), (3, Comment::Others)];
        assert_eq!(kept, expected.into());
    }

    #[test]
    fn running_tasks_are_kept_as_long_as_their_array_has_pending_ones() {
        // SAFETY: all-zero is a valid value of this plain C struct.
        let zero: slurm_job_info_t = unsafe { std::mem::zeroed() };
        let job = |job_id, job_state, array_job_id| slurm_job_info_t {
            job_id,
            job_state,
            array_job_id,
            ..zero
        };
        let booting = job(6, 1 | JobState::CONFIGURING, 0);
        let mut all =
            [job(1, 0, 1), job(2, 1, 1), job(3, 1, 9), job(4, 1, 0), job(5, 3, 1), booting];
        // SAFETY: all-zero is a valid value of this plain C struct.
        let mut message: job_info_msg_t = unsafe { std::mem::zeroed() };
        message.record_count = 6;
        message.job_array = all.as_mut_ptr();
        // SAFETY: six records, whose strings are NULL.
        let kept = unsafe { copy_jobs(&message) };
        assert_eq!(kept.iter().map(|job| job.job_id).collect::<Vec<_>>(), [1, 2, 6]);
    }
}
