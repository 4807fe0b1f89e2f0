//! `slurm-asg protect` and `release`: nodes that are not to be suspended until a time.

use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use clap::Args;
use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::time::{Timestamp, in_minutes, rfc3339};
use slurm_asg_wire::Request;

use crate::asking;
use crate::events::since::{Since, span};
use crate::output::print;

/// Which nodes, for how long, and why.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("end").required(true).args(["until", "lasting"]).multiple(false))]
pub struct ProtectOptions {
    /// Nodes, as compute-3 or compute-[1-4]
    #[arg(value_name = "NODES", required = true)]
    nodes: Vec<String>,
    /// Until when: 18:00, 2026-11-25T18:00, or 2026-11-25T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<Timestamp>,
    /// For how long: 30m, 2h, 1d
    #[arg(long = "for", id = "lasting", value_name = "DURATION", value_parser = lasting)]
    lasting: Option<std::time::Duration>,
    /// Why, for the event log and whoever looks at the status
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the nodes for which this has changed something as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Which nodes, and why.
#[derive(Debug, Args)]
pub struct ReleaseOptions {
    /// Nodes, as compute-3 or compute-[1-4]
    #[arg(value_name = "NODES", required = true)]
    nodes: Vec<String>,
    /// Why, for the event log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Print the nodes for which this has changed something as JSON, for programs
    #[arg(long)]
    json: bool,
}

/// A time to come: of today or a day, in the local time zone if it does not say.
fn until(text: &str) -> Result<Timestamp, String> {
    let hint = "write a time as 18:00, 2026-11-25T18:00 or 2026-11-25T18:00:00Z; for a span there \
                is --for";
    // A day with a time would be read as a time too.
    let is_of_today = text.chars().all(|c| c.is_ascii_digit() || c == ':');
    if is_of_today && let Ok(time) = text.parse::<jiff::civil::Time>() {
        return of_today(time).ok_or_else(|| hint.to_owned());
    }
    match text.parse() {
        Ok(Since::Time(time)) => Ok(time),
        Ok(Since::Span(_)) | Err(_) => Err(hint.to_owned()),
    }
}

/// A time of the day, of tomorrow if it is over today.
fn of_today(time: jiff::civil::Time) -> Option<Timestamp> {
    let now = jiff::Zoned::now();
    let on = |date: jiff::civil::Date| date.to_datetime(time).to_zoned(now.time_zone().clone());
    let today = on(now.date()).ok()?;
    let at = if today > now { today } else { on(now.date().tomorrow().ok()?).ok()? };
    u64::try_from(at.timestamp().as_millisecond()).ok().map(Timestamp::from_millis)
}

fn lasting(text: &str) -> Result<std::time::Duration, String> {
    let found = span(text).filter(|span| !span.is_zero());
    found.ok_or_else(|| "write a span as 90s, 30m, 2h or 1d".to_owned())
}

fn judge_reason(reason: Option<&String>) -> anyhow::Result<()> {
    if reason.is_some_and(|reason| reason.trim().is_empty()) {
        bail!("--reason says nothing; write why, or leave it out");
    }
    Ok(())
}

/// Has the plugin protect nodes.
///
/// # Errors
/// If the plugin does not answer or refuses.
pub fn protect(socket: &Path, options: ProtectOptions) -> anyhow::Result<ExitCode> {
    let ProtectOptions { nodes, until, lasting, reason, json } = options;
    judge_reason(reason.as_ref())?;
    let until = match (until, lasting) {
        (Some(until), _) => until,
        (None, Some(lasting)) => now().after(lasting),
        (None, None) => bail!("--until or --for says for how long"),
    };
    let nodes = nodes.join(",");
    let request = Request::Protect { nodes, until_ms: until.millis(), reason };
    let changed: Vec<NodeName> = asking::document(socket, &request)?;
    if json {
        let until = rfc3339::text(until);
        let content = serde_json::json!({ "nodes": changed, "until": until });
        print(&format!("{content}\n"))?;
    } else if changed.is_empty() {
        print("protected already, until then and for this reason\n")?;
    } else {
        let nodes = hostlist::compress(&changed);
        print(&format!(
            "node={nodes} protected until {}: not suspended, and no instance terminated\n",
            in_minutes(until)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the plugin end the protection of nodes.
///
/// # Errors
/// If the plugin does not answer or refuses.
pub fn release(socket: &Path, options: ReleaseOptions) -> anyhow::Result<ExitCode> {
    let ReleaseOptions { nodes, reason, json } = options;
    judge_reason(reason.as_ref())?;
    let request = Request::Release { nodes: nodes.join(","), reason };
    let changed: Vec<NodeName> = asking::document(socket, &request)?;
    if json {
        print(&format!("{}\n", serde_json::json!({ "nodes": changed })))?;
    } else if changed.is_empty() {
        print("not protected; nothing to do\n")?;
    } else {
        print(&format!("node={} may be suspended again\n", hostlist::compress(&changed)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().after(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_to_come_and_a_span_is_refused_with_what_to_write() {
        assert_eq!(until("2026-11-25T09:34:56Z"), Ok(Timestamp::from_secs(1_795_599_296)));
        let day = std::time::Duration::from_secs(86_400);
        for past in ["2020-01-01T18:00", "2020-01-01"] {
            assert!(until(past).unwrap() < now(), "{past}");
        }
        for of_today in ["00:00", "12:30", "23:59:59"] {
            let at = until(of_today).unwrap();
            assert!(at > now() && at <= now().after(day * 2), "{of_today}: {at}");
        }
        for wrong in ["2h", "soon", "", "25:00"] {
            assert!(until(wrong).unwrap_err().contains("--for"), "{wrong}");
        }
        assert_eq!(lasting("2h"), Ok(std::time::Duration::from_secs(7200)));
        for wrong in ["0m", "2", "18:00", "-1h"] {
            assert!(lasting(wrong).is_err(), "{wrong}");
        }
    }
}
