//! The calls that slurm-asg makes in AWS, what they are for, and whether they are allowed.

use super::survey::{Right, Survey};
use super::{Area, Finding, Level};
use crate::policy::{Api, Policy, ScaleOut};

/// A call, by IAM's name of it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// `autoscaling:SetDesiredCapacity`.
    pub action: &'static str,
    /// When it is needed.
    need: Need,
    /// What does not work without it.
    pub without: &'static str,
}

/// When a call is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Always,
    /// It works without, and not as well.
    Better,
    /// `api = "launch-instances"` in asg.toml.
    ByZone,
    /// Sizes in asg.toml.
    Sizes,
    /// Figures or alarms in asg.toml.
    Metrics,
    /// `events_queue` in asg.toml.
    Queue,
    /// Only for this command.
    Check,
}

/// All calls. `crates/core/tests/iam.rs` holds this list to packaging/iam.
pub const CALLS: &[Call] = &[
    call("autoscaling:DescribeAutoScalingGroups", Need::Always, "nothing works"),
    call(
        "autoscaling:DescribeScalingActivities",
        Need::Better,
        "launches that fail are not noticed",
    ),
    call("ec2:DescribeInstances", Need::Always, "no node ever gets an address"),
    call("autoscaling:SetDesiredCapacity", Need::Always, "no instance is ever launched"),
    call(
        "autoscaling:TerminateInstanceInAutoScalingGroup",
        Need::Always,
        "no instance ever goes, and all cost money",
    ),
    call("autoscaling:SetInstanceProtection", Need::Always, "the group may end busy instances"),
    call("ec2:CreateTags", Need::Better, "each instance asks slurmctld for its node's name"),
    call("autoscaling:LaunchInstances", Need::ByZone, "SetDesiredCapacity is used instead"),
    call("ec2:CreateFleet", Need::ByZone, "SetDesiredCapacity is used instead"),
    call("autoscaling:UpdateAutoScalingGroup", Need::Sizes, "sizes of asg.toml are not followed"),
    call("autoscaling:DescribeLifecycleHooks", Need::Better, "life-cycle hooks are not answered"),
    call("autoscaling:CompleteLifecycleAction", Need::Better, "hooks are not answered"),
    call("autoscaling:RecordLifecycleActionHeartbeat", Need::Better, "hooks are not answered"),
    call("ec2:GetConsoleOutput", Need::Better, "the event log has no consoles of failed boots"),
    call("cloudwatch:PutMetricData", Need::Metrics, "no figures are published"),
    call("sqs:ReceiveMessage", Need::Queue, "AWS's notices are not read"),
    call("sqs:DeleteMessage", Need::Queue, "AWS's notices come again and again"),
    call("autoscaling:SuspendProcesses", Need::Check, "slurm-asg check --fix changes nothing"),
    call("ec2:DescribeInstanceTypes", Need::Check, "slurm-asg check knows no instance types"),
    call("ec2:DescribeLaunchTemplateVersions", Need::Check, "slurm-asg check sees no templates"),
];

const fn call(action: &'static str, need: Need, without: &'static str) -> Call {
    Call { action, need, without }
}

impl Call {
    /// How bad it is that it is denied; `None` if it is not needed.
    fn level(&self, policy: &Policy) -> Option<Level> {
        let groups = || policy.groups.values();
        let needed = match self.need {
            Need::Always => true,
            Need::Sizes => groups().any(|it| it.sizes.min.or(it.sizes.max).is_some()),
            Need::Metrics => {
                policy.metrics.publish || groups().any(|it| it.scale_out == ScaleOut::Alarm)
            }
            Need::Queue => policy.events_queue.is_some(),
            Need::ByZone => {
                let by_zone = groups().any(|it| it.api == Api::LaunchInstances);
                return by_zone.then_some(Level::Warning);
            }
            Need::Better => return Some(Level::Warning),
            // What could not be looked at is told of by itself.
            Need::Check => false,
        };
        needed.then_some(Level::Error)
    }
}

/// What is not allowed, and what that means.
pub(super) fn look_at(
    policy: &Policy,
    survey: &Survey,
    findings: &mut Vec<Finding>,
    not_checked: &mut Vec<String>,
) {
    for call in CALLS {
        let Some(level) = call.level(policy) else { continue };
        match survey.rights.get(call.action) {
            None | Some(Right::Allowed) => {}
            Some(Right::NotChecked(why)) => {
                not_checked.push(format!("{}: {why}", call.action));
            }
            Some(Right::Denied(words)) => findings.push(Finding {
                level,
                area: Area::Rights,
                check: call.action.to_owned(),
                what: format!("{} is not allowed: {words}", call.action),
                why: call.without.to_owned(),
                write: format!(
                    "\"{}\" in the policy of slurmctld's role, as in packaging/iam",
                    call.action
                ),
            }),
        }
    }
}
