//! Capacity raised by CloudWatch alarms, and the metrics that they rest on.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Alarms, Lab, Options};
use slurm_asg_sandbox::{AlarmState, Fault};

use crate::scale_in::{HOUR_MS, by_the_hour, went_in_the_last_part_of_their_hour};
use crate::{BACK_TO_ZERO, JOB_RUNS, SOON, calls};

const GROUP: [(&str, &str); 2] = [("Cluster", "lab"), ("Group", "compute")];
const CLUSTER: [(&str, &str); 1] = [("Cluster", "lab")];
/// Some of the alarms' periods and cooldowns for each step.
const STEPS: Duration = Duration::from_secs(90);

fn by_alarm(alarms: Alarms) -> Options {
    // Nodes wait for alarms, one after the other.
    Options { alarms: Some(alarms), resume_timeout_s: 300, ..Options::default() }
}

/// The values of a metric, in the order of their publication.
fn values(lab: &Lab, name: &str, dimensions: &[(&str, &str)]) -> Result<Vec<f64>> {
    let state = lab.sandbox().state()?;
    let metric = state.metric(name, dimensions);
    let metric = metric.with_context(|| format!("{name} of {dimensions:?} is not published"))?;
    ensure!(metric.namespace == "SlurmAsg");
    Ok(metric.points.iter().map(|point| point.value).collect())
}

/// Waits until so many nodes are busy, and then as long as two more steps would take. Each alarm
/// must have acted exactly as often as it says here: what was too much might be gone again.
fn rises_exactly_to(lab: &Lab, nodes: u32, alarms: Alarms, actions: [u32; 2]) -> Result<()> {
    lab.until("alarms have launched what is needed", STEPS, |lab| {
        Ok(lab.status()?.groups.first().is_some_and(|group| group.busy == nodes))
    })?;
    sleep(Duration::from_secs(u64::from(alarms.period_s + alarms.cooldown_s) * 2));
    ensure!(lab.desired()? == nodes, "the capacity is {}", lab.desired()?);
    let state = lab.sandbox().state()?;
    let acted = ["PendingAlarm", "PendingAlarm2"].map(|name| state.alarm(name));
    let acted = acted.map(|alarm| alarm.map(|alarm| (alarm.state, alarm.actions)));
    assert_eq!(acted, actions.map(|actions| Some((AlarmState::Ok, actions))));
    Ok(())
}

#[test]
fn alarms_alone_raise_a_group_from_zero_to_what_is_needed_and_no_further() -> Result<()> {
    let alarms = Alarms::default();
    let lab = Lab::start(by_alarm(alarms))?;
    let job = lab.sbatch(&["--nodes=3"], "sleep 30; echo done")?;
    lab.until("nodes say that they wait for the alarm", SOON, |lab| {
        Ok(lab.status()?.nodes.iter().any(|node| node.why == "waits_for_alarm"))
    })?;
    rises_exactly_to(&lab, 3, alarms, [3, 0])?;
    let mut seen = values(&lab, "pending", &GROUP)?;
    assert_eq!(values(&lab, "pending", &CLUSTER)?, seen);
    // It was 3, fell by one with each launch, and is 0.
    seen.dedup();
    assert!(seen.ends_with(&[3.0, 2.0, 1.0, 0.0]), "{seen:?}");
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    assert_eq!(lab.output(job).trim(), "done");
    lab.until_zero(BACK_TO_ZERO)?;
    assert_eq!(calls(&lab, "SetDesiredCapacity")?, 0);
    Ok(())
}

/// CfnCluster: alarms on `pending` raise the capacity, and idle nodes go at the end of their hour.
#[test]
fn alarms_and_the_billing_hour_together_take_a_cluster_from_zero_to_zero() -> Result<()> {
    let alarms = Alarms::default();
    let lab = Lab::start(Options {
        group_keys: by_the_hour(),
        // Slurm itself would let no node go.
        suspend_time_s: 3600,
        ..by_alarm(alarms)
    })?;
    let short = lab.sbatch(&["--nodes=2"], "echo short")?;
    lab.until_job(short, "COMPLETED", STEPS + JOB_RUNS)?;
    ensure!(lab.output(short).trim() == "short");
    let launched: Vec<_> =
        lab.instances()?.into_iter().map(|it| (it.id, it.launched_at_ms)).collect();
    ensure!(launched.len() == 2, "{launched:?}");
    // A job that comes within the hour finds the nodes that are paid for, and no alarm.
    let next = lab.sbatch(&["--nodes=2"], "sleep 5; echo next")?;
    lab.until_job(next, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO + Duration::from_millis(2 * HOUR_MS))?;
    went_in_the_last_part_of_their_hour(&lab, &launched)?;
    assert_eq!(calls(&lab, "SetDesiredCapacity")?, 0);
    Ok(())
}

#[test]
fn many_pending_nodes_are_launched_in_larger_steps() -> Result<()> {
    let alarms = Alarms { threshold2: 4, adjustment2: 4, ..Alarms::default() };
    let lab = Lab::start(by_alarm(alarms))?;
    let job = lab.sbatch(&["--nodes=6"], "sleep 60")?;
    rises_exactly_to(&lab, 6, alarms, [2, 1])?;
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO)?;
    assert_eq!(calls(&lab, "SetDesiredCapacity")?, 0);
    Ok(())
}

#[test]
fn metrics_are_published_in_direct_mode_once_they_are_asked_for() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let job = lab.sbatch(&["--nodes=2"], "sleep 60")?;
    lab.until("two nodes are busy", SOON, |lab| {
        Ok(lab.status()?.groups.first().is_some_and(|group| group.busy == 2 && group.booting == 0))
    })?;
    assert_eq!(calls(&lab, "PutMetricData")?, 0);
    let file = format!("{}\n[metrics]\npublish = true\nperiod = 1\n", lab.asg_toml());
    fs::write(lab.path("asg.toml"), file)?;
    let expected = [
        ("pending", 0.0),
        ("desired", 2.0),
        ("in_service", 2.0),
        ("busy", 2.0),
        ("idle", 0.0),
        ("oldest_idle", 0.0),
    ];
    lab.until("all of them are published", SOON, |lab| {
        let shown = |(name, value)| Ok(values(lab, name, &GROUP)?.last() == Some(&value));
        expected.into_iter().map(shown).try_fold(true, |all, shown: Result<bool>| Ok(all && shown?))
    })?;
    assert_eq!(values(&lab, "pending", &CLUSTER)?.last(), Some(&0.0));
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn a_cloudwatch_that_fails_is_named_once_and_disturbs_nothing() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let (actions, count, rate) = (vec!["PutMetricData".to_owned()], None, None);
    lab.sandbox().fault(&Fault::ServerError { actions, count, rate })?;
    let file = format!("{}\n[metrics]\npublish = true\nperiod = 1\n", lab.asg_toml());
    fs::write(lab.path("asg.toml"), file)?;
    lab.until("several publications have failed", SOON * 2, |lab| {
        Ok(calls(lab, "PutMetricData")? > 9)
    })?;
    let named = lab.plugin_log().iter().filter(|line| line.contains("PutMetricData")).count();
    assert_eq!(named, 1, "{:?}", lab.plugin_log());
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)?;
    lab.sandbox().clear_faults()?;
    lab.until("it is over", SOON, |lab| {
        Ok(lab.plugin_log().iter().any(|line| line.contains("over: PutMetricData")))
    })
}
