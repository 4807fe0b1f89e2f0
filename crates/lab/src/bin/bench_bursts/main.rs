//! Bursts of 1,000, 5,000 and 10,000 nodes on one slurmctld with 10,000 CLOUD nodes, and back to zero.
//!
//! A hundred of the nodes, as many as a small machine carries, get a real slurmd: each runs a job, and
//! Slurm suspends it. The other instances stay booting in the sandbox, with an address and without a
//! process; their jobs are cancelled when all nodes have an instance, and their nodes powered down.
#![forbid(unsafe_code)]

mod burst;
mod chart;
mod record;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use slurm_asg_lab::figures::{Figure, Figures};
use slurm_asg_lab::{Lab, Layout, NodeKind, Options, exit_code};

use burst::{Burst, Size};

/// Records bursts on a cluster of many nodes.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-bench-bursts", version, after_help = "Example:\n  make bench-bursts")]
struct Arguments {
    /// Nodes of each burst; the most is the size of the cluster
    #[arg(long, value_delimiter = ',', default_value = "1000,5000,10000")]
    bursts: Vec<u32>,
    /// Nodes among them that get a real slurmd
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    real: u32,
    /// Write the figures to this file too, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw the curves into this file
    #[arg(long)]
    svg: Option<PathBuf>,
}

/// The kind of nodes whose instances boot for ever.
const MANY: &str = "many";
/// The kind that has a slurmd.
const REAL: &str = "few";
/// An instance that is so long on its way starts no process.
const NEVER_MS: u64 = 36_000_000;
/// What an instance with a slurmd does. Here they are on the controller's machine, and so many at once
/// must not be what is measured: they are nicer to the processor than slurmctld, and their slurm.conf has
/// the nodes with a slurmd only, as reading all of them takes a second of a core. They find their node by
/// its address in Slurm, as names are written on instances ten a second and in no order of nodes; and of
/// Slurm they ask for the nodes with a slurmd only, not for the list of all.
const BOOT: &str = "dir=${SLURM_CONF%/*}; export SLURM_CONF=$dir/slurmd.conf SCONTROL=$dir/scontrol-few \
    SLURM_ASG_NODE_LOOKUP=slurm; exec nice -n 10 /bin/sh \"$0\"";
const SOON: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    exit_code("bench-bursts", &bench(&Arguments::parse()))
}

fn bench(arguments: &Arguments) -> Result<()> {
    let most = arguments.bursts.iter().copied().max().unwrap_or_default();
    let many = most.saturating_sub(arguments.real).max(1);
    let lab = start(many, arguments.real)?;
    let mut figures = Figures::begin("Bursts on a cluster of 10,000 nodes");
    let mut bursts = Vec::new();
    for nodes in &arguments.bursts {
        let size = Size { real: arguments.real, many: nodes.saturating_sub(arguments.real).max(1) };
        let burst = burst::run(&lab, size)?;
        add(&mut figures, &burst);
        bursts.push(burst);
    }
    if let Some(file) = &arguments.svg {
        fs::write(file, chart::draw(&bursts))?;
    }
    arguments.json.as_ref().map_or(Ok(()), |file| figures.write(file))
}

fn start(many: u32, real: u32) -> Result<Lab> {
    let kind = |name: &str, count| NodeKind { name: name.into(), count, facts: "CPUs=2".into() };
    let kinds = vec![kind(MANY, many), kind(REAL, real)];
    let partition = |kind: &NodeKind, more: &str| {
        format!("PartitionName={} Nodes={} MaxTime=60 State=UP {more}\n", kind.name, kind.nodes())
    };
    let partitions = kinds.iter().map(|kind| {
        // Nodes that never register are powered down by order, not because they are idle.
        partition(kind, if kind.name == MANY { "SuspendTime=INFINITE Default=YES" } else { "" })
    });
    let layout = Layout {
        partitions: partitions.collect(),
        kinds,
        gres_conf: String::new(),
        select: "CR_Core".into(),
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/node/slurm-asg-node");
    let boot_command = ["/bin/sh", "-euc", BOOT, script];
    let lab = Lab::start(Options {
        boot_command: Some(boot_command.map(str::to_owned).into()),
        layout: Some(layout),
        // As for any large cluster: one pass of Slurm's looks at all jobs of a burst. The two slurm.conf
        // differ on purpose.
        slurm_conf: "SchedulerParameters=default_queue_depth=1000\nDebugFlags=NO_CONF_HASH\n"
            .into(),
        suspend_time_s: 20,
        suspend_timeout_s: 10,
        resume_timeout_s: 3600,
        launch_delay_ms: 300,
        boot_delay_ms: 700,
        kind_asg_keys: BTreeMap::from([(MANY.to_owned(), format!("boot_delay_ms = {NEVER_MS}\n"))]),
        ..Options::default()
    })?;
    let conf = fs::read_to_string(lab.path("slurm.conf"))?;
    let many = [format!("NodeName={MANY}-"), format!("PartitionName={MANY} ")];
    let small = conf.lines().filter(|line| !many.iter().any(|begin| line.starts_with(begin)));
    fs::write(lab.path("slurmd.conf"), small.collect::<Vec<_>>().join("\n") + "\n")?;
    let scontrol = lab.path("scontrol-few");
    fs::write(&scontrol, format!("#!/bin/sh\nexec scontrol show node -o '{REAL}-[1-{real}]'\n"))?;
    fs::set_permissions(&scontrol, fs::Permissions::from_mode(0o755))?;
    lab.until_settled(SOON)?;
    Ok(lab)
}

/// The times at which each curve got where it should, from the first job's submission.
fn add(figures: &mut Figures, burst: &Burst) {
    let nodes = burst.size.nodes();
    let mut add = |key: &str, what: &str, secs: f64| {
        let name = format!("burst.{nodes}.{key}.s");
        figures.add(Figure::new(&name, format!("{nodes} nodes: {what}, s"), vec![secs]));
    };
    add("asked", "submission to capacity asked for", burst.asked_s);
    add("launched", "submission to all launched", burst.launched_s);
    add("bound", "submission to all bound", burst.bound_s);
    add("ran", "submission to the last real job's end", burst.ran_s);
    add("terminated", "power-down ordered to all terminate calls answered", burst.terminated_s);
    add("zero", "power-down ordered to no instance", burst.zero_s);
    let name = format!("burst.{nodes}.calls");
    let what = format!("{nodes} nodes: calls to AWS of the burst beside tags");
    figures.add(Figure::new(&name, what, vec![burst.calls]));
}
