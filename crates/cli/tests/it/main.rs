//! `slurm-asg` as a program, with a plugin that says what a test wants.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod commands;
mod events;
mod plugin;
mod report;
mod screen;
mod serve;
mod status;
