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
    ensure!(said.contains(&format!("version 0x{:x}\n", built_for()?)), "{said}");
    Ok(())
}

/// The version of the slurm.h that the plugin is built with.
fn built_for() -> Result<u32> {
    let header = std::fs::read_to_string(slurm_version_header())?;
    let number = header
        .lines()
        .find_map(|line| line.strip_prefix("#define SLURM_VERSION_NUMBER 0x"))
        .context("no version in slurm_version.h")?;
    Ok(u32::from_str_radix(number.trim(), 16)?)
}

fn slurm_version_header() -> PathBuf {
    let include = std::env::var_os("SLURM_INCLUDE_DIR").unwrap_or_else(|| "/usr/include".into());
    Path::new(&include).join("slurm/slurm_version.h")
}

/// What the host sees and hears of the plugin when plugins of these types and versions are loaded
/// before it.
fn beside(loaded: &[(&str, u32)]) -> Result<String> {
    let dir = tempfile::tempdir()?;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/abi/stock.c");
    let mut command = Command::new(host()?);
    command.arg(plugin()?).arg("peek");
    for (index, (kind, version)) in loaded.iter().enumerate() {
        let file = dir.path().join(format!("stock{index}.so"));
        let defines = [format!("-DTYPE=\"{kind}\""), format!("-DVERSION={version}")];
        run(Command::new("cc")
            .args(["-shared", "-fPIC"])
            .args(defines)
            .arg(source)
            .arg("-o")
            .arg(&file))?;
        command.arg(file);
    }
    run(&mut command)
}

#[test]
fn the_micro_version_is_the_host_s() -> Result<()> {
    let built = built_for()?;
    for micro in [0, 8, 99] {
        let host = built & !0xff | micro;
        let said = beside(&[("auth/munge", host), ("select/cons_tres", host)])?;
        ensure!(said.contains(&format!("version 0x{host:x}\n")), "{said}");
        ensure!(!said.contains("error"), "{said}");
    }
    Ok(())
}

#[test]
fn another_release_is_left_to_slurm_s_refusal_and_the_right_package_is_named() -> Result<()> {
    let built = built_for()?;
    let release = |version: u32| format!("{:02}.{:02}", version >> 16, version >> 8 & 0xff);
    for host in [0x15_08_07, 0x17_02_08, 0x18_05_00, built + 0x01_00_00] {
        let said = beside(&[("auth/munge", host)])?;
        ensure!(said.contains(&format!("version 0x{built:x}\n")), "{said}");
        let words = format!(
            "this plugin is for Slurm {}, and this is Slurm {}.{}; install the package \
             slurm-asg-plugin-{} in the place of slurm-asg-plugin-{}",
            release(built),
            release(host),
            host & 0xff,
            release(host),
            release(built)
        );
        ensure!(said.contains(&words), "{said}");
    }
    Ok(())
}

#[test]
fn what_is_no_plugin_of_slurmctld_s_does_not_tell_the_version() -> Result<()> {
    let built = built_for()?;
    let other = built ^ 1;
    let tables: [&[(&str, u32)]; 4] = [
        &[("spank", other)],
        &[("auth/munge", 0)],
        &[("auth/munge", u32::MAX)],
        &[("auth/munge", other), ("hash/k12", other + 2)],
    ];
    for loaded in tables {
        let said = beside(loaded)?;
        ensure!(said.contains(&format!("version 0x{built:x}\n")), "{loaded:?}: {said}");
        ensure!(!said.contains("error"), "{loaded:?}: {said}");
    }
    Ok(())
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
