//! The sandbox from outside: the wire, the processes, the program, and the node bootstrap that runs in it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod bench;
mod faults;
mod hooks;
mod imds;
mod node;
mod processes;
mod program;
mod wire;
