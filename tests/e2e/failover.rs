//! A primary and a backup slurmctld: whoever has control works, the other one rests.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Controller, Lab, Options};

use crate::state::slurm_has_saved;
use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// From the primary's silence to the backup's control: SlurmctldTimeout, and a few of its parts.
const TAKEOVER: Duration = Duration::from_secs(60);

/// How many lines of a plugin's log say this.
fn said(lab: &Lab, controller: Controller, words: &str) -> usize {
    lab.plugin_log_of(controller).iter().filter(|line| line.contains(words)).count()
}

/// A cluster with a job of two nodes whose instances boot; the backup rests.
fn in_the_middle_of_a_resume() -> Result<(Lab, u32)> {
    let options = Options {
        backup: true,
        boot_delay_ms: 15_000,
        resume_timeout_s: 120,
        ..Options::default()
    };
    let lab = Lab::start(options)?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    let job = lab.sbatch(&["--nodes=2"], "srun -l hostname > /dev/null; echo whole")?;
    lab.until("its nodes power up, and have instances", SOON, |lab| {
        let booting = lab.nodes()?.iter().filter(|node| node.is("POWERING_UP")).count();
        Ok(booting == 2 && lab.instances()?.len() == 2)
    })?;
    slurm_has_saved(&lab, job)?;
    ensure!(lab.plugin_log_of(Controller::Backup).is_empty(), "the backup rests");
    ensure!(lab.job(job)?.state == "CONFIGURING", "it boots");
    Ok((lab, job))
}

/// The most that was ever asked for, and how many instances have been terminated.
fn asked_for(lab: &Lab) -> Result<(u32, usize)> {
    let calls = lab.sandbox().calls()?;
    let raises = calls.iter().filter(|call| call.action == "SetDesiredCapacity");
    let most = raises.filter_map(|call| call.params.get("DesiredCapacity")?.parse().ok()).max();
    let ended = calls.iter().filter(|call| call.action == "TerminateInstanceInAutoScalingGroup");
    Ok((most.context("nothing was asked for")?, ended.count()))
}

#[test]
fn a_backup_that_takes_over_during_a_resume_finishes_it_and_gives_control_back() -> Result<()> {
    let (mut lab, job) = in_the_middle_of_a_resume()?;
    let before: Vec<_> = lab.instances()?.into_iter().map(|it| it.id).collect();
    lab.crash_slurmctld();
    lab.until("the backup's plugin works", TAKEOVER, |lab| {
        Ok(said(lab, Controller::Backup, "started: ") == 1)
    })?;
    lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    ensure!(lab.output(job).trim() == "whole", "{}", lab.output(job));
    let used: Vec<_> = lab.instances()?.into_iter().map(|it| it.id).collect();
    ensure!(used.iter().all(|id| before.contains(id)), "{used:?} are not of {before:?}");
    lab.until_zero(BACK_TO_ZERO * 2)?;
    let (most, ended) = asked_for(&lab)?;
    ensure!(most == 2 && (1..=2).contains(&ended), "{most} asked for, {ended} ended");
    // The primary comes back and takes control again,
    lab.start_slurmctld()?;
    lab.until("the primary's plugin works, and the backup's rests", TAKEOVER, |lab| {
        let rests = said(lab, Controller::Backup, "on standby now");
        Ok(said(lab, Controller::Primary, "started: ") == 2 && rests == 1)
    })?;
    // and everything goes on through it.
    lab.command("srun", &["--nodes=1", "--mpi=none", "true"])?;
    lab.until_zero(BACK_TO_ZERO * 2)?;
    ensure!(said(&lab, Controller::Backup, "started: ") == 1, "the backup has rested");
    Ok(())
}

#[test]
fn a_backup_waits_for_a_primary_that_hangs_with_its_lock() -> Result<()> {
    let (mut lab, job) = in_the_middle_of_a_resume()?;
    let primary = lab.slurmctld_pid().context("no primary")?.to_string();
    ensure!(Command::new("kill").args(["-STOP", &primary]).status()?.success());
    let complaint = format!("(process {primary} on ctl-1); this one waits until it has ended");
    lab.until("the backup has control, and its plugin waits", TAKEOVER, |lab| {
        Ok(said(lab, Controller::Backup, &complaint) == 1)
    })?;
    ensure!(said(&lab, Controller::Backup, "started: ") == 0);
    // Whoever ends it lets the backup go on.
    lab.crash_slurmctld();
    lab.until("the backup's plugin works", SOON, |lab| {
        Ok(said(lab, Controller::Backup, "started: ") == 1)
    })?;
    lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    ensure!(lab.output(job).trim() == "whole", "{}", lab.output(job));
    lab.until_zero(BACK_TO_ZERO * 2)?;
    let (most, ended) = asked_for(&lab)?;
    ensure!(most == 2 && (1..=2).contains(&ended), "{most} asked for, {ended} ended");
    Ok(())
}
