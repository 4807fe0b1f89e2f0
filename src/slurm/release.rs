//! What differs between Slurm's releases, all of it.
//!
//! | since | what | where |
//! |---|---|---|
//! | 23.02 | `job_modify` has a fourth argument | [`job_modify`] |
//! | 23.11 | nodes have an InstanceId | [`set_instances`] |
//! | 25.05 | a node's record says what is allocated of it | [`in_use`] |
//! | 25.11 | an update names its job by a step id | [`set_job`] |
//! | 26.05 | a job's most nodes may be Slurm's own reckoning | [`max_nodes_said`] |
//! | 26.05 | the reason's user is taken from the connection | [`set_reason_user`] |
//! | 23.02 | powered-down nodes are shown without `PrivateData=cloud` | the core's `Release`, for `slurm-asg check` and `init` |
//! | 23.02 | the resume file has other keys | both are read: `resume_file` in the core |
//! | 23.02, 24.05 | weights of powered-down nodes | the core's `SlurmFacts`, at run time |
//! | 23.11 | `cloud_reg_addrs` is always on, TreeWidth's default is 16 and not 50 | the core's `Release`; nothing else relies on it |
//!
//! Fields that have 16 bits in one release and 32 in another are widened with `u32::from` where
//! they are copied. `slurm_ge_YYMM` is set by build.rs from the slurm.h that it reads.

use std::ffi::CStr;

use super::ffi::{SlurmApi, job_desc_msg_t, node_info_t, slurm_job_info_t, update_node_msg_t};
use crate::guard::guarded;
use crate::hook;

/// What slurmctld takes for success (slurm_errno.h).
const SLURM_SUCCESS: std::ffi::c_int = 0;

/// A job is changed: the loop looks at the queue soon. The change is left as it is.
#[cfg(slurm_ge_2302)]
#[unsafe(no_mangle)]
pub extern "C" fn job_modify(
    _change: *mut std::ffi::c_void,
    _job: *mut std::ffi::c_void,
    _submit_uid: u32,
    _err_msg: *mut *mut std::ffi::c_char,
) -> std::ffi::c_int {
    guarded("job_modify", (), hook::ring);
    SLURM_SUCCESS
}

/// A job is changed: the loop looks at the queue soon. The change is left as it is.
#[cfg(not(slurm_ge_2302))]
#[unsafe(no_mangle)]
pub extern "C" fn job_modify(
    _change: *mut std::ffi::c_void,
    _job: *mut std::ffi::c_void,
    _submit_uid: u32,
) -> std::ffi::c_int {
    guarded("job_modify", (), hook::ring);
    SLURM_SUCCESS
}

/// Says which job an update is for.
#[cfg(slurm_ge_2511)]
pub const fn set_job(message: &mut job_desc_msg_t, job_id: u32) {
    message.step_id.job_id = job_id;
}

/// Says which job an update is for.
#[cfg(not(slurm_ge_2511))]
pub const fn set_job(message: &mut job_desc_msg_t, job_id: u32) {
    message.job_id = job_id;
}

/// Sets the nodes' instance ids, where the release has a field for them.
#[cfg(slurm_ge_2311)]
pub fn set_instances(message: &mut update_node_msg_t, instances: &CStr) {
    message.instance_id = instances.as_ptr().cast_mut();
}

/// Sets the nodes' instance ids, where the release has a field for them.
#[cfg(not(slurm_ge_2311))]
pub fn set_instances(_message: &mut update_node_msg_t, _instances: &CStr) {}

/// The most nodes that a job's owner has asked for; 0 if nothing was said of it. Slurm takes as many of
/// a range as it can, but not when it has set the most to the number of tasks itself (get_node_cnts()
/// in src/slurmctld/node_scheduler.c).
#[cfg(slurm_ge_2605)]
pub fn max_nodes_said(record: &slurm_job_info_t) -> u32 {
    /// slurm.h, `JOB_IMPLICIT_MAX_NODES`, a macro that bindgen cannot read.
    const IMPLICIT: u64 = 1 << 47;
    if record.bitflags & IMPLICIT == 0 { record.max_nodes } else { 0 }
}

/// The most nodes that a job's owner has asked for; 0 if nothing was said of it.
#[cfg(not(slurm_ge_2605))]
pub fn max_nodes_said(record: &slurm_job_info_t) -> u32 {
    record.max_nodes
}

/// Says who gives a reason, where Slurm does not know it by itself.
#[cfg(not(slurm_ge_2605))]
pub fn set_reason_user(message: &mut update_node_msg_t) {
    // SAFETY: getuid always succeeds.
    message.reason_uid = unsafe { libc::getuid() };
}

/// Says who gives a reason, where Slurm does not know it by itself.
#[cfg(slurm_ge_2605)]
pub fn set_reason_user(_message: &mut update_node_msg_t) {}

/// CPUs and memory that jobs hold.
///
/// # Safety
/// `record` is part of an answer of slurm_load_node that has not been freed.
#[cfg(slurm_ge_2505)]
pub unsafe fn in_use(_api: &SlurmApi, record: &node_info_t) -> (Option<u32>, Option<u64>) {
    (Some(u32::from(record.alloc_cpus)), Some(record.alloc_memory))
}

/// CPUs and memory that jobs hold; `None` if Slurm does not say.
///
/// # Safety
/// `record` is part of an answer of slurm_load_node that has not been freed.
#[cfg(not(slurm_ge_2505))]
pub unsafe fn in_use(api: &SlurmApi, record: &node_info_t) -> (Option<u32>, Option<u64>) {
    use super::ffi::{
        node_states_NODE_STATE_ALLOCATED, select_nodedata_type_SELECT_NODEDATA_MEM_ALLOC,
        select_nodedata_type_SELECT_NODEDATA_SUBCNT,
    };
    let mut cpus: u16 = 0;
    let mut memory: u64 = 0;
    // SAFETY: SUBCNT is answered with a uint16_t at the place given (slurm.h, enum
    // select_nodedata_type); select_nodeinfo is of an answer that has not been freed.
    let cpus_code = unsafe {
        api.slurm_get_select_nodeinfo(
            record.select_nodeinfo,
            select_nodedata_type_SELECT_NODEDATA_SUBCNT,
            node_states_NODE_STATE_ALLOCATED,
            (&raw mut cpus).cast(),
        )
    };
    // SAFETY: as above; MEM_ALLOC is answered with a uint64_t, whatever slurm.h says of 32 bits
    // (select_p_select_nodeinfo_get() in select/cons_common, 22.05.8 to 24.11.5).
    let memory_code = unsafe {
        api.slurm_get_select_nodeinfo(
            record.select_nodeinfo,
            select_nodedata_type_SELECT_NODEDATA_MEM_ALLOC,
            node_states_NODE_STATE_ALLOCATED,
            (&raw mut memory).cast(),
        )
    };
    (
        (cpus_code == SLURM_SUCCESS).then(|| u32::from(cpus)),
        (memory_code == SLURM_SUCCESS).then_some(memory),
    )
}
