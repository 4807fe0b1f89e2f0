//! `slurm-asg check`: asg.toml, read as the plugin would.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use slurm_asg_core::hostlist;
use slurm_asg_core::policy::{self, Policy, ScaleIn};

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
        let needs = parsed.as_ref().map(slurm_conf_needs).unwrap_or_default();
        let object = serde_json::json!({
            "file": path, "ok": errors.is_empty(), "errors": errors, "warnings": warnings,
            "slurm_conf": needs
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
            for need in slurm_conf_needs(&policy) {
                print(&format!("slurm.conf: {need}\n"))?;
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

/// What slurm.conf has to say for this policy, a line each.
fn slurm_conf_needs(policy: &Policy) -> Vec<String> {
    let mut needs = Vec::new();
    for (name, group) in &policy.groups {
        let way = match group.scale_in {
            ScaleIn::Slurm => None,
            ScaleIn::BillingHour(_) => Some("billing-hour"),
            ScaleIn::Never => Some("never"),
        };
        if let Some(way) = way {
            needs.push(format!(
                "group {name} has scale_in = \"{way}\": give the partitions of {} \
                 SuspendTime=INFINITE, or Slurm powers idle nodes down by itself, and leave the \
                 global SuspendTime a number, or power saving is off",
                hostlist::compress(&group.nodes)
            ));
        }
        if let Some(min) = group.sizes.min.filter(|min| *min > 0 && way.is_none()) {
            let base = group.nodes.iter().take(min as usize);
            needs.push(format!(
                "group {name} keeps {min} nodes: write SuspendExcNodes={}, or Slurm powers them \
                 down and they are brought back again and again",
                hostlist::compress(base)
            ));
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_conf_needs_follows_from_the_policy() {
        let needs = |keys: &str| {
            let text = format!("[[group]]\nname=\"c\"\nnodes=\"c[1-8]\"\nasg=\"a\"\n{keys}");
            slurm_conf_needs(&policy::parse(Path::new("asg.toml"), &text).unwrap())
        };
        assert_eq!(needs(""), Vec::<String>::new());
        let hour = needs("scale_in = \"billing-hour\"");
        assert!(hour[0].contains("c[1-8] SuspendTime=INFINITE"), "{hour:?}");
        let base = needs("min_size = 2");
        assert!(base[0].contains("SuspendExcNodes=c[1-2]"), "{base:?}");
    }
}
