//! A state directory that is full, read-only or removed, and a state file that is torn or of
//! another version: jobs run on, nothing is lost, and the operator can see what is wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::SystemTime;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

const FILE: &str = "state/asg/memory.json";

/// How many lines of the plugin's log say this.
fn said(lab: &Lab, words: &str) -> usize {
    lab.plugin_log().iter().filter(|line| line.contains(words)).count()
}

/// A cluster with a job that runs on two nodes until the file `go` is there.
fn with_a_running_job(options: Options) -> Result<(Lab, u32)> {
    let lab = Lab::start(options)?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    submit(lab)
}

fn submit(lab: Lab) -> Result<(Lab, u32)> {
    let script = format!("while [ ! -e {} ]; do sleep 0.2; done; echo whole", go(&lab));
    let job = lab.sbatch(&["--nodes=2", "--open-mode=append"], &script)?;
    lab.until_job(job, "RUNNING", JOB_RUNS)?;
    Ok((lab, job))
}

/// Waits until slurmctld has saved what it knows of the job, which it does every few seconds: what
/// it forgets itself is not the matter here.
pub fn slurm_has_saved(lab: &Lab, job: u32) -> Result<()> {
    let now = SystemTime::now();
    lab.command("scontrol", &["update", &format!("JobId={job}"), "Comment=seen"])?;
    let file = lab.path("state/job_state");
    lab.until("slurmctld has saved its jobs", SOON, |_| Ok(fs::metadata(&file)?.modified()? > now))
}

fn go(lab: &Lab) -> String {
    lab.path("out/go").display().to_string()
}

/// Lets the job end; it has run once, and everything goes.
fn ends_well(lab: &Lab, job: u32) -> Result<()> {
    fs::write(go(lab), "")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).trim()) == (0, "whole"), "{}", lab.output(job));
    lab.until_zero(BACK_TO_ZERO * 2)?;
    // No node has got a second instance on the way.
    let ended = lab.sandbox().calls()?;
    let ended = ended.iter().filter(|call| call.action == "TerminateInstanceInAutoScalingGroup");
    ensure!(ended.count() <= 2, "more instances than nodes");
    Ok(())
}

#[test]
fn a_state_file_that_is_torn_or_of_another_version_is_kept_aside_and_jobs_run_on() -> Result<()> {
    let (mut lab, job) = with_a_running_job(Options::default())?;
    let file = lab.path(FILE);
    let instances = lab.instances()?;
    let whole = fs::read(&file)?;
    let text = String::from_utf8(whole.clone())?;
    let other = text.replacen("\"format\":1", "\"format\":999", 1).into_bytes();
    ensure!(other != whole);
    let torn = whole[..whole.len() / 2].to_vec();
    for (number, bad, why) in
        [(1, torn, "EOF while parsing"), (2, other, "its format is 999, this version has 1")]
    {
        slurm_has_saved(&lab, job)?;
        lab.crash_slurmctld();
        fs::write(&file, &bad)?;
        lab.start_slurmctld()?;
        let aside = lab.path(&format!("{FILE}.bad-{number}"));
        let complaint = format!("state: {} cannot be read ({why}", file.display());
        let kept = format!("it is kept as {}; starting from what Slurm", aside.display());
        lab.until("the log says what is wrong and where the file is", SOON, |lab| {
            let log = lab.plugin_log();
            Ok(log.iter().any(|line| line.contains(&complaint) && line.contains(&kept)))
        })?;
        ensure!(fs::read(&aside)? == bad, "not a byte of it is changed");
        // The bindings are rebuilt and saved.
        lab.until("the nodes have their instances again", SOON, |lab| {
            let status = lab.status()?;
            let bound: Vec<_> =
                status.nodes.iter().filter_map(|node| node.instance.as_deref()).collect();
            let all = instances.iter().all(|instance| bound.contains(&instance.id.as_str()));
            let saved = fs::read_to_string(&file).unwrap_or_default();
            Ok(all && instances.iter().all(|instance| saved.contains(&instance.id)))
        })?;
        lab.until("it is over", SOON, |lab| Ok(said(lab, &format!("over: {complaint}")) == 1))?;
    }
    ends_well(&lab, job)
}

