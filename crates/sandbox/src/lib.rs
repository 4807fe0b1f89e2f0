//! An AWS endpoint on loopback whose instances are processes on this machine: Auto Scaling, EC2, CloudWatch, SQS and instance metadata,
//! enough for an autoscaler to be shown and tested without an account, with life-cycle hooks and with faults to inject.
//!
//! It checks no signatures and bills nobody, so it listens on loopback addresses only.
//!
//! The parts: [`world`] holds all state and changes it by pure-ish transitions that are given the time; [`server`] owns the
//! clock, the socket and the one task that steps the world; [`process`] starts and kills what the world says.

#![forbid(unsafe_code)]

pub mod autoscaling;
pub mod calls;
pub mod cbor;
pub mod client;
pub mod cloudwatch;
pub mod config;
pub mod control;
pub mod ec2;
pub mod error;
pub mod faults;
pub mod frontend;
pub mod imds;
mod launch_api;
mod lifecycle_api;
mod machines;
pub mod process;
pub mod query;
pub mod server;
mod sqs;
mod suspension_api;
pub mod world;
pub mod xml;

pub use calls::Call;
pub use client::{ClientError, SandboxClient};
pub use config::{AlarmConfig, Comparison, Config, GroupConfig, Statistic};
pub use control::{ActionState, AlarmView, GroupState, InstanceState, MetricState, State};
pub use faults::{Fault, FaultInForce};
pub use server::Sandbox;
pub use world::{AlarmState, GroupChange, Notice, Point, SPOT_NOTICE_MS};
