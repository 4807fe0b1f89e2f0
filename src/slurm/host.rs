//! What the host process says of itself.

use std::ffi::{CStr, c_char};
use std::path::PathBuf;
use std::ptr;

use libloading::os::unix::Library;

use slurm_asg_core::snapshot::{Release, SlurmFacts, number};

use super::ffi::{SLURM_VERSION_NUMBER, slurm_conf_t};

/// Facts of slurm.conf that the plugin needs, copied when the plugin is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// The path of slurm.conf.
    pub slurm_conf: Option<PathBuf>,
    /// ClusterName.
    pub cluster: Option<String>,
    /// StateSaveLocation.
    pub state_save_location: Option<PathBuf>,
    /// How many SlurmctldHost there are: the primary and its backups.
    pub controllers: u32,
    /// The id of SlurmUser.
    pub slurm_user: Option<u32>,
    /// How it shares out nodes.
    pub sharing: SlurmFacts,
}

impl HostFacts {
    /// Copies the facts out of slurmctld's `slurm_conf`.
    ///
    /// # Safety
    /// Only while nobody changes `slurm_conf`: in `init()`, which slurmctld calls on its main
    /// thread after the configuration is read and before it serves requests.
    pub unsafe fn read() -> Self {
        let host = Library::this();
        // SAFETY: `slurm_conf` is an exported `slurm_conf_t` in slurmctld (src/common/read_config.c);
        // its type is read from the slurm.h of the release that the plugin is built for.
        let Ok(symbol) = (unsafe { host.get::<*const slurm_conf_t>(b"slurm_conf\0") }) else {
            return Self::default();
        };
        // SAFETY: a data symbol is its own address; the caller keeps writers away.
        let conf = unsafe { &*symbol.as_raw_ptr().cast::<slurm_conf_t>() };
        // SAFETY: the strings of `slurm_conf` are NUL-terminated or NULL, and the caller keeps
        // writers away while they are copied.
        let text = |field: *const c_char| unsafe { copy_text(field) };
        Self {
            slurm_conf: text(conf.slurm_conf).map(PathBuf::from),
            cluster: text(conf.cluster_name),
            state_save_location: text(conf.state_save_location).map(PathBuf::from),
            controllers: conf.control_cnt,
            slurm_user: Some(conf.slurm_user_id),
            sharing: SlurmFacts {
                version: Some(Release::of_number(SLURM_VERSION_NUMBER)),
                select_type_param: Some(u32::from(conf.select_type_param)),
                strictly_in_order: text(conf.schedtype).as_deref() == Some("sched/builtin"),
                suspend_time: number(conf.suspend_time),
                resume_timeout: number(u32::from(conf.resume_timeout)),
            },
        }
    }
}

/// Copies a C string; `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays as it is during the call.
pub unsafe fn copy_text(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, the rest is the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_string_lossy().into_owned())
}

/// The records of an answer of Slurm's API: an array and how many elements it has.
///
/// # Safety
/// `array` is NULL or points to `count` records that stay as they are as long as they are used.
pub unsafe fn records<'a, T>(array: *const T, count: u32) -> &'a [T] {
    let count = usize::try_from(count).unwrap_or(0);
    if array.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: not NULL, the rest is the caller's promise.
    unsafe { std::slice::from_raw_parts(array, count) }
}

/// Whether this slurmctld is the active one: `control_time` is 0 on standby (controller.c).
/// Outside slurmctld it is not.
pub fn is_active() -> bool {
    let host = Library::this();
    // SAFETY: `control_time` is an exported `time_t` (src/slurmctld/controller.c).
    let Ok(symbol) = (unsafe { host.get::<*const libc::time_t>(b"control_time\0") }) else {
        return false;
    };
    // SAFETY: a data symbol is its own address; another thread may write the aligned word
    // meanwhile, so it is read as one, and a stale value only delays the loop.
    unsafe { ptr::read_volatile(symbol.as_raw_ptr().cast::<libc::time_t>()) != 0 }
}
