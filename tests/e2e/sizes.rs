//! Sizes as in the cluster configurations of old: what a group begins with, keeps, and may have.

use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, NodeLine, Options};
use slurm_asg_sandbox::{GroupChange, GroupState};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// The next look at AWS while nothing happens is due within 30 s.
const FOLLOWED: Duration = Duration::from_secs(60);
/// An instance is launched, boots, and its slurmd registers.
const UP: Duration = Duration::from_secs(60);

fn group(lab: &Lab) -> Result<GroupState> {
    let state = lab.sandbox().state()?;
    let group = state.group("hpc-compute").cloned();
    group.ok_or_else(|| anyhow::anyhow!("the sandbox has no group hpc-compute"))
}

/// Minimum, desired capacity and maximum.
fn sizes(lab: &Lab) -> Result<(u32, u32, u32)> {
    let group = group(lab)?;
    Ok((group.min, group.desired, group.max))
}

fn is_up(node: &NodeLine) -> bool {
    !node.is("POWERED_DOWN") && !node.is("POWERING_UP") && !node.is("POWERING_DOWN")
}

/// The nodes that are in service, by the last part of their names.
fn nodes_up(lab: &Lab) -> Result<Vec<String>> {
    let up = lab.nodes()?.into_iter().filter(is_up);
    Ok(up.map(|node| node.name.trim_start_matches("compute-").to_owned()).collect())
}

/// Instances have the names of the nodes that are up, each its own.
fn each_has_its_instance(lab: &Lab) -> Result<bool> {
    let mut tags: Vec<_> = lab
        .instances()?
        .iter()
        .filter_map(|instance| instance.tags.get("slurm-asg:node").cloned())
        .collect();
    tags.sort();
    let up = nodes_up(lab)?;
    let names: Vec<_> = up.iter().map(|name| format!("compute-{name}")).collect();
    Ok(tags == names && lab.instances()?.len() == names.len())
}

#[test]
fn the_initial_size_comes_up_without_a_job_goes_after_suspend_time_and_does_not_come_back()
-> Result<()> {
    let group_keys = "initial_size = 2\nmax_size = 8\n".to_owned();
    // 24.11 does not save a node's state when its job ends, nor when it is powered down: after a crash
    // it is allocated, without a job, until Slurm finds that it does not answer.
    let slurm_conf = "SlurmdTimeout=30\n".to_owned();
    let mut lab =
        Lab::start(Options { group_keys, suspend_time_s: 12, slurm_conf, ..Options::default() })?;
    lab.until("two nodes are up", UP, |lab| {
        Ok(nodes_up(lab)? == ["1", "2"] && each_has_its_instance(lab)?)
    })?;
    ensure!(sizes(&lab)? == (0, 2, 8), "{:?}", sizes(&lab)?);
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until_job(job, "COMPLETED", SOON)?;
    lab.until_zero(BACK_TO_ZERO)?;
    lab.crash_slurmctld();
    lab.start_slurmctld()?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    std::thread::sleep(Duration::from_secs(5));
    // slurmctld may have saved the nodes' states before they were powered down.
    lab.until_zero(BACK_TO_ZERO * 3)?;
    let asked = lab.plugin_log().iter().filter(|line| line.contains("power up asked")).count();
    ensure!(asked == 1, "{:?}", lab.plugin_log());
    Ok(())
}

#[test]
fn a_maintained_initial_size_stays_jobs_make_it_grow_and_it_comes_back_to_it() -> Result<()> {
    let lab = Lab::start(Options {
        group_keys: "initial_size = 2\nmax_size = 4\nmaintain_initial_size = true\n".to_owned(),
        slurm_conf: "SuspendExcNodes=compute-[1-2]\n".to_owned(),
        ..Options::default()
    })?;
    lab.until("two nodes are up", UP, |lab| Ok(nodes_up(lab)? == ["1", "2"]))?;
    ensure!(sizes(&lab)? == (2, 2, 4), "{:?}", sizes(&lab)?);
    let base: Vec<_> = lab.instances()?.into_iter().map(|instance| instance.id).collect();
    let job = lab.sbatch(&["--nodes=4", "--exclusive"], "echo done")?;
    lab.until("the group has grown", SOON, |lab| Ok(sizes(lab)? == (2, 4, 4)))?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until("only the base is left", BACK_TO_ZERO, |lab| {
        Ok(sizes(lab)? == (2, 2, 4) && nodes_up(lab)? == ["1", "2"] && each_has_its_instance(lab)?)
    })?;
    // Longer than SuspendTime and SuspendTimeout.
    std::thread::sleep(Duration::from_secs(12));
    let still: Vec<_> = lab.instances()?.into_iter().map(|instance| instance.id).collect();
    ensure!(still == base, "{still:?} and not {base:?}");
    let status = lab.status()?;
    let words: Vec<_> = status.nodes.iter().map(|node| node.why.as_str()).collect();
    ensure!(words == ["base", "base"], "{words:?}");
    ensure!(!lab.plugin_log().iter().any(|line| line.contains("SuspendExcNodes")));
    Ok(())
}

