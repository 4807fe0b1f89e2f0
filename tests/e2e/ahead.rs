//! Capacity for pending jobs, before Slurm gives them nodes.

use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, SOON};

fn ready() -> Result<Lab> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    Ok(lab)
}

#[test]
fn capacity_that_is_raised_ahead_is_not_counted_twice() -> Result<()> {
    let lab = ready()?;
    let job = lab.sbatch(&["--nodes=3"], "echo done")?;
    lab.until("the capacity is asked for", SOON, |lab| Ok(lab.desired()? == 3))?;
    lab.until("three nodes are up", SOON, |lab| {
        let status = lab.status()?;
        Ok(status.groups.first().is_some_and(|group| group.busy == 3))
    })?;
    ensure!(lab.desired()? == 3, "nothing is counted twice");
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn jobs_that_cannot_start_launch_nothing_and_say_why() -> Result<()> {
    let lab = ready()?;
    let table: [(&[&str], &str); 5] = [
        (&["--hold"], "held"),
        (&["--begin=now+1hour"], "not_yet"),
        (&["--dependency=afterok:1"], "held_back"),
        (&["--dependency=singleton", "--hold"], "held"),
        (&["--nodes=8", "--ntasks=64", "--hold"], "held"),
    ];
    for (options, why) in table {
        // What Slurm refuses at once is no pending job.
        let Ok(job) = lab.sbatch(options, "true") else { continue };
        lab.until(&format!("job {job} ({options:?}) is {why}"), SOON, |lab| {
            let status = lab.status()?;
            let said = status.jobs.iter().find(|it| it.id == job).map(|it| it.why.clone());
            Ok(said.is_some_and(|said| said == why))
        })?;
    }
    std::thread::sleep(Duration::from_secs(3));
    ensure!(lab.desired()? == 0, "{}", lab.command("squeue", &[])?);
    ensure!(lab.sandbox().calls()?.iter().all(|call| call.action != "SetDesiredCapacity"));
    Ok(())
}

#[test]
fn what_was_launched_for_a_job_that_vanished_is_given_back() -> Result<()> {
    // Slurm has no time to give nodes: the job is gone before.
    let lab = ready()?;
    let job = lab.sbatch(&["--nodes=2"], "true")?;
    lab.until("the capacity is asked for", SOON, |lab| Ok(lab.desired()? == 2))?;
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO * 2)
}
