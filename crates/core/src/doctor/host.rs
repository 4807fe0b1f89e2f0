//! The host: the programs that slurm.conf names, the state directory, the socket, the clock.

use super::survey::Survey;
use super::{Area, Finding, Level};

/// A clock that is so far away is told of, seconds: slurmctld reckons the time of a boot from two
/// clocks.
const CLOCK_APART_SECS: i64 = 5;
/// munge refuses what is older than five minutes (munged's --max-ttl), and AWS what is signed
/// five minutes before or after its time (Signature Version 4).
const CLOCK_REFUSED_SECS: i64 = 240;
/// Others may write (`S_IWGRP | S_IWOTH`): power_save.c refuses such programs.
const OTHERS_WRITE: u32 = 0o022;

/// What was found on the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// SlurmUser's number; `None` if there is no such user.
    pub slurm_user: Option<u32>,
    /// SlurmUser's name.
    pub slurm_user_name: String,
    /// The programs, by slurm.conf's key.
    pub programs: Vec<(&'static str, Place)>,
    /// The plugin's state directory, and the directory that it is in.
    pub state_dir: Option<(Place, Place)>,
    /// The directory of the socket, if nobody listens there.
    pub socket_dir: Option<Place>,
    /// The plugin's file in each directory of PluginDir; none where they are not known.
    pub plugin: Vec<Place>,
}

/// A file or a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its path, as it is written.
    pub path: String,
    /// What is there; `None` is nothing.
    pub there: Option<There>,
}

/// What is at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// A directory.
    pub is_dir: bool,
    /// Its owner's number.
    pub owner: u32,
    /// Permissions (`st_mode & 07777`).
    pub mode: u32,
    /// Its filesystem is gone after a boot: tmpfs and the like.
    pub in_memory: bool,
}

impl There {
    /// Whether a user may do what a bit of the others' three says: 4 read, 2 write, 1 execute. Of
    /// groups nothing is known: what the group may is taken for allowed.
    const fn allows(&self, user: u32, bit: u32) -> bool {
        if user == 0 {
            // Root executes what anybody may.
            return bit != 1 || self.mode & 0o111 != 0;
        }
        let own = self.owner == user && self.mode & (bit << 6) != 0;
        own || (self.owner != user && self.mode & (bit | bit << 3) != 0)
    }
}

/// What is wrong on the host.
pub(super) fn look_at(host: &Host, findings: &mut Vec<Finding>) {
    let user = &host.slurm_user_name;
    let Some(id) = host.slurm_user else {
        findings.push(Finding {
            level: Level::Error,
            area: Area::Host,
            check: "slurm_user".to_owned(),
            what: format!("this host has no user {user}, which is SlurmUser"),
            why: "slurmctld does not start".to_owned(),
            write: format!("useradd --system {user}"),
        });
        return;
    };
    for (key, place) in &host.programs {
        if let Some((what, write)) = wrong_program(key, place, id, user) {
            findings.push(Finding {
                level: if *key == "ResumeFailProgram" { Level::Warning } else { Level::Error },
                area: Area::Programs,
                check: "program".to_owned(),
                what,
                why: "slurmctld does not run such a program (power_save.c), and without it its \
                      power saving is off"
                    .to_owned(),
                write,
            });
        }
    }
    if let Some((dir, parent)) = &host.state_dir {
        state_dir(dir, parent, id, user, findings);
    }
    if let Some(dir) = &host.socket_dir {
        socket_dir(dir, id, user, findings);
    }
    let is_there = host.plugin.iter().any(|place| place.there.is_some());
    if let Some(last) = host.plugin.last().filter(|_| !is_there) {
        findings.push(Finding {
            level: Level::Error,
            area: Area::Host,
            check: "plugin".to_owned(),
            what: format!("there is no {}", last.path),
            why: "slurmctld does not start with JobSubmitPlugins=asg".to_owned(),
            write: "install the package slurm-asg-plugin-RELEASE for the release of slurmctld"
                .to_owned(),
        });
    }
}

