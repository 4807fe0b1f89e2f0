//! `job_submit_asg.so`: the slurmctld plugin of slurm-asg.
//!
//! slurmctld loads it with `JobSubmitPlugins=asg`. [`abi`] is the face that slurmctld sees; it
//! wakes the loop and nothing more. [`controller`] runs the loop on a thread of its own, with
//! Slurm behind [`scheduler`], AWS behind `slurm-asg-aws`, and clients behind [`server`].
//! This is the only crate with unsafe code: in [`abi`] and [`slurm`], for signals in
//! [`controller`], and for who is at the other end of a connection in [`server`].

mod abi;
mod clock;
mod config;
mod controller;
mod guard;
mod hook;
mod lock;
mod logging;
mod pace;
mod scheduler;
mod server;
mod slurm;
mod status;
