//! The loop of slurm-asg: observe, plan, check, execute, remember.
//!
//! Everything that touches the world comes in through five narrow traits ([`Cloud`],
//! [`Scheduler`], [`Clock`], [`Store`], [`Journal`]), so that the same loop runs in slurmctld, in
//! tests and in a simulation. The loop decides nothing: [`slurm_asg_core::plan::plan`] does.
#![forbid(unsafe_code)]

mod cloud;
mod engine;
mod job_notices;
mod journal;
mod observe;
mod publish;
mod queue_view;
mod scheduler;
mod steady;
mod store;
mod story;
mod troubles;

pub use cloud::{
    Cloud, CloudError, CloudErrorKind, Publication, QueuedMessage, ReadConsole, Receipt,
    TerminateRequest,
};
pub use engine::{
    Command, Engine, Followed, IDLE_PAUSE, Keeping, Look, Messages, Retired, TRANSITION_PAUSE, What,
};
pub use journal::{FileJournal, Journal, Place, Recorder};
pub use scheduler::{AddressUpdate, Nodes, Scheduler, SchedulerError};
pub use store::{FileStore, Store, StoreError, read_memory, write_memory};
pub use troubles::{About, Troubles};

use std::time::Duration;

use slurm_asg_core::time::Timestamp;

/// Where the loop gets the time from.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;

    /// The time since some start, which goes on evenly when somebody sets the clock.
    fn ticks(&self) -> Duration;
}
