//! Slurm's public API, called from threads of the plugin's own and never from slurmctld's.

use std::collections::BTreeMap;
use std::ffi::{CString, c_int};
use std::ptr;

use libloading::Library;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::snapshot::{Comment, Job, License, Node, Partition, Reservation};

use super::ffi::{
    SlurmApi, job_desc_msg_t, job_info_msg_t, license_info_msg_t, node_info_msg_t,
    partition_info_msg_t, reserve_info_msg_t, update_node_msg_t,
};
use super::host::copy_text;
use super::nodes::copy_nodes;
use super::queue::{copy_comments, copy_jobs, copy_licenses, copy_partitions, copy_reservations};
use super::release::{set_instances, set_job, set_reason_user};

/// Show also what is hidden (slurm.h, `SHOW_ALL`; from 23.11 a macro that bindgen cannot read).
const SHOW_ALL: u16 = 1 << 0;
/// Say which GRES are in use (slurm.h, `SHOW_DETAIL`).
const SHOW_DETAIL: u16 = 1 << 1;
/// Have states MIXED where they are (slurm.h, `SHOW_MIXED`).
const SHOW_MIXED: u16 = 1 << 3;
/// `SLURM_NO_CHANGE_IN_DATA` of slurm_errno.h.
const NO_CHANGE: c_int = 1900;

/// Slurm's API in this process.
pub struct Slurm {
    api: SlurmApi,
}

/// A call to Slurm that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SlurmError {
    /// The function.
    pub call: &'static str,
    /// Slurm's own words.
    pub message: String,
}

/// What has changed since an earlier answer, and when this one was given; `None` if nothing has.
pub type Changed<T> = Option<(libc::time_t, T)>;

/// One update of nodes. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct NodeUpdate {
    /// A hostlist expression.
    pub names: String,
    /// Addresses, comma separated, as many as there are names.
    pub addresses: Option<String>,
    /// Instance ids, comma separated, as many as there are names. Slurm 23.11 and later.
    pub instances: Option<String>,
    /// A state or flag of `NODE_STATE_*`.
    pub state: Option<u32>,
    /// The reason that goes with the state.
    pub reason: Option<String>,
}

/// Jobs, and who has written what in the AdminComment of which.
pub type Jobs = (Vec<Job>, BTreeMap<u32, Comment>);

impl Slurm {
    /// Finds Slurm's functions in this process.
    ///
    /// # Errors
    /// If this is not a slurmctld that has them.
    pub fn in_this_process() -> Result<Self, SlurmError> {
        let host = Library::from(libloading::os::unix::Library::this());
        // SAFETY: bindgen has read the functions' types in the slurm.h of the release that the
        // plugin is built for, and slurmctld refuses a plugin built for another.
        let api = unsafe { SlurmApi::from_library(host) };
        api.map(|api| Self { api }).map_err(|error| SlurmError {
            call: "dlsym",
            message: format!("Slurm's API is not in this process: {error}"),
        })
    }

    /// `slurm_load_node`: all nodes.
    ///
    /// Always all of them: power saving changes states without moving the time that "nothing
    /// has changed since" is judged by (src/slurmctld/power_save.c, 22.05.8, where setting
    /// `last_node_update` is commented out).
    ///
    /// # Errors
    /// If slurmctld does not answer.
    pub fn load_nodes(&self) -> Result<BTreeMap<NodeName, Node>, SlurmError> {
        const CALL: &str = "slurm_load_node";
        let flags = SHOW_ALL | SHOW_MIXED | SHOW_DETAIL;
        let loaded = self.load(
            CALL,
            // SAFETY: `message` is a valid place for the answer.
            |message| unsafe { self.api.slurm_load_node(0, message, flags) },
            // SAFETY: `message` is such an answer, and is freed after this.
            |message: &node_info_msg_t| unsafe { copy_nodes(&self.api, message) },
            // SAFETY: `message` came from slurm_load_node and nothing points into it any more.
            |message| unsafe { self.api.slurm_free_node_info_msg(message) },
        )?;
        // It was not asked for changes: whatever this means, it is not "no nodes".
        loaded.ok_or_else(|| self.error(CALL, NO_CHANGE))
    }

