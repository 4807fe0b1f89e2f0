//! What is published to CloudWatch, and when.
//!
//! The one metric that matters is `pending`: instances that pending work needs and that are
//! neither there nor on their way. Nodes that wait count, whether Slurm wants them or pending
//! jobs will; an instance that boots does not, so the number falls as soon as an alarm has raised
//! the capacity, and is 0 when enough was launched. What is not known is not published: CloudWatch
//! calls that missing, and alarms must treat it as no reason to grow.

use std::time::Duration;

use crate::ids::GroupName;
use crate::plan::{GroupReport, Plan, Waiting};
use crate::policy::{Policy, ScaleOut};
use crate::time::Timestamp;

/// The dimension that every figure has: Slurm's ClusterName.
pub const CLUSTER_DIMENSION: &str = "Cluster";
/// The second dimension of a group's figures: its name in asg.toml.
pub const GROUP_DIMENSION: &str = "Group";

/// A metric. All but one are counts, of instances or of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Instances that pending work needs and that are neither there nor on their way.
    Pending,
    /// DesiredCapacity, instances.
    Desired,
    /// Instances in service.
    InService,
    /// Nodes with work.
    Busy,
    /// Nodes up without work.
    Idle,
    /// For how long the first of the nodes has been idle that wait to be let go, seconds; 0 if none
    /// does.
    OldestIdle,
}

impl Metric {
    /// Its name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Desired => "desired",
            Self::InService => "in_service",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::OldestIdle => "oldest_idle",
        }
    }

    /// Whether it is a time, in seconds, and not a count.
    #[must_use]
    pub const fn is_seconds(self) -> bool {
        matches!(self, Self::OldestIdle)
    }
}

/// One number to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Which metric.
    pub metric: Metric,
    /// The group; `None` is the whole cluster.
    pub group: Option<GroupName>,
    /// The number.
    pub value: u32,
}

/// Whether anything is to be published: by wish, or because a group has alarms.
#[must_use]
pub fn is_wanted(policy: &Policy) -> bool {
    let mut groups = policy.groups.values();
    policy.metrics.publish || groups.any(|group| group.scale_out == ScaleOut::Alarm)
}

/// What is to be published of a plan, if anything is: `pending` of the cluster and of each group,
/// and by wish the other metrics of each group too.
#[must_use]
pub fn figures(policy: &Policy, plan: &Plan, now: Timestamp) -> Vec<Figure> {
    if !is_wanted(policy) {
        return Vec::new();
    }
    // A sum over the groups that could be seen would be taken for the sum over all.
    let pending = |name| plan.groups.get(name).and_then(|report| report.pending_instances);
    let all: Option<u32> = policy.groups.keys().map(pending).sum();
    let cluster = all.map(|value| Figure { metric: Metric::Pending, group: None, value });
    let of_group = |(name, report): (&GroupName, &GroupReport)| {
        let pending = report.pending_instances.map(|value| (Metric::Pending, value));
        let nodes = policy.groups.get(name).map_or(&[][..], |group| &group.nodes);
        let others = || others(report, Waiting::of(plan, nodes, now));
        let others = policy.metrics.publish.then(others).into_iter().flatten();
        let all = pending.into_iter().chain(others);
        let group = Some(name.clone());
        all.map(move |(metric, value)| Figure { metric, group: group.clone(), value })
            .collect::<Vec<_>>()
    };
    let reports = policy.groups.keys().filter_map(|name| Some((name, plan.groups.get(name)?)));
    cluster.into_iter().chain(reports.flat_map(of_group)).collect()
}

/// The numbers beside `pending`; none if something of the group could not be seen.
fn others(report: &GroupReport, waiting: Waiting) -> Vec<(Metric, u32)> {
    if report.problem.is_some() {
        return Vec::new();
    }
    vec![
        (Metric::Desired, report.desired),
        (Metric::InService, report.in_service),
        (Metric::Busy, report.busy),
        (Metric::Idle, report.idle),
        (Metric::OldestIdle, seconds(waiting)),
    ]
}

fn seconds(waiting: Waiting) -> u32 {
    let oldest = waiting.oldest.map_or(0, |oldest| oldest.as_secs());
    u32::try_from(oldest).unwrap_or(u32::MAX)
}

/// Whether figures are to be published now: once in each period, and at the start.
#[must_use]
pub fn is_due(last: Option<Timestamp>, now: Timestamp, period: Duration) -> bool {
    last.is_none_or(|last| beat(last, period) != beat(now, period))
}

/// When figures are to be published next, if they were published now.
#[must_use]
pub fn next_due(now: Timestamp, period: Duration) -> Timestamp {
    let length = length_ms(period);
    Timestamp::from_millis((beat(now, period) + 1).saturating_mul(length) - length / 2)
}

