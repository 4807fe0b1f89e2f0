//! One call of the job_submit hook, in a C program that opens the plugin as slurmctld does.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::figures::{Figure, Figures};
use slurm_asg_lab::{PLUGIN, beside_this_program};

/// Time of a call, and its instructions.
pub fn measure(figures: &mut Figures, runs: u32) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let host = compile(dir.path())?;
    let plugin = beside_this_program()?.join(PLUGIN);
    let mut times = Vec::new();
    for _ in 0..runs {
        let output = Command::new(&host).arg(&plugin).arg("time").output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let ns = said.lines().find_map(|line| line.strip_prefix("hook_ns ")?.parse::<f64>().ok());
        times.push(ns.context("the C host gave no figure")?);
    }
    figures.add(Figure::new("hook.ns", "one job_submit hook call, ns", times).at_most(1000.0));
    let mut profiled = Command::new(&host);
    profiled.arg(&plugin).arg("twice");
    let collected = instructions(&profiled, "job_submit", dir.path())?;
    // The host calls the hook this often when it is asked for "twice".
    let what = "one job_submit hook call, instructions";
    figures.add(Figure::new("hook.instructions", what, vec![collected / 2000.0]).at_most(2000.0));
    Ok(())
}

fn compile(dir: &Path) -> Result<PathBuf> {
    let host = dir.join("host");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/abi/host.c");
    let compiled = Command::new("cc")
        .args(["-O2", "-rdynamic", "-o"])
        .arg(&host)
        .args([source, "-ldl", "-lpthread"])
        .status()?;
    ensure!(compiled.success(), "the C host does not compile");
    Ok(host)
}

/// Instructions between a function's calls and returns, by callgrind: the same on every run.
pub fn instructions(command: &Command, function: &str, dir: &Path) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--toggle-collect={function}")])
        .arg(format!("--callgrind-out-file={}", dir.join("callgrind").display()))
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .context("valgrind is not installed")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let collected = line.and_then(|(_, number)| number.trim().parse::<f64>().ok());
    collected.filter(|number| *number > 0.0).context("callgrind gave no figure")
}
