//! `slurm-asg events`: what was decided, from the event log's files. The plugin need not run.

mod filter;
pub mod place;
pub mod reader;
pub mod since;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;
use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::ids::NodeName;

use crate::output::print_while_read;
use filter::Filter;
use reader::Reader;
use since::Since;

/// How often the file is looked at for more.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);
/// With how many events following begins, if nothing else is asked for.
const FOLLOW_FROM: usize = 10;
/// So much is printed at once, bytes.
const PRINT_AT: usize = 64 << 10;

/// What is to be shown, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// Go on with what comes, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Only events since then: 90s, 10m, 2h, 1d, or a time as 2026-11-25T09:00 (local) or
    /// 2026-11-25T09:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only events of this node
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only events of this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Only events of this job
    #[arg(long, value_name = "JOB")]
    job: Option<u32>,
    /// Only events of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    event: Vec<EventName>,
    /// Only the last N events [default with --follow: 10]
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
    /// Print the lines of the file, JSON, as they are
    #[arg(long)]
    json: bool,
    /// The event log's current file, if it is not where the plugin or asg.toml says
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Prints events, and with `follow` those that come.
pub fn run(socket: &Path, options: Options) -> anyhow::Result<ExitCode> {
    let Options { follow, since, node, group, job, event, lines, json, file } = options;
    let path = match file {
        Some(path) => path,
        None => place::find(socket)?,
    };
    let since = since.map(|since| since.before(SystemTime::now()));
    let last = lines.or((follow && since.is_none()).then_some(FOLLOW_FROM));
    let node = node.as_deref().map(NodeName::new);
    let filter = Filter { since, node, group, job, events: event };
    let mut reader = Reader::open(&path, since)
        .with_context(|| format!("the event log {} cannot be read", path.display()))?;
    let show = |line: &str| filter.passes(line).then(|| shown(line, json));
    if print_what_is_there(&mut reader, last, &show)? && follow {
        print_what_comes(&mut reader, &show)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints events as they come, until nobody reads any more.
fn print_what_comes(
    reader: &mut Reader,
    show: &impl Fn(&str) -> Option<String>,
) -> anyhow::Result<()> {
    loop {
        let mut out = String::new();
        reader.read(&mut |line| -> anyhow::Result<bool> {
            out.extend(show(line));
            Ok(true)
        })?;
        if !out.is_empty() && !print_while_read(&out)? {
            return Ok(());
        }
        thread::sleep(FOLLOW_PAUSE);
    }
}

/// Prints all events, or the last ones. `false` if nobody reads any more.
fn print_what_is_there(
    reader: &mut Reader,
    last: Option<usize>,
    show: &impl Fn(&str) -> Option<String>,
) -> anyhow::Result<bool> {
    let mut out = String::new();
    let mut kept: VecDeque<String> = VecDeque::new();
    let goes_on = reader.read(&mut |line| -> anyhow::Result<bool> {
        let Some(text) = show(line) else { return Ok(true) };
        let Some(last) = last else {
            out.push_str(&text);
            return if out.len() < PRINT_AT {
                Ok(true)
            } else {
                print_while_read(&std::mem::take(&mut out))
            };
        };
        kept.push_back(text);
        if kept.len() > last {
            kept.pop_front();
        }
        Ok(true)
    })?;
    out.extend(kept);
    Ok(goes_on && print_while_read(&out)?)
}

/// A line of the log as it is printed, with its end.
fn shown(line: &str, json: bool) -> String {
    let text = if json {
        line.to_owned()
    } else {
        // An event that another version has written, perhaps.
        serde_json::from_str::<Event>(line).map_or_else(|_| line.to_owned(), |event| words(&event))
    };
    // Words of Slurm, AWS and others do not steer a terminal.
    text.replace(char::is_control, " ") + "\n"
}

fn words(event: &Event) -> String {
    format!("{}  {:19}  {event}", slurm_asg_core::time::rfc3339::text(event.time), event.event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_for_people_or_as_it_is() {
        let line = r#"{"time":"2026-11-25T09:34:56.041Z","event":"capacity_raised","group":"g","asg":"a","from":0,"to":2}"#;
        let words = "2026-11-25T09:34:56.041Z  capacity_raised      group=g asg=a desired capacity 0 -> 2\n";
        assert_eq!(shown(line, false), words);
        assert_eq!(shown(line, true), format!("{line}\n"));
        let unknown = r#"{"time":"2026-11-25T09:34:56.041Z","event":"of_tomorrow"}"#;
        assert_eq!(shown(unknown, false), format!("{unknown}\n"));
        let rude =
            r#"{"time":"2026-11-25T09:34:56.041Z","event":"problem","reason":"a\n\u001b[2Jb"}"#;
        assert!(shown(rude, false).ends_with("problem              a  [2Jb\n"));
    }
}
