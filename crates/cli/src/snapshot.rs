//! `slurm-asg snapshot`: what the plugin sees, as a file.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use slurm_asg_wire::Request;

use crate::asking;
use crate::output::print;

/// Writes the snapshot of the plugin's last look to a file or to standard output.
pub fn run(socket: &Path, output: Option<&Path>) -> anyhow::Result<ExitCode> {
    let content: serde_json::Value = asking::document(socket, &Request::Snapshot {})?;
    let text = format!("{}\n", serde_json::to_string_pretty(&content)?);
    match output {
        Some(path) => std::fs::write(path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?,
        None => print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}
