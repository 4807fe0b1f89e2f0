//! asg.toml: where it is, what is in it, and when it has changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use std::{env, fs, io};

use slurm_asg_core::event;
use slurm_asg_core::policy::{self, Policy};
use slurm_asg_engine::Place;
use slurm_asg_wire::DEFAULT_SOCKET;

use crate::slurm::HostFacts;

/// The configuration file and what was last read in it.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    stamp: Option<Stamp>,
    /// Warnings that the log has already.
    warned: Vec<String>,
}

/// What of a file changes when it is edited.
type Stamp = (SystemTime, u64);

impl Config {
    /// The file: `SLURM_ASG_CONFIG`, else asg.toml beside slurm.conf.
    pub fn of(host: &HostFacts) -> Self {
        let path = env::var_os("SLURM_ASG_CONFIG").map(PathBuf::from).unwrap_or_else(|| {
            let from_env = env::var_os("SLURM_CONF").map(PathBuf::from);
            let slurm_conf = host.slurm_conf.clone().or(from_env).unwrap_or_default();
            let dir = slurm_conf.parent().filter(|dir| dir.is_absolute());
            dir.unwrap_or_else(|| Path::new("/etc/slurm")).join("asg.toml")
        });
        Self { path, stamp: None, warned: Vec::new() }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is another than the one that was read last.
    pub fn has_changed(&self) -> bool {
        stamp(&self.path) != self.stamp
    }

    /// Reads the file, and logs what should be written otherwise, once.
    ///
    /// # Errors
    /// One line: what is wrong, where, and what to write.
    pub fn read(&mut self) -> Result<Arc<Policy>, String> {
        self.stamp = stamp(&self.path);
        let text = fs::read_to_string(&self.path).map_err(|error| {
            let path = self.path.display();
            if error.kind() == io::ErrorKind::NotFound {
                format!(
                    "{path} is not there; write it with region and [[group]] name, nodes, asg; \
                     until then slurm-asg does nothing"
                )
            } else {
                format!("{path} cannot be read: {error}")
            }
        })?;
        let policy = policy::parse(&self.path, &text).map_err(|error| error.to_string())?;
        for warning in policy.warnings.iter().filter(|warning| !self.warned.contains(warning)) {
            tracing::warn!("{warning}");
        }
        self.warned.clone_from(&policy.warnings);
        Ok(Arc::new(policy))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// Where state is kept: asg.toml's `state_dir`, else `asg` below StateSaveLocation, which a
/// backup controller shares.
pub fn state_dir(policy: &Policy, host: &HostFacts) -> PathBuf {
    policy.state_dir.clone().unwrap_or_else(|| {
        let base = host.state_save_location.clone();
        base.unwrap_or_else(|| PathBuf::from("/var/lib/slurm-asg")).join("asg")
    })
}

/// Where the event log is, if there is one.
pub fn events(policy: &Policy, state_dir: &Path) -> Option<Place> {
    let events = &policy.events;
    let path = || events.path.clone().unwrap_or_else(|| state_dir.join(event::FILE_NAME));
    events.enabled.then(|| Place {
        path: path(),
        size_max: events.size_max,
        keep: events.keep,
        for_all: policy.access.readers.is_none(),
    })
}

/// Where the socket is.
pub fn socket(policy: &Policy) -> PathBuf {
    policy.socket.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
}
