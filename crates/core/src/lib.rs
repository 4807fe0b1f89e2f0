//! The pure core of slurm-asg.
//!
//! [`plan::plan`] turns what was seen of Slurm and AWS ([`snapshot::Snapshot`]), what was
//! decided before ([`memory::Memory`]) and what the administrator wants ([`policy::Policy`])
//! into a list of actions and, for every node, the reason for what is or is not done.
//! [`check::check`] is written apart from it and refuses actions that would break an invariant.
//!
//! This crate refuses to read a clock, a file, the environment or a network. Time comes in
//! as data, and deadlines go out as data.
#![forbid(unsafe_code)]

pub mod advice;
pub mod array;
pub mod check;
pub mod demand;
pub mod doctor;
pub mod event;
pub mod explain;
pub mod hostlist;
pub mod ids;
pub mod job_notice;
pub mod memory;
pub mod metrics;
pub mod node_state;
pub mod notice;
pub mod plan;
pub mod policy;
pub mod resume_file;
pub mod snapshot;
pub mod time;
pub mod view;
pub mod word;

#[cfg(test)]
mod testing;
