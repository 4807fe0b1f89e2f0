//! A plan as it is shown to people and programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::demand::JobVerdict;
use crate::hostlist;
use crate::ids::{GroupName, InstanceId, NodeName};
use crate::plan::{Action, Plan, PowerDownCause, TerminateCause};
use crate::policy::{GroupPolicy, Policy};
use crate::time::Timestamp;
use crate::word::variant_name;

/// A plan in words and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// When the snapshot was taken, seconds since the epoch.
    pub now: u64,
    /// The groups.
    pub groups: BTreeMap<GroupName, GroupView>,
    /// The pending jobs, by id.
    pub jobs: BTreeMap<u32, JobView>,
    /// Nodes of groups that are not powered down and unneeded.
    pub nodes: BTreeMap<NodeName, NodeView>,
    /// What would be done now, in this order.
    pub actions: Vec<String>,
}

/// A group, in numbers of instances and nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupView {
    /// Instances needed now: for nodes with work, nodes that Slurm wants, and pending jobs.
    pub demand: u32,
    /// What DesiredCapacity is to be.
    pub desired: u32,
    /// What DesiredCapacity is.
    pub desired_now: u32,
    /// MinSize.
    pub min: u32,
    /// MaxSize.
    pub max: u32,
    /// Powered-down nodes that pending jobs will be given.
    pub ahead: u32,
    /// Nodes with work.
    pub busy: u32,
    /// Nodes up without work.
    pub idle: u32,
    /// Nodes that wait for their machine.
    pub booting: u32,
    /// Instances that serve no node.
    pub spare: u32,
    /// What is wrong, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl GroupView {
    /// DesiredCapacity: `3`, or `1 -> 3` if the plan changes it.
    #[must_use]
    pub fn desired_text(&self) -> String {
        if self.desired == self.desired_now {
            self.desired.to_string()
        } else {
            format!("{} -> {}", self.desired_now, self.desired)
        }
    }
}

/// A pending job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// Whether its needs are part of the demand.
    pub counted: bool,
    /// Nodes that it will be given.
    pub nodes: u32,
    /// Those of them that are powered down now and that no job before it takes.
    pub launch: u32,
    /// Why it counts or does not: a stable word.
    pub why: String,
    /// The same in plain words.
    pub text: String,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its state in Slurm's words.
    pub state: String,
    /// The instance that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Why it is as it is, or what it waits for: a stable word.
    pub why: String,
    /// The same in plain words.
    pub text: String,
}

impl PlanView {
    /// Shows a plan that was made at `now`.
    #[must_use]
    pub fn of(policy: &Policy, plan: &Plan, now: Timestamp) -> Self {
        let groups = policy.groups.iter().map(|(name, group)| {
            let report = plan.groups.get(name).cloned().unwrap_or_default();
            let view = GroupView {
                demand: report.demand,
                desired: desired_after(group, plan, report.desired),
                desired_now: report.desired,
                min: report.min,
                max: report.max,
                ahead: report.ahead,
                busy: report.busy,
                idle: report.idle,
                booting: report.booting,
                spare: report.spare,
                problem: report.problem,
            };
            (name.clone(), view)
        });
        let nodes = plan.nodes.iter().map(|(name, report)| {
            let view = NodeView {
                state: report.state.to_string(),
                instance: report.instance.clone(),
                why: report.why.word(),
                text: report.why.to_string(),
            };
            (name.clone(), view)
        });
        Self {
            now: now.millis() / 1000,
            groups: groups.collect(),
            jobs: plan.jobs.iter().map(|(id, verdict)| (*id, JobView::of(verdict))).collect(),
            nodes: nodes.collect(),
            actions: plan.actions.iter().map(action).collect(),
        }
    }
}

impl JobView {
    /// Shows what the count says of a job.
    #[must_use]
    pub fn of(verdict: &JobVerdict) -> Self {
        Self {
            counted: verdict.why.is_counted(),
            nodes: verdict.nodes,
            launch: verdict.launch,
            why: verdict.why.word(),
            text: verdict.to_string(),
        }
    }
}

