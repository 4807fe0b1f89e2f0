//! Joins the figures of the benchmarks' programs: RESULTS.md for people, results.json for programs.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde::Serialize;
use slurm_asg_lab::exit_code;
use slurm_asg_lab::figures::{Figure, Figures, Goal, median};

/// Joins the figures of several programs.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-bench-results", version, after_help = "Example:\n  make bench-results")]
struct Arguments {
    /// Files that the programs have written with --json, in the order in which they are shown
    #[arg(required = true)]
    figures: Vec<PathBuf>,
    /// Where RESULTS.md and results.json go; reasons.toml there says why a figure is not reached, notes.md
    /// what is to be said of the run, and bursts.svg is shown
    #[arg(long, default_value = "benches")]
    out: PathBuf,
}

/// Where the figures were taken, and of what.
#[derive(Debug, Serialize)]
struct Circumstances {
    processor: String,
    cores: usize,
    memory_gb: f64,
    kernel: String,
    slurm: String,
    rustc: String,
    slurm_asg: String,
    date: String,
    /// Of the last minute, when the figures were joined; what else the machine did is in it.
    load: String,
}

#[derive(Debug, Serialize)]
struct Results<'a> {
    circumstances: &'a Circumstances,
    parts: Vec<Part<'a>>,
}

#[derive(Debug, Serialize)]
struct Part<'a> {
    title: &'a str,
    figures: Vec<Joined<'a>>,
}

/// A figure with what is made of it.
#[derive(Debug, Serialize)]
struct Joined<'a> {
    #[serde(flatten)]
    figure: &'a Figure,
    median: f64,
    reached: Option<bool>,
    ratio: Option<f64>,
    reason: Option<&'a String>,
}

fn main() -> ExitCode {
    exit_code("bench-results", &join(&Arguments::parse()))
}

fn join(arguments: &Arguments) -> Result<()> {
    let parts: Vec<_> =
        arguments.figures.iter().map(|file| Figures::read(file)).collect::<Result<_>>()?;
    let reasons = reasons(&arguments.out.join("reasons.toml"))?;
    let circumstances = circumstances()?;
    let has_chart = arguments.out.join("bursts.svg").exists();
    // Only if there is something to say of this run.
    let notes = fs::read_to_string(arguments.out.join("notes.md")).unwrap_or_default();
    let text = text(&circumstances, &parts, &reasons, has_chart, &notes)?;
    fs::write(arguments.out.join("RESULTS.md"), text)?;
    let joined = |figure| joined(figure, &reasons);
    let parts = parts.iter().map(|part| Part {
        title: &part.title,
        figures: part.figures.iter().map(joined).collect(),
    });
    let results = Results { circumstances: &circumstances, parts: parts.collect() };
    let json = serde_json::to_string_pretty(&results)? + "\n";
    fs::write(arguments.out.join("results.json"), json)?;
    Ok(())
}

/// Why figures are not reached, by their names.
fn reasons(file: &Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(file);
    let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as it should be", file.display()))
}

fn joined<'a>(figure: &'a Figure, reasons: &'a BTreeMap<String, String>) -> Joined<'a> {
    let reached = figure.is_reached();
    let reason = reasons.get(&figure.name).filter(|_| reached == Some(false));
    Joined { figure, median: median(&figure.values), reached, ratio: figure.ratio(), reason }
}

fn circumstances() -> Result<Circumstances> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':')).map(|(_, name)| name.trim());
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let kib: f64 = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok())
        .context("/proc/meminfo has no MemTotal")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(Circumstances {
        processor: model.unwrap_or("unknown").to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        memory_gb: (kib * 1024.0 / 1e8).round() / 10.0,
        kernel: said("uname", &["-sr"])?,
        slurm: said("slurmctld", &["-V"])?,
        rustc: said("rustc", &["--version"])?,
        slurm_asg: said("git", &["describe", "--always", "--dirty"])?,
        date: said("date", &["-u", "+%Y-%m-%d"])?,
        load: load.split(' ').next().unwrap_or_default().to_owned(),
    })
}

fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("{program} cannot be run"))?;
    ensure!(output.status.success(), "{program}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn text(
    circumstances: &Circumstances,
    parts: &[Figures],
    reasons: &BTreeMap<String, String>,
    has_chart: bool,
    notes: &str,
) -> Result<String> {
    let Circumstances { processor, cores, memory_gb, kernel, .. } = circumstances;
    let Circumstances { slurm, rustc, slurm_asg, date, load, .. } = circumstances;
    let mut out = String::new();
    writeln!(
        out,
        "# What slurm-asg costs\n\n`make bench` writes this file, and results.json with each single \
         value. Medians of several runs;\nratios are medians of pairs taken one after the other, and \
         say how many times as much the other has.\n\n\
         | | |\n|---|---|\n| processor | {processor}, {cores} cores |\n\
         | memory | {memory_gb} GB |\n| kernel | {kernel} |\n| Slurm | {slurm} |\n\
         | Rust | {rustc} |\n| slurm-asg | {slurm_asg} |\n| date | {date} |\n\
         | load at the end | {load} |"
    )?;
    if !notes.is_empty() {
        writeln!(out, "\n{}", notes.trim_end())?;
    }
    let mut missed = Vec::new();
    for part in parts {
        writeln!(
            out,
            "\n## {}\n\n| figure | median | least to most | beside | ratio | to reach | reached |\n\
             |---|--:|--:|--:|--:|--:|---|",
            part.title
        )?;
        for figure in &part.figures {
            row(&mut out, figure)?;
            if figure.is_reached() == Some(false) {
                missed.push(figure);
            }
        }
    }
    if has_chart {
        writeln!(out, "\n## The curve of bursts\n\n![instances against time](bursts.svg)")?;
    }
    writeln!(out, "\n## What is not reached\n")?;
    if missed.is_empty() {
        writeln!(out, "Nothing.")?;
    }
    for figure in missed {
        let why = reasons.get(&figure.name).map_or("the reason is not known yet", String::as_str);
        writeln!(out, "- **{}**, {}: {why}", figure.what, number(median(&figure.values)))?;
    }
    Ok(out)
}

fn row(out: &mut String, figure: &Figure) -> Result<()> {
    let (middle, least, most) = figure.middle_and_ends();
    let several = figure.values.len() > 1;
    let ends =
        if several { format!("{} to {}", number(least), number(most)) } else { String::new() };
    let beside = figure.beside.as_ref();
    let beside = beside.map(|it| format!("{} {}", it.of, number(median(&it.values))));
    let goal = figure.goal.map(|goal| match goal {
        Goal::AtMost(most) => format!("≤ {most}"),
        Goal::AtLeast(least) => format!("≥ {least}"),
    });
    let reached = figure.is_reached().map_or("", |reached| if reached { "yes" } else { "**no**" });
    writeln!(
        out,
        "| {} | {} | {ends} | {} | {} | {} | {reached} |",
        figure.what,
        number(middle),
        beside.unwrap_or_default(),
        figure.ratio().map_or_else(String::new, |ratio| number(ratio) + "×"),
        goal.unwrap_or_default(),
    )?;
    Ok(())
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 0.1 => 2,
        _ => 3,
    };
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.digits$}") }
}
