//! The figures: what a hook call costs, how fast the programs are, how soon capacity is asked
//! for, what the plugin takes of memory. Medians of several runs, on this machine.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use slurm_asg_lab::{Lab, Options, now_ms, say};

/// Prints slurm-asg's figures.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-bench", version, after_help = "Example:\n  make bench")]
struct Arguments {
    /// How often each figure of the cluster is taken
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// Nodes of the clusters that are measured.
const NODES: u32 = 100;
/// Nodes that are suspended at once.
const MANY: u32 = 1000;
const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match bench(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> Result<()> {
    say(&format!("{:<62} {:>10} {:>10} {:>10}", "figure", "median", "min", "max"));
    sizes()?;
    hook(arguments.runs)?;
    let idle = memory_without_plugin()?;
    let lab = start()?;
    programs(&lab)?;
    let with = lab.slurmctld_memory_mb()?;
    row("slurmctld's memory without the plugin, MB", &mut [idle]);
    row("slurmctld's memory with the plugin, MB (expected: at most 25 more)", &mut [with]);
    resume_to_call(&lab, arguments.runs)?;
    drop(lab);
    submission_to_call(&start()?, arguments.runs)?;
    scale_in(arguments.runs.min(3))
}

/// A cluster in which Slurm suspends nothing, and instances only need to be launched.
fn start() -> Result<Lab> {
    let lab = Lab::start(Options {
        nodes: NODES,
        max: NODES,
        suspend_time_s: 3600,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        ..Options::default()
    })?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    Ok(lab)
}

/// Prints one figure.
fn row(name: &str, values: &mut [f64]) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let (median, last) = (at(values.len() / 2), at(values.len().saturating_sub(1)));
    say(&format!("{name:<62} {median:>10.2} {:>10.2} {last:>10.2}", at(0)));
}

/// How large files are without symbols, as packages ship them; those are optimized further.
fn sizes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (name, expected) in [
        ("libjob_submit_asg.so", "expected: at most 12"),
        ("slurm-asg-resume", "expected: at most 1"),
        ("slurm-asg-suspend", "expected: at most 1"),
        ("slurm-asg", "the command"),
        ("slurm-asg-survey", "has the AWS SDK"),
    ] {
        let to = dir.path().join(name);
        fs::copy(build_dir()?.join(name), &to).with_context(|| format!("{name} is not built"))?;
        let stripped = Command::new("strip").arg(&to).status().context("strip is not installed")?;
        ensure!(stripped.success(), "strip {name}: {stripped}");
        // A file has less than 2^52 bytes.
        let bytes = u32::try_from(fs::metadata(&to)?.len()).context("4 GiB and more")?;
        let mut megabytes = [f64::from(bytes) / 1e6];
        row(&format!("size of {name}, MB ({expected})"), &mut megabytes);
    }
    Ok(())
}

fn hook(runs: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let host = dir.path().join("host");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/abi/host.c");
    let compiled = Command::new("cc")
        .args(["-O2", "-rdynamic", "-o"])
        .arg(&host)
        .args([source, "-ldl", "-lpthread"])
        .status()?;
    ensure!(compiled.success(), "the C host does not compile");
    let plugin = build_dir()?.join("libjob_submit_asg.so");
    let mut times = Vec::new();
    for _ in 0..runs {
        let output = Command::new(&host).arg(&plugin).arg("time").output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let ns = said.lines().find_map(|line| line.strip_prefix("hook_ns ")?.parse::<f64>().ok());
        times.push(ns.context("the C host gave no figure")?);
    }
    row("one job_submit hook call, ns (expected: under 1000)", &mut times);
    let counted = instructions(&host, &plugin, dir.path())?;
    row("one job_submit hook call, instructions", &mut [counted]);
    Ok(())
}

/// Instructions of one call, by callgrind: the same on every run.
fn instructions(host: &Path, plugin: &Path, dir: &Path) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=job_submit"])
        .arg(format!("--callgrind-out-file={}", dir.join("callgrind").display()))
        .arg(host)
        .arg(plugin)
        .arg("twice")
        .output()
        .context("valgrind is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse::<f64>().ok())
        .context("callgrind gave no figure")?;
    // The host calls the hook this often when it is asked for "twice".
    Ok(collected / 2000.0)
}

fn programs(lab: &Lab) -> Result<()> {
    for (name, expected) in
        [("slurm-asg-resume", " (expected: under 5)"), ("slurm-asg-suspend", "")]
    {
        let mut times = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            let status = Command::new(lab.path("bin").join(name))
                .arg("compute-[1-8]")
                .env_clear()
                .env("SLURM_CONF", lab.path("slurm.conf"))
                .stdin(Stdio::null())
                .status()?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            ensure!(status.success(), "{name}: {status}");
        }
        row(&format!("{name}, wall, ms{expected}"), &mut times);
    }
    Ok(())
}

