//! The report as a page, complete in one file: tables and charts, no scripts.

use std::fmt::{self, Write};

use super::figures::{CAUSES, Figures, GroupFigures, Times};
use super::tally::{self, STATES, Tally};
use super::text::{days, minute};
use crate::chart::{Chart, Column, STYLE, escaped};

/// The page.
pub fn page(figures: &Figures, tally: &Tally) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let (since, until) = (minute(&figures.since), minute(&figures.until));
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>slurm-asg report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>slurm-asg report</h1>\n<p class=\"soft\">From {since} to {until}, {}. {} events.</p>",
        days(figures.hours),
        figures.events
    )?;
    if figures.events_dropped > 0 {
        let dropped = figures.events_dropped;
        writeln!(out, "<p class=\"bad\">{dropped} events are missing in the log.</p>")?;
    }
    hours(figures, &mut out)?;
    for (name, group) in &tally.groups {
        let columns: Vec<_> = group.columns.iter().map(column).collect();
        let title = format!("Instances of {name} from {since} to {until}");
        let chart = Chart {
            title: &title,
            layers: &STATES,
            line: "demand",
            columns: &columns,
            ends: (&since, &until),
        };
        writeln!(out, "<h2>{}</h2>\n{}{}", escaped(name), chart.svg()?, chart.legend())?;
    }
    waste(figures, &mut out)?;
    boots(figures, &mut out)?;
    waits(figures, &mut out)?;
    failures(figures, &mut out)?;
    out += "</main>\n</body>\n</html>\n";
    Ok(out)
}

/// A slice of time as its averages.
#[expect(clippy::cast_precision_loss, reason = "a height in a chart")]
pub fn column(column: &tally::Column) -> Column {
    if column.known_ms == 0 {
        return Column::default();
    }
    let average = |millis: u64| millis as f64 / column.known_ms as f64;
    Column {
        layers: Some(column.millis.iter().map(|millis| average(*millis)).collect()),
        line: Some(average(column.demand_ms)),
    }
}

fn table(
    out: &mut String,
    caption: &str,
    heads: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> fmt::Result {
    writeln!(out, "<div class=\"scroll\"><table><caption>{caption}</caption><thead><tr>")?;
    for (nth, head) in heads.iter().enumerate() {
        let class = if nth == 0 { "" } else { " class=\"n\"" };
        write!(out, "<th scope=\"col\"{class}>{head}</th>")?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for row in rows {
        write!(out, "<tr>")?;
        for (nth, cell) in row.iter().enumerate() {
            let cell = escaped(cell);
            match nth {
                0 => write!(out, "<th scope=\"row\">{cell}</th>")?,
                _ => write!(out, "<td class=\"n\">{cell}</td>")?,
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

fn hours(figures: &Figures, out: &mut String) -> fmt::Result {
    let money = figures.currency.as_ref().map(|currency| format!("Cost, {currency}"));
    let mut heads = vec!["Group"];
    heads.extend(STATES);
    heads.extend(["all", "busy, %", "not seen, h"]);
    heads.extend(money.as_deref());
    let row = |name: &str, group: &GroupFigures| {
        let mut row = vec![name.to_owned()];
        let hours = STATES.map(|state| group.instance_hours.get(state).copied().unwrap_or(0.0));
        row.extend(hours.map(|hours| format!("{hours:.2}")));
        row.push(format!("{:.2}", group.instance_hours_total));
        row.push(group.busy_percent.map_or("-".to_owned(), |busy| format!("{busy:.0}")));
        row.push(format!("{:.1}", group.unknown_hours));
        if figures.currency.is_some() {
            row.push(group.cost_total.map_or("no price".to_owned(), |cost| format!("{cost:.2}")));
        }
        row
    };
    let groups = figures.groups.iter().map(|(name, group)| row(name, group));
    let total = (figures.groups.len() > 1).then(|| row("all", &figures.total));
    table(out, "Instance-hours", &heads, groups.chain(total))
}

fn waste(figures: &Figures, out: &mut String) -> fmt::Result {
    writeln!(out, "<h2>Hours without work</h2>")?;
    let money = figures.currency.as_ref().map(|currency| format!("Cost, {currency}"));
    let mut heads = vec!["Why", "Hours"];
    heads.extend(money.as_deref());
    let rows = STATES.into_iter().zip(CAUSES).skip(1).map(|(state, cause)| {
        let hours = figures.total.instance_hours.get(state).copied().unwrap_or(0.0);
        let mut row = vec![cause.to_owned(), format!("{hours:.2}")];
        let cost = figures.total.cost.as_ref().and_then(|cost| cost.get(state));
        row.extend(cost.map(|cost| format!("{cost:.2}")));
        row
    });
    table(out, "All groups", &heads, rows)
}

fn times(name: &str, times: &Times) -> Vec<String> {
    let mut row = vec![name.to_owned(), times.count.to_string()];
    let values = [times.p50_s, times.p90_s, times.p99_s, times.max_s];
    row.extend(values.map(|secs| format!("{secs:.1}")));
    row
}

fn boots(figures: &Figures, out: &mut String) -> fmt::Result {
    writeln!(out, "<h2>Boots</h2>")?;
    let heads = ["Group", "Nodes", "P50", "P90", "P99", "Longest"];
    let rows = figures.groups.iter().map(|(name, group)| times(name, &group.boots));
    table(out, "From the node's name to the registration, seconds", &heads, rows)
}

fn waits(figures: &Figures, out: &mut String) -> fmt::Result {
    writeln!(out, "<h2>Jobs that waited for nodes</h2>")?;
    let heads = ["", "Jobs", "P50", "P90", "P99", "Longest"];
    table(out, "Seconds", &heads, [times("all", &figures.job_waits)])?;
    let rows = figures.longest_waits.iter().map(|wait| {
        vec![
            wait.job.to_string(),
            format!("{:.0}", wait.wait_s),
            wait.nodes.to_string(),
            minute(&wait.until),
        ]
    });
    table(out, "The longest", &["Job", "Seconds", "Nodes", "Until"], rows)
}

fn failures(figures: &Figures, out: &mut String) -> fmt::Result {
    writeln!(out, "<h2>Failures</h2>")?;
    let rows = figures.failures.iter().map(|failure| {
        vec![failure.event.clone(), failure.code.clone(), failure.count.to_string()]
    });
    table(out, "One that goes on is told every ten minutes", &["Event", "Code", "Count"], rows)
}
