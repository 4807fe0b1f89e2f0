//! `slurm-asg check`: asg.toml, read as the plugin would, then slurm.conf, this host and the Auto Scaling
//! groups against what slurm-asg needs.

mod host;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use slurm_asg_core::doctor::conf::SlurmConf;
use slurm_asg_core::doctor::survey::{Question, Survey};
use slurm_asg_core::doctor::{Facts, Level, Report, examine};
use slurm_asg_core::policy::{self, Policy, PolicyError, Who};
use slurm_asg_core::snapshot::Release;
use slurm_asg_wire::{AdviceStatus, Request};

use crate::output::{complain, print};
use crate::{asking, survey};

pub use host::release_of_slurmctld;

/// What is to be checked, and how.
pub struct Options {
    /// asg.toml.
    pub file: PathBuf,
    /// Whether that is the plugin's own: then everything else is looked at, too.
    pub is_in_force: bool,
    /// slurm.conf, if it is to be looked at.
    pub slurm_conf: Option<PathBuf>,
    /// Ask AWS with the caller's credentials if the plugin does not.
    pub aws: bool,
    /// Change the settings that are advised.
    pub fix: bool,
    /// Warnings count as errors.
    pub strict: bool,
    /// For programs.
    pub json: bool,
}

/// What the plugin says of the settings of Auto Scaling groups.
struct Groups {
    /// What should be otherwise, or has just been changed.
    advice: Vec<AdviceStatus>,
    /// Why nothing is known of them.
    unknown: Option<String>,
    /// Slurm's release, by the plugin.
    release: Option<Release>,
    /// What AWS says of them.
    survey: Option<Survey>,
}

impl Groups {
    const fn of(advice: Vec<AdviceStatus>) -> Self {
        Self { advice, unknown: None, release: None, survey: None }
    }

    /// Asks the plugin, and has it change what is advised.
    fn ask(socket: &Path, options: &Options, policy: &Policy) -> anyhow::Result<Self> {
        if options.fix {
            return asking::document(socket, &Request::FollowAdvice {}).map(Self::of);
        }
        let mut groups = Self::of(Vec::new());
        if options.is_in_force {
            match asking::status(socket) {
                Ok(status) => {
                    groups.advice = status.advice;
                    groups.release = Release::parse(&status.slurm_version);
                    match asking::document(socket, &Request::Survey {}) {
                        Ok(survey) => groups.survey = Some(survey),
                        Err(error) => groups.unknown = Some(format!("{error:#}")),
                    }
                }
                // The files can be checked before slurmctld ever runs.
                Err(error) => groups.unknown = Some(format!("{error:#}")),
            }
        }
        if options.aws && groups.survey.is_none() {
            let names = policy.asgs().iter().map(|asg| asg.as_str().to_owned()).collect();
            let question =
                Question { region: policy.region.clone(), groups: names, types: Vec::new() };
            let mut told = survey::ask(&question)?;
            // They are the caller's rights, and not slurmctld's.
            told.rights.clear();
            groups.survey = Some(told);
            groups.unknown = None;
        }
        Ok(groups)
    }

    fn failed(&self) -> bool {
        self.advice.iter().any(|advice| advice.error.is_some())
    }
}

