//! Protection from scale-in, and what `check` advises for it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::GroupChange;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON, calls};

#[test]
fn whoever_lowers_the_capacity_ends_no_instance_that_serves_a_node() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let job = lab.sbatch(&["--nodes=2"], "sleep 15; echo whole")?;
    lab.until_job(job, "RUNNING", JOB_RUNS)?;
    lab.until("both are protected", SOON, |lab| {
        let all = lab.instances()?;
        Ok(all.len() == 2 && all.iter().all(|instance| instance.protected))
    })?;
    let protects = calls(&lab, "SetInstanceProtection")?;
    ensure!(protects <= 2, "both in one call, or each when it came into service: {protects}");
    lab.sandbox()
        .set_group("hpc-compute", GroupChange { desired: Some(0), ..Default::default() })?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).trim()) == (0, "whole"));
    // What is protected is terminated by id all the same.
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn check_advises_what_a_group_should_have_and_fixes_it_when_told_to() -> Result<()> {
    let lab = Lab::start(Options {
        asg_keys: "suspended_processes = []\n".to_owned(),
        ..Options::default()
    })?;
    let check = |arguments: &[&str]| lab.command("slurm-asg", &[&["check"], arguments].concat());
    let json =
        |arguments: &[&str]| -> Result<Value> { Ok(serde_json::from_str(&check(arguments)?)?) };
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    let text = check(&[])?;
    for word in ["NewInstancesProtectedFromScaleIn", "AZRebalance", "slurm-asg check --fix"] {
        ensure!(text.contains(word), "{word} in\n{text}");
    }
    let settings = |object: &Value, name: &str| -> Result<Vec<String>> {
        let list = object[name].as_array().context("no list")?;
        Ok(list.iter().map(|it| it["setting"].as_str().unwrap_or("?").to_owned()).collect())
    };
    let both = ["protect_new", "suspend_az_rebalance"];
    ensure!(settings(&json(&["--json"])?, "advice")? == both);
    ensure!(settings(&json(&["--fix", "--json"])?, "changed")? == both);
    let suspends: Vec<_> = lab
        .sandbox()
        .calls()?
        .into_iter()
        .filter(|call| call.action == "SuspendProcesses")
        .map(|call| call.params["ScalingProcesses.member.1"].clone())
        .collect();
    ensure!(suspends == ["AZRebalance"], "{suspends:?}");
    lab.until("nothing is left to advise", SOON, |_| {
        Ok(settings(&json(&["--json"])?, "advice")?.is_empty())
    })?;
    ensure!(check(&["--fix"])?.contains("nothing to change"));
    // A new instance is protected from the start: no call is needed for it.
    let job = lab.sbatch(&["--nodes=1"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!(calls(&lab, "SetInstanceProtection")? == 0);
    let events = lab.command("slurm-asg", &["events", "--event", "setting_changed"])?;
    ensure!(events.lines().count() == 2, "{events}");
    lab.until_zero(BACK_TO_ZERO)
}
