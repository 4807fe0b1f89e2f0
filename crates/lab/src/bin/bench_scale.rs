//! What the plugin costs a large and busy slurmctld: memory and processor time with 10,000 nodes, and
//! how fast jobs are submitted with it and without it.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use slurm_asg_lab::figures::{Figure, Figures};
use slurm_asg_lab::processor::{Meter, process_seconds};
use slurm_asg_lab::{Lab, Options, PLUGIN, Release, exit_code};

/// Prints what the plugin costs with many nodes and many jobs.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-bench-scale", version, after_help = "Example:\n  make bench-scale")]
struct Arguments {
    /// Nodes of the large cluster
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=17_000))]
    nodes: u32,
    /// For how long the large cluster is watched while nothing happens, seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(30..=3600))]
    watch: u64,
    /// Jobs that are submitted with and without the plugin; 0 leaves this out
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(..=50_000))]
    jobs: u32,
    /// How often
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Write the figures to this file too, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Clients that submit at the same time.
const CLIENTS: u32 = 8;
/// An instance that is so long on its way starts no process.
const NEVER_MS: u64 = 36_000_000;
const SOON: Duration = Duration::from_secs(60);
/// The first looks of a plugin are over after this: an idle loop looks every 30 s.
const FIRST_LOOKS: Duration = Duration::from_secs(35);

fn main() -> ExitCode {
    exit_code("bench-scale", &bench(&Arguments::parse()))
}

fn bench(arguments: &Arguments) -> Result<()> {
    let mut figures = Figures::begin("A large and a busy slurmctld");
    large(&mut figures, arguments.nodes, Duration::from_secs(arguments.watch))?;
    if arguments.jobs >= CLIENTS {
        submit(&mut figures, arguments.jobs, arguments.runs)?;
    }
    arguments.json.as_ref().map_or(Ok(()), |file| figures.write(file))
}

/// A cluster of which nothing runs: Slurm suspends nothing, and instances stay booting, as the work of a
/// machine that starts is none of slurmctld's or the plugin's.
fn start(nodes: u32, plugin: bool) -> Result<Lab> {
    let packaged = Release::installed()?.packaged()?.map(|dir| dir.join(PLUGIN));
    let defaults = Options::default();
    let lab = Lab::start(Options {
        nodes,
        max: nodes,
        plugin,
        // What it takes is also a matter of how large it is.
        plugin_file: defaults.plugin_file.clone().or(packaged),
        suspend_time_s: 36_000,
        resume_timeout_s: 36_000,
        boot_delay_ms: NEVER_MS,
        slurm_conf: "MaxJobCount=100000\n".to_owned(),
        ..defaults
    })?;
    if plugin {
        lab.until_settled(SOON)?;
    }
    Ok(lab)
}

fn large(figures: &mut Figures, nodes: u32, watch: Duration) -> Result<()> {
    let without = {
        let lab = start(nodes, false)?;
        std::thread::sleep(FIRST_LOOKS);
        lab.slurmctld_memory_mb()?
    };
    let lab = start(nodes, true)?;
    std::thread::sleep(FIRST_LOOKS);
    lab.sandbox().clear_calls()?;
    let mut meter = Meter::start(lab.slurmctld_pid().context("slurmctld does not run")?)?;
    let (before, began) = (meter.seconds()?, Instant::now());
    while began.elapsed() < watch {
        std::thread::sleep(Duration::from_secs(2));
        meter.seconds()?;
    }
    let share = (meter.seconds()? - before) / began.elapsed().as_secs_f64() * 100.0;
    let calls = f64::from(u32::try_from(lab.sandbox().calls()?.len())?);
    let calls = calls / (began.elapsed().as_secs_f64() / 60.0);
    let with = lab.slurmctld_memory_mb()?;
    let figure = |key: &str, what: &str, value| {
        Figure::new(&format!("idle.{nodes}.{key}"), format!("{nodes} nodes, {what}"), vec![value])
    };
    figures.add(figure("mb", "slurmctld with the plugin, MB", with));
    let more = figure("more.mb", "slurmctld's memory more with the plugin, MB", with - without);
    figures.add(more.at_most(40.0));
    figures.add(figure("cpu", "idle, the plugin's threads, % of a core", share).at_most(0.2));
    figures.add(figure("calls", "idle, calls to AWS a minute", calls).at_most(4.0));
    Ok(())
}

/// Submits jobs, with the plugin and without it in turn, and compares the pairs.
fn submit(figures: &mut Figures, jobs: u32, runs: u32) -> Result<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for run in 0..runs {
        // What the machine does besides may grow or wane: whoever is first takes turns.
        let own_first = run % 2 == 1;
        for plugin in [own_first, !own_first] {
            let taken = take(jobs, plugin)?;
            if plugin { with.push(taken) } else { without.push(taken) }
        }
    }
    let all = |of: &[Taken], value: fn(&Taken) -> f64| of.iter().map(value).collect::<Vec<_>>();
    let ratios = |value: fn(&Taken) -> f64| {
        with.iter().zip(&without).map(|(with, without)| value(with) / value(without)).collect()
    };
    let rate = |taken: &Taken| taken.rate;
    let what = format!("{jobs} jobs by {CLIENTS} clients, jobs a second");
    let figure = Figure::new("submit.rate", what, all(&with, rate));
    figures.add(figure.beside("without the plugin", all(&without, rate)));
    let what = "the same, with the plugin to without it";
    figures.add(Figure::new("submit.ratio", what, ratios(rate)).at_least(0.98));
    let cpu = |taken: &Taken| taken.cpu_ms;
    let what = "the same: slurmctld's processor time for each, with all of the plugin, ms";
    let figure = Figure::new("submit.cpu", what, all(&with, cpu));
    figures.add(figure.beside("without the plugin", all(&without, cpu)));
    let what = "the same, with the plugin to without it";
    figures.add(Figure::new("submit.cpu.ratio", what, ratios(cpu)));
    Ok(())
}

/// How slurmctld took jobs.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// Jobs a second.
    rate: f64,
    /// What it used of the processor for each, milliseconds.
    cpu_ms: f64,
}

/// Has jobs submitted by clients that submit one after the other.
fn take(jobs: u32, plugin: bool) -> Result<Taken> {
    let lab = start(100, plugin)?;
    let each = jobs / CLIENTS;
    let script = lab.path("submit");
    fs::write(
        &script,
        format!(
            "i=0\nwhile [ $i -lt {each} ]; do\n    sbatch -Q --exclusive -o /dev/null --wrap true \
             || exit\n    i=$((i + 1))\ndone\n"
        ),
    )?;
    let script = script.display().to_string();
    let pid = lab.slurmctld_pid().context("slurmctld does not run")?;
    let (before, began) = (process_seconds(pid)?, Instant::now());
    lab.command_by_several(CLIENTS, "sh", &[&script])?;
    let (took, used) = (began.elapsed().as_secs_f64(), process_seconds(pid)? - before);
    let queued = lab.command("squeue", &["-h", "-o", "%i"])?.lines().count();
    ensure!(queued >= (each * CLIENTS) as usize, "only {queued} jobs are there");
    let jobs = f64::from(each * CLIENTS);
    Ok(Taken { rate: jobs / took, cpu_ms: used / jobs * 1000.0 })
}
