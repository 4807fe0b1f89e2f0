//! What is said on the plugin's socket, and a small blocking client.
//!
//! One JSON object on a line asks, one JSON object on a line answers. This crate has no async
//! runtime and no AWS SDK: the programs that Slurm calls must start in a millisecond.
#![forbid(unsafe_code)]

mod client;
mod figures;
mod locate;
mod message;

pub use client::{AskError, ask};
pub use figures::{ApiCalls, Figures};
pub use locate::{DEFAULT_SOCKET, config_path, slurm_conf_path, socket_path};
pub use message::{
    AdviceStatus, GroupStatus, JobStatus, NodeStatus, ProtectedStatus, Request, Response, Status,
};

/// The largest request that the plugin reads from root and SlurmUser, bytes. 10,000 nodes without a common prefix fit.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;
/// The largest request that it reads from others than root and SlurmUser, bytes.
pub const OTHERS_REQUEST_BYTES_MAX: usize = 64 << 10;
/// The largest answer that a client reads, bytes.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;
