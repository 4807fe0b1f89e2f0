//! One mix on a cluster of its own: what the count says, and what Slurm does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use slurm_asg_lab::{Lab, Options};

use crate::mix::{Class, FIRST_JOB, Mix};

/// So long the main scheduler rests after a pass: jobs are submitted and looked at meanwhile.
const REST_S: u32 = 8;
/// From pass to pass of the backfill scheduler. Its first one comes so long after slurmctld's
/// start, when the main scheduler has had its turn.
const BACKFILL_S: u32 = 14;
/// From one pass of the main scheduler over the whole queue to the next.
const FULL_PASS_S: u32 = 12;
/// How often a mix is tried whose submission is slower than Slurm.
const TRIES: u32 = 6;
const SOON: Duration = Duration::from_secs(30);
/// Several of Slurm's passes, seconds.
const SETTLED_S: u32 = 120;

/// What came of a mix.
pub struct Outcome {
    pub class: Class,
    /// Nodes that the count wants to launch, by group.
    pub counted: BTreeMap<String, u32>,
    /// Nodes that Slurm powered up, by group.
    pub taken: BTreeMap<String, u32>,
    /// Everything that helps to see why they differ.
    pub story: String,
}

impl Outcome {
    pub fn is_equal(&self) -> bool {
        self.counted == self.taken
    }

    /// Whether Slurm takes more nodes than were counted.
    pub fn is_short(&self) -> bool {
        let sum = |nodes: &BTreeMap<String, u32>| nodes.values().sum::<u32>();
        sum(&self.counted) < sum(&self.taken)
    }
}

/// Plays the mix of a seed; `record` is where snapshot and outcome are kept.
pub fn play(seed: u64, record: Option<&Path>) -> Result<Outcome> {
    let mix = Mix::of(seed);
    for _ in 0..TRIES {
        if let Some(outcome) = try_once(&mix, seed, record)? {
            return Ok(outcome);
        }
    }
    bail!("seed {seed}: Slurm scheduled jobs before all were submitted, {TRIES} times");
}

fn try_once(mix: &Mix, seed: u64, record: Option<&Path>) -> Result<Option<Outcome>> {
    let lab = Lab::start(Options {
        layout: Some(mix.layout.clone()),
        slurm_conf: format!(
            "GresTypes=gpu,nic\n\
             SchedulerParameters=defer,batch_sched_delay={REST_S},sched_interval={FULL_PASS_S},bf_interval={BACKFILL_S},default_queue_depth=10000\n\
             {}",
            mix.slurm_conf
        ),
        // Nodes that never register keep their jobs: what Slurm gave stays to be seen.
        boot_command: Some(vec!["/bin/true".to_owned()]),
        resume_timeout_s: 3600,
        ..Options::default()
    })?;
    for reservation in &mix.reservations {
        let mut arguments = vec!["create", "reservation"];
        arguments.extend(reservation.split(' '));
        lab.command("scontrol", &arguments)?;
    }
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    // Any update makes the main scheduler go through the empty queue, and rest then.
    lab.command("scontrol", &["update", "PartitionName=all", "MaxTime=UNLIMITED"])?;
    lab.until("the main scheduler has begun", SOON, |lab| Ok(passes(lab)?.0 > 0))?;
    let before = passes(&lab)?;

    let submitted = submit(&lab, mix)?;
    let snapshot = snapshot_of_all(&lab)?;
    if passes(&lab)? != before || before.1 > 0 {
        return Ok(None);
    }
    settle(&lab, before.0)?;
    // Nodes that the last pass gave are seen with the next look at them.
    sleep(Duration::from_millis(500));

    let taken = taken(&lab)?;
    let jobs =
        lab.command("squeue", &["-h", "-a", "-t", "all", "-o", "%i %P %T %r nodes=%D cpus=%C %N"])?;
    let plan = plan(&lab, &snapshot)?;
    let counted = counted(&plan)?;
    let story = story(mix, &submitted, &jobs, &plan);
    if let Some(dir) = record {
        let dir = dir.join(seed.to_string());
        fs::create_dir_all(&dir)?;
        fs::write(dir.join("snapshot.json"), &snapshot)?;
        fs::copy(lab.path("asg.toml"), dir.join("asg.toml"))?;
        fs::copy(lab.path("slurm.conf"), dir.join("slurm.conf"))?;
        fs::copy(lab.path("log/slurmctld.log"), dir.join("slurmctld.log"))?;
        fs::write(dir.join("taken.json"), serde_json::to_string(&taken)?)?;
        fs::write(dir.join("story"), &story)?;
    }
    Ok(Some(Outcome { class: mix.class, counted, taken, story }))
}

/// Waits until Slurm has given all nodes that it will give: two passes of each scheduler. The
/// backfill scheduler does not count those in which no job waits.
fn settle(lab: &Lab, before: u32) -> Result<()> {
    for _ in 0..SETTLED_S {
        sleep(Duration::from_secs(1));
        let (main, backfill) = passes(lab)?;
        if main >= before + 2 && backfill >= 2 || main >= before + 4 {
            return Ok(());
        }
    }
    bail!("Slurm's passes do not come: {}", lab.command("sdiag", &[])?);
}

