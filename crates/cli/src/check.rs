//! `slurm-asg check`: asg.toml, read as the plugin would.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use slurm_asg_core::policy;

use crate::output::{complain, print};

/// Reads the file and says what is wrong.
pub fn run(path: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let parsed = policy::parse(path, &text);
    if json {
        let errors: Vec<String> =
            parsed.as_ref().err().map(ToString::to_string).into_iter().collect();
        let warnings = parsed.as_ref().map_or(&[][..], |policy| &policy.warnings);
        let object = serde_json::json!({
            "file": path, "ok": errors.is_empty(), "errors": errors, "warnings": warnings
        });
        print(&format!("{object}\n"))?;
    }
    match parsed {
        Ok(policy) if !json => {
            let nodes: usize = policy.groups.values().map(|group| group.nodes.len()).sum();
            print(&format!(
                "{} is right: {} groups, {nodes} nodes, {} Auto Scaling groups\n",
                path.display(),
                policy.groups.len(),
                policy.asgs().len()
            ))?;
            for warning in &policy.warnings {
                print(&format!("{warning}\n"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            if !json {
                complain(&error.to_string());
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
