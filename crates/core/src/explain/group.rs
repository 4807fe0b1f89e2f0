//! How a group stands, and what is in its way.

use std::collections::BTreeMap;

use super::{Explanation, Teller};
use crate::hostlist;
use crate::ids::{GroupName, NodeName};
use crate::plan::Why;
use crate::policy::GroupPolicy;
use crate::snapshot::Seen;

impl Teller<'_> {
    pub(super) fn group(&self, name: &GroupName, group: &GroupPolicy) -> Explanation {
        let view = self.groups.get(name).cloned().unwrap_or_default();
        let mut told = Explanation { known: true, ..Explanation::default() };
        told.answer = format!(
            "desired capacity {} of at most {}, {} busy, {} idle, {} booting",
            view.desired_text(),
            view.max,
            view.busy,
            view.idle,
            view.booting
        );
        told.details.push(format!(
            "demand {}: {} for nodes with work or that Slurm wants, {} for pending jobs",
            view.demand,
            view.demand.saturating_sub(view.ahead),
            view.ahead
        ));
        self.tell_obstacle(name, group, &mut told);
        told.details.extend(view.problem.clone());
        for asg in &group.asgs {
            told.details.push(match self.snapshot.asgs.get(asg) {
                Some(Seen::Known(it)) => format!(
                    "{asg}: minimum {}, desired {}, maximum {}, {} instances",
                    it.min,
                    it.desired,
                    it.max,
                    it.instances.len()
                ),
                Some(Seen::Unknown { why }) => format!("{asg}: not known: {why}"),
                None => format!("{asg}: not looked at yet"),
            });
        }
        if let Some((usually, count)) = self.memory.usual_boot(&group.asgs) {
            let secs = usually.as_secs();
            told.details.push(format!("boots take {secs} s usually (median of the last {count})"));
        }
        told.details.extend(self.nodes_by_reason(group));
        told
    }

    /// Why it is asked for nothing, if it is not; since when, and for how long still.
    fn tell_obstacle(&self, name: &GroupName, group: &GroupPolicy, told: &mut Explanation) {
        let now = self.snapshot.now;
        let boots = group.asgs.iter().filter_map(|asg| self.memory.boots.get(asg));
        let is_protected = boots.clone().any(|boots| boots.are_too_many(group));
        let cooldowns = group.asgs.iter().filter_map(|asg| self.plan.cooldowns.get(asg));
        let in_force = cooldowns.filter(|cooldown| cooldown.is_in_force(now));
        if let Some(paused) = self.memory.paused.get(name) {
            told.why = "paused".to_owned();
            told.for_secs = Some(self.secs_since(paused.since));
            told.waits_for = Some(format!("slurm-asg resume-scaling {name}"));
        } else if is_protected {
            told.why = "protected_mode".to_owned();
            let since = boots.filter_map(|boots| boots.protected_since).min();
            told.for_secs = since.map(|since| self.secs_since(since));
            told.waits_for = Some(format!("slurm-asg clear {name}"));
        } else if let Some(cooldown) = in_force.max_by_key(|cooldown| cooldown.until) {
            told.why = "no_capacity".to_owned();
            told.for_secs = Some(self.secs_since(cooldown.noticed_at));
            told.at_most_secs = Some(cooldown.until.since(now).as_secs());
            told.waits_for = Some("the next try".to_owned());
        } else if group.asgs.iter().any(|asg| self.snapshot.asg(asg).is_none()) {
            told.why = "cloud_unknown".to_owned();
        } else if self.has_a_node_at_max(group) {
            told.why = "at_max".to_owned();
            told.waits_for = Some("an instance to be free, or a larger maximum".to_owned());
        } else {
            told.why = "open".to_owned();
        }
    }

    fn has_a_node_at_max(&self, group: &GroupPolicy) -> bool {
        let mut reports = group.nodes.iter().filter_map(|node| self.plan.nodes.get(node));
        reports.any(|report| matches!(report.why, Why::AtMax { .. }))
    }

    /// Nodes that are not off, those that are so for the same reason in one line.
    fn nodes_by_reason(&self, group: &GroupPolicy) -> Vec<String> {
        let mut reasons: BTreeMap<String, Vec<NodeName>> = BTreeMap::new();
        for name in &group.nodes {
            if let Some(report) = self.plan.nodes.get(name) {
                reasons.entry(report.why.to_string()).or_default().push(name.clone());
            }
        }
        let lines = reasons.iter();
        lines.map(|(why, nodes)| format!("{}: {why}", hostlist::compress(nodes))).collect()
    }
}
