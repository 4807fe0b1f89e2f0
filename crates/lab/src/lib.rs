//! A throw-away Slurm cluster on this machine: a munged, a sandbox, a real slurmctld with the
//! plugin, and slurmd where the sandbox's instances start them.
//!
//! Every cluster has its own directory, key, socket and ports, so that several live beside each
//! other and beside a cluster that is on the machine already. Whatever it starts it ends, by
//! process id, also when its owner fails.
#![forbid(unsafe_code)]

mod alarms;
mod capacity;
mod child;
mod cluster;
mod controllers;
pub mod figures;
mod files;
mod jobs;
mod options;
mod ports;
pub mod processor;
mod release;

pub use capacity::{nodes_with_addresses, until_capacity_call};
pub use child::Child;
pub use cluster::{Lab, beside_this_program, exit_code, now_ms, say, until, wait_for};
pub use controllers::Controller;
pub use jobs::{Job, NodeLine};
pub use options::{Alarms, Layout, NodeKind, Options};
pub use release::{PLUGIN, Release};
