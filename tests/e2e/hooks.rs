//! Life-cycle hooks: instances that someone else ends, and launches that wait for slurmd.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::InstanceState;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// A hook that runs out while the job runs, if nobody tells it to wait. AWS has 30 s at least, and
/// the group may not be looked at for as long.
const TERMINATING: &str = "hooks = [{ name = \"slurm-asg-terminating\", \
    transition = \"terminating\", heartbeat_timeout_s = 40, default_result = \"CONTINUE\" }]";
const LAUNCHING: &str = "hooks = [{ name = \"slurm-asg-launching\", \
    transition = \"launching\", heartbeat_timeout_s = 6, default_result = \"ABANDON\" }]";

/// The answers to calls of an action that have this word among their parameters.
fn answers(lab: &Lab, action: &str, word: &str) -> Result<Vec<u16>> {
    let calls = lab.sandbox().calls()?;
    let meant = calls.iter().filter(|call| {
        let said = word.is_empty() || call.params.values().any(|value| value == word);
        call.action == action && said
    });
    Ok(meant.map(|call| call.status).collect())
}

/// How often an action was carried out, with this word among its parameters.
fn calls(lab: &Lab, action: &str, word: &str) -> Result<usize> {
    let answers = answers(lab, action, word)?;
    Ok(answers.into_iter().filter(|status| *status == 200).count())
}

fn instance(lab: &Lab, id: &str) -> Result<Option<InstanceState>> {
    Ok(lab.instances()?.into_iter().find(|instance| instance.id == id))
}

#[test]
fn an_instance_ended_at_the_console_drains_waits_for_its_job_and_is_completed() -> Result<()> {
    let lab = Lab::start(Options { asg_keys: TERMINATING.to_owned(), ..Options::default() })?;
    let script = "for i in $(seq 75); do sleep 1; done; echo whole";
    let job = lab.sbatch(&["--nodes=1"], script)?;
    let running = lab.until_job(job, "RUNNING", JOB_RUNS)?;
    let victim = lab.instances()?.remove(0).id;
    lab.sandbox().terminate(&victim)?;
    lab.until("the node drains", Duration::from_secs(40), |lab| {
        Ok(lab.node(&running.nodes)?.is("DRAIN"))
    })?;
    let told = lab.command("sinfo", &["-h", "-R", "-o", "%E"])?;
    ensure!(told.contains("(Code:InstanceTerminating)"), "{told}");
    // One core of the node is free, and the next job goes elsewhere all the same.
    let next = lab.sbatch(&["--ntasks=1"], "echo on $SLURMD_NODENAME")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).trim()) == (0, "whole"), "the job got its time");
    ensure!(calls(&lab, "RecordLifecycleActionHeartbeat", &victim)? >= 2);
    lab.until("the hook is completed and the instance is gone", SOON, |lab| {
        Ok(calls(lab, "CompleteLifecycleAction", &victim)? > 0 && instance(lab, &victim)?.is_none())
    })?;
    let other = lab.until_job(next, "COMPLETED", JOB_RUNS)?;
    ensure!(other.nodes != running.nodes, "{}", other.nodes);
    lab.until_zero(BACK_TO_ZERO * 2)?;
    let again = lab.node(&running.nodes)?;
    ensure!(!again.is("DRAIN") && !again.is("DOWN"), "the node is available again");
    // What slurm-asg itself terminates waits for nobody.
    ensure!(calls(&lab, "CompleteLifecycleAction", "ABANDON")? == 0);
    let events = lab.command("slurm-asg", &["events", "--node", &running.nodes])?;
    for word in ["node_drained", "hook_held", "hook_completed"] {
        ensure!(events.contains(word), "{word} in\n{events}");
    }
    Ok(())
}

#[test]
fn an_idle_instance_ended_at_the_console_is_let_go_at_once() -> Result<()> {
    let asg_keys = TERMINATING.replace("= 40", "= 300");
    let lab = Lab::start(Options { asg_keys, suspend_time_s: 60, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=1"], "echo done")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    let victim = lab.instances()?.remove(0).id;
    lab.sandbox().terminate(&victim)?;
    // Long before the hook runs out: a look each 30 s, and what Slurm takes to power down.
    lab.until("it is gone and the node is off", Duration::from_secs(60), |lab| {
        Ok(instance(lab, &victim)?.is_none() && lab.node(&done.nodes)?.is("POWERED_DOWN"))
    })?;
    ensure!(calls(&lab, "CompleteLifecycleAction", "CONTINUE")? > 0);
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn a_launch_that_a_hook_holds_is_completed_when_slurmd_has_registered() -> Result<()> {
    let lab = Lab::start(Options {
        asg_keys: LAUNCHING.to_owned(),
        boot_delay_ms: 9000,
        ..Options::default()
    })?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until("both wait", SOON, |lab| {
        let all = lab.instances()?;
        Ok(all.len() == 2 && all.iter().all(|it| it.lifecycle == "Pending:Wait"))
    })?;
    ensure!(calls(&lab, "CompleteLifecycleAction", "")? == 0, "nobody has registered");
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!(calls(&lab, "CompleteLifecycleAction", "CONTINUE")? == 2);
    ensure!(calls(&lab, "RecordLifecycleActionHeartbeat", "")? >= 2, "it boots longer than that");
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn a_launch_whose_slurmd_never_registers_is_terminated_and_abandoned() -> Result<()> {
    let lab = Lab::start(Options {
        asg_keys: LAUNCHING.to_owned(),
        boot_command: Some(vec!["/bin/sleep".to_owned(), "600".to_owned()]),
        resume_timeout_s: 10,
        ..Options::default()
    })?;
    let job = lab.sbatch(&["--nodes=1"], "echo never")?;
    lab.until("it waits", SOON, |lab| {
        Ok(lab.instances()?.first().is_some_and(|it| it.lifecycle == "Pending:Wait"))
    })?;
    let first = lab.instances()?.first().context("no instance")?.id.clone();
    lab.until("Slurm gives the node up, and the instance goes", JOB_RUNS, |lab| {
        Ok(instance(lab, &first)?.is_none())
    })?;
    ensure!(calls(&lab, "CompleteLifecycleAction", "CONTINUE")? == 0);
    // Terminated before, it waits for nothing any more, here; who abandons it first gets another.
    ensure!(!answers(&lab, "CompleteLifecycleAction", "ABANDON")?.is_empty());
    let log = lab.plugin_log().join("\n");
    ensure!(log.contains("completed: abandon") && !log.contains("failed"), "{log}");
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO * 2)
}
