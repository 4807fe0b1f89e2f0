//! `slurm-asg retire`: a node's jobs get their time, then its instance goes.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde::{Deserialize, Serialize};
use slurm_asg_wire::Request;

use crate::asking;
use crate::output::print;

/// What goes, and why.
#[derive(Debug, Args)]
pub struct Options {
    /// An instance that serves a node, or the node
    #[arg(value_name = "INSTANCE|NODE")]
    what: String,
    /// Why: it is in the node's reason (sinfo -R) and in the event log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print what was done as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What the plugin did.
#[derive(Debug, Serialize, Deserialize)]
struct Retired {
    node: String,
    instance: String,
}

/// Asks the plugin to let it go.
pub fn run(socket: &Path, options: Options) -> anyhow::Result<ExitCode> {
    let Options { what, reason, json } = options;
    if reason.trim().is_empty() {
        bail!("--reason says why, so that others can read it: it must not be empty");
    }
    let request = Request::Retire { what, why: reason };
    let retired: Retired = asking::document(socket, &request)?;
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&retired)?))?;
    } else {
        let Retired { node, instance } = retired;
        print(&format!(
            "{node} drains; {instance} goes when its jobs have ended, and another comes when jobs \
             want one\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}