/// The time from `began` to the next SetDesiredCapacity at the endpoint, in milliseconds.
fn until_call(lab: &Lab, began: u64) -> Result<f64> {
    let mut arrived = None;
    lab.until("capacity is asked for", SOON, |lab| {
        let calls = lab.sandbox().calls()?;
        let call =
            calls.iter().find(|call| call.action == "SetDesiredCapacity" && call.at_ms >= began);
        arrived = call.map(|call| call.at_ms);
        Ok(arrived.is_some())
    })?;
    let arrived = arrived.context("no call")?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of one run")]
    Ok(arrived.saturating_sub(began) as f64)
}

/// Slurm is asked for a node, and the resume program is run as Slurm would, before Slurm does.
fn resume_to_call(lab: &Lab, runs: u32) -> Result<()> {
    let mut times = Vec::new();
    for run in 0..runs {
        let node = format!("compute-{}", run + 1);
        lab.command("scontrol", &["update", &format!("NodeName={node}"), "State=POWER_UP"])?;
        let began = now_ms();
        lab.command("slurm-asg-resume", &[&node])?;
        times.push(until_call(lab, began)?);
        // The next one begins in quiet.
        lab.until("the node has its instance", SOON, |lab| {
            let status = lab.status()?;
            Ok(status.nodes.iter().any(|it| it.name == node && it.instance.is_some()))
        })?;
    }
    row("resume program's start to SetDesiredCapacity, ms", &mut times);
    Ok(())
}

fn submission_to_call(lab: &Lab, runs: u32) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..runs {
        let began = now_ms();
        lab.sbatch(&["--exclusive"], "true")?;
        times.push(until_call(lab, began)?);
        // Slurm's own pass and the binding are over after this.
        std::thread::sleep(Duration::from_secs(4));
    }
    row("sbatch's start to SetDesiredCapacity, ms (expected: 300)", &mut times);
    Ok(())
}

/// A thousand nodes are suspended at once. No slurmd runs: Slurm is asked to power nodes up and, before
/// they have registered, down again, and calls both programs for them.
fn scale_in(runs: u32) -> Result<()> {
    let lab = Lab::start(Options {
        nodes: MANY,
        max: MANY,
        suspend_time_s: 3600,
        resume_timeout_s: 3600,
        suspend_timeout_s: 5,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        ..Options::default()
    })?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    let nodes = format!("NodeName=compute-[1-{MANY}]");
    let (mut calls, mut times) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        lab.command("scontrol", &["update", &nodes, "State=POWER_UP"])?;
        lab.until("each node has its instance", SOON * 4, |lab| {
            let bound = lab.status()?.nodes.iter().filter(|node| node.instance.is_some()).count();
            Ok(bound == MANY as usize)
        })?;
        lab.sandbox().clear_calls()?;
        let began = Instant::now();
        lab.command("scontrol", &["update", &nodes, "State=POWER_DOWN_FORCE"])?;
        let mut took = Duration::ZERO;
        let mut made = 0;
        lab.until("all are terminated", SOON * 4, |lab| {
            let all = lab.sandbox().calls()?;
            let meant = all.iter().filter(|it| it.action == "TerminateInstanceInAutoScalingGroup");
            let ids = |call: &&slurm_asg_sandbox::Call| {
                call.params.keys().filter(|key| key.starts_with("InstanceId")).count()
            };
            let answered: Vec<_> = meant.filter(|call| call.status == 200).collect();
            took = began.elapsed();
            made = answered.len();
            Ok(answered.iter().map(ids).sum::<usize>() >= MANY as usize)
        })?;
        #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
        calls.push(made as f64);
        times.push(took.as_secs_f64());
        lab.until("the nodes are off", SOON * 4, |lab| {
            Ok(lab.status()?.nodes.is_empty() && lab.instances()?.is_empty())
        })?;
    }
    row("1,000 nodes suspended: terminate calls (expected: at most 12)", &mut calls);
    row("1,000 nodes suspended to all calls answered, s (expected: 5)", &mut times);
    Ok(())
}

fn memory_without_plugin() -> Result<f64> {
    let lab = Lab::start(Options { plugin: false, nodes: NODES, ..Options::default() })?;
    std::thread::sleep(Duration::from_secs(2));
    lab.slurmctld_memory_mb()
}

fn build_dir() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().context("this program has no directory")?.to_owned())
}
