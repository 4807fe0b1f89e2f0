//! `slurm-asg report`: what instances did and cost, how long boots and jobs took, and what failed,
//! from the event log alone. The plugin need not run.

mod csv;
mod figures;
pub mod html;
pub mod line;
mod quantiles;
pub mod tally;
#[cfg(test)]
mod tests;
mod text;
pub mod waits;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;
use slurm_asg_core::policy::{self, Policy};
use slurm_asg_core::time::Timestamp;

use crate::events::place;
use crate::events::reader::Reader;
use crate::events::since::Since;
use crate::output::{complain, now_ms, print};

use figures::{Figures, Prices};
use tally::{HOLDS_MAX, Tally};

/// What is to be reported, and how.
#[derive(Debug, Args)]
pub struct Options {
    /// From when on: 12h, 7d, or a time as 2026-11-25T09:00 (local) or 2026-11-25T09:00:00Z
    #[arg(long, value_name = "TIME", default_value = "7d")]
    since: Since,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
    /// Only this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Print a table for spreadsheets: group, kind, name, value, unit
    #[arg(long, group = "form")]
    csv: bool,
    /// Print a page with charts, complete in one file
    #[arg(long, group = "form")]
    html: bool,
    /// Print JSON, for programs
    #[arg(long, group = "form")]
    json: bool,
    /// Where to [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The event log's current file, if it is not where the plugin or asg.toml says
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration with the prices [default: asg.toml beside slurm.conf]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Reads the event log and prints the report.
pub fn run(socket: &Path, options: Options) -> anyhow::Result<ExitCode> {
    let now = SystemTime::now();
    let since = options.since.before(now);
    let until = options.until.map_or(Timestamp::from_millis(now_ms()), |until| until.before(now));
    anyhow::ensure!(since < until, "--since is not before --until: there is nothing to report");
    let prices = prices(options.config.as_deref())?;
    let path = match options.file {
        Some(path) => path,
        None => place::find(socket)?,
    };
    let only = options.group.clone();
    let tally = read(&path, Tally::new(since, until, only))
        .with_context(|| format!("the event log {} cannot be read", path.display()))?;
    if let Some(group) = &options.group
        && !tally.groups.contains_key(group)
    {
        complain(&format!("slurm-asg: the event log says nothing of a group {group} in that time"));
    }
    let figures = Figures::of(&tally, &prices);
    let out = if options.csv {
        csv::table(&figures)
    } else if options.html {
        html::page(&figures, &tally)?
    } else if options.json {
        serde_json::to_string_pretty(&figures)? + "\n"
    } else {
        text::text(&figures)?
    };
    match &options.output {
        None => print(&out)?,
        Some(file) => std::fs::File::create(file)
            .and_then(|mut file| file.write_all(out.as_bytes()))
            .with_context(|| format!("{} cannot be written", file.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds up what the event log has.
pub fn read(path: &Path, mut tally: Tally) -> anyhow::Result<Tally> {
    // How things stood at the beginning is in a line before it.
    let from = tally
        .since
        .millis()
        .saturating_sub(u64::try_from(HOLDS_MAX.as_millis()).unwrap_or(u64::MAX));
    let mut reader = Reader::open(path, Some(Timestamp::from_millis(from)))?;
    reader.read(&mut |line| -> anyhow::Result<bool> {
        tally.add(line);
        Ok(true)
    })?;
    tally.end();
    Ok(tally)
}

/// What asg.toml says of prices. Without the file there are none, unless it was named.
fn prices(named: Option<&Path>) -> anyhow::Result<Prices> {
    let path = named.map_or_else(slurm_asg_wire::config_path, Path::to_path_buf);
    let policy = match std::fs::read_to_string(&path) {
        Ok(text) => policy::parse(&path, &text)?,
        Err(error) if named.is_some() => {
            return Err(error).with_context(|| format!("{} cannot be read", path.display()));
        }
        Err(_) => Policy::default(),
    };
    Ok(Prices::of(&policy))
}
