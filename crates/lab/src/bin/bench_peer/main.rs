//! slurm-asg beside AWS ParallelCluster's own program, in one run on one machine.
//!
//! Both resume 1, 100 and 1,000 nodes of a real slurmctld. ParallelCluster 3's `slurm_resume`
//! launches instances, writes its DynamoDB table and tells Slurm their addresses before it ends;
//! slurm-asg's program only rings, and the plugin does the rest. So two times are told of slurm-asg:
//! how long Slurm's ResumeProgram takes, and until Slurm has all addresses.
#![forbid(unsafe_code)]

mod ours;
mod peer;
mod python;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use slurm_asg_lab::{Lab, say};

/// Nodes that are resumed at once.
const COUNTS: [u32; 3] = [1, 100, 1000];

/// Resumes nodes with slurm-asg and with ParallelCluster 3's slurm_resume, and prints both.
#[derive(Debug, Parser)]
#[command(
    name = "slurm-asg-bench-peer",
    version,
    after_help = "Example:\n  make bench-peer\n\nThe other program and a mock of AWS for it come from PyPI, into a virtual \
                  environment below ~/.cache/slurm-asg."
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
#[derive(Clone, Copy, Debug, serde::Serialize)]
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
    match compare(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench-peer: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<()> {
    let python = python::Environment::prepare()?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        for nodes in COUNTS {
            ours.push(ours::resume(&python, nodes)?);
            peers.push(peer::resume(&python, nodes)?);
        }
    }
    say(&format!(
        "{:<30} {:>6} {:>12} {:>9} {:>10} {:>13} {:>7}",
        "medians", "nodes", "program, ms", "CPU, ms", "memory, MB", "all bound, ms", "calls"
    ));
    for nodes in COUNTS {
        let (own, other) = (median(&ours, nodes), median(&peers, nodes));
        line("slurm-asg", own);
        line(peer::NAME, other);
        say(&format!(
            "{:<30} {nodes:>6} {:>11.0}x {:>8.0}x {:>9.0}x {:>12.1}x {:>6.1}x",
            "  ratio",
            other.program_s / own.program_s,
            other.cpu_s / own.cpu_s,
            other.memory_mb / own.memory_mb,
            other.all_bound_s / own.all_bound_s,
            f64::from(other.calls) / f64::from(own.calls.max(1)),
        ));
    }
    if let Some(file) = &arguments.json {
        let all = serde_json::json!({ "slurm-asg": ours, peer::NAME: peers });
        std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    Ok(())
}

/// How many nodes Slurm has the address of an instance of; at first a cluster of the lab has its own.
pub fn with_addresses(lab: &Lab) -> Result<usize> {
    let is_address =
        |word: &str| word.parse::<IpAddr>().is_ok_and(|address| address != Ipv4Addr::LOCALHOST);
    let told = lab.command("sinfo", &["-h", "-N", "-o", "%N %o"])?;
    let words = told.lines().filter_map(|line| line.split_whitespace().nth(1));
    Ok(words.filter(|word| is_address(word)).count())
}

/// Each figure's median over the runs with so many nodes.
fn median(all: &[Taken], nodes: u32) -> Taken {
    let middle = |figure: &dyn Fn(&Taken) -> f64| {
        let mut values: Vec<f64> = all.iter().filter(|it| it.nodes == nodes).map(figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let mut calls: Vec<u32> =
        all.iter().filter(|it| it.nodes == nodes).map(|it| it.calls).collect();
    calls.sort_unstable();
    Taken {
        nodes,
        program_s: middle(&|it| it.program_s),
        cpu_s: middle(&|it| it.cpu_s),
        memory_mb: middle(&|it| it.memory_mb),
        all_bound_s: middle(&|it| it.all_bound_s),
        calls: calls.get(calls.len() / 2).copied().unwrap_or_default(),
    }
}

fn line(who: &str, it: Taken) {
    say(&format!(
        "{who:<30} {:>6} {:>12.1} {:>9.1} {:>10.1} {:>13.0} {:>7}",
        it.nodes,
        it.program_s * 1e3,
        it.cpu_s * 1e3,
        it.memory_mb,
        it.all_bound_s * 1e3,
        it.calls
    ));
}
