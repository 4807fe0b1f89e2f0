//! What slurmctld sees: three data symbols, `init`, `fini` and the two hooks of a job_submit
//! plugin (src/common/plugin.c and src/interfaces/job_submit.c, 22.05 to 26.05).
//!
//! Every function is three lines: guard, do one thing, answer.

use std::ffi::{c_char, c_int, c_void};

use crate::guard::guarded;
use crate::slurm::{SLURM_VERSION_NUMBER, VERSION_MAX};
use crate::{controller, hook};

const SLURM_SUCCESS: c_int = 0;

/// Name for people, NUL-terminated, as an array and not a pointer.
#[unsafe(no_mangle)]
pub static plugin_name: [u8; 36] = *b"slurm-asg: EC2 Auto Scaling groups\0\0";

/// Type and name, from which slurmctld knows what it has loaded.
#[unsafe(no_mangle)]
pub static plugin_type: [u8; 15] = *b"job_submit/asg\0";

/// The release that the plugin is for. slurmctld refuses any other, micro version included.
#[unsafe(no_mangle)]
pub static plugin_version: u32 = SLURM_VERSION_NUMBER;

const _: () = assert!(SLURM_VERSION_NUMBER < VERSION_MAX, "slurm.h has a version that cannot be");

/// Starts the loop's thread, once. Never fails: slurmctld must start, whatever is wrong here.
#[unsafe(no_mangle)]
pub extern "C" fn init() -> c_int {
    guarded("init", (), controller::start);
    SLURM_SUCCESS
}

/// Tells the loop to end, and does not wait: the caller may hold the locks that it waits for.
#[unsafe(no_mangle)]
pub extern "C" fn fini() {
    guarded("fini", (), controller::stop);
}

/// A job is submitted: the loop looks at the queue soon. The job is left as it is.
#[unsafe(no_mangle)]
pub extern "C" fn job_submit(
    _job: *mut c_void,
    _submit_uid: u32,
    _err_msg: *mut *mut c_char,
) -> c_int {
    guarded("job_submit", (), hook::ring);
    SLURM_SUCCESS
}

/// A job is changed: the loop looks at the queue soon. The change is left as it is.
#[cfg(slurm_ge_2302)]
#[unsafe(no_mangle)]
pub extern "C" fn job_modify(
    _change: *mut c_void,
    _job: *mut c_void,
    _submit_uid: u32,
    _err_msg: *mut *mut c_char,
) -> c_int {
    guarded("job_modify", (), hook::ring);
    SLURM_SUCCESS
}

/// A job is changed: the loop looks at the queue soon. The change is left as it is.
#[cfg(not(slurm_ge_2302))]
#[unsafe(no_mangle)]
pub extern "C" fn job_modify(_change: *mut c_void, _job: *mut c_void, _submit_uid: u32) -> c_int {
    guarded("job_modify", (), hook::ring);
    SLURM_SUCCESS
}
