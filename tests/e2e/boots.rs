//! Instances that never register, one after the other, and groups that an administrator pauses.

use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::Fault;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// Two boots that fail, each in its ResumeTimeout.
const TWO_BOOTS: Duration = Duration::from_secs(120);

#[test]
fn after_boots_that_fail_nothing_is_launched_until_an_administrator_says_so() -> Result<()> {
    let mut lab = Lab::start(Options {
        nodes: 2,
        resume_timeout_s: 10,
        group_keys: "boot_failures_max = 2\n".to_owned(),
        ..Options::default()
    })?;
    lab.sandbox().fault(&Fault::NeverBoots { count: 2 })?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until("the nodes are closed, and say how to open them", TWO_BOOTS, |lab| {
        let told = lab.command("sinfo", &["-h", "-N", "-o", "%N %T %E"])?;
        let closed = |line: &&str| {
            line.contains("(Code:ProtectedMode)") && line.ends_with("slurm-asg clear compute")
        };
        Ok(told.lines().filter(closed).count() == 2)
    })?;
    lab.until("the instances are gone", SOON, |lab| Ok(lab.instances()?.is_empty()))?;
    let status = lab.command("slurm-asg", &["status"])?;
    ensure!(status.contains("the last 2 instances never registered"), "{status}");
    let events = lab.command("slurm-asg", &["events", "--group", "compute"])?;
    ensure!(events.matches("never_registered").count() == 2, "{events}");
    ensure!(events.contains("boot_console") && events.contains("protected_mode"), "{events}");
    // A controller that is restarted launches nothing either.
    lab.crash_slurmctld();
    lab.start_slurmctld()?;
    // It may come back with a state of some seconds ago, in which the nodes boot still or again.
    drop(lab.command("scontrol", &["update", &format!("JobId={job}"), "StartTime=now"]));
    std::thread::sleep(Duration::from_secs(5));
    ensure!(lab.desired()? == 0, "nothing is launched");
    let told = lab.command("slurm-asg", &["clear", "compute", "--reason", "image mended"])?;
    ensure!(told == "group=compute asked for instances again\n", "{told:?}");
    // Slurm has that one wait for two minutes after each time that it was requeued.
    lab.command("scancel", &[&job.to_string()])?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    let again = lab.command("slurm-asg", &["clear", "compute"])?;
    ensure!(again.contains("nothing to clear"), "{again:?}");
    let events = lab.command("slurm-asg", &["events", "--event", "cleared", "--json"])?;
    ensure!(events.contains(r#""user":0}"#) && events.contains("image mended"), "{events}");
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn a_paused_group_gets_no_instance_and_loses_none() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let first = lab.sbatch(&["--nodes=1"], "echo done")?;
    lab.until_job(first, "COMPLETED", JOB_RUNS)?;
    let told = lab.command("slurm-asg", &["pause", "compute", "--reason", "looking at a node"])?;
    ensure!(told.starts_with("group=compute paused"), "{told:?}");
    let second = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until("Slurm powers a second node up", SOON, |lab| {
        Ok(lab.nodes()?.iter().any(|node| node.is("POWERING_UP")))
    })?;
    let status = lab.command("slurm-asg", &["status"])?;
    ensure!(status.contains("paused by user 0: looking at a node"), "{status}");
    ensure!(lab.desired()? == 1, "nothing is launched");
    let problem = lab.command("slurm-asg", &["pause", "nothing"]);
    ensure!(
        problem.is_err_and(|error| format!("{error:#}").contains("it has compute")),
        "an unknown group is named, with those that there are"
    );
    lab.command("slurm-asg", &["resume-scaling", "--all"])?;
    lab.until_job(second, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)
}
