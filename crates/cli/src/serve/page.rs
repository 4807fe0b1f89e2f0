//! The page: made whole on the server, so that its tables need no script.

use std::fmt::{self, Write};
use std::time::Duration;

use slurm_asg_core::time::rfc3339;
use slurm_asg_wire::{GroupStatus, Status};

use super::collector::World;
use crate::chart::{Chart, escaped};
use crate::output::span;
use crate::report::html::column;
use crate::report::tally::STATES;
use crate::status::text::{of_when, parts};

/// How many nodes and jobs the page shows.
const NODES_SHOWN_MAX: usize = 200;
const JOBS_SHOWN_MAX: usize = 100;
/// Without scripts the page is loaded anew after so many seconds.
const RELOAD_S: u64 = 30;

/// The whole page.
pub fn whole(world: &World, interval: Duration, now_ms: u64) -> Result<String, fmt::Error> {
    let main = main_part(world, now_ms)?;
    let secs = interval.as_secs();
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>slurm-asg</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"{RELOAD_S}\"></noscript>\n\
         <script src=\"/live.js\" defer></script>\n</head>\n<body>\n\
         <header><h1>slurm-asg</h1> <p id=\"live\" class=\"soft\" role=\"status\"></p></header>\n\
         <main data-interval=\"{secs}\">\n{main}</main>\n</body>\n</html>\n"
    ))
}

/// What changes.
pub fn main_part(world: &World, now_ms: u64) -> Result<String, fmt::Error> {
    let mut out = String::new();
    if let Some(problem) = &world.problem {
        let problem = escaped(problem);
        writeln!(out, "<p class=\"bad\" role=\"alert\">{problem}</p>")?;
    }
    match &world.status {
        Some(status) => {
            heading(status, now_ms, &mut out)?;
            groups(status, &mut out)?;
            charts(world, &mut out)?;
            nodes(status, now_ms, &mut out)?;
            jobs(status, now_ms, &mut out)?;
        }
        None if world.problem.is_none() => writeln!(out, "<p>The plugin is being asked.</p>")?,
        None => {}
    }
    events(world, &mut out)?;
    Ok(out)
}

fn heading(status: &Status, now_ms: u64, out: &mut String) -> fmt::Result {
    let looked = status.looked_at_ms.map_or_else(
        || "has not looked yet".to_owned(),
        |at| format!("looked {} ago", span(now_ms.saturating_sub(at) / 1000)),
    );
    writeln!(
        out,
        "<p class=\"soft\">slurm-asg {} in slurmctld {}: {}, {looked}</p>",
        escaped(&status.version),
        escaped(&status.slurm_version),
        escaped(&status.state)
    )?;
    for problem in status.problem.iter().chain(&status.problems) {
        writeln!(out, "<p class=\"bad\" role=\"alert\">{}</p>", escaped(problem))?;
    }
    Ok(())
}

fn head(out: &mut String, title: &str, heads: &[&str]) -> fmt::Result {
    write!(
        out,
        "<h2>{title}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table><thead><tr>"
    )?;
    for head in heads {
        // A heading that begins with # is above numbers.
        match head.strip_prefix('#') {
            Some(head) => write!(out, "<th scope=\"col\" class=\"n\">{head}</th>")?,
            None => write!(out, "<th scope=\"col\">{head}</th>")?,
        }
    }
    writeln!(out, "</tr></thead><tbody>")
}

fn foot(out: &mut String, more: usize, where_else: &str) -> fmt::Result {
    writeln!(out, "</tbody></table></div>")?;
    if more > 0 { writeln!(out, "<p class=\"soft\">{more} more: {where_else}</p>") } else { Ok(()) }
}

fn groups(status: &Status, out: &mut String) -> fmt::Result {
    let heads = [
        "Group", "Nodes", "#Busy", "#Idle", "#Booting", "#Failed", "#Demand", "#Desired", "#Min",
        "#Max",
    ];
    head(out, "Groups", &heads)?;
    for group in &status.groups {
        let parts = parts(group, &status.nodes);
        write!(out, "<tr><th scope=\"row\">{}</th><td>", escaped(&group.name))?;
        bar(group, status, out)?;
        write!(out, "</td>")?;
        let numbers = [
            parts.busy,
            parts.idle,
            parts.booting,
            parts.failed,
            group.demand,
            group.desired,
            group.min,
            group.max,
        ];
        for number in numbers {
            write!(out, "<td class=\"n\">{number}</td>")?;
        }
        writeln!(out, "</tr>")?;
        if let Some(problem) = &group.problem {
            let problem = escaped(problem);
            writeln!(out, "<tr><td></td><td class=\"bad\" colspan=\"9\">{problem}</td></tr>")?;
        }
    }
    foot(out, 0, "")
}