/// Reads the files, looks at host and groups, and says what is wrong.
///
/// # Errors
/// If asg.toml or slurm.conf cannot be read, or somebody that must be asked does not answer.
pub fn run(socket: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    let path = &options.file;
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let parsed = policy::parse(path, &text);
    let (groups, report) = match &parsed {
        Ok(policy) => {
            let groups = Groups::ask(socket, options, policy)?;
            let report = if options.fix {
                Report::default()
            } else {
                diagnose(socket, options, policy, &groups)?
            };
            (groups, report)
        }
        Err(_) => (Groups::of(Vec::new()), Report::default()),
    };
    let is_healthy = match options.strict {
        true => report.findings.is_empty(),
        false => !report.has_errors(),
    };
    let is_well = parsed.is_ok() && !groups.failed() && is_healthy;
    if options.json {
        print(&format!("{}\n", object(options, &parsed, &groups, &report, is_well)))?;
    } else {
        match &parsed {
            Ok(policy) => print(&told(options, policy, &groups, &report))?,
            Err(error) => complain(&error.to_string()),
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Gathers what is known, and has the doctor look at it.
fn diagnose(
    socket: &Path,
    options: &Options,
    policy: &Policy,
    groups: &Groups,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let conf = match &options.slurm_conf {
        None => None,
        Some(path) => {
            let read = SlurmConf::read(path, &mut |path| std::fs::read_to_string(path));
            match read {
                Ok(conf) => Some(conf),
                // Where nobody has asked for it, it may lie on another host.
                Err(why) if options.is_in_force => {
                    report.not_checked.push(format!("{}: {why}", path.display()));
                    None
                }
                Err(why) => anyhow::bail!("{} cannot be read: {why}", path.display()),
            }
        }
    };
    // Who answers has a socket.
    let listens = groups.release.is_some();
    let host = conf.as_ref().filter(|_| options.is_in_force);
    let host = host.map(|conf| host::look(conf, policy, socket, listens));
    let release =
        groups.release.or_else(|| conf.as_ref().and_then(|_| host::release_of_slurmctld()));
    if conf.is_some() && release.is_none() {
        let line = "Slurm's release: neither the plugin nor `slurmctld -V` tells it";
        report.not_checked.push(line.to_owned());
    }
    if let Some(why) = &groups.unknown {
        let aws = if options.is_in_force { "; --aws asks with your own credentials" } else { "" };
        report.not_checked.push(format!("the Auto Scaling groups: {why}{aws}"));
    }
    let found = examine(&Facts {
        policy,
        release,
        conf: conf.as_ref(),
        host: host.as_ref(),
        survey: groups.survey.as_ref(),
    });
    report.findings = found.findings;
    report.not_checked.extend(found.not_checked);
    Ok(report)
}

fn object(
    options: &Options,
    parsed: &Result<Policy, PolicyError>,
    groups: &Groups,
    report: &Report,
    is_well: bool,
) -> serde_json::Value {
    let errors: Vec<String> = parsed.as_ref().err().map(ToString::to_string).into_iter().collect();
    let warnings = parsed.as_ref().map(|policy| {
        policy.warnings.iter().cloned().chain(unknown_names(policy)).collect::<Vec<_>>()
    });
    let name = if options.fix { "changed" } else { "advice" };
    serde_json::json!({
        "file": options.file, "ok": is_well, "errors": errors,
        "warnings": warnings.unwrap_or_default(), name: groups.advice,
        "groups_unknown": groups.unknown, "findings": report.findings,
        "not_checked": report.not_checked,
    })
}

fn told(options: &Options, policy: &Policy, groups: &Groups, report: &Report) -> String {
    let nodes: usize = policy.groups.values().map(|group| group.nodes.len()).sum();
    let mut lines = vec![format!(
        "{} is right: {} groups, {nodes} nodes, {} Auto Scaling groups",
        options.file.display(),
        policy.groups.len(),
        policy.asgs().len()
    )];
    lines.extend(policy.warnings.iter().cloned());
    lines.extend(unknown_names(policy));
    if options.fix {
        lines.extend(groups.advice.iter().map(|AdviceStatus { text, error, .. }| match error {
            None => format!("changed: {text}"),
            Some(error) => format!("not changed: {text}: {error}"),
        }));
        if groups.advice.is_empty() {
            let nothing = "the Auto Scaling groups are as they should be; nothing to change";
            lines.push(nothing.to_owned());
        }
    } else {
        // Whoever may not have AWS asked sees what the plugin knows anyway.
        if groups.survey.is_none() {
            lines.extend(groups.advice.iter().map(|advice| advice.text.clone()));
        }
        lines.extend(report.findings.iter().map(ToString::to_string));
        lines.extend(report.not_checked.iter().map(|line| format!("not checked: {line}")));
        if !groups.advice.is_empty() {
            let hint = "`slurm-asg check --fix` changes AZRebalance and the protection of new \
                        instances in the Auto Scaling groups";
            lines.push(hint.to_owned());
        }
        lines.extend(summary(options, report));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// How many of each there are, in a line; none where only asg.toml was looked at.
fn summary(options: &Options, report: &Report) -> Option<String> {
    options.slurm_conf.as_ref()?;
    let count = |level| report.findings.iter().filter(|it| it.level == level).count();
    Some(match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => "nothing is wrong".to_owned(),
        (errors, warnings) => format!("{errors} errors, {warnings} warnings"),
    })
}

/// Names of `operators` and `readers` that this host does not know, a line each.
fn unknown_names(policy: &Policy) -> Vec<String> {
    let is_known = |who: &Who| match who {
        Who::User(name) => uzers::get_user_by_name(name).is_some(),
        Who::Group(name) => uzers::get_group_by_name(name).is_some(),
    };
    let unknown = policy.access.named().filter(|(_, who)| !is_known(who));
    unknown.map(|(key, who)| format!("{key} in asg.toml: this host has no {who}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(fix: bool) -> Options {
        Options {
            file: PathBuf::from("asg.toml"),
            is_in_force: true,
            slurm_conf: None,
            aws: false,
            fix,
            strict: false,
            json: false,
        }
    }

    fn policy() -> Policy {
        let text = "[[group]]\nname=\"c\"\nnodes=\"c[1-8]\"\nasg=\"a\"\n";
        policy::parse(Path::new("asg.toml"), text).unwrap()
    }

    #[test]
    fn advice_comes_with_how_to_follow_it_and_a_fix_with_how_it_went() {
        let told = |fix, error: Option<&str>, count| {
            let error = error.map(str::to_owned);
            let advice =
                AdviceStatus { text: "a rebalances".to_owned(), error, ..Default::default() };
            let groups = Groups::of(vec![advice; count]);
            let text = super::told(&options(fix), &policy(), &groups, &Report::default());
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let hint = "`slurm-asg check --fix` changes AZRebalance and the protection of new \
                    instances in the Auto Scaling groups";
        assert_eq!(told(false, None, 1), ["a rebalances", hint]);
        assert_eq!(told(false, None, 0), Vec::<String>::new());
        assert_eq!(told(true, None, 1), ["changed: a rebalances"]);
        assert_eq!(told(true, Some("denied"), 1), ["not changed: a rebalances: denied"]);
        let nothing = "the Auto Scaling groups are as they should be; nothing to change";
        assert_eq!(told(true, None, 0), [nothing]);
    }

    #[test]
    fn a_diagnosis_reads_as_findings_what_was_left_out_and_a_sum() {
        let conf = SlurmConf::read(Path::new("slurm.conf"), &mut |_| {
            Ok::<_, String>("NodeName=c[1-8] State=CLOUD\nPartitionName=p Nodes=ALL\n".to_owned())
        })
        .unwrap();
        let mut report = examine(&Facts {
            policy: &policy(),
            release: Release::parse("22.05"),
            conf: Some(&conf),
            host: None,
            survey: None,
        });
        report.not_checked.push("the Auto Scaling groups: nobody answers".to_owned());
        let options = Options { slurm_conf: Some(PathBuf::from("slurm.conf")), ..options(false) };
        insta::assert_snapshot!(told(&options, &policy(), &Groups::of(Vec::new()), &report));
        let json = object(&options, &Ok(policy()), &Groups::of(Vec::new()), &report, false);
        insta::assert_snapshot!(serde_json::to_string_pretty(&json["findings"][0]).unwrap());
    }
}
