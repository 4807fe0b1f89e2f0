//! Where the event log is: the plugin knows; if it does not run, its files say it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use slurm_asg_core::event::FILE_NAME;
use slurm_asg_core::policy;
use slurm_asg_wire::{config_path, slurm_conf_path};

use crate::asking;

/// The event log's current file.
///
/// # Errors
/// If nothing says where it is, or that there is none.
pub fn find(socket: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(status) = asking::status(socket)
        && !status.config.is_empty()
    {
        return match status.events {
            Some(path) => Ok(path.into()),
            None => bail!(
                "the plugin writes no events: `enabled` is false in [events] of {}; \
                           --file names a file that is there all the same",
                status.config
            ),
        };
    }
    in_files(&config_path(), &slurm_conf_path())
}

/// As the plugin would find it.
fn in_files(config: &Path, slurm_conf: &Path) -> anyhow::Result<PathBuf> {
    let hint = "the plugin does not run; name the event log with --file";
    let text = std::fs::read_to_string(config)
        .with_context(|| format!("{hint}: {} cannot be read", config.display()))?;
    let policy = policy::parse(config, &text).context(hint)?;
    if let Some(path) = policy.events.path {
        return Ok(path);
    }
    if let Some(dir) = policy.state_dir {
        return Ok(dir.join(FILE_NAME));
    }
    let text = std::fs::read_to_string(slurm_conf)
        .with_context(|| format!("{hint}: {} cannot be read", slurm_conf.display()))?;
    match state_save_location(&text) {
        Some(dir) => Ok(dir.join("asg").join(FILE_NAME)),
        None => bail!("{hint}: {} has no StateSaveLocation", slurm_conf.display()),
    }
}

/// StateSaveLocation of a slurm.conf: the last one counts, as for slurmctld. Files that it
/// includes are not read.
fn state_save_location(text: &str) -> Option<PathBuf> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or(line));
    let value = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.split_whitespace().next()?.trim_matches('"');
        let is_it = key.trim().eq_ignore_ascii_case("StateSaveLocation");
        (is_it && value.starts_with('/')).then(|| PathBuf::from(value))
    };
    lines.rev().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "[[group]]\nname = \"c\"\nnodes = \"c1\"\nasg = \"a\"\n";

    #[test]
    fn without_the_plugin_its_files_say_where_the_log_is() {
        let dir = tempfile::tempdir().unwrap();
        let (config, slurm) = (dir.path().join("asg.toml"), dir.path().join("slurm.conf"));
        let found = || in_files(&config, &slurm).map_err(|error| format!("{error:#}"));
        let table = [
            ("[events]\npath = \"/var/log/e.jsonl\"\n", "", Ok("/var/log/e.jsonl")),
            ("state_dir = \"/s\"\n", "", Ok("/s/events.jsonl")),
            (
                "",
                "# StateSaveLocation=/no\nstatesavelocation = /spool # here\n",
                Ok("/spool/asg/events.jsonl"),
            ),
            ("", "SlurmctldHost=a\n", Err("slurm.conf has no StateSaveLocation")),
            ("state_dir = \"s\"\n", "", Err("asg.toml:1: state_dir must be an absolute path")),
        ];
        for (lines, slurm_conf, expected) in table {
            std::fs::write(&config, format!("{lines}{GROUP}")).unwrap();
            std::fs::write(&slurm, slurm_conf).unwrap();
            match (found(), expected) {
                (Ok(path), Ok(expected)) => assert_eq!(path, Path::new(expected)),
                (Err(error), Err(expected)) => {
                    assert!(error.contains(expected) && error.contains("--file"), "{error}");
                }
                (found, expected) => panic!("{found:?}, and not {expected:?}"),
            }
        }
        std::fs::remove_file(&config).unwrap();
        let error = found().unwrap_err();
        assert!(error.contains("asg.toml cannot be read") && !error.contains('\n'), "{error}");
    }
}
