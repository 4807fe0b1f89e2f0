//! What the doctor must know of this host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use slurm_asg_core::doctor::conf::SlurmConf;
use slurm_asg_core::doctor::host::{Host, Place, There};
use slurm_asg_core::policy::Policy;
use slurm_asg_core::snapshot::Release;

/// Filesystems that a boot empties.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
/// Where Slurm keeps its state if slurm.conf says nothing.
const STATE_SAVE_LOCATION: &str = "/var/spool";

/// Looks at what slurm.conf and asg.toml name.
pub fn look(conf: &SlurmConf, policy: &Policy, socket: &Path, listens: bool) -> Host {
    let user = conf.value("SlurmUser").unwrap_or("root");
    let number = user.parse().ok();
    let programs = ["ResumeProgram", "SuspendProgram", "ResumeFailProgram"];
    let named = |key: &'static str| Some((key, place(Path::new(conf.value(key)?))));
    let state_dir = policy.state_dir.clone().unwrap_or_else(|| {
        Path::new(conf.value("StateSaveLocation").unwrap_or(STATE_SAVE_LOCATION)).join("asg")
    });
    let parent = state_dir.parent().unwrap_or_else(|| Path::new("/"));
    let loads_plugin = conf.words("JobSubmitPlugins").iter().any(|it| it == "asg");
    let dirs = conf.value("PluginDir").filter(|_| loads_plugin).unwrap_or_default();
    let in_dir = |dir: &str| place(&Path::new(dir).join("job_submit_asg.so"));
    Host {
        slurm_user: number.or_else(|| uzers::get_user_by_name(user).map(|user| user.uid())),
        slurm_user_name: user.to_owned(),
        programs: programs.into_iter().filter_map(named).collect(),
        state_dir: Some((place(&state_dir), place(parent))),
        socket_dir: socket.parent().filter(|_| !listens).map(place),
        plugin: dirs.split(':').filter(|dir| !dir.is_empty()).map(in_dir).collect(),
    }
}

fn place(path: &Path) -> Place {
    // A directory that may not be entered hides what is in it: nothing is there, then.
    let there = fs::metadata(path).ok().map(|data| There {
        is_dir: data.is_dir(),
        owner: data.uid(),
        mode: data.mode() & 0o7777,
        in_memory: is_in_memory(path),
    });
    Place { path: path.display().to_string(), there }
}

/// Whether the filesystem that a path is in is one of those that a boot empties.
fn is_in_memory(path: &Path) -> bool {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let at = PathBuf::from(fields.next()?.replace("\\040", " "));
        Some((at, fields.next()?.to_owned()))
    };
    // The last mount counts of those that are equally deep.
    let over = mounts.lines().filter_map(mount).filter(|(at, _)| path.starts_with(at));
    let deepest = over.max_by_key(|(at, _)| at.components().count());
    deepest.is_some_and(|(_, kind)| IN_MEMORY.contains(&kind.as_str()))
}

/// The release that `slurmctld -V` tells: `slurm-wlm 22.05.8`.
pub fn release_of_slurmctld() -> Option<Release> {
    let said = ["slurmctld", "/usr/sbin/slurmctld", "/usr/local/sbin/slurmctld"]
        .into_iter()
        .find_map(|program| Command::new(program).arg("-V").output().ok())?;
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.split_whitespace().last().and_then(Release::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_seen_with_its_owner_and_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let seen = place(dir.path()).there.unwrap();
        assert!(seen.is_dir && seen.mode & 0o700 == 0o700);
        assert_eq!(place(&dir.path().join("no")).there, None);
        assert!(!is_in_memory(Path::new("/proc")), "neither tmpfs nor ramfs");
    }
}
