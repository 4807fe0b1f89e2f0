//! plan, snapshot and explain, asked of a real slurmctld's plugin.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, SOON};

fn ready(options: Options) -> Result<Lab> {
    let lab = Lab::start(options)?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    Ok(lab)
}

/// A cluster in which Slurm itself starts no jobs (slurm.conf(5), SchedulerParameters).
fn idle_scheduler(group_keys: &str) -> Result<Lab> {
    ready(Options {
        group_keys: group_keys.to_owned(),
        slurm_conf: "SchedulerParameters=defer,sched_interval=-1,bf_interval=-1\n".to_owned(),
        ..Options::default()
    })
}

fn json(lab: &Lab, arguments: &[&str]) -> Result<Value> {
    let said = lab.command("slurm-asg", arguments)?;
    serde_json::from_str(&said).with_context(|| said)
}

#[test]
fn a_saved_snapshot_gives_the_plan_that_the_plugin_has() -> Result<()> {
    let lab = idle_scheduler("prelaunch = false\n")?;
    lab.sbatch(&["--nodes=3", "--exclusive"], "true")?;
    lab.sbatch(&["--ntasks=5"], "true")?;
    lab.sbatch(&["--hold"], "true")?;
    lab.sbatch(&["--begin=now+3600"], "true")?;
    lab.sbatch(&["--array=0-3%2", "--cpus-per-task=2"], "true")?;
    lab.sbatch(&["--nodelist=compute-8"], "true")?;
    lab.until("all jobs are seen", SOON, |lab| Ok(lab.status()?.jobs.len() == 6))?;
    let file = lab.path("saved.json").display().to_string();
    let config = lab.path("asg.toml").display().to_string();
    lab.command("slurm-asg", &["snapshot", "--output", &file])?;
    let live = json(&lab, &["plan", "--json"])?;
    let saved = json(&lab, &["plan", "--snapshot", &file, "--config", &config, "--json"])?;
    ensure!(live["jobs"] == saved["jobs"], "{live:#}\n{saved:#}");
    ensure!(live["groups"] == saved["groups"], "{live:#}\n{saved:#}");
    let job = |id: &str, key: &str| live["jobs"][id][key].clone();
    ensure!(job("1", "nodes") == 3 && job("1", "counted") == true, "{live:#}");
    ensure!(job("2", "nodes") == 3 && job("2", "launch") == 3, "{live:#}");
    ensure!(job("3", "why") == "held" && job("4", "why") == "not_yet", "{live:#}");
    ensure!(job("5", "why") == "counted" && job("5", "nodes") == 2, "{live:#}");
    // compute-8 is the last one, and job 5 has come so far.
    ensure!(job("6", "why") == "no_free_nodes" || job("6", "launch") == 0, "{live:#}");
    let table = lab.command("slurm-asg", &["plan", "--snapshot", &file, "--config", &config])?;
    ensure!(table.contains("GROUP") && table.contains("held; scontrol release"), "{table}");
    Ok(())
}

#[test]
fn jobs_and_nodes_are_explained_on_their_way() -> Result<()> {
    let lab = ready(Options { boot_delay_ms: 5_000, suspend_time_s: 20, ..Options::default() })?;
    let held = lab.sbatch(&["--hold"], "true")?.to_string();
    lab.until("the held job is explained", SOON, |lab| {
        let told = json(lab, &["explain", &held, "--json"])?;
        Ok(told["why"] == "held" && told["subject"] == format!("job {held}"))
    })?;
    let off = json(&lab, &["explain", "compute-8", "--json"])?;
    ensure!(off["why"] == "off" && off["known"] == true, "{off:#}");
    let job = lab.sbatch(&["--nodes=2"], "sleep 300")?.to_string();
    lab.until("the job waits for its nodes to boot", SOON, |lab| {
        let told = json(lab, &["explain", &job, "--json"])?;
        Ok(told["why"] == "configuring" && told["waits_for"] == "its nodes to boot")
    })?;
    lab.until("its node waits for slurmd", SOON, |lab| {
        let told = json(lab, &["explain", "compute-1", "--json"])?;
        Ok(told["why"] == "booting" && told["at_most_secs"].as_u64().is_some_and(|secs| secs <= 60))
    })?;
    let instance = lab.instances()?.remove(0).id;
    let told = json(&lab, &["explain", &instance, "--json"])?;
    ensure!(told["subject"] == format!("instance {instance}"), "{told:#}");
    ensure!(told["answer"].as_str().is_some_and(|it| it.starts_with("serves node ")), "{told:#}");
    let told = lab.command("slurm-asg", &["explain", "compute"])?;
    ensure!(told.starts_with("group compute: desired capacity 2 of at most 8"), "{told}");
    lab.until("its node is busy", SOON, |lab| {
        let told = lab.command("slurm-asg", &["explain", "compute-1"])?;
        Ok(told.starts_with("node compute-1: jobs run on it") && told.contains("group compute:"))
    })?;
    lab.command("scancel", &[&job])?;
    lab.until("its node waits for SuspendTime", SOON, |lab| {
        let told = json(lab, &["explain", "compute-1", "--json"])?;
        Ok(told["why"] == "idle" && told["at_most_secs"].as_u64().is_some_and(|secs| secs <= 20))
    })?;
    for (what, answer) in [("4711", "neither pending"), ("nowhere", "no such node")] {
        let failed = lab.command("slurm-asg", &["explain", what]).unwrap_err();
        let told = lab.command(
            "sh",
            &["-c", &format!("{}/slurm-asg explain {what} || true", lab.path("bin").display())],
        )?;
        ensure!(told.contains(answer), "{told} {failed:#}");
    }
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn capacity_comes_before_slurm_gets_round_to_the_job_unless_prelaunch_is_off() -> Result<()> {
    let lab = idle_scheduler("")?;
    let first = lab.sbatch(&["--nodes=6"], "true")?;
    lab.until("the capacity is asked for", SOON, |lab| Ok(lab.desired()? == 6))?;
    ensure!(lab.job(first)?.state == "PENDING", "Slurm has not got round to it");
    let raises = || -> Result<usize> {
        let calls = lab.sandbox().calls()?;
        Ok(calls.iter().filter(|call| call.action == "SetDesiredCapacity").count())
    };
    ensure!(raises()? == 1, "one call, however many nodes");
    // What was launched for a job that vanished serves the next one, …
    lab.command("scancel", &[&first.to_string()])?;
    let next = lab.sbatch(&["--ntasks=11"], "true")?;
    lab.until("the next job is counted", SOON, |lab| {
        let status = lab.status()?;
        Ok(status.jobs.iter().any(|job| job.id == next && job.why == "counted"))
    })?;
    std::thread::sleep(std::time::Duration::from_secs(8));
    ensure!(raises()? == 1 && lab.desired()? == 6, "the grace is over, and it is still wanted");
    // … or is given back after the grace.
    lab.command("scancel", &[&next.to_string()])?;
    lab.until_zero(BACK_TO_ZERO)?;

    let lab = idle_scheduler("prelaunch = false\n")?;
    let job = lab.sbatch(&["--nodes=6"], "true")?;
    lab.until("the job is seen", SOON, |lab| {
        Ok(lab.status()?.jobs.iter().any(|it| it.id == job && it.launch == 6))
    })?;
    std::thread::sleep(std::time::Duration::from_secs(4));
    ensure!(lab.desired()? == 0, "capacity waits for Slurm");
    Ok(())
}
