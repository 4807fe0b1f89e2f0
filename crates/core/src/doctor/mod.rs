//! The doctor behind `slurm-asg check`: slurm.conf, the host and the Auto Scaling groups against what
//! slurm-asg needs. Pure, as all of this crate: what is looked at comes in as [`Facts`].
//!
//! Each finding says what is wrong, why it matters, and what to write. What could not be looked at is
//! told too: silence is no health.

pub mod conf;
mod groups;
pub mod host;
pub mod machine;
mod nodes;
pub mod rights;
pub mod settings;
pub mod survey;

use std::fmt;

use serde::Serialize;

use crate::policy::Policy;
use crate::snapshot::Release;
use conf::SlurmConf;
use host::Host;
use survey::Survey;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something does not work.
    Error,
    /// It works, and not as well as it should.
    Warning,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// Settings of slurm.conf.
    SlurmConf,
    /// Its nodes and partitions.
    Nodes,
    /// The programs that it names.
    Programs,
    /// Socket, state directory, clock.
    Host,
    /// Auto Scaling groups.
    Groups,
    /// Instance types against NodeName lines.
    InstanceTypes,
    /// What slurmctld may do in AWS.
    Rights,
}

/// Something that should be otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// Where it is.
    pub area: Area,
    /// What was looked at: a key of slurm.conf, or a stable word.
    pub check: String,
    /// What is wrong, in one line.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// The line or the command to write.
    pub write: String,
}

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// asg.toml.
    pub policy: &'a Policy,
    /// Slurm's release; `None` is not known.
    pub release: Option<Release>,
    /// slurm.conf; `None` could not be read.
    pub conf: Option<&'a SlurmConf>,
    /// The host; `None` was not looked at.
    pub host: Option<&'a Host>,
    /// AWS; `None` was not asked.
    pub survey: Option<&'a Survey>,
}

/// What the doctor says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What should be otherwise, the worst first.
    pub findings: Vec<Finding>,
    /// What was not looked at, and why; a line each.
    pub not_checked: Vec<String>,
}

impl Report {
    /// Whether something does not work.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|it| it.level == Level::Error)
    }
}

impl Area {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SlurmConf | Self::Nodes | Self::Programs => "slurm.conf",
            Self::Host => "this host",
            Self::Groups => "Auto Scaling group",
            Self::InstanceTypes => "instance type",
            Self::Rights => "rights in AWS",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let Self { what, why, write, area, .. } = self;
        write!(f, "{level}: {}: {what}\n  why:   {why}\n  write: {write}", area.name())
    }
}

/// Looks at everything that is known.
#[must_use]
pub fn examine(facts: &Facts<'_>) -> Report {
    let mut report = Report::default();
    let Report { findings, not_checked } = &mut report;
    if let Some(conf) = facts.conf {
        for problem in &conf.problems {
            findings.push(Finding {
                level: Level::Error,
                area: Area::SlurmConf,
                check: "unreadable".to_owned(),
                what: problem.clone(),
                why: "slurmctld does not start with it".to_owned(),
                write: "correct that line".to_owned(),
            });
        }
        let count = conf.nodes().iter().map(|line| line.names.len()).sum();
        settings::look_at(conf, count, facts.release, findings);
        nodes::look_at(facts, conf, findings);
    }
    if let Some(host) = facts.host {
        host::look_at(host, findings);
    }
    if let Some(survey) = facts.survey {
        groups::look_at(facts.policy, survey, findings, not_checked);
        if let Some(conf) = facts.conf {
            machine::look_at(facts.policy, conf, survey, findings, not_checked);
        }
        host::look_at_clock(survey, findings, not_checked);
        rights::look_at(facts.policy, survey, findings, not_checked);
    }
    findings.sort_by_key(|it| (it.level, it.area));
    report
}

#[cfg(test)]
mod tests;
