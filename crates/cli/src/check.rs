//! `slurm-asg check`: asg.toml, read as the plugin would, and what the plugin sees of the Auto
//! Scaling groups.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use slurm_asg_core::hostlist;
use slurm_asg_core::policy::{self, Policy, PolicyError, ScaleIn, Who};
use slurm_asg_wire::{AdviceStatus, Request};

use crate::asking;
use crate::output::{complain, print};

/// What is to be checked, and how.
pub struct Options<'a> {
    /// asg.toml.
    pub file: &'a Path,
    /// Whether that is the plugin's own: then the Auto Scaling groups are looked at, too.
    pub is_in_force: bool,
    /// Change the settings that are advised.
    pub fix: bool,
    /// For programs.
    pub json: bool,
}

/// What the plugin says of the settings of Auto Scaling groups.
struct Groups {
    /// What should be otherwise, or has just been changed.
    advice: Vec<AdviceStatus>,
    /// Why nothing is known of them.
    unknown: Option<String>,
}

impl Groups {
    const fn of(advice: Vec<AdviceStatus>) -> Self {
        Self { advice, unknown: None }
    }

    /// Asks the plugin, and has it change what is advised.
    fn ask(socket: &Path, options: &Options<'_>) -> anyhow::Result<Self> {
        if options.fix {
            return asking::document(socket, &Request::FollowAdvice {}).map(Self::of);
        }
        if !options.is_in_force {
            return Ok(Self::of(Vec::new()));
        }
        match asking::status(socket) {
            Ok(status) => Ok(Self::of(status.advice)),
            // The file can be checked before slurmctld ever runs.
            Err(error) => Ok(Self { advice: Vec::new(), unknown: Some(format!("{error:#}")) }),
        }
    }

    fn failed(&self) -> bool {
        self.advice.iter().any(|advice| advice.error.is_some())
    }
}

