//! Counts demand and makes plans at one size, and prints what that takes: time of each run, and
//! the peak of this process's memory. It reads and writes nothing else, so `make bench` runs it
//! once for each size, and under callgrind.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hint::black_box;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use slurm_asg_core::demand::{Demand, Look, demand};
use slurm_asg_core::memory::Memory;
use slurm_asg_core::plan::{Plan, plan};
use slurm_asg_core::policy::Policy;
use slurm_asg_core::snapshot::Snapshot;
use slurm_asg_workload::{Mood, Scale};

/// Counts demand and makes plans at one size.
#[derive(Debug, Parser)]
#[command(
    name = "slurm-asg-plan-bench",
    version,
    after_help = "Example:\n  slurm-asg-plan-bench --jobs 1000 --nodes 100 --runs 20"
)]
struct Arguments {
    /// Pending jobs
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    jobs: u32,
    /// Nodes
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=100_000))]
    nodes: u32,
    /// Groups
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    groups: u32,
    /// How often
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// All nodes are powered down and all jobs find a place, instead of a mixed cluster that
    /// has more jobs than it can serve
    #[arg(long)]
    fresh: bool,
    /// Write snapshot.json and asg.toml into this directory, and measure nothing
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Which cluster and queue
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let Arguments { jobs, nodes, groups, runs, fresh, write, seed } = Arguments::parse();
    let scale = Scale { jobs, nodes, groups, mood: if fresh { Mood::Fresh } else { Mood::Busy } };
    if let Some(dir) = write {
        fs::write(dir.join("asg.toml"), scale.asg_toml())?;
        let file = fs::File::create(dir.join("snapshot.json"))?;
        return Ok(serde_json::to_writer(BufWriter::new(file), &scale.file(seed))?);
    }
    let policy = scale.policy()?;
    let (snapshot, memory) = scale.file(seed).into_snapshot(&policy);
    let mut out = io::stdout().lock();
    for _ in 0..runs {
        let began = Instant::now();
        black_box(one_count(&policy, &memory, &snapshot)?);
        writeln!(out, "demand_ms {}", began.elapsed().as_secs_f64() * 1000.0)?;
        let began = Instant::now();
        let plan = black_box(one_plan(&policy, &memory, &snapshot));
        writeln!(out, "plan_ms {}", began.elapsed().as_secs_f64() * 1000.0)?;
        drop(plan);
    }
    writeln!(out, "peak_mb {}", peak_mb()?)?;
    Ok(())
}

/// Only the count.
#[inline(never)]
fn one_count(policy: &Policy, memory: &Memory, snapshot: &Snapshot) -> Result<Demand> {
    let nodes = snapshot.nodes.known().context("nodes are known")?;
    let queue = snapshot.queue.known().context("the queue is known")?;
    let earlier: &BTreeMap<_, _> = &memory.counted_since;
    let look = Look {
        policy,
        nodes,
        broken: BTreeSet::new(),
        queue,
        earlier,
        now: snapshot.now,
        trace: None,
    };
    Ok(demand(&look))
}

/// The count and the rest of the plan. Callgrind finds it by its name.
#[inline(never)]
fn one_plan(policy: &Policy, memory: &Memory, snapshot: &Snapshot) -> Plan {
    plan(policy, memory, snapshot)
}

/// The most memory that this process has had, MB.
fn peak_mb() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
        .context("/proc/self/status has no VmHWM")?;
    Ok(kib / 1000.0 * 1.024)
}
