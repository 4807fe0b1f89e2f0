//! A saved snapshot and a configuration, instead of the plugin.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use slurm_asg_core::memory::Memory;
use slurm_asg_core::plan::{Plan, plan};
use slurm_asg_core::policy::{self, Policy};
use slurm_asg_core::snapshot::{Snapshot, file};

use crate::output::complain;

/// What the plugin would have seen, remembered and planned.
pub struct Offline {
    pub policy: Policy,
    pub snapshot: Snapshot,
    pub memory: Memory,
    pub plan: Plan,
}

impl Offline {
    /// Reads a snapshot (`-` is standard input) and asg.toml, and makes the plan.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(snapshot: &Path, config: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(config)
            .with_context(|| format!("{} cannot be read", config.display()))?;
        let policy = policy::parse(config, &text)?;
        let place = if snapshot == Path::new("-") {
            "standard input".to_owned()
        } else {
            snapshot.display().to_string()
        };
        let text = read_text(snapshot).with_context(|| format!("{place} cannot be read"))?;
        let read = file::read(&text).map_err(|error| anyhow::anyhow!("{place}: {error}"))?;
        if !read.ignored.is_empty() {
            complain(&format!(
                "{place}: fields that mean nothing here are passed over: {}",
                read.ignored.join(", ")
            ));
        }
        for (name, group) in &policy.groups {
            let missing = |node: &&_| !read.file.nodes.iter().any(|it| it.name == **node);
            if let Some(node) = group.nodes.iter().find(missing) {
                complain(&format!("{place}: group {name} has node {node}, which is not there"));
            }
        }
        let (snapshot, mut memory) = read.file.into_snapshot(&policy);
        memory.notice(&snapshot);
        let plan = plan(&policy, &memory, &snapshot);
        Ok(Self { policy, snapshot, memory, plan })
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    if path != Path::new("-") {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}
