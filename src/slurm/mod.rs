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

pub use api::{NodeUpdate, Slurm, SlurmError};
pub use ffi::SLURM_VERSION_NUMBER;
pub use host::{HostFacts, is_active};
pub use log::{Level, log, wants};

/// Slurm's versions are year, month and micro in three bytes.
pub const VERSION_MAX: u32 = 0x0100_0000;

/// The release that the plugin is built for, as in `22.05.8`.
pub fn built_for() -> String {
    let part = |shift: u32| SLURM_VERSION_NUMBER >> shift & 0xff;
    format!("{:02}.{:02}.{}", part(16), part(8), part(0))
}
