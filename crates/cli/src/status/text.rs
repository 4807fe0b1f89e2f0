//! The status as a person reads it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::time::{Timestamp, in_minutes};
use slurm_asg_wire::{GroupStatus, NodeStatus, ProtectedStatus, Status};

use super::bar::Parts;
use crate::output::span;
use crate::terminal::{Color, Terminal};

/// How long a bar is at most, cells: with the numbers beside it a line has 80 characters.
const BAR_CELLS_MAX: usize = 20;
/// How many nodes and jobs are shown; more are read as JSON, or with `slurm-asg top`.
const NODES_SHOWN_MAX: usize = 40;
const JOBS_SHOWN_MAX: usize = 20;

/// What is said of pending jobs may be older than the rest by this.
const QUEUE_AGE_SAID: u64 = 5_000;

/// Of when that is, if it is old: Slurm's queue, if it is long, is not read with each look.
pub fn of_when(status: &Status, now_ms: u64) -> String {
    let (looked, read) = (status.looked_at_ms, status.queue_read_at_ms);
    let is_old = |read: &u64| looked.unwrap_or(0).saturating_sub(*read) >= QUEUE_AGE_SAID;
    read.filter(is_old).map_or_else(String::new, |read| {
        format!(
            " (the queue is long, and this is of {} ago)",
            span(now_ms.saturating_sub(read) / 1000)
        )
    })
}

/// The whole status.
pub fn text(status: &Status, now_ms: u64, terminal: Terminal) -> Result<String, fmt::Error> {
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
        writeln!(out, "{}", terminal.paint(Color::Failed, format!("! {problem}")))?;
    }
    groups(status, terminal, &mut out)?;
    if !status.nodes.is_empty() {
        nodes(&status.nodes, now_ms, terminal, &mut out)?;
    }
    if !status.protected.is_empty() {
        protected(&status.protected, terminal, &mut out)?;
    }
    if !status.jobs.is_empty() {
        jobs(status, now_ms, terminal, &mut out)?;
    }
    Ok(out)
}

fn groups(status: &Status, terminal: Terminal, out: &mut String) -> fmt::Result {
    let width = status.groups.iter().map(|group| group.name.len()).max().unwrap_or(0).max(5);
    let parts = |group| parts(group, &status.nodes);
    let bar_of = |group| parts(group).cells(BAR_CELLS_MAX);
    let length = |group| bar_of(group).parts.iter().sum::<usize>() + bar_of(group).room;
    let bar_width = status.groups.iter().map(length).max().unwrap_or(0).max(1) + 2;
    let heading = format!(
        "\n{:width$}  {:bar_width$} {:>5} {:>5} {:>7} {:>6}  {:>6} {:>7}  MIN-MAX",
        "GROUP", "NODES", "BUSY", "IDLE", "BOOTING", "FAILED", "DEMAND", "DESIRED"
    );
    writeln!(out, "{}", terminal.paint(Color::Heading, heading))?;
    for group in &status.groups {
        let parts = parts(group);
        // A number that is not zero has its part's colour.
        let number = |count: u32, color: Color, width: usize| {
            let plain = Terminal { colors: terminal.colors && count > 0, ..terminal };
            format!("{:>width$}", plain.paint(color, count))
        };
        writeln!(
            out,
            "{:width$}  {}{:pad$} {} {} {} {}  {:>6} {:>7}  {}-{}",
            group.name,
            bar(parts, terminal),
            "",
            number(parts.busy, Color::Busy, 5),
            number(parts.idle, Color::Idle, 5),
            number(parts.booting, Color::Booting, 7),
            number(parts.failed, Color::Failed, 6),
            group.demand,
            group.desired,
            group.min,
            group.max,
            pad = bar_width - length(group) - 2,
        )?;
        if let Some(problem) = &group.problem {
            let problem = terminal.paint(Color::Failed, format!("! {problem}"));
            writeln!(out, "{:width$}  {problem}", "")?;
        }
        if let Some(instances) = instances(group) {
            writeln!(out, "{:width$}  {instances}", "")?;
        }
    }
    let legend = Parts::default().in_order().map(|(_, sign, color)| terminal.paint(color, sign));
    let [busy, idle, booting, failed] = legend;
    writeln!(
        out,
        "{:width$}  {busy} busy  {idle} idle  {booting} booting  {failed} failed  . room",
        ""
    )
}