/// Reads the file and looks at the groups, and says what is wrong.
pub fn run(socket: &Path, options: &Options<'_>) -> anyhow::Result<ExitCode> {
    let path = options.file;
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let parsed = policy::parse(path, &text);
    let groups = match &parsed {
        Ok(_) => Groups::ask(socket, options)?,
        Err(_) => Groups::of(Vec::new()),
    };
    if options.json {
        print(&format!("{}\n", object(options, &parsed, &groups)))?;
    } else {
        match &parsed {
            Ok(policy) => print(&told(options, policy, &groups))?,
            Err(error) => complain(&error.to_string()),
        }
    }
    let is_well = parsed.is_ok() && !groups.failed();
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn object(
    options: &Options<'_>,
    parsed: &Result<Policy, PolicyError>,
    groups: &Groups,
) -> serde_json::Value {
    let errors: Vec<String> = parsed.as_ref().err().map(ToString::to_string).into_iter().collect();
    let warnings = parsed.as_ref().map(|policy| {
        policy.warnings.iter().cloned().chain(unknown_names(policy)).collect::<Vec<_>>()
    });
    let needs = parsed.as_ref().map(slurm_conf_needs).unwrap_or_default();
    let name = if options.fix { "changed" } else { "advice" };
    serde_json::json!({
        "file": options.file, "ok": errors.is_empty() && !groups.failed(), "errors": errors,
        "warnings": warnings.unwrap_or_default(), "slurm_conf": needs, name: groups.advice,
        "groups_unknown": groups.unknown,
    })
}

fn told(options: &Options<'_>, policy: &Policy, groups: &Groups) -> String {
    let nodes: usize = policy.groups.values().map(|group| group.nodes.len()).sum();
    let mut lines = vec![format!(
        "{} is right: {} groups, {nodes} nodes, {} Auto Scaling groups",
        options.file.display(),
        policy.groups.len(),
        policy.asgs().len()
    )];
    lines.extend(policy.warnings.iter().cloned());
    lines.extend(unknown_names(policy));
    lines.extend(slurm_conf_needs(policy).iter().map(|need| format!("slurm.conf: {need}")));
    for AdviceStatus { text, error, .. } in &groups.advice {
        lines.push(match (options.fix, error) {
            (false, _) => text.clone(),
            (true, None) => format!("changed: {text}"),
            (true, Some(error)) => format!("not changed: {text}: {error}"),
        });
    }
    if !options.fix && !groups.advice.is_empty() {
        lines.push("`slurm-asg check --fix` changes that in the Auto Scaling groups".to_owned());
    }
    if options.fix && groups.advice.is_empty() {
        lines.push("the Auto Scaling groups are as they should be; nothing to change".to_owned());
    }
    if let Some(why) = &groups.unknown {
        lines.push(format!("the Auto Scaling groups were not looked at: {why}"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
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

/// What slurm.conf has to say for this policy, a line each.
fn slurm_conf_needs(policy: &Policy) -> Vec<String> {
    let mut needs = Vec::new();
    for (name, group) in &policy.groups {
        let way = match group.scale_in {
            ScaleIn::Slurm => None,
            ScaleIn::BillingHour(_) => Some("billing-hour"),
            ScaleIn::Never => Some("never"),
        };
        if let Some(way) = way {
            needs.push(format!(
                "group {name} has scale_in = \"{way}\": give the partitions of {} \
                 SuspendTime=INFINITE, or Slurm powers idle nodes down by itself, and leave the \
                 global SuspendTime a number, or power saving is off",
                hostlist::compress(&group.nodes)
            ));
        }
        if let Some(min) = group.sizes.min.filter(|min| *min > 0 && way.is_none()) {
            let base = group.nodes.iter().take(min as usize);
            needs.push(format!(
                "group {name} keeps {min} nodes: write SuspendExcNodes={}, or Slurm powers them \
                 down and they are brought back again and again",
                hostlist::compress(base)
            ));
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slurm_conf_needs_follows_from_the_policy() {
        let needs = |keys: &str| {
            let text = format!("[[group]]\nname=\"c\"\nnodes=\"c[1-8]\"\nasg=\"a\"\n{keys}");
            slurm_conf_needs(&policy::parse(Path::new("asg.toml"), &text).unwrap())
        };
        assert_eq!(needs(""), Vec::<String>::new());
        let hour = needs("scale_in = \"billing-hour\"");
        assert!(hour[0].contains("c[1-8] SuspendTime=INFINITE"), "{hour:?}");
        let base = needs("min_size = 2");
        assert!(base[0].contains("SuspendExcNodes=c[1-2]"), "{base:?}");
    }

    #[test]
    fn advice_comes_with_how_to_follow_it_and_a_fix_with_how_it_went() {
        let text = "[[group]]\nname=\"c\"\nnodes=\"c[1-8]\"\nasg=\"a\"\n";
        let policy = policy::parse(Path::new("asg.toml"), text).unwrap();
        let told = |fix, error: Option<&str>, count| {
            let file = Path::new("asg.toml");
            let options = Options { file, is_in_force: true, fix, json: false };
            let error = error.map(str::to_owned);
            let advice =
                AdviceStatus { text: "a rebalances".to_owned(), error, ..Default::default() };
            let groups = Groups::of(vec![advice; count]);
            let text = super::told(&options, &policy, &groups);
            text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        let hint = "`slurm-asg check --fix` changes that in the Auto Scaling groups";
        assert_eq!(told(false, None, 1), ["a rebalances", hint]);
        assert_eq!(told(false, None, 0), Vec::<String>::new());
        assert_eq!(told(true, None, 1), ["changed: a rebalances"]);
        assert_eq!(told(true, Some("denied"), 1), ["not changed: a rebalances: denied"]);
        let nothing = "the Auto Scaling groups are as they should be; nothing to change";
        assert_eq!(told(true, None, 0), [nothing]);
    }
}
