//! A saved snapshot and a configuration, instead of the plugin.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use slurm_asg_core::memory::Memory;
use slurm_asg_core::plan::{Plan, plan};
use slurm_asg_core::policy::{self, Policy};
use slurm_asg_core::snapshot::{Snapshot, file};

use crate::output::complain;

/// How large a snapshot may be: that of a million jobs is about as large.
const SNAPSHOT_BYTES_MAX: u64 = 2 << 30;
/// How many fields are named that mean nothing.
const FIELDS_SHOWN_MAX: usize = 20;

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
            let some: Vec<_> = read.ignored.iter().take(FIELDS_SHOWN_MAX).cloned().collect();
            let more = if some.len() < read.ignored.len() { ", …" } else { "" };
            complain(&format!(
                "{place}: fields that mean nothing here are passed over: {}{more}",
                some.join(", ")
            ));
        }
        let nodes: BTreeSet<_> = read.file.nodes.iter().map(|node| &node.name).collect();
        for (name, group) in &policy.groups {
            let missing = |node: &&_| !nodes.contains(*node);
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

fn read_text(path: &Path) -> anyhow::Result<String> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path)?)
    };
    let mut bytes = Vec::new();
    source.take(SNAPSHOT_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SNAPSHOT_BYTES_MAX {
        bail!("it is larger than {SNAPSHOT_BYTES_MAX} bytes, and no snapshot is");
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("it is not JSON: byte {at} is not UTF-8")
    })
}
