//! Jobs that get all of their nodes or none.

use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// What a node's way down takes beside a job's: SuspendTimeout, and the next pass.
const MAKES_ROOM: Duration = Duration::from_secs(60);

/// Room for two instances, nodes for four, and idle nodes that Slurm keeps for ten minutes.
fn small(launch_limit: u32) -> Options {
    Options {
        nodes: 4,
        max: 2,
        suspend_time_s: 600,
        group_keys: format!("launch = \"all-or-nothing\"\nlaunch_limit = {launch_limit}\n"),
        ..Options::default()
    }
}

#[test]
fn two_jobs_with_room_for_one_run_one_after_the_other_and_not_a_half_each() -> Result<()> {
    let lab = Lab::start(small(600))?;
    let first = lab.sbatch(&["--nodes=2", "--exclusive"], "sleep 5; echo done")?;
    let second = lab.sbatch(&["--nodes=2", "--exclusive"], "echo done")?;
    lab.until("Slurm has given both their nodes", SOON, |lab| {
        let nodes = lab.nodes()?;
        Ok(nodes.iter().filter(|node| node.is("ALLOCATED")).count() == 4)
    })?;
    lab.until("the second one's nodes say what they wait for", SOON, |lab| {
        let status = lab.status()?;
        let why = format!("job {second} can have 0 of its 2 nodes only");
        Ok(status.nodes.iter().filter(|node| node.text.contains(&why)).count() == 2)
    })?;
    lab.until_job(first, "COMPLETED", JOB_RUNS)?;
    // Its nodes are idle now and would be so for ten minutes; the other job's are others.
    lab.until_job(second, "COMPLETED", MAKES_ROOM + JOB_RUNS)?;
    let events = lab.command("slurm-asg", &["events"])?;
    ensure!(events.contains("a job waits for room"), "{events}");
    Ok(())
}

#[test]
fn a_job_that_never_has_all_gets_nothing_and_is_requeued_at_its_limit() -> Result<()> {
    let lab = Lab::start(Options { suspend_time_s: 5, ..small(10) })?;
    let job = lab.sbatch(&["--nodes=3", "--exclusive"], "echo done")?;
    lab.until("it is back in the queue, long before ResumeTimeout", SOON * 2, |lab| {
        let job = lab.job(job)?;
        Ok(job.restarts == 1 && job.state == "PENDING")
    })?;
    ensure!(lab.instances()?.is_empty(), "what only a part of it could have is not launched");
    let events = lab.command("slurm-asg", &["events"])?;
    let reason = format!("(Code:IncompleteJob) job {job} has 0 of 3 nodes, 10 s");
    ensure!(events.contains(&reason), "{events}");
    // One that there is room for gets all.
    lab.command("scancel", &[&job.to_string()])?;
    let job = lab.sbatch(&["--nodes=2", "--exclusive"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)
}
