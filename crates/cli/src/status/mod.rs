//! `slurm-asg status`: one line a group with a bar, one line a node that has a machine or waits for
//! one, once or again and again. The JSON is described in docs/status.md.

pub mod bar;
pub mod text;
mod watch;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::asking;
use crate::output::{now_ms, print};
use crate::terminal::{ColorWhen, Terminal};

/// How the status is shown.
#[derive(Debug, Args)]
pub struct Options {
    /// Print the status as JSON, for programs; with --watch one object a line
    #[arg(long)]
    json: bool,
    /// Show it again and again, every SECONDS [default: 2], until interrupted
    #[arg(
        long, short, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
        default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    watch: Option<u64>,
    /// Whether there are colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorWhen,
}

/// Asks the plugin and prints what it says.
pub fn run(socket: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let terminal = Terminal::stdout(options.color);
    if let Some(secs) = options.watch {
        return watch::run(socket, options.json, Duration::from_secs(secs), terminal);
    }
    let status = asking::status(socket)?;
    if options.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&status)?))?;
    } else {
        print(&text::text(&status, now_ms(), terminal)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A status with something of everything.
#[cfg(test)]
pub fn example() -> slurm_asg_wire::Status {
    use slurm_asg_wire::{GroupStatus, JobStatus, NodeStatus, ProtectedStatus, Status};
    let node = |name: &str, state: &str, why: &str, text: &str| NodeStatus {
        name: name.into(),
        group: "compute".into(),
        state: state.into(),
        why: why.into(),
        text: text.into(),
        ..NodeStatus::default()
    };
    Status {
        version: "0.1.0".into(),
        slurm_version: "22.05.8".into(),
        state: "active".into(),
        config: "/etc/slurm/asg.toml".into(),
        looked_at_ms: Some(1_000_000),
        hook_calls: 3,
        groups: vec![
            GroupStatus {
                name: "compute".into(),
                max: 8,
                desired: 2,
                in_service: 1,
                pending: 1,
                busy: 2,
                idle: 1,
                booting: 1,
                spare: 2,
                demand: 2,
                problem: Some("throttled".into()),
                ..GroupStatus::default()
            },
            GroupStatus { name: "gpu".into(), max: 4, ..GroupStatus::default() },
        ],
        nodes: vec![
            NodeStatus {
                instance: Some("i-1".into()),
                since_ms: Some(935_000),
                ..node("compute-1", "IDLE+CLOUD", "idle", "idle; Slurm's SuspendTime decides")
            },
            node(
                "compute-2",
                "DOWN+CLOUD",
                "instance_gone",
                "its instance is gone; set down, jobs requeue",
            ),
        ],
        protected: ["compute-1", "compute-2"]
            .map(|node| ProtectedStatus {
                node: node.into(),
                since_ms: 900_000,
                until_ms: 3_600_000,
                user: 7,
                reason: Some("debugging".into()),
            })
            .into(),
        jobs: vec![JobStatus {
            id: 7,
            nodes: 1,
            launch: 1,
            why: "counted".into(),
            text: "gets 1 node; 1 to be powered up for it".into(),
        }],
        ..Status::default()
    }
}
