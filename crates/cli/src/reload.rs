//! `slurm-asg reload`: asg.toml is read now, and whoever has changed it sees whether it is right.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::{Deserialize, Serialize};
use slurm_asg_wire::Request;

use crate::asking;
use crate::output::print;

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Options {
    /// Print the file in force as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What the plugin has read.
#[derive(Debug, Serialize, Deserialize)]
struct Reloaded {
    path: String,
}

/// Has the plugin read it.
///
/// # Errors
/// What is wrong with the file, if the plugin does not take it.
pub fn run(socket: &Path, options: Options) -> anyhow::Result<ExitCode> {
    let reloaded: Reloaded = asking::document(socket, &Request::Reload {})?;
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&reloaded)?))?;
    } else {
        print(&format!("{} is in force\n", reloaded.path))?;
    }
    Ok(ExitCode::SUCCESS)
}