/// What a group's nodes do.
pub fn parts(group: &GroupStatus, nodes: &[NodeStatus]) -> Parts {
    let failed = nodes.iter().filter(|node| node.group == group.name && node.has_failed());
    Parts {
        busy: group.busy,
        idle: group.idle,
        booting: group.booting,
        failed: u32::try_from(failed.count()).unwrap_or(u32::MAX),
        max: group.max,
    }
}

fn bar(parts: Parts, terminal: Terminal) -> String {
    let cells = parts.cells(BAR_CELLS_MAX);
    let mut out = "[".to_owned();
    for ((_, sign, color), count) in parts.in_order().into_iter().zip(cells.parts) {
        if count > 0 {
            out += &terminal.paint(color, sign.to_string().repeat(count)).to_string();
        }
    }
    out + &".".repeat(cells.room) + "]"
}

/// Instances that are not what a node's number says: nothing is said of what is as usual.
fn instances(group: &GroupStatus) -> Option<String> {
    let some = [
        (group.pending, "on their way"),
        (group.spare, "spare"),
        (group.releasing, "being terminated"),
        (group.ahead, "asked for ahead of Slurm"),
    ];
    let told: Vec<_> = some
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!told.is_empty()).then(|| format!("instances: {}", told.join(", ")))
}

fn nodes(nodes: &[NodeStatus], now_ms: u64, terminal: Terminal, out: &mut String) -> fmt::Result {
    let shown = nodes.get(..NODES_SHOWN_MAX).unwrap_or(nodes);
    let width = |part: &dyn Fn(&NodeStatus) -> usize, least: usize| {
        shown.iter().map(part).max().unwrap_or(0).max(least)
    };
    let instance = |node: &NodeStatus| node.instance.clone().unwrap_or_else(|| "-".to_owned());
    let name_width = width(&|node| node.name.len(), 4);
    let state_width = width(&|node| node.state.len(), 5);
    let instance_width = width(&|node| instance(node).len(), 8);
    let heading = format!(
        "\n{:name_width$}  {:state_width$}  {:instance_width$}  WHY",
        "NODE", "STATE", "INSTANCE"
    );
    writeln!(out, "{}", terminal.paint(Color::Heading, heading))?;
    for node in shown {
        let since = node.since_ms.map_or_else(String::new, |since| {
            format!(" (for {})", span(now_ms.saturating_sub(since) / 1000))
        });
        let why = format!("{}{since}", node.text);
        let why = match color_of(node) {
            Some(color) => terminal.paint(color, why).to_string(),
            None => why,
        };
        writeln!(
            out,
            "{:name_width$}  {:state_width$}  {:instance_width$}  {why}",
            node.name,
            node.state,
            instance(node),
        )?;
    }
    more(nodes.len(), NODES_SHOWN_MAX, name_width, out)
}

/// A node's colour, where it says something.
pub fn color_of(node: &NodeStatus) -> Option<Color> {
    if node.has_failed() {
        return Some(Color::Failed);
    }
    match node.why.as_str() {
        "busy" => Some(Color::Busy),
        "idle"
        | "base"
        | "kept"
        | "waits_for_billing_hour"
        | "billing_hour_ends"
        | "makes_room" => Some(Color::Idle),
        "booting" | "bound" | "raised" => Some(Color::Booting),
        why if why.starts_with("waits_for") => Some(Color::Booting),
        "at_max" | "retry_at" | "cloud_unknown" | "no_capacity" | "protected_mode" | "paused"
        | "incomplete" => Some(Color::Failed),
        _ => None,
    }
}

/// Nodes that are protected from suspension, a line for each word that was said.
fn protected(all: &[ProtectedStatus], terminal: Terminal, out: &mut String) -> fmt::Result {
    let mut words: BTreeMap<(u64, u32, Option<&str>), Vec<NodeName>> = BTreeMap::new();
    for it in all {
        let word = (it.until_ms, it.user, it.reason.as_deref());
        words.entry(word).or_default().push(NodeName::new(&it.node));
    }
    let lines = words.into_iter().map(|((until, user, reason), nodes)| {
        let until = in_minutes(Timestamp::from_millis(until));
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        (hostlist::compress(&nodes), until, format!("user {user}{reason}"))
    });
    let lines: Vec<_> = lines.collect();
    let width = lines.iter().map(|(nodes, ..)| nodes.len()).max().unwrap_or(0).max(9);
    let heading = format!("\n{:width$}  {:20}  BY", "PROTECTED", "UNTIL");
    writeln!(out, "{}", terminal.paint(Color::Heading, heading))?;
    for (nodes, until, by) in lines.iter().take(NODES_SHOWN_MAX) {
        writeln!(out, "{nodes:width$}  {until:20}  {by}")?;
    }
    more(lines.len(), NODES_SHOWN_MAX, width, out)
}

