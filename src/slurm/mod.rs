//! The safe face of Slurm.
//!
//! Slurm's functions are looked up at run time in the process that has loaded the plugin, so
//! that the .so has no undefined symbol and loads in slurmctld of any build, and in tests.

mod api;
mod ffi;
mod host;
mod log;
mod nodes;
mod queue;
mod release;
mod version;

pub use api::{NodeUpdate, Slurm, SlurmError};
pub use ffi::SLURM_VERSION_NUMBER;
pub use host::{HostFacts, is_active};
pub use log::{Level, log, wants};
pub use version::{VERSION_MAX, take_from_host, text as version_text};