#[test]
fn a_full_disk_is_told_stops_nothing_and_loses_nothing_over_a_crash() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    // The event log is on the same disk, as it is by default.
    let full = format!("{}[events]\npath = \"/dev/full\"\n", lab.asg_toml());
    fs::write(lab.path("asg.toml"), full)?;
    lab.until("it works by that", SOON, |lab| Ok(said(lab, "started: ") == 2))?;
    let beside = lab.path(&format!("{FILE}.new"));
    symlink("/dev/full", &beside)?;
    // From here on, nothing of what the loop begins is saved,
    let (mut lab, job) = submit(lab)?;
    let complaint = format!("state cannot be saved: {}: No space left", lab.path(FILE).display());
    ensure!(said(&lab, &complaint) == 1, "{:#?}", lab.plugin_log());
    let status = lab.command("slurm-asg", &["status"])?;
    ensure!(status.contains(&format!("! {complaint}")), "{status}");
    ensure!(status.contains("! events cannot be written to /dev/full: No space left"), "{status}");
    let saved = fs::read_to_string(lab.path(FILE)).unwrap_or_default();
    ensure!(lab.instances()?.iter().all(|instance| !saved.contains(&instance.id)), "{saved}");
    // and a crash forgets it all.
    slurm_has_saved(&lab, job)?;
    lab.crash_slurmctld();
    lab.start_slurmctld()?;
    let second = lab.sbatch(&["--exclusive"], "true")?;
    lab.until_job(second, "COMPLETED", JOB_RUNS * 2)?;
    ensure!(lab.job(job)?.state == "RUNNING");
    fs::remove_file(&beside)?;
    lab.until("there is room again", SOON, |lab| {
        lab.status()?;
        Ok(said(lab, &format!("over: {complaint}")) == 1)
    })?;
    fs::write(lab.path("asg.toml"), lab.asg_toml())?;
    lab.until("nothing is wrong any more", SOON, |lab| {
        let status = lab.status()?;
        Ok(status.looked_at_ms.is_some() && status.problems.is_empty())
    })?;
    fs::write(go(&lab), "")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).trim()) == (0, "whole"), "{}", lab.output(job));
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn a_read_only_state_directory_is_told_and_once_it_can_be_written_all_goes_on() -> Result<()> {
    let options = Options { slurm_user: "slurm".to_owned(), ..Options::default() };
    let (lab, job) = with_a_running_job(options)?;
    let dir = lab.path("state/asg");
    fs::set_permissions(&dir, Permissions::from_mode(0o555))?;
    let second = lab.sbatch(&["--exclusive"], "true")?;
    let complaint =
        format!("state cannot be saved: {}: Permission denied", lab.path(FILE).display());
    lab.until("it is told", SOON, |lab| Ok(said(lab, &complaint) == 1))?;
    lab.until_job(second, "COMPLETED", JOB_RUNS)?;
    ensure!(lab.status()?.problems.iter().any(|line| line.starts_with(&complaint)));
    fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
    lab.until("it is over", JOB_RUNS, |lab| {
        Ok(said(lab, &format!("over: {complaint}")) == 1 && lab.status()?.problems.is_empty())
    })?;
    // Where it cannot even take its lock the plugin does nothing, and says so,
    let closed = lab.path("closed");
    fs::create_dir(&closed)?;
    fs::set_permissions(&closed, Permissions::from_mode(0o555))?;
    let text = format!("state_dir = \"{}\"\n{}", closed.display(), lab.asg_toml());
    fs::write(lab.path("asg.toml"), text)?;
    let complaint = format!(
        "{} cannot be used: Permission denied (os error 13); make it writable for SlurmUser, or \
         set `state_dir` in asg.toml",
        closed.display()
    );
    lab.until("it is told", SOON, |lab| Ok(said(lab, &complaint) == 1))?;
    let third = lab.sbatch(&["--exclusive", "--nodes=3"], "true")?;
    // and everything waits, until it can.
    fs::set_permissions(&closed, Permissions::from_mode(0o777))?;
    lab.until_job(third, "COMPLETED", JOB_RUNS * 2)?;
    fs::write(go(&lab), "")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).trim()) == (0, "whole"), "{}", lab.output(job));
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn a_state_directory_that_is_removed_is_made_again() -> Result<()> {
    let (lab, job) = with_a_running_job(Options::default())?;
    fs::remove_dir_all(lab.path("state/asg"))?;
    ends_well(&lab, job)?;
    lab.until("what is remembered is saved again", SOON, |lab| Ok(lab.path(FILE).exists()))
}
