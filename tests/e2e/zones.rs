//! Groups whose instances are asked for by zone (`api = "launch-instances"`).

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::Fault;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

const ZONES: [&str; 2] = ["eu-west-1a", "eu-west-1b"];

fn by_zone() -> Options {
    Options {
        nodes: 4,
        group_keys: "api = \"launch-instances\"\ncapacity_cooldown = 30\n".to_owned(),
        ..Options::default()
    }
}

/// Calls that ask for instances, each with its zone if it has one.
fn asked(lab: &Lab) -> Result<Vec<String>> {
    let calls = lab.sandbox().calls()?;
    let of = |action: &str, zone: Option<&String>| match (action, zone) {
        ("LaunchInstances", Some(zone)) => Some(format!("{action} {zone}")),
        ("SetDesiredCapacity", _) => Some(action.to_owned()),
        _ => None,
    };
    let calls = calls.iter().filter(|call| call.status == 200);
    let zone = "AvailabilityZones.member.1";
    Ok(calls.filter_map(|call| of(&call.action, call.params.get(zone))).collect())
}

#[test]
fn a_job_s_nodes_are_in_one_zone_and_its_instances_known_at_once() -> Result<()> {
    let lab = Lab::start(by_zone())?;
    // The instances are launched, and nobody hears of it: the same request is made again.
    let actions = vec!["LaunchInstances".to_owned()];
    lab.sandbox().fault(&Fault::LostReply { count: 1, actions })?;
    let job = lab.sbatch(&["--nodes=3"], "srun true && sleep 5")?;
    lab.until("three instances are there", SOON, |lab| Ok(lab.instances()?.len() == 3))?;
    let zones: BTreeSet<_> =
        lab.instances()?.iter().map(|instance| instance.zone.clone()).collect();
    ensure!(zones.len() == 1, "{zones:?}");
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    let asked = asked(&lab)?;
    ensure!(asked.iter().all(|call| call.starts_with("LaunchInstances ")), "{asked:?}");
    lab.until_zero(BACK_TO_ZERO)?;
    let events = lab.command("slurm-asg", &["events", "--event", "capacity_raised"])?;
    ensure!(events.contains(" in eu-west-1"), "{events}");
    let ended = lab.command("slurm-asg", &["events", "--event", "instance_terminated"])?;
    ensure!(ended.lines().count() == 3, "something was launched twice:\n{ended}");
    Ok(())
}

#[test]
fn the_next_zone_is_asked_at_once_and_without_any_the_group_cools_down() -> Result<()> {
    let lab = Lab::start(by_zone())?;
    let fault = |zone: &str| Fault::NoCapacity {
        group: "hpc-compute".to_owned(),
        zone: Some(zone.to_owned()),
        after: 0,
        message: None,
    };
    lab.sandbox().fault(&fault(ZONES[0]))?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!(done.restarts == 0, "it has waited for the second zone, and for nothing else");
    ensure!(lab.instances()?.iter().all(|instance| instance.zone == ZONES[1]));
    lab.until_zero(BACK_TO_ZERO)?;
    lab.sandbox().fault(&fault(ZONES[1]))?;
    let job = lab.sbatch(&["--nodes=1"], "echo done")?;
    lab.until("the job is back in the queue", SOON, |lab| {
        let job = lab.job(job)?;
        Ok(job.restarts == 1 && job.state == "PENDING")
    })?;
    ensure!(lab.desired()? == 0, "what was not launched is not desired");
    let told = lab.command("sinfo", &["-h", "-N", "-o", "%N %T %E"])?;
    ensure!(told.contains("(Code:InsufficientInstanceCapacity)"), "{told}");
    Ok(())
}

#[test]
fn a_group_without_launch_template_is_raised_by_number() -> Result<()> {
    let lab =
        Lab::start(Options { asg_keys: "launch_template = false\n".to_owned(), ..by_zone() })?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    let asked = asked(&lab)?;
    ensure!(asked == ["SetDesiredCapacity"], "{asked:?}");
    let log = std::fs::read_to_string(lab.path("log/slurmctld.log"))?;
    let line = "SetDesiredCapacity is used for Auto Scaling group hpc-compute instead";
    ensure!(log.matches(line).count() == 1, "{log}");
    lab.until_zero(BACK_TO_ZERO)
}
