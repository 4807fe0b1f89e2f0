//! What the plugin's questions cost a slurmctld that has 100,000 jobs queued.
//!
//! The jobs are records of their own, and wait for a time that does not come. Three times the cluster is
//! watched: while nothing happens; while a job is submitted each second, so that each reading of the queue
//! has to be of the whole of it; and the same while nodes are on their way, which the plugin looks at each
//! second. Slurm's own count of the time that its threads took to
//! answer (sdiag) says what the questions cost; nobody else asks meanwhile. The second time is watched
//! without the plugin too, for what slurmctld does anyway.
#![forbid(unsafe_code)]

mod rpc;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use slurm_asg_lab::figures::{Figure, Figures};
use slurm_asg_lab::processor::{Meter, process_seconds};
use slurm_asg_lab::{Lab, Options, exit_code};

use rpc::Served;

/// Prints what the plugin's questions cost slurmctld with a long queue.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-bench-queue", version, after_help = "Example:\n  make bench-queue")]
struct Arguments {
    /// Pending jobs
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(100..=500_000))]
    jobs: u32,
    /// For how long the cluster is watched each time, seconds
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(20..=3600))]
    watch: u64,
    /// Write the figures to this file too, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

const NODES: u32 = 1000;
/// Nodes of them that are on their way the third time.
const COMING: u32 = 10;
/// Clients that fill the queue.
const CLIENTS: u32 = 4;
const SOON: Duration = Duration::from_secs(120);
/// After this a plugin has had its first looks.
const FIRST_LOOKS: Duration = Duration::from_secs(35);
const HOOK: &str = "JobSubmitPlugins=asg\n";

/// What a time of watching has shown, in percent of a core.
#[derive(Clone, Copy, Debug)]
struct Watched {
    /// slurmctld's answers to what the plugin asks.
    served: f64,
    /// The plugin's own threads.
    plugin: f64,
    /// All of slurmctld.
    slurmctld: f64,
    /// Answers with the whole queue, a minute.
    queues: f64,
}

fn main() -> ExitCode {
    exit_code("bench-queue", &bench(&Arguments::parse()))
}

fn bench(arguments: &Arguments) -> Result<()> {
    let mut lab = Lab::start(Options {
        nodes: NODES,
        max: NODES,
        suspend_time_s: 36_000,
        resume_timeout_s: 36_000,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        slurm_conf: format!("MaxJobCount={}\n", arguments.jobs.saturating_mul(2)),
        ..Options::default()
    })?;
    let conf = lab.path("slurm.conf");
    let with = fs::read_to_string(&conf)?;
    ensure!(with.contains(HOOK), "slurm.conf does not name the plugin");
    let watch = Duration::from_secs(arguments.watch);
    restart(&mut lab, &with.replace(HOOK, ""))?;
    fill(&lab, arguments.jobs)?;
    let without = look_on(&lab, watch, true, false)?;
    restart(&mut lab, &with)?;
    lab.until_looked(SOON)?;
    std::thread::sleep(FIRST_LOOKS);
    let idle = look_on(&lab, watch, false, true)?;
    let busy = look_on(&lab, watch, true, true)?;
    // What they boot is no slurmd: they stay on their way.
    let nodes = format!("nodename=compute-[1-{COMING}]");
    lab.command("scontrol", &["update", &nodes, "state=power_up"])?;
    std::thread::sleep(FIRST_LOOKS);
    let coming = look_on(&lab, watch, true, true)?;

    let mut figures = Figures::begin("A queue of 100,000 jobs");
    let mut add = |key: &str, what: &str, value, goal: bool| {
        let figure = Figure::new(&format!("queue.{key}"), what, vec![value]);
        figures.add(if goal { figure.at_most(2.0) } else { figure });
    };
    add("idle.served", "nothing happens: answers to the plugin, % of a core", idle.served, true);
    add("idle.plugin", "nothing happens: the plugin's threads, % of a core", idle.plugin, false);
    add("busy.served", "a submission each second: answers to it, % of a core", busy.served, true);
    add("busy.plugin", "the same: the plugin's threads, % of a core", busy.plugin, false);
    add("busy.queues", "the same: answers with the whole queue, a minute", busy.queues, false);
    let what = "the same: all of slurmctld with the plugin, % of a core";
    add("busy.slurmctld", what, busy.slurmctld, false);
    let what = "the same: all of slurmctld without it, % of a core";
    add("busy.without", what, without.slurmctld, false);
    let what = "the same, with nodes on their way: answers to the plugin, % of a core";
    add("coming.served", what, coming.served, true);
    let what = "the same, with nodes on their way: the plugin's threads, % of a core";
    add("coming.plugin", what, coming.plugin, false);
    let what = "the same, with nodes on their way: answers with the whole queue, a minute";
    add("coming.queues", what, coming.queues, false);
    arguments.json.as_ref().map_or(Ok(()), |file| figures.write(file))
}

/// Starts slurmctld anew, by another slurm.conf.
fn restart(lab: &mut Lab, slurm_conf: &str) -> Result<()> {
    // What it has to write takes its time with a long queue.
    lab.stop_slurmctld(SOON);
    fs::write(lab.path("slurm.conf"), slurm_conf)?;
    lab.start_slurmctld()
}

/// Fills the queue.
fn fill(lab: &Lab, jobs: u32) -> Result<()> {
    let program = compile(lab.dir())?.display().to_string();
    let each = jobs.div_ceil(CLIENTS).to_string();
    lab.command_by_several(CLIENTS, &program, &[&each])?;
    let queued = lab.command("squeue", &["-h", "-o", "%i", "-t", "PD"])?.lines().count();
    ensure!(queued >= jobs as usize, "only {queued} jobs are queued");
    Ok(())
}

fn compile(dir: &Path) -> Result<PathBuf> {
    let program = dir.join("submit");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/bench_queue/submit.c");
    let compiled =
        Command::new("cc").args(["-O2", "-o"]).arg(&program).args([source, "-lslurm"]).status();
    let compiled = compiled.context("cc is not installed")?;
    ensure!(compiled.success(), "{source} does not compile; is libslurm-dev installed?");
    Ok(program)
}

/// Watches the cluster for a while, with or without a submission each second.
fn look_on(lab: &Lab, watch: Duration, submit: bool, plugin: bool) -> Result<Watched> {
    let pid = lab.slurmctld_pid().context("slurmctld does not run")?;
    let mut meter = if plugin { Some(Meter::start(pid)?) } else { None };
    let mut used = || meter.as_mut().map_or(Ok(0.0), Meter::seconds);
    lab.command("sdiag", &["--reset"])?;
    let (own, all, began) = (used()?, process_seconds(pid)?, Instant::now());
    while began.elapsed() < watch {
        let next = Instant::now() + Duration::from_secs(1);
        if submit {
            lab.sbatch(&["--begin=now+10hours"], "true")?;
        }
        used()?;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let (own, all, took) = (used()? - own, process_seconds(pid)? - all, began.elapsed());
    let served = Served::read(&lab.command("sdiag", &[])?)?;
    let percent = |secs: f64| secs / took.as_secs_f64() * 100.0;
    Ok(Watched {
        served: percent(served.seconds),
        plugin: percent(own),
        slurmctld: percent(all),
        queues: served.queues / (took.as_secs_f64() / 60.0),
    })
}
