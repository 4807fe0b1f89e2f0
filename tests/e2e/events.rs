//! The event log of a real cluster, read with `slurm-asg events`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

fn events(lab: &Lab, arguments: &[&str]) -> Result<Vec<Value>> {
    let said = lab.command("slurm-asg", &[&["events", "--json"], arguments].concat())?;
    said.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == name).collect()
}

fn place(events: &[Value], name: &str) -> Result<usize> {
    let place = events.iter().position(|event| event["event"] == name);
    place.with_context(|| format!("no {name} in {events:#?}"))
}

#[test]
fn a_jobs_life_is_in_the_event_log_once_and_in_order() -> Result<()> {
    let mut lab = Lab::start(Options {
        slurm_user: "slurm".to_owned(),
        group_keys: "\n[events]\nheartbeat = 2\n".to_owned(),
        suspend_time_s: 8,
        ..Options::default()
    })?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    let job = lab.sbatch(&["--nodes=2"], "true")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    // No hook says that a job has ended, and an idle loop looks each half minute: somebody asks.
    lab.status()?;
    lab.until_zero(BACK_TO_ZERO)?;
    lab.until("both terminations are written", SOON, |lab| {
        Ok(events(lab, &["--event", "instance_terminated"])?.len() == 2)
    })?;
    let all = events(&lab, &[])?;
    let order = [
        "started",
        "configuration_read",
        "job_counted",
        "capacity_raised",
        "nodes_resumed",
        "node_bound",
        "node_up",
        "heartbeat",
        "instance_terminated",
    ];
    let places = order.map(|name| place(&all, name));
    let places = places.into_iter().collect::<Result<Vec<_>>>()?;
    ensure!(places.is_sorted(), "{all:#?}");
    // The loop may see a released node before the program has said so.
    ensure!(place(&all, "nodes_suspended")? > place(&all, "heartbeat")?, "{all:#?}");
    let only = |name: &str| match named(&all, name).as_slice() {
        [one] => Ok((*one).clone()),
        several => anyhow::bail!("{} times {name}: {all:#?}", several.len()),
    };
    let counted = only("job_counted")?;
    ensure!(counted["job"] == job && counted["node_count"] == 2 && counted["launch"] == 2);
    let raised = only("capacity_raised")?;
    ensure!(raised["asg"] == "hpc-compute" && raised["from"] == 0 && raised["to"] == 2, "{raised}");
    let resumed = only("nodes_resumed")?;
    ensure!(resumed["nodes"] == "compute-[1-2]" && resumed["jobs"] == Value::from(vec![job]));
    for node in ["compute-1", "compute-2"] {
        let of_node = |name: &str| -> Result<Value> {
            let of_node = named(&all, name).into_iter().filter(|event| event["node"] == node);
            let of_node: Vec<_> = of_node.collect();
            ensure!(of_node.len() == 1, "{name} of {node}: {of_node:#?}");
            Ok(of_node[0].clone())
        };
        let (bound, gone) = (of_node("node_bound")?, of_node("instance_terminated")?);
        ensure!(bound["instance"] == gone["instance"], "{bound} {gone}");
        ensure!(gone["reason"] == "node_released" && gone["replaced"] == false, "{gone}");
    }
    let up = named(&all, "node_up");
    ensure!(up.len() == 2 && up.iter().all(|up| up["boot_ms"].as_u64() > Some(0)), "{up:#?}");
    let states = named(&all, "group_state");
    ensure!(states.iter().any(|state| state["idle"] == 2 && state["max"] == 8), "{states:#?}");
    let beats = named(&all, "heartbeat");
    ensure!(beats.len() >= 2 && beats.iter().any(|beat| beat["idle"] == 2), "{beats:#?}");
    ensure!(beats.iter().any(|beat| beat["oldest_idle_s"].as_u64() >= Some(2)), "{beats:#?}");
    ensure!(all.iter().all(|event| event["error"].is_null()), "{all:#?}");
    ensure!(events(&lab, &["--job", &job.to_string()])?.len() == 2, "counted and resumed");

    let words = lab.command(
        "setpriv",
        &[
            "--reuid=65534",
            "--clear-groups",
            &lab.path("bin/slurm-asg").display().to_string(),
            "events",
            "--node",
            "compute-1",
        ],
    )?;
    let ours: Vec<_> = words.lines().map(|line| line.split("  ").nth(1).unwrap_or("")).collect();
    ensure!(ours.starts_with(&["nodes_resumed", "node_bound"]), "everybody may read: {words}");

    let bad = lab.asg_toml().replace("heartbeat = 2", "heartbeat = 0");
    std::fs::write(lab.path("asg.toml"), bad)?;
    lab.until("the bad file is named", SOON, |lab| {
        let refused = events(lab, &["--event", "configuration_refused"])?;
        Ok(refused.first().is_some_and(|event| {
            event["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("heartbeat is in seconds"))
        }))
    })?;
    std::fs::write(lab.path("asg.toml"), lab.asg_toml())?;
    lab.until("the good one is read", SOON, |lab| {
        Ok(events(lab, &["--event", "configuration_read"])?.len() == 2)
    })?;
    let before = events(&lab, &[])?.len();
    lab.crash_slurmctld();
    ensure!(events(&lab, &[])?.len() >= before, "also while slurmctld does not run");
    Ok(())
}

#[test]
fn an_event_log_that_cannot_be_written_is_named_once_and_disturbs_nothing() -> Result<()> {
    let group_keys = "\n[events]\npath = \"/dev/null/events.jsonl\"\n".to_owned();
    let lab = Lab::start(Options { group_keys, ..Options::default() })?;
    let job = lab.sbatch(&["--ntasks=2"], "true")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)?;
    let complaint = "events cannot be written to /dev/null/events.jsonl";
    let said = lab.plugin_log().iter().filter(|line| line.contains(complaint)).count();
    ensure!(said == 1, "{:?}", lab.plugin_log());
    Ok(())
}