/// DesiredCapacity once the plan is carried out.
fn desired_after(group: &GroupPolicy, plan: &Plan, now: u32) -> u32 {
    // AWS raises the capacity to a minimum that is written.
    let written = plan.actions.iter().filter_map(|action| {
        let Action::SetSizes(sizes) = action else { return None };
        group.asgs.contains(&sizes.asg).then_some(sizes.desired)
    });
    let before = written.fold(now, u32::max);
    let change: i64 = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::SetDesired(raise) if group.asgs.contains(&raise.asg) => {
                i64::from(raise.to) - i64::from(raise.from)
            }
            Action::Launch(launch) if group.asgs.contains(&launch.asg) => {
                i64::from(launch.to) - i64::from(launch.from)
            }
            Action::Terminate(gone) if group.asgs.contains(&gone.asg) && gone.decrement => -1,
            Action::GiveBack(back) if group.asgs.contains(&back.asg) => {
                i64::from(back.to) - i64::from(back.from)
            }
            Action::SetDesired(_)
            | Action::Launch(_)
            | Action::GiveBack(_)
            | Action::CloseNodes(_)
            | Action::OpenNodes(_)
            | Action::Terminate(_)
            | Action::MarkDown(_)
            | Action::PowerDown(_)
            | Action::Drain(_)
            | Action::PowerUp(_)
            | Action::Protect(_)
            | Action::AnswerHook(_)
            | Action::SetSizes(_)
            | Action::Bind(_) => 0,
        })
        .sum();
    u32::try_from(i64::from(before) + change).unwrap_or(0)
}

/// An action in one line.
#[must_use]
pub fn action(action: &Action) -> String {
    match action {
        Action::SetDesired(raise) => {
            format!("raise {} from {} to {}", raise.asg, raise.from, raise.to)
        }
        Action::Launch(launch) => {
            format!("launch {} of {} in {}", launch.count, launch.asg, launch.zone)
        }
        Action::Bind(bind) => {
            format!("give node {} instance {} at {}", bind.node, bind.instance, bind.address)
        }
        Action::MarkDown(down) => format!("set node {} down: {}", down.node, down.reason),
        Action::PowerDown(down) => match down.cause {
            PowerDownCause::Recover => {
                format!("power node {} down, to make it available again", down.node)
            }
            PowerDownCause::BillingHour => {
                format!("power node {} down: idle, and its hour ends", down.node)
            }
            PowerDownCause::MakeRoom => {
                format!("power node {} down: idle, and a job waits for room", down.node)
            }
        },
        Action::GiveBack(back) => format!(
            "lower {} from {} to {}: the rest was asked for and never launched",
            back.asg, back.from, back.to
        ),
        Action::CloseNodes(close) => {
            format!("close nodes {}: {}", hostlist::compress(&close.nodes), close.reason)
        }
        Action::OpenNodes(open) => format!("open nodes {}", hostlist::compress(&open.nodes)),
        Action::Drain(drain) => format!("drain node {}: {}", drain.node, drain.reason),
        Action::Protect(protect) => format!("protect {} from scale-in", protect.instance),
        Action::AnswerHook(told) => {
            let what = variant_name(&told.answer);
            format!("tell hook {} of {} to {what}", told.hook, told.instance)
        }
        Action::PowerUp(up) => format!("power node {} up: the group keeps it", up.node),
        Action::SetSizes(sizes) => {
            format!("give {} the minimum {} and the maximum {}", sizes.asg, sizes.min, sizes.max)
        }
        Action::Terminate(gone) => {
            let cause = match gone.cause {
                TerminateCause::NodeReleased => "Slurm released its node",
                TerminateCause::Outdated => "Slurm wants its node anew",
                TerminateCause::Orphan => "no node wants it",
            };
            let capacity = if gone.decrement { "capacity goes down" } else { "it is replaced" };
            format!("terminate {}: {cause}; {capacity}", gone.instance)
        }
    }
}
