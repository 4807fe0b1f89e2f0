//! The main job with a real slurmctld, slurmd and munged, and the sandbox in AWS's place.
//!
//! Every test has a cluster of its own. A test's name is the rule that it proves.

#![expect(clippy::indexing_slicing, reason = "a test may fail")]

mod ahead;
mod alarm;
mod boots;
mod capacity;
mod chaos;
mod doctor;
mod doors;
mod events;
mod explain;
mod failover;
mod hooks;
mod job_notices;
mod life;
mod logs;
mod memcheck;
mod notices;
mod programs;
mod protect;
mod protection;
mod release;
mod retire;
mod scale_in;
mod secrets;
mod serve;
mod sizes;
mod state;
mod trouble;
mod whole;
mod zones;

use std::time::Duration;

use anyhow::Result;
use slurm_asg_lab::Lab;

/// Slurm 22.05 lets a batch job begin on nodes that have booted with a pass that comes every
/// 30 s (job_time_limit() in src/slurmctld/job_mgr.c), so this is no tight limit.
const JOB_RUNS: Duration = Duration::from_secs(90);
/// SuspendTime, SuspendTimeout and the pauses of slurmctld's loops.
const BACK_TO_ZERO: Duration = Duration::from_secs(60);
/// What the plugin does within its own pace.
const SOON: Duration = Duration::from_secs(20);

/// How often an action was called.
fn calls(lab: &Lab, action: &str) -> Result<usize> {
    Ok(lab.sandbox().calls()?.iter().filter(|call| call.action == action).count())
}
