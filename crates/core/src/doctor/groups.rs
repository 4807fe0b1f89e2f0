//! Auto Scaling groups, their life-cycle hooks and launch templates.

use super::survey::{Answer, GroupFacts, HookFacts, Survey, TemplateFacts};
use super::{Area, Finding, Level};
use crate::advice::AZ_REBALANCE;
use crate::ids::AsgName;
use crate::policy::{Api, GroupPolicy, Policy, ScaleOut};
use crate::snapshot::{Hook, Transition};

/// The loop looks every 30 s where nothing goes on: a hook that waits less may run out unseen.
const HOOK_TIMEOUT_MIN_SECS: u64 = 60;
/// What keeps a group from doing what slurm-asg asks of it, and what then happens.
const NEEDED: [(&str, &str); 2] = [
    ("Launch", "no instance is launched, and nodes wait until ResumeTimeout"),
    ("Terminate", "instances of nodes that Slurm has released stay, and cost money"),
];

/// What is wrong with the groups.
pub(super) fn look_at(
    policy: &Policy,
    survey: &Survey,
    findings: &mut Vec<Finding>,
    not_checked: &mut Vec<String>,
) {
    for (name, group) in &policy.groups {
        let mut max = Some(0_u32);
        for asg in &group.asgs {
            let mut one = One { asg, group, findings, not_checked };
            let facts = match survey.groups.get(asg.as_str()) {
                Some(Answer::Known(facts)) => facts,
                Some(Answer::Missing) => {
                    one.missing();
                    max = None;
                    continue;
                }
                Some(Answer::Unknown(why)) => {
                    one.not_checked.push(format!("Auto Scaling group {asg}: {why}"));
                    max = None;
                    continue;
                }
                None => {
                    max = None;
                    continue;
                }
            };
            one.look_at(facts);
            max = max.map(|sum| sum.saturating_add(facts.max));
        }
        // Sizes of asg.toml are written to the group by the loop.
        let nodes = u32::try_from(group.nodes.len()).unwrap_or(u32::MAX);
        if let Some(max) = max.filter(|max| *max < nodes && group.sizes.max.is_none()) {
            findings.push(Finding {
                level: Level::Warning,
                area: Area::Groups,
                check: "max_size".to_owned(),
                what: format!("group {name} has {nodes} nodes, and its maximum is {max} instances"),
                why: "Slurm gives jobs nodes for which no instance can come, and they wait until \
                      ResumeTimeout"
                    .to_owned(),
                write: format!("max_size = {nodes} in asg.toml, or fewer nodes"),
            });
        }
    }
}

struct One<'a> {
    asg: &'a AsgName,
    group: &'a GroupPolicy,
    findings: &'a mut Vec<Finding>,
    not_checked: &'a mut Vec<String>,
}

