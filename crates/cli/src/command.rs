//! `slurm-asg clear`, `pause` and `resume-scaling`: what an administrator wants of groups.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use slurm_asg_wire::Request;

use crate::{asking, output};

/// Which groups, and why.
#[derive(Debug, Args)]
pub struct Options {
    /// Groups by their names in asg.toml
    #[arg(value_name = "GROUP", required_unless_present = "all", conflicts_with = "all")]
    groups: Vec<String>,
    /// All groups
    #[arg(long)]
    all: bool,
    /// Why, for the event log and whoever looks at the status
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the groups for which this has changed something as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What is to be done with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Clear,
    Pause,
    Resume,
}

impl Deed {
    /// What has been done, and what is said if there was nothing to do.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Clear => (
                "asked for instances again",
                "no group has a cooldown or is in protected mode; nothing to clear",
            ),
            Self::Pause => (
                "paused: no instance is asked for and none is let go until slurm-asg \
                 resume-scaling",
                "paused already, for this reason",
            ),
            Self::Resume => ("scaled again", "not paused; nothing to do"),
        }
    }
}

/// Has the plugin do it, and prints what has changed.
///
/// # Errors
/// If the plugin does not answer or refuses.
pub fn run(socket: &Path, deed: Deed, options: Options) -> anyhow::Result<ExitCode> {
    let Options { groups, reason, json, .. } = options;
    if reason.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        bail!("--reason says nothing; write why, or leave it out");
    }
    let request = match deed {
        Deed::Clear => Request::Clear { groups, reason },
        Deed::Pause => Request::Pause { groups, reason },
        Deed::Resume => Request::ResumeScaling { groups, reason },
    };
    let changed: Vec<String> = asking::document(socket, &request)?;
    if json {
        output::print(&format!("{}\n", serde_json::to_string(&changed)?))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (done, nothing) = deed.words();
    let lines: Vec<String> = if changed.is_empty() {
        vec![nothing.to_owned()]
    } else {
        changed.iter().map(|group| format!("group={group} {done}")).collect()
    };
    output::print(&(lines.join("\n") + "\n"))?;
    Ok(ExitCode::SUCCESS)
}