fn wrong_program(key: &str, place: &Place, user: u32, name: &str) -> Option<(String, String)> {
    let path = &place.path;
    if !path.starts_with('/') {
        let write = format!("{key}=/usr/sbin/{}", path.rsplit('/').next().unwrap_or(path));
        return Some((format!("{key}={path} is no absolute path"), write));
    }
    let Some(there) = place.there else {
        return Some((
            format!("{key}={path} is not there"),
            "install the package slurm-asg, or correct the path".to_owned(),
        ));
    };
    if there.is_dir || !there.allows(user, 1) {
        return Some((
            format!("{key}={path} cannot be executed by {name}"),
            format!("chmod 755 {path}"),
        ));
    }
    (there.mode & OTHERS_WRITE != 0).then(|| {
        let mode = there.mode;
        (
            format!("{key}={path} has mode {mode:03o}: others may write it"),
            format!("chmod go-w {path}"),
        )
    })
}

fn state_dir(dir: &Place, parent: &Place, user: u32, name: &str, findings: &mut Vec<Finding>) {
    let path = &dir.path;
    let mut find = |level, check: &str, what, why: &str, write| {
        let (check, why) = (check.to_owned(), why.to_owned());
        findings.push(Finding { level, area: Area::Host, check, what, why, write });
    };
    let lost = "slurm-asg does not begin to work without a place to remember what it has begun";
    let usable = |place: &Place| {
        place.there.is_some_and(|it| it.is_dir && it.allows(user, 2) && it.allows(user, 1))
    };
    match dir.there {
        // It makes the directory itself.
        None if usable(parent) => {}
        None => find(
            Level::Error,
            "state_dir",
            format!("the state directory {path} is not there, and {name} cannot make it"),
            lost,
            format!("install -d -o {name} -m 700 {path}"),
        ),
        Some(there) if !there.is_dir => find(
            Level::Error,
            "state_dir",
            format!("the state directory {path} is no directory"),
            lost,
            format!("rm {path} && install -d -o {name} -m 700 {path}"),
        ),
        Some(_) if !usable(dir) => find(
            Level::Error,
            "state_dir",
            format!("{name} cannot write the state directory {path}"),
            lost,
            format!("chown {name} {path} && chmod 700 {path}"),
        ),
        Some(_) => {}
    }
    if dir.there.or(parent.there).is_some_and(|it| it.in_memory) {
        find(
            Level::Warning,
            "state_in_memory",
            format!("the state directory {path} is in memory (tmpfs)"),
            "what slurm-asg remembers, and the event log, are gone after a boot",
            "StateSaveLocation=/var/lib/slurm/slurmctld, or state_dir in asg.toml".to_owned(),
        );
    }
}

fn socket_dir(dir: &Place, user: u32, name: &str, findings: &mut Vec<Finding>) {
    let path = &dir.path;
    let is_usable = dir.there.is_some_and(|it| it.is_dir && it.allows(user, 2));
    if is_usable {
        return;
    }
    let what = match dir.there {
        None => format!("the socket's directory {path} is not there"),
        Some(_) => format!("{name} cannot write the socket's directory {path}"),
    };
    findings.push(Finding {
        level: Level::Error,
        area: Area::Host,
        check: "socket".to_owned(),
        what,
        why: "slurm-asg hears of Slurm's requests only when it looks by itself, and the command \
              line gets no answer"
            .to_owned(),
        write: format!("install -d -o {name} -m 755 {path}, and a line for it in tmpfiles.d"),
    });
}

/// The host's clock against AWS's.
pub(super) fn look_at_clock(
    survey: &Survey,
    findings: &mut Vec<Finding>,
    not_checked: &mut Vec<String>,
) {
    let Some(ahead_ms) = survey.clock_ahead_ms else {
        not_checked.push("the clock: AWS's answers had no date".to_owned());
        return;
    };
    let secs = ahead_ms / 1000;
    if secs.abs() < CLOCK_APART_SECS {
        return;
    }
    let way = if secs > 0 { "ahead of" } else { "behind" };
    findings.push(Finding {
        level: if secs.abs() < CLOCK_REFUSED_SECS { Level::Warning } else { Level::Error },
        area: Area::Host,
        check: "clock".to_owned(),
        what: format!("the clock is {} s {way} AWS's", secs.abs()),
        why:
            "slurmctld ignores nodes that seem to have booted before it asked for them, and munge \
              and AWS refuse what is five minutes old"
                .to_owned(),
        write: "run chrony or systemd-timesyncd, on AWS with the server 169.254.169.123".to_owned(),
    });
}