/// The first pending jobs.
fn jobs(status: &Status, now_ms: u64, terminal: Terminal, out: &mut String) -> fmt::Result {
    let jobs = &status.jobs;
    let heading = format!("\n{:>10}  WHY{}", "JOB", of_when(status, now_ms));
    writeln!(out, "{}", terminal.paint(Color::Heading, heading))?;
    for job in jobs.iter().take(JOBS_SHOWN_MAX) {
        writeln!(out, "{:>10}  {}", job.id, job.text)?;
    }
    more(jobs.len(), JOBS_SHOWN_MAX, 10, out)
}

fn more(all: usize, shown: usize, width: usize, out: &mut String) -> fmt::Result {
    match all.checked_sub(shown).filter(|more| *more > 0) {
        Some(more) => {
            writeln!(out, "{:>width$}  {more} more: slurm-asg top, or status --json", "…")
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::example;

    #[test]
    fn of_a_queue_that_was_read_before_the_last_look_it_is_said_when() {
        let read = |at| Status { queue_read_at_ms: at, ..example() };
        let heading = |at| {
            let shown = text(&read(at), 1_005_000, Terminal::none()).unwrap();
            shown.lines().find(|line| line.contains("JOB  ")).unwrap().to_owned()
        };
        assert_eq!(heading(None), "       JOB  WHY");
        assert_eq!(heading(Some(999_000)), "       JOB  WHY");
        let old = "       JOB  WHY (the queue is long, and this is of 45 s ago)";
        assert_eq!(heading(Some(960_000)), old);
    }

    #[test]
    fn the_status_reads_as_a_table() {
        let expected = "\
slurm-asg 0.1.0 in slurmctld 22.05.8: active, looked 5 s ago

GROUP    NODES       BUSY  IDLE BOOTING FAILED  DEMAND DESIRED  MIN-MAX
compute  [##=+!...]     2     1       1      1       2       2  0-8
         ! throttled
         instances: 1 on their way, 2 spare
gpu      [....]         0     0       0      0       0       0  0-4
         # busy  = idle  + booting  ! failed  . room

NODE       STATE       INSTANCE  WHY
compute-1  IDLE+CLOUD  i-1       idle; Slurm's SuspendTime decides (for 70 s)
compute-2  DOWN+CLOUD  -         its instance is gone; set down, jobs requeue

PROTECTED      UNTIL                 BY
compute-[1-2]  1970-01-01 01:00 UTC  user 7: debugging

       JOB  WHY
         7  gets 1 node; 1 to be powered up for it
";
        assert_eq!(text(&example(), 1_005_000, Terminal::none()).unwrap(), expected);
    }

    #[test]
    fn colours_say_nothing_that_the_text_does_not() {
        let terminal = Terminal { colors: true, ..Terminal::none() };
        let colored = text(&example(), 1_005_000, terminal).unwrap();
        assert!(
            colored.contains("[\x1b[32m##\x1b[0m\x1b[34m=\x1b[0m\x1b[33m+\x1b[0m"),
            "{colored}"
        );
        assert!(colored.contains("\x1b[1;31m! throttled\x1b[0m"), "{colored}");
        let mut plain = String::new();
        for (nth, part) in colored.split('\x1b').enumerate() {
            plain += if nth == 0 { part } else { part.split_once('m').unwrap().1 };
        }
        assert_eq!(plain, text(&example(), 1_005_000, Terminal::none()).unwrap());
    }

    #[test]
    fn a_large_cluster_is_cut_with_the_number_of_what_is_left_out() {
        let mut status = example();
        let node = status.nodes[0].clone();
        status.nodes = vec![node; 100];
        status.jobs = vec![status.jobs[0].clone(); 100];
        let text = text(&status, 1_005_000, Terminal::none()).unwrap();
        assert!(text.contains("60 more: slurm-asg top") && text.contains("80 more: "), "{text}");
    }
}
