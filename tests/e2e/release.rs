//! The plugin in a slurmctld of another version than that it was built for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol};
use slurm_asg_lab::{Lab, Options};
use tempfile::TempDir;

use crate::SOON;

/// The plugin of this build.
fn plugin() -> Result<PathBuf> {
    if let Some(file) = Options::default().plugin_file {
        return Ok(file);
    }
    let test = std::env::current_exe()?;
    let dir = test.parent().and_then(Path::parent).context("no directory")?;
    Ok(dir.join("libjob_submit_asg.so"))
}

/// A plugin that differs from this build's in its version: what a build for it would give, as the
/// structs within a release are the same.
fn built_for(dir: &TempDir, change: impl FnOnce(u32) -> u32) -> Result<PathBuf> {
    let mut bytes = fs::read(plugin()?)?;
    let at = {
        let file = object::File::parse(bytes.as_slice())?;
        let symbol = file.dynamic_symbols().find(|it| it.name() == Ok("plugin_version"));
        let symbol = symbol.context("no plugin_version")?;
        let section = symbol.section_index().context("plugin_version is nowhere")?;
        let section = file.section_by_index(section)?;
        let (start, _) = section.file_range().context("plugin_version has no value")?;
        usize::try_from(start + symbol.address() - section.address())?
    };
    let place = bytes.get_mut(at..at + 4).context("the file is too short")?;
    let version = u32::from_le_bytes(place.try_into()?);
    place.copy_from_slice(&change(version).to_le_bytes());
    let file = dir.path().join("plugin.so");
    fs::write(&file, bytes)?;
    Ok(file)
}

#[test]
fn a_plugin_for_another_micro_version_serves_and_knows_the_host_s() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let plugin_file = Some(built_for(&dir, |version| version ^ 0x7f)?);
    let lab = Lab::start(Options { plugin_file, ..Options::default() })?;
    lab.until("the plugin looks", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    let said = lab.command("/usr/sbin/slurmctld", &["-V"])?;
    let version = lab.status()?.slurm_version;
    ensure!(said.trim().ends_with(&format!(" {version}")), "{version}, and slurmctld is {said}");
    Ok(())
}

#[test]
fn a_plugin_for_another_release_is_refused_and_the_right_package_is_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let plugin_file = Some(built_for(&dir, |version| version - 0x01_00_00)?);
    let Err(refused) = Lab::start(Options { plugin_file, ..Options::default() }) else {
        bail!("slurmctld takes a plugin of another release");
    };
    let said = format!("{refused:#}");
    // Slurm's own words, and before them what to do.
    ensure!(said.contains("Incompatible Slurm plugin"), "{said}");
    ensure!(said.contains("; install the package slurm-asg-plugin-"), "{said}");
    Ok(())
}