    /// `slurm_load_jobs`: the jobs that a queue is made of (see [`copy_jobs`]), or `None` if no job
    /// has changed since `since`, the time of an earlier answer.
    ///
    /// # Errors
    /// If slurmctld does not answer.
    pub fn load_jobs(&self, since: libc::time_t) -> Result<Changed<Jobs>, SlurmError> {
        self.load(
            "slurm_load_jobs",
            // SAFETY: `message` is a valid place for the answer.
            |message| unsafe { self.api.slurm_load_jobs(since, message, SHOW_ALL) },
            |message: &job_info_msg_t| {
                // SAFETY: `message` is such an answer, and is freed after this.
                (message.last_update, unsafe { (copy_jobs(message), copy_comments(message)) })
            },
            // SAFETY: `message` came from slurm_load_jobs and nothing points into it any more.
            |message| unsafe { self.api.slurm_free_job_info_msg(message) },
        )
    }

    /// `slurm_load_partitions`: all partitions, or `None` if none has changed since `since`.
    ///
    /// # Errors
    /// If slurmctld does not answer.
    pub fn load_partitions(
        &self,
        since: libc::time_t,
    ) -> Result<Changed<Vec<Partition>>, SlurmError> {
        self.load(
            "slurm_load_partitions",
            // SAFETY: `message` is a valid place for the answer.
            |message| unsafe { self.api.slurm_load_partitions(since, message, SHOW_ALL) },
            |message: &partition_info_msg_t| {
                // SAFETY: `message` is such an answer, and is freed after this.
                (message.last_update, unsafe { copy_partitions(message) })
            },
            // SAFETY: `message` came from slurm_load_partitions; nothing points into it any more.
            |message| unsafe { self.api.slurm_free_partition_info_msg(message) },
        )
    }

    /// `slurm_load_reservations`: all of them, or `None` if none has changed since `since`.
    ///
    /// # Errors
    /// If slurmctld does not answer.
    pub fn load_reservations(
        &self,
        since: libc::time_t,
    ) -> Result<Changed<Vec<Reservation>>, SlurmError> {
        self.load(
            "slurm_load_reservations",
            // SAFETY: `message` is a valid place for the answer.
            |message| unsafe { self.api.slurm_load_reservations(since, message) },
            |message: &reserve_info_msg_t| {
                // SAFETY: `message` is such an answer, and is freed after this.
                (message.last_update, unsafe { copy_reservations(message) })
            },
            // SAFETY: `message` came from slurm_load_reservations; nothing points into it.
            |message| unsafe { self.api.slurm_free_reservation_info_msg(message) },
        )
    }

    /// `slurm_load_licenses`: all of them.
    ///
    /// # Errors
    /// If slurmctld does not answer.
    pub fn load_licenses(&self) -> Result<Vec<License>, SlurmError> {
        const CALL: &str = "slurm_load_licenses";
        let loaded = self.load(
            CALL,
            // SAFETY: `message` is a valid place for the answer.
            |message| unsafe { self.api.slurm_load_licenses(0, message, SHOW_ALL) },
            // SAFETY: `message` is such an answer, and is freed after this.
            |message: &license_info_msg_t| unsafe { copy_licenses(message) },
            // SAFETY: `message` came from slurm_load_licenses and nothing points into it any more.
            |message| unsafe { self.api.slurm_free_license_info_msg(message) },
        )?;
        loaded.ok_or_else(|| self.error(CALL, NO_CHANGE))
    }

    /// Asks for records, copies the answer and frees it; `None` if nothing has changed. `ask` sets
    /// the message if it answers 0, `free` gives it back to Slurm.
    fn load<M, T>(
        &self,
        call: &'static str,
        ask: impl FnOnce(*mut *mut M) -> c_int,
        copy: impl FnOnce(&M) -> T,
        free: impl FnOnce(*mut M),
    ) -> Result<Option<T>, SlurmError> {
        let mut message: *mut M = ptr::null_mut();
        let code = ask(&raw mut message);
        if !self.has_news(call, code, message.is_null())? {
            return Ok(None);
        }
        // SAFETY: a successful call has set `message`, and it is not freed yet.
        let copied = copy(unsafe { &*message });
        free(message);
        Ok(Some(copied))
    }

