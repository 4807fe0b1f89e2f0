//! Planning and reports, each in a process of its own at several sizes: time, memory, instructions.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::beside_this_program;
use slurm_asg_lab::figures::{Figure, Figures, median};

use crate::hook::instructions;

/// Pending jobs and nodes.
const SIZES: [(u32, u32); 3] = [SMALL, (10_000, 1000), LARGE];
const SMALL: (u32, u32) = (1000, 100);
const LARGE: (u32, u32) = (100_000, 10_000);
/// Events of the log that is reported.
const EVENTS: &str = "1000000";

/// Counts of demand and plans, for a busy cluster and for one of which nothing runs.
pub fn plans(figures: &mut Figures, runs: u32) -> Result<()> {
    for mood in ["busy", "fresh"] {
        for (jobs, nodes) in SIZES {
            let largest = (jobs, nodes) == LARGE;
            let mut command = plan_bench(jobs, nodes, runs, mood)?;
            let output = command.output().context("slurm-asg-plan-bench is not built")?;
            ensure!(output.status.success(), "slurm-asg-plan-bench: {}", output.status);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let of = |word: &str| -> Vec<f64> {
                let lines =
                    said.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
                lines.collect()
            };
            let size = format!("{} jobs, {} nodes, {mood}", grouped(jobs), grouped(nodes));
            let name = format!("plan.{mood}.{jobs}");
            let times =
                Figure::new(&format!("{name}.ms"), format!("plan, {size}, ms"), of("plan_ms"));
            let peak = Figure::new(&format!("{name}.mb"), "peak memory of it, MB", of("peak_mb"));
            figures.add(if largest { times.at_most(150.0) } else { times });
            figures.add(if largest { peak.at_most(150.0) } else { peak });
        }
    }
    let (jobs, nodes) = SMALL;
    let dir = tempfile::tempdir()?;
    let profiled = plan_bench(jobs, nodes, 1, "busy")?;
    let count = instructions(&profiled, "*one_plan*", dir.path())?;
    let what = format!("plan, {} jobs, {nodes} nodes, million instructions", grouped(jobs));
    figures.add(Figure::new("plan.instructions", what, vec![count / 1e6]));
    Ok(())
}

fn plan_bench(jobs: u32, nodes: u32, runs: u32, mood: &str) -> Result<Command> {
    let mut command = Command::new(beside_this_program()?.join("slurm-asg-plan-bench"));
    let numbers = [("--jobs", jobs), ("--nodes", nodes), ("--runs", runs)];
    for (option, number) in numbers {
        command.arg(option).arg(number.to_string());
    }
    if mood == "fresh" {
        command.arg("--fresh");
    }
    Ok(command)
}

/// Reports of a long event log.
pub fn reports(figures: &mut Figures, runs: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("events.jsonl");
    let program = beside_this_program()?.join("slurm-asg-event-log");
    let made =
        Command::new(program).args(["--events", EVENTS]).stdout(File::create(&log)?).status();
    ensure!(made.context("slurm-asg-event-log is not built")?.success(), "no event log");
    for (name, form) in [("text", None), ("csv", Some("--csv")), ("html", Some("--html"))] {
        let (mut times, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let mut command = Command::new("/usr/bin/time");
            command.args(["-f", "%M"]).arg(beside_this_program()?.join("slurm-asg"));
            command.args(["report", "--since", "7d", "--file"]).arg(&log).args(form);
            let began = Instant::now();
            let output = command.stdout(Stdio::null()).output();
            times.push(began.elapsed().as_secs_f64());
            let output = output.context("Debian's package time is not installed")?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "report: {}\n{said}", output.status);
            let kib: f64 = said.lines().last().unwrap_or_default().parse()?;
            peaks.push(kib * 1024.0 / 1e6);
        }
        let what = format!("report of a million events, {name}, s (peak {:.0} MB)", median(&peaks));
        figures.add(Figure::new(&format!("report.{name}.s"), what, times).at_most(2.0));
    }
    Ok(())
}

/// A number for people.
pub fn grouped(number: u32) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{},{:03}", grouped(number / 1000), number % 1000)
}