impl One<'_> {
    fn find(&mut self, level: Level, check: &str, what: &str, why: &str, write: String) {
        let what = format!("{} {what}", self.asg);
        let (check, why) = (check.to_owned(), why.to_owned());
        self.findings.push(Finding { level, area: Area::Groups, check, what, why, write });
    }

    /// A command of AWS's own command line that changes the group.
    fn update(&self, options: &str) -> String {
        format!(
            "aws autoscaling update-auto-scaling-group --auto-scaling-group-name {} {options}",
            self.asg
        )
    }

    fn missing(&mut self) {
        self.find(
            Level::Error,
            "exists",
            "does not exist in this account and region",
            "no instance comes for its nodes",
            "correct `asg` or `region` in asg.toml, or make the group: slurm-asg init".to_owned(),
        );
    }

    fn look_at(&mut self, facts: &GroupFacts) {
        self.sizes(facts);
        self.processes(facts);
        self.what_ends_instances(facts);
        match &facts.hooks {
            Some(Answer::Known(hooks)) => self.hooks(hooks),
            Some(Answer::Unknown(why)) => {
                let line = format!("life-cycle hooks of {}: {why}", self.asg);
                self.not_checked.push(line);
            }
            Some(Answer::Missing) | None => {}
        }
        match &facts.template {
            Some(Answer::Known(template)) => self.template(template),
            Some(Answer::Missing) => self.find(
                Level::Error,
                "launch_template",
                "has a launch template that does not exist any more",
                "no instance can be launched",
                self.update("--launch-template LaunchTemplateName=NAME,Version='$Default'"),
            ),
            Some(Answer::Unknown(why)) => {
                let line = format!("launch template of {}: {why}", self.asg);
                self.not_checked.push(line);
            }
            None => {}
        }
        if facts.launch_configuration.is_some() {
            self.find(
                Level::Warning,
                "launch_configuration",
                "has a launch configuration, and no launch template",
                "AWS makes no new ones, and they cannot have instance tags in metadata",
                self.update("--launch-template LaunchTemplateName=NAME,Version='$Default'"),
            );
        }
        self.api(facts);
        if facts.warm_pool {
            self.find(
                Level::Warning,
                "warm_pool",
                "has a warm pool",
                "slurm-asg counts its instances neither as nodes nor as spares",
                format!("aws autoscaling delete-warm-pool --auto-scaling-group-name {}", self.asg),
            );
        }
    }

    /// What keeps instances from being asked for by zone (LaunchInstances, user guide).
    fn api(&mut self, facts: &GroupFacts) {
        let obstacle = match (&facts.launch_configuration, facts.warm_pool) {
            (Some(_), _) => "a launch configuration",
            (None, true) => "a warm pool",
            (None, false) => return,
        };
        if self.group.api == Api::LaunchInstances {
            self.find(
                Level::Warning,
                "launch_api",
                &format!("has {obstacle}, and its group api = \"launch-instances\""),
                "AWS does not launch its instances by zone; SetDesiredCapacity is used instead",
                "api = \"set-desired-capacity\" in asg.toml, or give the group a launch template and no \
                 warm pool"
                    .to_owned(),
            );
        }
    }

    fn sizes(&mut self, facts: &GroupFacts) {
        let nodes = u32::try_from(self.group.nodes.len()).unwrap_or(u32::MAX);
        if facts.min > nodes && self.group.sizes.min.is_none() {
            self.find(
                Level::Error,
                "min_size",
                &format!("has MinSize {}, and its group {nodes} nodes", facts.min),
                "instances that can serve no node are launched, and cost money",
                self.update(&format!("--min-size {nodes}")),
            );
        }
        if facts.max == 0 && self.group.sizes.max.is_none() {
            self.find(
                Level::Error,
                "max_size",
                "has MaxSize 0",
                "no instance can be launched",
                self.update(&format!("--max-size {nodes}")),
            );
        }
    }

    fn processes(&mut self, facts: &GroupFacts) {
        let has = |process: &str| facts.suspended.iter().any(|it| it == process);
        let resume = |asg: &AsgName, process: &str| {
            format!(
                "aws autoscaling resume-processes --auto-scaling-group-name {asg} \
                 --scaling-processes {process}"
            )
        };
        for (process, why) in NEEDED {
            if has(process) {
                let what = format!("has the process {process} suspended");
                let write = resume(self.asg, process);
                self.find(Level::Error, "processes", &what, why, write);
            }
        }
        if self.group.scale_out == ScaleOut::Alarm && has("AlarmNotification") {
            self.find(
                Level::Error,
                "processes",
                "has the process AlarmNotification suspended",
                "its group has scale_out = \"alarm\", and no alarm raises the capacity",
                resume(self.asg, "AlarmNotification"),
            );
        }
        if !has(AZ_REBALANCE) {
            self.find(
                Level::Warning,
                "suspend_az_rebalance",
                "rebalances its zones (AZRebalance is not suspended)",
                "it may end instances that run jobs for that",
                "slurm-asg check --fix".to_owned(),
            );
        }
        if !facts.protects_new {
            self.find(
                Level::Warning,
                "protect_new",
                "does not protect new instances from scale-in \
                 (NewInstancesProtectedFromScaleIn)",
                "an instance is unprotected until it is seen with its node, and each fifty take a \
                 call",
                "slurm-asg check --fix".to_owned(),
            );
        }
    }

    fn what_ends_instances(&mut self, facts: &GroupFacts) {
        let others: Vec<_> =
            facts.health_check.split(',').filter(|it| !it.is_empty() && *it != "EC2").collect();
        if !others.is_empty() {
            self.find(
                Level::Warning,
                "health_check",
                &format!("asks {} for the health of its instances", others.join(" and ")),
                "an instance that they think ill is ended, whether jobs run on it or not",
                self.update("--health-check-type EC2"),
            );
        }
        if facts.capacity_rebalance {
            self.find(
                Level::Warning,
                "capacity_rebalance",
                "replaces Spot instances that may be interrupted (CapacityRebalance)",
                "it ends them before AWS needs them back, whether jobs run on them or not",
                self.update("--no-capacity-rebalance"),
            );
        }
        if let Some(secs) = facts.lifetime_max_secs.filter(|secs| *secs > 0) {
            self.find(
                Level::Warning,
                "lifetime_max",
                &format!("ends instances after {secs} s (MaxInstanceLifetime)"),
                "it does so whether jobs run on them or not",
                self.update("--max-instance-lifetime 0"),
            );
        }
    }

    fn hooks(&mut self, hooks: &[HookFacts]) {
        let is_ours = |hook: &&HookFacts| hook.name.starts_with(Hook::PREFIX);
        let ours: Vec<_> = hooks.iter().filter(is_ours).collect();
        let put = |asg: &AsgName, name: &str, transition: &str| {
            format!(
                "aws autoscaling put-lifecycle-hook --auto-scaling-group-name {asg} \
                 --lifecycle-hook-name {name} --heartbeat-timeout 300 \
                 --lifecycle-transition autoscaling:EC2_INSTANCE_{transition} \
                 --default-result CONTINUE"
            )
        };
        if !ours.iter().any(|hook| hook.transition == Transition::Terminating) {
            self.find(
                Level::Warning,
                "terminating_hook",
                &format!(
                    "has no life-cycle hook {}… for instances that are terminated",
                    Hook::PREFIX
                ),
                "whoever ends an instance (the console, a health check, Spot) ends its jobs at once, \
                 instead of giving them time",
                put(self.asg, "slurm-asg-terminating", "TERMINATING"),
            );
        }
        for hook in ours.iter().filter(|hook| hook.timeout_secs < HOOK_TIMEOUT_MIN_SECS) {
            let transition = match hook.transition {
                Transition::Launching => "LAUNCHING",
                Transition::Terminating => "TERMINATING",
            };
            self.find(
                Level::Warning,
                "hook_timeout",
                &format!(
                    "has the life-cycle hook {} with a heartbeat timeout of {} s",
                    hook.name, hook.timeout_secs
                ),
                "slurm-asg looks every 30 s where nothing goes on, and may be too late to answer",
                put(self.asg, &hook.name, transition),
            );
        }
    }

    fn template(&mut self, template: &TemplateFacts) {
        if !template.metadata_tags {
            self.find(
                Level::Warning,
                "metadata_tags",
                &format!(
                    "has a launch template ({}, version {}) without instance tags in metadata",
                    template.name, template.version
                ),
                "each instance asks slurmctld for its node's name, instead of reading its tag",
                "MetadataOptions: InstanceMetadataTags=enabled in a new version of the launch \
                 template"
                    .to_owned(),
            );
        }
    }
}