/// The number of the beat that a time belongs to. A beat begins in the middle of one of
/// CloudWatch's periods, which begin at whole multiples of their length: so each of them has one
/// figure, also over a restart, and an alarm that acts at a period's end has been heard of when
/// the next figure is made.
fn beat(at: Timestamp, period: Duration) -> u64 {
    let length = length_ms(period);
    at.millis().saturating_add(length / 2) / length
}

fn length_ms(period: Duration) -> u64 {
    u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::node_state::{NodeState, Phase};
    use crate::plan::{NodeReport, Why};
    use crate::policy;

    fn policy(head: &str, scale_out: &str) -> Policy {
        let text = format!(
            "{head}\n[[group]]\nname = \"g\"\nnodes = \"n[1-2]\"\nasg = \"a\"\nscale_out = {scale_out:?}\n\
             [[group]]\nname = \"h\"\nnodes = \"m[1-2]\"\nasg = \"b\"\n"
        );
        policy::parse(Path::new("asg.toml"), &text).unwrap()
    }

    fn plan(pending: [Option<u32>; 2]) -> Plan {
        let mut plan = Plan::default();
        for (name, pending) in ["g", "h"].into_iter().zip(pending) {
            let report = GroupReport {
                desired: 4,
                in_service: 3,
                busy: 2,
                idle: 1,
                pending_instances: pending,
                problem: pending.is_none().then(|| "throttled".to_owned()),
                ..GroupReport::default()
            };
            plan.groups.insert(GroupName::new(name), report);
        }
        for (name, since) in [("n1", 40), ("n2", 70)] {
            let why = Why::Idle { since: Some(Timestamp::from_secs(since)) };
            let report =
                NodeReport { phase: Phase::Up, state: NodeState::default(), instance: None, why };
            plan.nodes.insert(name.into(), report);
        }
        plan
    }

    fn told(policy: &Policy, plan: &Plan) -> Vec<String> {
        let tell = |figure: &Figure| {
            let group = figure.group.as_ref().map_or("*", GroupName::as_str);
            format!("{group} {} {}", figure.metric.name(), figure.value)
        };
        figures(policy, plan, Timestamp::from_secs(100)).iter().map(tell).collect()
    }

    #[test]
    fn nothing_is_published_unless_it_is_asked_for_or_alarms_need_it() {
        let plan = plan([Some(2), Some(3)]);
        assert_eq!(told(&policy("", "direct"), &plan), Vec::<String>::new());
        assert_eq!(
            told(&policy("", "alarm"), &plan),
            ["* pending 5", "g pending 2", "h pending 3"]
        );
        assert_eq!(
            told(&policy("[metrics]\npublish = true", "direct"), &plan),
            [
                "* pending 5",
                "g pending 2",
                "g desired 4",
                "g in_service 3",
                "g busy 2",
                "g idle 1",
                "g oldest_idle 60",
                "h pending 3",
                "h desired 4",
                "h in_service 3",
                "h busy 2",
                "h idle 1",
                "h oldest_idle 0",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_not_published_and_makes_no_sum() {
        let plan = plan([Some(2), None]);
        assert_eq!(told(&policy("", "alarm"), &plan), ["g pending 2"]);
        let all = told(&policy("[metrics]\npublish = true", "alarm"), &plan);
        assert_eq!(all.iter().filter(|line| line.starts_with('h')).count(), 0, "{all:?}");
        assert_eq!(told(&policy("", "alarm"), &Plan::default()), Vec::<String>::new());
    }

    #[test]
    fn there_is_one_publication_in_the_middle_of_each_minute_and_one_at_the_start() {
        let minute = Duration::from_secs(60);
        let at = |secs: u64| Timestamp::from_millis(600_000 + secs * 1000);
        for (last, now, due) in [
            (None, 0, true),
            (Some(0), 29, false),
            (Some(0), 30, true),
            (Some(30), 89, false),
            (Some(30), 90, true),
            (Some(30), 300, true),
            // The clock was set back.
            (Some(90), 20, true),
        ] {
            assert_eq!(is_due(last.map(at), at(now), minute), due, "{last:?} {now}");
        }
        assert_eq!(next_due(at(0), minute), at(30));
        assert_eq!(next_due(at(29), minute), at(30));
        assert_eq!(next_due(at(30), minute), at(90));
    }

    #[test]
    fn a_publication_is_due_exactly_when_it_was_said_to_be() {
        for period in [1, 7, 60, 3600].map(Duration::from_secs) {
            for now in (0..20_000_000).step_by(98_765).map(Timestamp::from_millis) {
                let next = next_due(now, period);
                assert!(next > now && is_due(Some(now), next, period), "{period:?} {now}");
                let before = Timestamp::from_millis(next.millis() - 1);
                assert!(!is_due(Some(now), before, period), "{period:?} {now}");
            }
        }
    }
}