/// `2026-11-25 09:34:56Z` of a time in UTC.
fn second(time: &str) -> String {
    time.get(..19).unwrap_or(time).replace('T', " ") + "Z"
}

/// A group's bar, drawn: a style of its own for each would need to be allowed.
fn bar(group: &GroupStatus, status: &Status, out: &mut String) -> fmt::Result {
    let parts = parts(group, &status.nodes);
    let counts = [
        ("busy", parts.busy),
        ("idle", parts.idle),
        ("booting", parts.booting),
        ("failed", parts.failed),
    ];
    let used: u32 = counts.iter().map(|(_, count)| *count).fold(0, u32::saturating_add);
    let all = used.max(parts.max).max(1);
    let title = format!(
        "{} busy, {} idle, {} booting, {} failed of at most {}",
        parts.busy, parts.idle, parts.booting, parts.failed, parts.max
    );
    write!(
        out,
        "<svg class=\"bar\" role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {all} 1\" \
         preserveAspectRatio=\"none\"><title>{title}</title>"
    )?;
    let mut at = 0_u32;
    for (name, count) in counts {
        if count > 0 {
            write!(out, "<rect class=\"{name}\" x=\"{at}\" width=\"{count}\" height=\"1\"/>")?;
            at = at.saturating_add(count);
        }
    }
    write!(out, "</svg>")
}

fn charts(world: &World, out: &mut String) -> fmt::Result {
    writeln!(out, "<h2>The last day</h2>")?;
    let Some(day) = &world.day else {
        let why = world.events_problem.as_deref().unwrap_or("the event log is being read");
        return writeln!(out, "<p class=\"soft\">No charts: {}</p>", escaped(why));
    };
    let (since, until) = (rfc3339::text(day.since), rfc3339::text(day.until));
    let short = |time: &str| time.get(..16).unwrap_or("").replace('T', " ") + "Z";
    for (name, group) in &day.groups {
        let columns: Vec<_> = group.columns.iter().map(column).collect();
        let title = format!("Instances of {name} and their demand over the last day");
        let chart = Chart {
            title: &title,
            layers: &STATES,
            line: "demand",
            columns: &columns,
            ends: (&short(&since), &short(&until)),
        };
        writeln!(out, "<h3>{}</h3>\n{}{}", escaped(name), chart.svg()?, chart.legend())?;
    }
    if day.groups.is_empty() {
        writeln!(out, "<p class=\"soft\">The event log says nothing of any group yet.</p>")?;
    }
    Ok(())
}

fn nodes(status: &Status, now_ms: u64, out: &mut String) -> fmt::Result {
    head(out, "Nodes", &["Node", "State", "Instance", "For", "Why"])?;
    for node in status.nodes.iter().take(NODES_SHOWN_MAX) {
        let class = if node.has_failed() { " class=\"bad\"" } else { "" };
        let since = node.since_ms.map(|since| span(now_ms.saturating_sub(since) / 1000));
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td{class}>{}</td></tr>",
            escaped(&node.name),
            escaped(&node.state.replace('+', " ")),
            escaped(node.instance.as_deref().unwrap_or("-")),
            since.unwrap_or_default(),
            escaped(&node.text)
        )?;
    }
    foot(out, status.nodes.len().saturating_sub(NODES_SHOWN_MAX), "slurm-asg top")
}

fn jobs(status: &Status, now_ms: u64, out: &mut String) -> fmt::Result {
    let why = format!("Why{}", of_when(status, now_ms));
    head(out, "Pending jobs", &["#Job", "#Nodes", "#Launch", &why])?;
    for job in status.jobs.iter().take(JOBS_SHOWN_MAX) {
        writeln!(
            out,
            "<tr><th scope=\"row\" class=\"n\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td>{}</td></tr>",
            job.id,
            job.nodes,
            job.launch,
            escaped(&job.text)
        )?;
    }
    foot(out, status.jobs.len().saturating_sub(JOBS_SHOWN_MAX), "slurm-asg plan")
}

fn events(world: &World, out: &mut String) -> fmt::Result {
    if let Some(why) = &world.events_problem {
        return writeln!(out, "<h2>Events</h2>\n<p class=\"soft\">{}</p>", escaped(why));
    }
    head(out, "Events", &["Time", "Event", "What"])?;
    for event in &world.events {
        let class = if event.error.is_some() { " class=\"bad\"" } else { "" };
        writeln!(
            out,
            "<tr><td class=\"when\">{}</td><td>{}</td><td{class}>{}</td></tr>",
            second(&rfc3339::text(event.time)),
            event.event,
            escaped(&event.to_string())
        )?;
    }
    foot(out, 0, "")
}
