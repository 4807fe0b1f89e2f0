//! `slurm-asg status`: one line a group, one line a node that has a machine or waits for one.

use std::fmt::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use slurm_asg_wire::{JobStatus, NodeStatus, Status};

use crate::asking;
use crate::output::{print, span};

/// Asks the plugin and prints what it says.
pub fn run(socket: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let status = asking::status(socket)?;
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&status)?))?;
    } else {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        print(&text(&status, u64::try_from(since.as_millis()).unwrap_or(u64::MAX))?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The status as a person reads it.
fn text(status: &Status, now_ms: u64) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let looked = status.looked_at_ms.map_or_else(
        || "has not looked yet".to_owned(),
        |at| format!("looked {} ago", span(now_ms.saturating_sub(at) / 1000)),
    );
    writeln!(
        out,
        "slurm-asg {} in slurmctld {}: {}, {looked}",
        status.version, status.slurm_version, status.state
    )?;
    for problem in status.problem.iter().chain(&status.problems) {
        writeln!(out, "! {problem}")?;
    }
    let width = status.groups.iter().map(|group| group.name.len()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "\n{:width$}  {:>5} {:>7} {:>5}  {:>7} {:>5} {:>5} {:>7}  {:>6} {:>5}",
        "GROUP", "MIN", "DESIRED", "MAX", "RUNNING", "BUSY", "IDLE", "BOOTING", "DEMAND", "SPARE"
    )?;
    for group in &status.groups {
        writeln!(
            out,
            "{:width$}  {:>5} {:>7} {:>5}  {:>7} {:>5} {:>5} {:>7}  {:>6} {:>5}",
            group.name,
            group.min,
            group.desired,
            group.max,
            group.in_service,
            group.busy,
            group.idle,
            group.booting,
            group.demand,
            group.spare
        )?;
        if let Some(problem) = &group.problem {
            writeln!(out, "{:width$}  ! {problem}", "")?;
        }
    }
    if !status.nodes.is_empty() {
        nodes(&status.nodes, now_ms, &mut out)?;
    }
    if !status.jobs.is_empty() {
        jobs(&status.jobs, &mut out)?;
    }
    Ok(out)
}

fn nodes(nodes: &[NodeStatus], now_ms: u64, out: &mut String) -> fmt::Result {
    let width = |part: &dyn Fn(&NodeStatus) -> usize, least: usize| {
        nodes.iter().map(part).max().unwrap_or(0).max(least)
    };
    let instance = |node: &NodeStatus| node.instance.clone().unwrap_or_else(|| "-".to_owned());
    let name_width = width(&|node| node.name.len(), 4);
    let state_width = width(&|node| node.state.len(), 5);
    let instance_width = width(&|node| instance(node).len(), 8);
    writeln!(
        out,
        "\n{:name_width$}  {:state_width$}  {:instance_width$}  WHY",
        "NODE", "STATE", "INSTANCE"
    )?;
    for node in nodes {
        let since = node.since_ms.map_or_else(String::new, |since| {
            format!(" (for {})", span(now_ms.saturating_sub(since) / 1000))
        });
        writeln!(
            out,
            "{:name_width$}  {:state_width$}  {:instance_width$}  {}{since}",
            node.name,
            node.state,
            instance(node),
            node.text
        )?;
    }
    Ok(())
}

/// The first pending jobs; a long queue is read as JSON.
fn jobs(jobs: &[JobStatus], out: &mut String) -> fmt::Result {
    const SHOWN_MAX: usize = 20;
    writeln!(out, "\n{:>10}  WHY", "JOB")?;
    for job in jobs.iter().take(SHOWN_MAX) {
        writeln!(out, "{:>10}  {}", job.id, job.text)?;
    }
    if let Some(more) = jobs.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        writeln!(out, "{:>10}  {more} more: slurm-asg status --json", "…")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use slurm_asg_wire::{GroupStatus, JobStatus};

    #[test]
    fn the_status_reads_as_a_table() {
        let status = Status {
            version: "0.1.0".into(),
            slurm_version: "22.05.8".into(),
            state: "active".into(),
            problem: None,
            problems: vec!["state cannot be saved".into()],
            config: "/etc/slurm/asg.toml".into(),
            events: None,
            looked_at_ms: Some(1_000_000),
            hook_calls: 3,
            advice: Vec::new(),
            groups: vec![GroupStatus {
                name: "compute".into(),
                max: 8,
                desired: 2,
                in_service: 1,
                pending: 1,
                busy: 1,
                booting: 1,
                demand: 2,
                problem: Some("throttled".into()),
                ..GroupStatus::default()
            }],
            nodes: vec![NodeStatus {
                name: "compute-1".into(),
                group: "compute".into(),
                state: "IDLE+CLOUD".into(),
                instance: Some("i-1".into()),
                why: "idle".into(),
                text: "idle; Slurm's SuspendTime decides".into(),
                since_ms: Some(935_000),
            }],
            jobs: vec![JobStatus {
                id: 7,
                nodes: 1,
                launch: 1,
                why: "counted".into(),
                text: "gets 1 node; 1 to be powered up for it".into(),
            }],
        };
        let expected = "\
slurm-asg 0.1.0 in slurmctld 22.05.8: active, looked 5 s ago
! state cannot be saved

GROUP      MIN DESIRED   MAX  RUNNING  BUSY  IDLE BOOTING  DEMAND SPARE
compute      0       2     8        1     1     0       1       2     0
         ! throttled

NODE       STATE       INSTANCE  WHY
compute-1  IDLE+CLOUD  i-1       idle; Slurm's SuspendTime decides (for 70 s)

       JOB  WHY
         7  gets 1 node; 1 to be powered up for it
";
        assert_eq!(text(&status, 1_005_000).unwrap(), expected);
    }
}
