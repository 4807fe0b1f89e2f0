//! The figures of slurm-asg itself: what planning, reports, a hook call and the programs cost, how soon
//! capacity is asked for, how soon it is given back, and what the plugin takes of memory.
#![forbid(unsafe_code)]

mod calls;
mod functions;
mod hook;
mod programs;
mod suspend;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use slurm_asg_lab::figures::Figures;
use slurm_asg_lab::{Lab, Options, exit_code};

/// Prints slurm-asg's figures.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-bench", version, after_help = "Example:\n  make bench-quick")]
struct Arguments {
    /// How often each figure is taken
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Jobs that are submitted, one after the other, until capacity is asked for
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=100))]
    submissions: u32,
    /// Leave out what takes minutes: fewer runs and submissions, 1,000 nodes at most
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file too, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Nodes of the clusters that are measured, if nothing else is said.
const NODES: u32 = 100;
const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    exit_code("bench", &bench(&Arguments::parse()))
}

fn bench(arguments: &Arguments) -> Result<()> {
    let (runs, submissions, sizes): (_, _, &[u32]) = if arguments.quick {
        (arguments.runs.min(3), arguments.submissions.min(8), &[100, 1000])
    } else {
        (arguments.runs, arguments.submissions, &[100, 1000, 10_000])
    };
    let mut figures = Figures::begin("slurm-asg alone");
    hook::measure(&mut figures, runs)?;
    functions::plans(&mut figures, runs)?;
    functions::reports(&mut figures, runs)?;
    programs::sizes(&mut figures)?;
    let idle = memory_without_plugin()?;
    let lab = start()?;
    programs::run(&mut figures, &lab)?;
    let with = lab.slurmctld_memory_mb()? - idle;
    let what = format!("slurmctld's memory more with the plugin, {NODES} nodes, MB");
    figures.add(slurm_asg_lab::figures::Figure::new("memory.100", what, vec![with]).at_most(25.0));
    calls::of_resume(&mut figures, &lab, runs)?;
    drop(lab);
    calls::of_submission(&mut figures, &start()?, submissions)?;
    suspend::measure(&mut figures, sizes, runs.min(3))?;
    arguments.json.as_ref().map_or(Ok(()), |file| figures.write(file))
}

/// A cluster in which Slurm suspends nothing, and instances only need to be launched.
fn start() -> Result<Lab> {
    let lab = Lab::start(Options {
        nodes: NODES,
        max: NODES,
        suspend_time_s: 3600,
        // No slurmd comes, and that is not to count as boots that fail.
        resume_timeout_s: 3600,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        ..Options::default()
    })?;
    lab.until_settled(SOON)?;
    Ok(lab)
}

fn memory_without_plugin() -> Result<f64> {
    let lab = Lab::start(Options { plugin: false, nodes: NODES, ..Options::default() })?;
    std::thread::sleep(Duration::from_secs(2));
    lab.slurmctld_memory_mb()
}