    /// Reads a load call's return code: `false` for "nothing has changed".
    fn has_news(&self, call: &'static str, code: c_int, empty: bool) -> Result<bool, SlurmError> {
        let errno = last_errno();
        match code {
            0 if empty => Err(SlurmError { call, message: "empty answer".to_owned() }),
            0 => Ok(true),
            _ if errno == NO_CHANGE => Ok(false),
            _ => Err(self.error(call, errno)),
        }
    }

    /// `slurm_update_node`.
    ///
    /// # Errors
    /// If slurmctld refuses or does not answer.
    pub fn update_nodes(&self, update: &NodeUpdate) -> Result<(), SlurmError> {
        const CALL: &str = "slurm_update_node";
        let text = |value: &str| {
            CString::new(value)
                .map_err(|_| SlurmError { call: CALL, message: "a NUL in a text".to_owned() })
        };
        let optional = |value: &Option<String>| value.as_deref().map(text).transpose();
        let names = text(&update.names)?;
        let addresses = optional(&update.addresses)?;
        let instances = optional(&update.instances)?;
        let reason = optional(&update.reason)?;
        // SAFETY: all-zero is a valid value of this plain C struct; Slurm fills it next.
        let mut message: update_node_msg_t = unsafe { std::mem::zeroed() };
        // SAFETY: `message` is a valid struct of this release.
        unsafe { self.api.slurm_init_update_node_msg(&raw mut message) };
        message.node_names = names.as_ptr().cast_mut();
        if let Some(addresses) = &addresses {
            message.node_addr = addresses.as_ptr().cast_mut();
        }
        if let Some(instances) = &instances {
            set_instances(&mut message, instances);
        }
        if let Some(state) = update.state {
            message.node_state = state;
        }
        if let Some(reason) = &reason {
            message.reason = reason.as_ptr().cast_mut();
            set_reason_user(&mut message);
        }
        // SAFETY: the message's strings live until the end of this function, and Slurm only
        // reads them to pack the request.
        let code = unsafe { self.api.slurm_update_node(&raw mut message) };
        if code == 0 { Ok(()) } else { Err(self.error(CALL, last_errno())) }
    }

    /// `slurm_update_job` of the AdminComment alone. Of an array it is the record of the pending
    /// tasks: only a `job_id_str` would mean all of them (update_job() in src/slurmctld/job_mgr.c).
    ///
    /// # Errors
    /// If slurmctld refuses or does not answer.
    pub fn set_admin_comment(&self, job_id: u32, comment: &str) -> Result<(), SlurmError> {
        const CALL: &str = "slurm_update_job";
        let comment = CString::new(comment)
            .map_err(|_| SlurmError { call: CALL, message: "a NUL in a text".to_owned() })?;
        // SAFETY: all-zero is a valid value of this plain C struct; Slurm fills it next.
        let mut message: job_desc_msg_t = unsafe { std::mem::zeroed() };
        // SAFETY: `message` is a valid struct of this release.
        unsafe { self.api.slurm_init_job_desc_msg(&raw mut message) };
        set_job(&mut message, job_id);
        message.admin_comment = comment.as_ptr().cast_mut();
        // SAFETY: the message's string lives until the end of this function, and Slurm only reads
        // it to pack the request.
        let code = unsafe { self.api.slurm_update_job(&raw mut message) };
        if code == 0 { Ok(()) } else { Err(self.error(CALL, last_errno())) }
    }

    fn error(&self, call: &'static str, errno: c_int) -> SlurmError {
        // SAFETY: takes any number, answers with a string that lives as long as the process or
        // until this thread's next call; it is copied at once.
        let words = unsafe { copy_text(self.api.slurm_strerror(errno)) };
        let message = words.unwrap_or_else(|| format!("error {errno}"));
        SlurmError { call, message }
    }
}

fn last_errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
