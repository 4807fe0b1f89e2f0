//! Instances that AWS takes away, with a word beforehand.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::{Fault, Notice};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON, calls};

/// Far less than a look each 30 s takes: a message wakes the loop.
const AT_ONCE: Duration = Duration::from_secs(15);

/// A cluster with a queue, and a job that runs on one node, has its output in one word per start,
/// and ends when the file `go` is there.
fn with_a_job() -> Result<(Lab, u32, String)> {
    let options = Options { events_queue: true, suspend_time_s: 30, ..Options::default() };
    let lab = Lab::start(options)?;
    let go = lab.path("out/go").display().to_string();
    let script = format!("echo begins; while [ ! -e {go} ]; do sleep 0.2; done; echo whole");
    let job = lab.sbatch(&["--nodes=1", "--requeue", "--open-mode=append"], &script)?;
    let node = lab.until_job(job, "RUNNING", JOB_RUNS)?.nodes;
    Ok((lab, job, node))
}

fn reason(lab: &Lab) -> Result<String> {
    lab.command("sinfo", &["-h", "-R", "-o", "%E"])
}

fn messages_left(lab: &Lab) -> Result<usize> {
    Ok(lab.sandbox().state()?.queues.values().sum())
}

#[test]
fn a_spot_interruption_drains_the_node_and_its_job_runs_again_elsewhere() -> Result<()> {
    let (lab, job, node) = with_a_job()?;
    let victim = lab.machine_of(&node)?;
    lab.sandbox().notify(&victim, Notice::SpotInterruption { after_ms: 20_000 })?;
    lab.until("the node drains, and says why", AT_ONCE, |lab| {
        let why = format!("(Code:SpotInterruption) {victim} goes at ");
        Ok(lab.node(&node)?.is("DRAIN") && reason(lab)?.contains(&why))
    })?;
    ensure!(lab.job(job)?.state == "RUNNING", "its job has its time");
    // A job that comes now does not land there, though a core is free.
    let next = lab.sbatch(&["--ntasks=1"], "true")?;
    lab.until("the instance is gone and its node is down", Duration::from_secs(60), |lab| {
        let is_there = lab.instances()?.iter().any(|it| it.id == victim);
        Ok(!is_there && (lab.node(&node)?.is("DOWN") || lab.job(job)?.restarts == 1))
    })?;
    let done = lab.until_job(next, "COMPLETED", JOB_RUNS)?;
    ensure!(done.nodes != node, "{} takes no job", done.nodes);
    std::fs::write(lab.path("out/go"), "")?;
    lab.until("the job waits", SOON, |lab| Ok(lab.job(job)?.state == "PENDING"))?;
    // Slurm holds a requeued job for two minutes.
    lab.command("scontrol", &["update", &format!("JobId={job}"), "StartTime=now"])?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    let output = lab.output(job);
    ensure!(done.restarts == 1 && output.ends_with("begins\nwhole\n"), "{output}");
    ensure!(messages_left(&lab)? == 0, "all messages are deleted");
    let events = lab.command("slurm-asg", &["events", "--node", &node])?;
    for word in ["instance_notice", "node_drained", "node_down"] {
        ensure!(events.contains(word), "{word} in\n{events}");
    }
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn after_other_notices_the_job_ends_first_and_the_node_comes_back_fresh() -> Result<()> {
    let (lab, job, node) = with_a_job()?;
    let victim = lab.machine_of(&node)?;
    // Messages about others, and ones that nobody can read, are deleted.
    let other = "{\"detail-type\":\"EC2 Instance Rebalance Recommendation\",\
        \"detail\":{\"instance-id\":\"i-0123456789abcdef0\"}}";
    lab.sandbox().post(other)?;
    for _ in 0..2 {
        lab.sandbox().post("no event at all")?;
    }
    lab.sandbox().notify(&victim, Notice::ScheduledEvent {})?;
    lab.until("the node drains, and says why", AT_ONCE, |lab| {
        let why =
            format!("(Code:ScheduledEvent) {victim}: AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED at");
        Ok(lab.node(&node)?.is("DRAIN") && reason(lab)?.contains(&why))
    })?;
    lab.until("all messages are deleted", AT_ONCE, |lab| Ok(messages_left(lab)? == 0))?;
    let complaints = lab.plugin_log();
    let complaints = complaints.iter().filter(|line| line.contains("cannot be read (no JSON"));
    ensure!(complaints.count() == 1, "{:#?}", lab.plugin_log());
    let messages = lab.status()?.figures.messages;
    ensure!((messages["malformed"], messages["unknown"]) == (2, 1), "{messages:?}");
    std::fs::write(lab.path("out/go"), "")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).as_str()) == (0, "begins\nwhole\n"));
    lab.until("the instance goes, though the node has just been idle", SOON, |lab| {
        Ok(lab.instances()?.iter().all(|it| it.id != victim))
    })?;
    lab.until_zero(BACK_TO_ZERO * 2)?;
    ensure!(!lab.node(&node)?.is("DRAIN"), "the node is available again");
    Ok(())
}

#[test]
fn an_unreachable_queue_is_told_once_and_stops_nothing() -> Result<()> {
    let lab = Lab::start(Options { events_queue: true, ..Options::default() })?;
    let actions = vec!["ReceiveMessage".to_owned()];
    lab.sandbox().fault(&Fault::ServerError { actions, count: None, rate: None })?;
    // The first request may be under way, and is held open for 20 s.
    let told = |lab: &Lab| -> Result<usize> {
        let problems = lab.status()?.problems;
        Ok(problems.iter().filter(|line| line.contains("ReceiveMessage: ")).count())
    };
    lab.until("it is told", Duration::from_secs(60), |lab| Ok(told(lab)? == 1))?;
    // An instance that is taken is seen all the same.
    let job = lab.sbatch(&["--nodes=1", "--requeue"], "sleep 3")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!(calls(&lab, "ReceiveMessage")? >= 2);
    let said = lab.plugin_log().into_iter().filter(|line| line.contains("ReceiveMessage: "));
    ensure!(said.count() == 1, "{:#?}", lab.plugin_log());
    lab.sandbox().clear_faults()?;
    lab.until("it is over", Duration::from_secs(100), |lab| Ok(told(lab)? == 0))?;
    lab.until_zero(BACK_TO_ZERO * 2).context("the group shrinks")
}