#[test]
fn a_static_cluster_is_all_up_without_a_job() -> Result<()> {
    let lab = Lab::start(Options {
        nodes: 3,
        group_keys: "initial_size = 3\nmax_size = 3\nmaintain_initial_size = true\n".to_owned(),
        slurm_conf: "SuspendExcNodes=compute-[1-3]\n".to_owned(),
        ..Options::default()
    })?;
    lab.until("all nodes are up", UP, |lab| {
        Ok(nodes_up(lab)? == ["1", "2", "3"] && each_has_its_instance(lab)?)
    })?;
    ensure!(sizes(&lab)? == (3, 3, 3), "{:?}", sizes(&lab)?);
    let job = lab.sbatch(&["--nodes=3"], "echo done")?;
    lab.until_job(job, "COMPLETED", SOON)?;
    // An instance that dies is made up for, too.
    let victim = lab.instances()?.remove(0);
    lab.sandbox().die(&victim.id)?;
    lab.until("all nodes are up again", FOLLOWED * 2, |lab| {
        let replaced = lab.instances()?.iter().all(|instance| instance.id != victim.id);
        Ok(replaced && nodes_up(lab)? == ["1", "2", "3"] && each_has_its_instance(lab)?)
    })?;
    ensure!(sizes(&lab)? == (3, 3, 3), "{:?}", sizes(&lab)?);
    Ok(())
}

#[test]
fn a_base_that_slurm_suspends_comes_back_and_the_log_says_once_what_to_write() -> Result<()> {
    let lab = Lab::start(Options { min: 1, ..Options::default() })?;
    lab.until("the base is up", UP, |lab| Ok(nodes_up(lab)? == ["1"]))?;
    let advice = "write SuspendExcNodes=compute-1 in slurm.conf";
    let said = |lab: &Lab| lab.plugin_log().iter().filter(|line| line.contains(advice)).count();
    for round in 0..2 {
        lab.until("Slurm suspends it", SOON, |lab| Ok(nodes_up(lab)?.is_empty()))?;
        // Not at once: after a rest.
        lab.until(&format!("it comes back, {round}"), UP * 2, |lab| Ok(nodes_up(lab)? == ["1"]))?;
        ensure!(said(&lab) == 1, "{:?}", lab.plugin_log());
        ensure!(sizes(&lab)?.0 == 1 && sizes(&lab)?.1 == 1, "{:?}", sizes(&lab)?);
    }
    Ok(())
}

#[test]
fn sizes_changed_in_the_file_or_in_the_group_are_followed_and_no_job_is_harmed() -> Result<()> {
    let lab = Lab::start(Options { suspend_time_s: 20, ..Options::default() })?;
    let write = |keys: &str| std::fs::write(lab.path("asg.toml"), lab.asg_toml() + keys);
    let job = lab.sbatch(&["--nodes=3", "--exclusive"], "sleep 15; echo whole")?;
    lab.until_job(job, "RUNNING", JOB_RUNS)?;
    write("max_size = 2\n")?;
    lab.until("the log says what it waits for", SOON, |lab| {
        let waits =
            "max_size = 2 is written to the Auto Scaling group once its desired capacity, 3";
        Ok(lab.plugin_log().iter().any(|line| line.contains(waits)))
    })?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).trim()) == (0, "whole"));
    lab.until("the maximum is written", FOLLOWED, |lab| Ok(sizes(lab)?.2 == 2))?;
    lab.until_zero(BACK_TO_ZERO)?;
    write("max_size = 2\nmin_size = 1\n")?;
    lab.until("the minimum comes up", FOLLOWED, |lab| {
        Ok(sizes(lab)? == (1, 1, 2) && nodes_up(lab)?.len() == 1)
    })?;
    // Without sizes in the file, the group's own count.
    write("")?;
    let change = GroupChange { min: Some(2), max: Some(8), desired: None };
    lab.sandbox().set_group("hpc-compute", change)?;
    lab.until("the group's own minimum comes up", FOLLOWED * 2, |lab| {
        Ok(sizes(lab)? == (2, 2, 8) && nodes_up(lab)?.len() == 2)
    })
}