/// How many passes the main and the backfill scheduler have made.
fn passes(lab: &Lab) -> Result<(u32, u32)> {
    let text = lab.command("sdiag", &[])?;
    let counts = text.lines().filter_map(|line| line.trim().strip_prefix("Total cycles:"));
    let counts: Vec<u32> = counts.filter_map(|count| count.trim().parse().ok()).collect();
    let [main, backfill] = *counts else { bail!("sdiag shows no cycles: {text}") };
    Ok((main, backfill))
}

/// Submits all jobs. Returns what sbatch said to each.
fn submit(lab: &Lab, mix: &Mix) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let mut first = None;
    for (nth, components) in mix.jobs.iter().enumerate() {
        let lines = components.iter().map(|options| {
            let options = options.replace(FIRST_JOB, first.as_deref().unwrap_or("1"));
            options.split_whitespace().map(|option| format!("#SBATCH {option}\n")).collect()
        });
        let lines: Vec<String> = lines.collect();
        let script = format!("#!/bin/sh\n{}sleep 9999\n", lines.join("#SBATCH hetjob\n"));
        let path = lab.path(&format!("out/{nth}.sh"));
        fs::write(&path, script)?;
        let path = path.display().to_string();
        // What sbatch refuses is no job, and part of the mix.
        match lab.command("sbatch", &["--parsable", "--output=/dev/null", &path]) {
            Ok(id) => {
                first.get_or_insert_with(|| id.trim().to_owned());
                said.push(id.trim().to_owned());
            }
            Err(error) => said.push(format!("{error:#}").replace('\n', " ")),
        }
    }
    Ok(said)
}

/// The plugin's look at the queue, once it has seen all of it.
fn snapshot_of_all(lab: &Lab) -> Result<String> {
    let queue = lab.command("squeue", &["-h", "-a", "-o", "%A"])?;
    let mut ids: Vec<&str> = queue.split_whitespace().collect();
    ids.sort_unstable();
    ids.dedup();
    let mut last = String::new();
    lab.until("the plugin has seen all jobs", SOON, |lab| {
        last = lab.command("slurm-asg", &["snapshot", "--socket", &socket(lab)])?;
        let json: Value = serde_json::from_str(&last)?;
        let jobs = json["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let there = |id: &&str| jobs.iter().any(|job| job["job_id"].to_string() == **id);
        Ok(ids.iter().all(there))
    })?;
    Ok(last)
}

fn socket(lab: &Lab) -> String {
    lab.path("run/asg.sock").display().to_string()
}

/// The nodes that are not off any more, by group.
fn taken(lab: &Lab) -> Result<BTreeMap<String, u32>> {
    let mut taken = BTreeMap::new();
    for node in lab.nodes()? {
        if !node.is("IDLE") || node.is("POWERING_UP") {
            let (group, _) = node.name.rsplit_once('-').context("a node has no number")?;
            *taken.entry(group.to_owned()).or_insert(0) += 1;
        }
    }
    Ok(taken)
}

fn plan(lab: &Lab, snapshot: &str) -> Result<Value> {
    let file = lab.path("out/snapshot.json");
    fs::write(&file, snapshot)?;
    let (file, config) = (file.display().to_string(), lab.path("asg.toml").display().to_string());
    let arguments = ["plan", "--snapshot", &file, "--config", &config, "--json"];
    Ok(serde_json::from_str(&lab.command("slurm-asg", &arguments)?)?)
}

fn counted(plan: &Value) -> Result<BTreeMap<String, u32>> {
    let groups = plan["groups"].as_object().context("the plan has no groups")?;
    let mut counted = BTreeMap::new();
    for (name, group) in groups {
        let demand = group["demand"].as_u64().context("a group has no demand")?;
        if demand > 0 {
            counted.insert(name.clone(), u32::try_from(demand)?);
        }
    }
    Ok(counted)
}

fn story(mix: &Mix, submitted: &[String], jobs: &str, plan: &Value) -> String {
    let mut lines =
        vec![format!("{} {}", mix.layout.select, mix.slurm_conf.trim().replace('\n', " "))];
    let kinds = &mix.layout.kinds;
    lines.extend(kinds.iter().map(|kind| format!("{} {}", kind.nodes(), kind.facts)));
    lines.extend(mix.reservations.iter().cloned());
    for (said, components) in submitted.iter().zip(&mix.jobs) {
        lines.push(format!("{said}: sbatch {}", components.join(" : ")));
    }
    lines.push("Slurm:".to_owned());
    lines.extend(jobs.lines().map(|line| format!("  {line}")));
    lines.push("the count:".to_owned());
    for (id, job) in plan["jobs"].as_object().into_iter().flatten() {
        let (nodes, launch, why) = (&job["nodes"], &job["launch"], &job["why"]);
        lines.push(format!("  {id} nodes={nodes} launch={launch} {why}"));
    }
    lines.iter().map(|line| format!("  {line}\n")).collect()
}
