//! Who lets idle nodes go, where it is not Slurm's SuspendTime.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Lab, Options, now_ms};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON, calls};

/// An hour that is over soon, and its last part.
pub const HOUR_MS: u64 = 40_000;
const WINDOW_MS: u64 = 10_000;

/// The group's lines in asg.toml for that.
pub fn by_the_hour() -> String {
    format!(
        "scale_in = \"billing-hour\"\ncooldown = 3\nbilling_period = {}\n\
         billing_window_percent = {}\n",
        HOUR_MS / 1000,
        WINDOW_MS * 100 / HOUR_MS
    )
}

/// Each of these instances, by id and time of launch, that was terminated was near the end of its
/// hour then.
pub fn went_in_the_last_part_of_their_hour(lab: &Lab, launched: &[(String, u64)]) -> Result<()> {
    let calls = lab.sandbox().calls()?;
    let terminated = calls.iter().filter(|call| call.action.starts_with("TerminateInstance"));
    for call in terminated {
        for (id, at) in launched.iter().filter(|(id, _)| call.params.values().any(|it| it == id)) {
            let into = call.at_ms.saturating_sub(*at) % HOUR_MS;
            // The loop looks each second, and Slurm takes two to power a node down.
            let late = into < 6_000;
            ensure!(
                late || into >= HOUR_MS - WINDOW_MS - 1_000,
                "{id} went {into} ms into its hour"
            );
        }
    }
    Ok(())
}

#[test]
fn by_the_billing_hour_idle_nodes_go_in_the_last_part_of_it_and_busy_ones_stay() -> Result<()> {
    let lab = Lab::start(Options {
        group_keys: by_the_hour(),
        // Power saving is on, and Slurm itself would let no node go.
        suspend_time_s: 3600,
        ..Options::default()
    })?;
    let busy = lab.sbatch(&["--nodes=1", "--exclusive"], "sleep 600")?;
    let short = lab.sbatch(&["--nodes=2", "--exclusive"], "true")?;
    lab.until_job(busy, "RUNNING", JOB_RUNS)?;
    lab.until_job(short, "COMPLETED", JOB_RUNS)?;
    let launched: Vec<(String, u64)> = lab
        .instances()?
        .into_iter()
        .map(|instance| (instance.id, instance.launched_at_ms))
        .collect();
    ensure!(launched.len() == 3, "{launched:?}");
    lab.until("the idle nodes wait for the end of their hour, or go", SOON, |lab| {
        let status = lab.status()?;
        let words = ["wait", "billing", "power", "released"];
        let told = status.nodes.iter().filter(|node| node.instance.is_some());
        Ok(told.filter(|node| words.iter().any(|word| node.why.contains(word))).count() >= 1)
    })?;
    lab.until("the idle nodes are gone", Duration::from_millis(2 * HOUR_MS), |lab| {
        Ok(lab.instances()?.len() == 1 && lab.desired()? == 1)
    })?;
    went_in_the_last_part_of_their_hour(&lab, &launched)?;
    // The busy one stays over the end of its hour.
    let job = lab.job(busy)?;
    let (_, at) = launched
        .iter()
        .find(|(id, _)| lab.instances().is_ok_and(|all| all.iter().any(|it| it.id == *id)))
        .context("no instance is left")?;
    let past_the_hour = (now_ms() - at) / HOUR_MS * HOUR_MS + HOUR_MS + 2_000 + at;
    std::thread::sleep(Duration::from_millis(past_the_hour.saturating_sub(now_ms())));
    ensure!(lab.job(busy)? == job && lab.instances()?.len() == 1, "a running job is not touched");
    lab.command("scancel", &[&busy.to_string()])?;
    lab.until_zero(BACK_TO_ZERO + Duration::from_millis(HOUR_MS))
}

#[test]
fn where_nothing_scales_in_the_capacity_stays_for_the_next_job() -> Result<()> {
    let lab = Lab::start(Options {
        group_keys: "scale_in = \"never\"\n".to_owned(),
        ..Options::default()
    })?;
    let job = lab.sbatch(&["--nodes=2"], "true")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until("Slurm has powered its nodes down", BACK_TO_ZERO, |lab| {
        Ok(lab.nodes()?.iter().all(|node| node.is("POWERED_DOWN")))
    })?;
    lab.until("fresh instances wait", SOON, |lab| Ok(lab.instances()?.len() == 2))?;
    // Longer than orphan_grace.
    std::thread::sleep(Duration::from_secs(8));
    ensure!(lab.desired()? == 2 && lab.instances()?.len() == 2, "the capacity stays");
    let log = lab.plugin_log();
    let advice = log.iter().filter(|line| line.contains("SuspendTime=INFINITE")).count();
    ensure!(advice == 1, "{log:?}");
    let raises = |lab: &Lab| calls(lab, "SetDesiredCapacity");
    let before = raises(&lab)?;
    let next = lab.sbatch(&["--nodes=2"], "true")?;
    lab.until_job(next, "COMPLETED", JOB_RUNS)?;
    ensure!(raises(&lab)? == before, "it served the next job");
    Ok(())
}
