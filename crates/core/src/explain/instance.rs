//! What an instance is there for.

use super::{Explanation, Teller, unknown};
use crate::ids::{AsgName, InstanceId, NodeName};
use crate::memory::Release;
use crate::plan::TerminateCause;
use crate::snapshot::{Lifecycle, Machine, Member, Seen};

impl Teller<'_> {
    pub(super) fn instance(&self, id: &InstanceId) -> Explanation {
        let member = self.member(id);
        let bindings = self.memory.bindings.iter().chain(&self.plan.adopted);
        let node = bindings.clone().find(|(_, binding)| binding.instance == *id);
        let mut told = match (node, self.memory.releases.get(id), member) {
            (Some((node, _)), ..) => self.serving(node),
            (None, Some(release), _) => self.leaving(release),
            (None, None, Some(_)) => self.spare(id),
            (None, None, None) => return self.nowhere(),
        };
        if let Some((asg, member)) = member {
            told.details.push(self.in_words(id, asg, member));
        }
        told
    }

    /// The group that lists it.
    fn member(&self, id: &InstanceId) -> Option<(&AsgName, &Member)> {
        let known = self.snapshot.asgs.iter();
        let mut known = known.filter_map(|(name, seen)| Some((name, seen.known()?)));
        known.find_map(|(name, asg)| Some((name, asg.instances.get(id)?)))
    }

    fn serving(&self, node: &NodeName) -> Explanation {
        let told = self.node(node);
        Explanation {
            known: true,
            why: told.why,
            answer: format!("serves node {node}: {}", told.answer),
            // The node's own says which instance serves it.
            details: told.details.into_iter().filter(|it| !it.ends_with(" serves it")).collect(),
            ..told
        }
    }

    fn leaving(&self, release: &Release) -> Explanation {
        let cause = match (&release.node, release.cause) {
            (Some(node), TerminateCause::NodeReleased) => {
                format!("Slurm has released its node {node}")
            }
            (None, TerminateCause::NodeReleased) => "Slurm has released its node".to_owned(),
            (_, TerminateCause::Outdated) => "Slurm wanted its node anew".to_owned(),
            (_, TerminateCause::Orphan) => "it served no node and none wanted it".to_owned(),
        };
        let call = match (release.accepted, release.retry) {
            (Some(_), _) => "AWS has taken the call that terminates it".to_owned(),
            (None, Some(retry)) => format!(
                "{} calls that terminate it have failed; the next is made in {} s",
                retry.failures,
                retry.not_before.since(self.snapshot.now).as_secs()
            ),
            (None, None) => "the call that terminates it is made now".to_owned(),
        };
        Explanation {
            known: true,
            why: "releasing".to_owned(),
            answer: format!("is terminated: {cause}"),
            details: vec![call],
            for_secs: Some(self.secs_since(release.decided_at)),
            ..Explanation::default()
        }
    }

    /// It is in its group and serves no node.
    fn spare(&self, id: &InstanceId) -> Explanation {
        let mut told = Explanation { known: true, ..Explanation::default() };
        let Some((asg, member)) = self.member(id) else { return told };
        if !member.lifecycle.is_capacity() {
            told.why = "not_in_group".to_owned();
            told.answer = "its group does not count it, and it serves no node".to_owned();
            return told;
        }
        told.why = "spare".to_owned();
        let since = self.memory.spare_since.get(id);
        told.for_secs = since.map(|since| self.secs_since(*since));
        let group = self.policy.group_of_asg(asg);
        let wants = group.is_some_and(|(name, _)| {
            self.groups.get(name).is_some_and(|view| view.booting > 0 || view.ahead > 0)
        });
        if wants {
            told.answer = "serves no node yet".to_owned();
            told.waits_for = Some("a node that wants it, by Slurm's call".to_owned());
        } else {
            told.answer = "serves no node, and none wants it".to_owned();
            told.waits_for = Some("a node, or the end of orphan_grace".to_owned());
            told.at_most_secs = since.zip(group).map(|(since, (_, group))| {
                group.orphan_grace.as_secs().saturating_sub(self.secs_since(*since))
            });
        }
        told
    }

    fn nowhere(&self) -> Explanation {
        if let Some(Seen::Unknown { why }) =
            self.snapshot.asgs.values().find(|seen| matches!(seen, Seen::Unknown { .. }))
        {
            return unknown(format!("an Auto Scaling group could not be read: {why}"));
        }
        unknown(
            "no Auto Scaling group of asg.toml lists it: it is gone, or none of ours".to_owned(),
        )
    }

    fn in_words(&self, id: &InstanceId, asg: &AsgName, member: &Member) -> String {
        let Member { lifecycle, healthy, zone, protected } = member;
        let mut words = format!("{asg} lists it as {}", lifecycle.word());
        if !zone.is_empty() {
            words += &format!(" in {zone}");
        }
        if matches!(lifecycle, Lifecycle::PendingWait | Lifecycle::TerminatingWait) {
            words += ", held by a life-cycle hook";
        }
        if !healthy {
            words += ", unhealthy";
        }
        if *protected {
            words += ", protected from scale-in";
        }
        let facts = self.snapshot.machines.get(id).and_then(Machine::facts);
        if let Some(address) = facts.and_then(|facts| facts.address) {
            words += &format!(", at {address}");
        }
        if let Some(launched) = facts.and_then(|facts| facts.launched) {
            words += &format!(", launched {} s ago", self.secs_since(launched));
        }
        words
    }
}
