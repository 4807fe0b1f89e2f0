//! Things that go wrong while the main job runs.

use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options, wait_for};
use slurm_asg_sandbox::Fault;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

#[test]
fn slurmctld_killed_between_request_and_instance_goes_on_after_its_restart() -> Result<()> {
    let mut lab = Lab::start(Options { launch_delay_ms: 2500, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=2"], "echo survived")?;
    lab.until("the capacity is asked for", SOON, |lab| Ok(lab.desired()? == 2))?;
    lab.crash_slurmctld();
    let arrived = wait_for(SOON, || lab.instances().ok().filter(|all| all.len() == 2));
    ensure!(arrived.is_some(), "the instances come while nobody looks");
    lab.start_slurmctld()?;
    lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    assert_eq!(lab.output(job).trim(), "survived");
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn slurmctld_killed_while_instances_boot_goes_on_after_its_restart() -> Result<()> {
    let mut lab = Lab::start(Options { boot_delay_ms: 3000, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=2"], "echo survived")?;
    lab.until("the instances have their names", SOON, |lab| {
        let status = lab.status()?;
        Ok(status.nodes.iter().filter(|node| node.instance.is_some()).count() == 2)
    })?;
    lab.crash_slurmctld();
    lab.start_slurmctld()?;
    lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn a_second_suspend_call_for_a_node_changes_nothing() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let job = lab.sbatch(&["--exclusive"], "sleep 20; echo whole")?;
    let node = lab.until_job(job, "RUNNING", JOB_RUNS)?.nodes;
    // Neither for a node with work, whoever asks,
    for _ in 0..2 {
        lab.command("slurm-asg-suspend", &[&node])?;
    }
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    assert_eq!((done.restarts, lab.output(job).trim()), (0, "whole"));
    // nor for one that is being powered down.
    lab.until("the node is released", BACK_TO_ZERO, |lab| {
        Ok(lab.node(&node)?.is("POWERING_DOWN"))
    })?;
    for _ in 0..2 {
        lab.command("slurm-asg-suspend", &[&node])?;
    }
    lab.until_zero(BACK_TO_ZERO)?;
    let calls = lab.sandbox().calls()?;
    let refused = calls
        .iter()
        .filter(|call| call.action == "TerminateInstanceInAutoScalingGroup" && call.status != 200);
    assert_eq!(refused.count(), 0);
    Ok(())
}

#[test]
fn a_job_whose_instance_dies_runs_elsewhere() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let script = "echo start $SLURM_RESTART_COUNT; sleep 15; echo whole";
    let job = lab.sbatch(&["--exclusive", "--open-mode=append"], script)?;
    let running = lab.until_job(job, "RUNNING", JOB_RUNS)?;
    let victim = lab.instances()?.remove(0);
    lab.sandbox().die(&victim.id)?;
    // The group is looked at every 30 s while nothing happens.
    lab.until("the job is requeued", Duration::from_secs(60), |lab| {
        Ok(lab.job(job)?.restarts == 1)
    })?;
    let reason = lab.command("sinfo", &["-R", "-h", "-o", "%E"]).unwrap_or_default();
    let log = lab.plugin_log().join("\n");
    ensure!(
        log.contains(&format!("(Code:InstanceGone) {} is gone", victim.id)),
        "no word of it: {reason}\n{log}"
    );
    // Slurm holds requeued jobs back for two minutes; a user may ask for less.
    lab.command("scontrol", &["update", &format!("JobId={job}"), "StartTime=now"])?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    ensure!(done.restarts == 1 && lab.output(job).trim().ends_with("whole"), "{}", lab.output(job));
    ensure!(running.state == "RUNNING");
    lab.until_zero(BACK_TO_ZERO * 2)?;
    ensure!(lab.nodes()?.iter().all(|node| !node.is("DOWN")), "every node is available again");
    Ok(())
}

#[test]
fn an_instance_that_never_boots_is_given_back_and_its_node_comes_back() -> Result<()> {
    let lab = Lab::start(Options { resume_timeout_s: 15, ..Options::default() })?;
    lab.sandbox().fault(&Fault::NeverBoots { count: 1 })?;
    let job = lab.sbatch(&["--exclusive"], "echo done")?;
    lab.until("an instance is there", SOON, |lab| Ok(lab.instances()?.len() == 1))?;
    lab.until("the first instance is gone", Duration::from_secs(60), |lab| {
        Ok(lab.desired()? == 0 && lab.instances()?.is_empty())
    })?;
    lab.until("the node is available again", SOON, |lab| {
        Ok(lab.nodes()?.iter().all(|node| node.is("IDLE") && !node.is("DOWN")))
    })?;
    lab.command("scontrol", &["update", &format!("JobId={job}"), "StartTime=now"])?;
    lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    lab.until_zero(BACK_TO_ZERO * 2)
}

#[test]
fn throttled_failing_and_lost_calls_only_cost_time() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let sandbox = lab.sandbox();
    let (count, rate, actions) = (Some(6), None, Vec::new());
    sandbox.fault(&Fault::Throttle { actions: actions.clone(), count, rate })?;
    sandbox.fault(&Fault::ServerError { actions, count: Some(4), rate })?;
    let set = vec!["SetDesiredCapacity".to_owned()];
    sandbox.fault(&Fault::LostReply { count: 1, actions: set })?;
    let terminate = vec!["TerminateInstanceInAutoScalingGroup".to_owned()];
    sandbox.fault(&Fault::LostReply { count: 1, actions: terminate })?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    lab.until_zero(BACK_TO_ZERO * 2)?;
    ensure!(sandbox.calls()?.iter().any(|call| call.status == 0), "a reply was lost");
    Ok(())
}

/// slurmctld with something wrong schedules jobs as if the plugin were not there, and says in
/// one line what is wrong.
fn schedules_without_the_plugin(options: Options, complaint: &str) -> Result<Lab> {
    let mut lab = Lab::start(options)?;
    lab.until("the log says what is wrong", SOON * 2, |lab| {
        Ok(lab.plugin_log().iter().any(|line| line.contains(complaint)))
    })?;
    let job = lab.sbatch(&[], "true")?;
    lab.until("the job is scheduled", SOON, |lab| Ok(lab.job(job)?.state != "PENDING"))?;
    lab.command("scancel", &[&job.to_string()])?;
    ensure!(lab.slurmctld_is_alive());
    let again = lab.plugin_log().iter().filter(|line| line.contains(complaint)).count();
    ensure!(again <= 2, "said {again} times");
    Ok(lab)
}

#[test]
fn a_missing_configuration_is_named_and_written_later_it_is_read() -> Result<()> {
    let lab = Lab::start(Options { asg_toml: Some(String::new()), ..Options::default() })?;
    std::fs::remove_file(lab.path("asg.toml"))?;
    lab.until("the log names the file", SOON, |lab| {
        Ok(lab.plugin_log().iter().any(|line| line.contains("asg.toml is not there; write it")))
    })?;
    let job = lab.sbatch(&[], "echo done")?;
    std::fs::write(lab.path("asg.toml"), lab.asg_toml())?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    Ok(())
}

#[test]
fn a_bad_configuration_is_named_with_line_and_remedy() -> Result<()> {
    let bad = "region = \"eu-west-1\"\n[[group]]\nname = \"compute\"\nnode = \"compute-[1-8]\"\n";
    let options = Options { asg_toml: Some(bad.to_owned()), ..Options::default() };
    let complaint = "asg.toml:4: unknown field `node`, expected one of";
    drop(schedules_without_the_plugin(options, complaint)?);
    Ok(())
}

#[test]
fn missing_credentials_are_named() -> Result<()> {
    let options = Options { credentials: false, ..Options::default() };
    drop(schedules_without_the_plugin(options, "no AWS credentials")?);
    Ok(())
}

#[test]
fn a_dead_endpoint_is_named() -> Result<()> {
    // Nobody listens on the discard port.
    let endpoint = "http://127.0.0.1:9".to_owned();
    let options = Options { endpoint: Some(endpoint), ..Options::default() };
    drop(schedules_without_the_plugin(options, "DescribeAutoScalingGroups: ")?);
    Ok(())
}

#[test]
fn a_wrong_group_or_region_is_named() -> Result<()> {
    let text = "region = \"eu-west-1\"\n[[group]]\nname = \"compute\"\nnodes = \"compute-[1-8]\"\n\
                asg = \"elsewhere\"\n";
    let options = Options { asg_toml: Some(text.to_owned()), ..Options::default() };
    let complaint = "Auto Scaling group elsewhere does not exist in this account and region";
    drop(schedules_without_the_plugin(options, complaint)?);
    Ok(())
}

#[test]
fn a_hanging_endpoint_does_not_slow_slurmctld_down() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin listens", SOON, |lab| Ok(lab.status().is_ok()))?;
    lab.sandbox().fault(&Fault::Hang { actions: Vec::new() })?;
    for _ in 0..20 {
        let job = lab.sbatch(&[], "true")?;
        let began = std::time::Instant::now();
        lab.command("squeue", &[])?;
        lab.command("scancel", &[&job.to_string()])?;
        ensure!(began.elapsed() < Duration::from_secs(5), "slurmctld answers slowly");
    }
    lab.status()?;
    lab.sandbox().clear_faults()?;
    Ok(())
}
