//! The report as a person reads it.

use std::fmt::{self, Write};

use super::figures::{CAUSES, Figures, GroupFigures, Times};
use super::tally::STATES;

/// The whole report.
pub fn text(figures: &Figures) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let (since, until) = (minute(&figures.since), minute(&figures.until));
    writeln!(out, "From {since} to {until}, {}.", days(figures.hours))?;
    if figures.events_dropped > 0 {
        let dropped = figures.events_dropped;
        writeln!(out, "! {dropped} events are missing in the log: figures are too small.")?;
    }
    if figures.groups.is_empty() {
        writeln!(out, "The event log says nothing of any group in that time.")?;
    } else {
        hours(figures, &mut out)?;
        waste(figures, &mut out)?;
        boots(figures, &mut out)?;
    }
    waits(figures, &mut out)?;
    failures(figures, &mut out)?;
    Ok(out)
}

fn hours(figures: &Figures, out: &mut String) -> fmt::Result {
    let width = name_width(figures);
    let currency = figures.currency.as_deref().unwrap_or("");
    writeln!(
        out,
        "\nINSTANCE-HOURS\n{:width$} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>5}  {:>10}",
        "GROUP", "BUSY", "IDLE", "BASE", "BOOTING", "SPARE", "RELEASING", "ALL", "BUSY", currency
    )?;
    let mut row = |name: &str, group: &GroupFigures| {
        write!(out, "{name:width$}")?;
        for state in STATES {
            let width = if state == "releasing" { 9 } else { 8 };
            write!(out, " {:>width$.2}", group.instance_hours.get(state).unwrap_or(&0.0))?;
        }
        let busy = group.busy_percent.map_or("-".to_owned(), |busy| format!("{busy:.0} %"));
        let money = match group.cost_total {
            Some(money) => format!("{money:.2}"),
            None if currency.is_empty() => String::new(),
            None => "no price".to_owned(),
        };
        let line = format!(" {:>8.2} {busy:>5}  {money:>10}", group.instance_hours_total);
        writeln!(out, "{}", line.trim_end())
    };
    for (name, group) in &figures.groups {
        row(name, group)?;
    }
    if figures.groups.len() > 1 {
        row("all", &figures.total)?;
    }
    for (name, group) in &figures.groups {
        if group.unknown_hours > 0.0 {
            let unknown = group.unknown_hours;
            writeln!(out, "! {name}: for {unknown:.1} h nobody looked; they are not counted.")?;
        }
    }
    Ok(())
}

fn waste(figures: &Figures, out: &mut String) -> fmt::Result {
    let all = figures.total.instance_hours_total;
    if all <= 0.0 {
        return Ok(());
    }
    writeln!(out, "\nHOURS WITHOUT WORK, AND WHY")?;
    let mut rows: Vec<_> = STATES
        .into_iter()
        .zip(CAUSES)
        .skip(1)
        .filter_map(|(state, cause)| {
            let hours = *figures.total.instance_hours.get(state)?;
            let money = figures.total.cost.as_ref().and_then(|cost| cost.get(state));
            (hours > 0.0).then_some((hours, cause, money))
        })
        .collect();
    rows.sort_by(|one, other| other.0.total_cmp(&one.0));
    if rows.is_empty() {
        return writeln!(out, "none");
    }
    for (hours, cause, money) in rows {
        let share = hours * 100.0 / all;
        let money = match (money, &figures.currency) {
            (Some(money), Some(currency)) => format!("  {money:.2} {currency}"),
            _ => String::new(),
        };
        writeln!(out, "{hours:>10.2} {share:>4.0} %  {cause}{money}")?;
    }
    Ok(())
}

fn boots(figures: &Figures, out: &mut String) -> fmt::Result {
    let width = name_width(figures);
    writeln!(
        out,
        "\nBOOTS, from the node's name to the registration, seconds\n{:width$} {:>8} {:>8} {:>8} \
         {:>8} {:>8} {:>11}",
        "GROUP", "NODES", "P50", "P90", "P99", "MAX", "TERMINATED"
    )?;
    for (name, group) in &figures.groups {
        let ended: u64 = group.instances_terminated.values().sum();
        writeln!(out, "{name:width$} {} {ended:>11}", times(&group.boots))?;
    }
    Ok(())
}

fn waits(figures: &Figures, out: &mut String) -> fmt::Result {
    if figures.job_waits.count + figures.job_waits_failed == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "\nJOBS THAT WAITED FOR NODES, seconds\n{:>8} {:>8} {:>8} {:>8} {:>8}\n{}",
        "JOBS",
        "P50",
        "P90",
        "P99",
        "MAX",
        times(&figures.job_waits)
    )?;
    if figures.job_waits_failed > 0 {
        let failed = figures.job_waits_failed;
        writeln!(out, "{failed:>8} lost a node while they waited, and waited anew")?;
    }
    for wait in &figures.longest_waits {
        let (nodes, until) = (wait.nodes, minute(&wait.until));
        let s = if nodes == 1 { "" } else { "s" };
        writeln!(
            out,
            "  job {} waited {:.0} s for {nodes} node{s}, until {until}",
            wait.job, wait.wait_s
        )?;
    }
    Ok(())
}

fn failures(figures: &Figures, out: &mut String) -> fmt::Result {
    if figures.failures.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nFAILURES; one that goes on is told every ten minutes")?;
    for failure in &figures.failures {
        let line = format!("{:>8}  {} {}", failure.count, failure.event, failure.code);
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn times(times: &Times) -> String {
    let [p50, p90, p99, max] = [times.p50_s, times.p90_s, times.p99_s, times.max_s];
    format!("{:>8} {p50:>8.1} {p90:>8.1} {p99:>8.1} {max:>8.1}", times.count)
}

fn name_width(figures: &Figures) -> usize {
    figures.groups.keys().map(String::len).max().unwrap_or(0).max(5)
}

/// `2026-11-25 09:34Z` of a time in UTC.
pub fn minute(time: &str) -> String {
    time.get(..16).unwrap_or(time).replace('T', " ") + "Z"
}

/// A span of hours as people say it.
pub fn days(hours: f64) -> String {
    if hours < 48.0 { format!("{hours:.1} hours") } else { format!("{:.1} days", hours / 24.0) }
}
