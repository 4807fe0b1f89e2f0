//! The .so opened in a small C host as slurmctld would, also under Valgrind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

/// Where cargo puts what it builds: this test is in `deps` below it.
fn build_dir() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let dir = test.parent().and_then(Path::parent).context("no directory")?;
    Ok(dir.to_owned())
}

/// The host, compiled once.
fn host() -> Result<PathBuf> {
    static HOST: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    if let Some((_, host)) = HOST.get() {
        return Ok(host.clone());
    }
    let dir = tempfile::tempdir()?;
    let host = dir.path().join("host");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/abi/host.c");
    let status = Command::new("cc")
        // The plugin must find the host's log functions, as it does slurmctld's.
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-rdynamic", "-o"])
        .arg(&host)
        .args([source, "-ldl", "-lpthread"])
        .status()
        .context("cc is not installed")?;
    ensure!(status.success(), "the host does not compile");
    Ok(HOST.get_or_init(|| (dir, host)).1.clone())
}

fn plugin() -> Result<PathBuf> {
    let plugin = build_dir()?.join("libjob_submit_asg.so");
    ensure!(plugin.exists(), "{} is not built; run `cargo build --workspace`", plugin.display());
    Ok(plugin)
}

fn panicking_plugin() -> Result<PathBuf> {
    let plugin = build_dir()?.join("examples/libjob_submit_asg_panicking.so");
    ensure!(plugin.exists(), "{} is not built; run `cargo build --examples`", plugin.display());
    Ok(plugin)
}

fn run(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output()?;
    let said = String::from_utf8_lossy(&stdout).into_owned();
    ensure!(status.success(), "{status}: {said}\n{}", String::from_utf8_lossy(&stderr));
    Ok(said)
}

fn in_host(plugin: &Path, what: &str) -> Result<String> {
    run(Command::new(host()?).arg(plugin).arg(what))
}

#[test]
fn the_symbols_are_those_that_slurmctld_asks_for() -> Result<()> {
    let said = in_host(&plugin()?, "peek")?;
    ensure!(said.contains("name slurm-asg: EC2 Auto Scaling groups\n"), "{said}");
    ensure!(said.contains("type job_submit/asg\n"), "{said}");
    let header = std::fs::read_to_string(slurm_version_header())?;
    let expected = header
        .lines()
        .find_map(|line| line.strip_prefix("#define SLURM_VERSION_NUMBER 0x"))
        .context("no version in slurm_version.h")?;
    ensure!(said.contains(&format!("version 0x{}\n", expected.trim())), "{said}");
    Ok(())
}

fn slurm_version_header() -> PathBuf {
    let include = std::env::var_os("SLURM_INCLUDE_DIR").unwrap_or_else(|| "/usr/include".into());
    Path::new(&include).join("slurm/slurm_version.h")
}

#[test]
fn no_symbol_of_slurm_is_left_undefined() -> Result<()> {
    let symbols = run(Command::new("nm").args(["-D", "--undefined-only"]).arg(plugin()?))?;
    let slurm: Vec<_> = symbols.lines().filter(|line| line.contains("slurm")).collect();
    ensure!(slurm.is_empty(), "{slurm:?}");
    Ok(())
}

#[test]
fn it_lives_and_ends_outside_slurmctld_without_doing_anything() -> Result<()> {
    for what in ["life", "twice", "threads"] {
        let said = in_host(&plugin()?, what)?;
        ensure!(said.ends_with("alive\n"), "{what}: {said}");
        ensure!(!said.contains("error"), "{what}: {said}");
    }
    Ok(())
}

#[test]
fn no_panic_leaves_a_c_entry_and_each_is_logged() -> Result<()> {
    let said = in_host(&panicking_plugin()?, "life")?;
    ensure!(said.ends_with("alive\n"), "{said}");
    for entry in ["init", "job_submit", "job_modify", "fini"] {
        let line = format!("error: job_submit/asg: panic in {entry}: ");
        ensure!(said.contains(&line), "no word of {entry}: {said}");
    }
    Ok(())
}

#[test]
fn valgrind_finds_no_error_and_no_leak_per_hook_call() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for what in ["peek", "threads"] {
        let log = dir.path().join(what);
        run(Command::new("valgrind")
            .args(["--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite"])
            .arg(format!("--log-file={}", log.display()))
            .arg(host()?)
            .arg(plugin()?)
            .arg(what))
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        let report = std::fs::read_to_string(&log)?;
        ensure!(report.contains("ERROR SUMMARY: 0 errors"), "{report}");
    }
    Ok(())
}
