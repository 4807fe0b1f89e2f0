//! slurm-asg beside AWS ParallelCluster's own programs, in one run on one machine.
//!
//! Both resume 1, 100 and 1,000 nodes of a real slurmctld. ParallelCluster 3's `slurm_resume`
//! launches instances, writes its DynamoDB table and tells Slurm their addresses before it ends;
//! slurm-asg's program only rings, and the plugin does the rest. So two times are told of slurm-asg:
//! how long Slurm's ResumeProgram takes, and until Slurm has all addresses.
//!
//! ParallelCluster 2's `jobwatcher` asks for capacity as slurm-asg does, by an Auto Scaling group's
//! desired capacity: the time to that call is told of both.
#![forbid(unsafe_code)]

mod jobwatcher;
mod moto;
mod ours;
mod peer;
mod python;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use slurm_asg_lab::exit_code;
use slurm_asg_lab::figures::{Figure, Figures};

/// Nodes that are resumed at once.
const COUNTS: [u32; 3] = [1, 100, 1000];

/// Does the same with slurm-asg and with ParallelCluster's programs, and prints both.
#[derive(Debug, Parser)]
#[command(
    name = "slurm-asg-bench-peer",
    version,
    after_help = "Example:\n  make bench-peer\n\nThe other programs and a mock of AWS for them come from PyPI, into virtual \
                  environments below ~/.cache/slurm-asg."
)]
struct Arguments {
    /// How often each is done
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
    /// Write the figures to this file too, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What resuming some nodes took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// How many nodes.
    pub nodes: u32,
    /// Wall time of ResumeProgram, seconds.
    pub program_s: f64,
    /// Its CPU time, seconds.
    pub cpu_s: f64,
    /// The most memory that it had, MB.
    pub memory_mb: f64,
    /// From Slurm's request until Slurm has all addresses, seconds.
    pub all_bound_s: f64,
    /// Calls to AWS; tags, a name for each instance, are not counted.
    pub calls: u32,
}

fn main() -> ExitCode {
    exit_code("bench-peer", &compare(&Arguments::parse()))
}

fn compare(arguments: &Arguments) -> Result<()> {
    let python = python::Environment::prepare(python::RESUME)?;
    let watcher = python::Environment::prepare(python::JOBWATCHER)?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        for nodes in COUNTS {
            ours.push(ours::resume(&python, nodes)?);
            peers.push(peer::resume(&python, nodes)?);
        }
    }
    let mut figures = Figures::begin("Beside AWS ParallelCluster");
    for nodes in COUNTS {
        side_by_side(&mut figures, nodes, &ours, &peers);
    }
    let (own, other) = (
        ours::submissions(arguments.runs)?,
        jobwatcher::submissions(&python, &watcher, arguments.runs)?,
    );
    let figure = Figure::new("peer.submission.s", "sbatch's start to the capacity call, s", own);
    figures.add(figure.beside(jobwatcher::NAME, other));
    arguments.json.as_ref().map_or(Ok(()), |file| figures.write(file))
}

/// Each figure of resuming so many nodes, with the other's.
fn side_by_side(figures: &mut Figures, nodes: u32, ours: &[Taken], peers: &[Taken]) {
    let mut add = |key: &str, what: &str, of: &dyn Fn(&Taken) -> f64, goal: Option<f64>| {
        let of = |all: &[Taken]| all.iter().filter(|it| it.nodes == nodes).map(of).collect();
        let (name, what) = (format!("peer.{nodes}.{key}"), format!("{nodes} nodes: {what}"));
        let figure = Figure::new(&name, what, of(ours)).beside(peer::NAME, of(peers));
        // What is asked is asked for 1,000 nodes.
        let goal = goal.filter(|_| nodes == 1000);
        figures.add(goal.map_or(figure.clone(), |most| figure.at_most(most)));
    };
    add("program.ms", "ResumeProgram, wall, ms", &|it| it.program_s * 1e3, Some(10.0));
    add("cpu.ms", "its processor time, ms", &|it| it.cpu_s * 1e3, None);
    add("memory.mb", "its memory, MB", &|it| it.memory_mb, Some(5.0));
    add("bound.s", "Slurm's request to all addresses in Slurm, s", &|it| it.all_bound_s, Some(2.0));
    add("calls", "calls to AWS beside tags", &|it| f64::from(it.calls), Some(12.0));
}
