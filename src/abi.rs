//! What slurmctld sees: three data symbols, `init`, `fini` and the two hooks of a job_submit
//! plugin (src/common/plugin.c and src/interfaces/job_submit.c, 22.05 to 26.05).
//!
//! Every function is three lines: guard, do one thing, answer. `job_modify`, whose arguments differ
//! between releases, is in `slurm/release.rs`.

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::guard::guarded;
use crate::slurm::{SLURM_VERSION_NUMBER, VERSION_MAX, take_from_host, version_text};
use crate::{controller, hook};

const SLURM_SUCCESS: c_int = 0;

/// Name for people, NUL-terminated, as an array and not a pointer.
#[unsafe(no_mangle)]
pub static plugin_name: [u8; 36] = *b"slurm-asg: EC2 Auto Scaling groups\0\0";

/// Type and name, from which slurmctld knows what it has loaded.
#[unsafe(no_mangle)]
pub static plugin_type: [u8; 15] = *b"job_submit/asg\0";

/// The version of Slurm that the plugin is for: that of the slurm.h it is built with, and once it
/// is loaded the host's, if only the micro version is another. slurmctld refuses any other.
#[unsafe(no_mangle)]
pub static plugin_version: AtomicU32 = AtomicU32::new(SLURM_VERSION_NUMBER);

const _: () = assert!(SLURM_VERSION_NUMBER < VERSION_MAX, "slurm.h has a version that cannot be");

/// Runs when the plugin is loaded, before slurmctld looks at `plugin_version`.
#[used]
#[unsafe(link_section = ".init_array")]
static LOADED: extern "C" fn() = loaded;

extern "C" fn loaded() {
    guarded("load", (), || take_from_host(&plugin_version));
}

/// The version of Slurm that has loaded the plugin, as in `22.05.8`.
pub fn slurm_version() -> String {
    version_text(plugin_version.load(Ordering::Relaxed))
}

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
