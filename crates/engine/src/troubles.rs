//! Says what is wrong once, not with every turn: in the log, and as an event.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::ids::{AsgName, GroupName};
use slurm_asg_core::time::Timestamp;

/// The same trouble is logged again after this time. It is no new event.
const SAY_AGAIN: Duration = Duration::from_secs(600);

/// What a trouble is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// Reading what was remembered.
    State,
    /// Writing it.
    Saving,
    /// Reading Slurm's nodes.
    SlurmNodes,
    /// Reading Slurm's queue.
    SlurmQueue,
    /// Reading Auto Scaling groups.
    Groups,
    /// Reading instances.
    Instances,
    /// Reading life-cycle hooks.
    Hooks,
    /// Reading the queue of AWS's notices.
    Queue,
    /// Publishing metrics.
    Metrics,
    /// Writing events.
    Events,
    /// The socket of the programs and the command line.
    Socket,
    /// One Auto Scaling group.
    Asg(AsgName),
    /// Reading why its launches fail.
    Launches(AsgName),
    /// A group's room for its nodes.
    Room(GroupName),
    /// A group's nodes in slurm.conf.
    Nodes(GroupName),
    /// A group's sizes of asg.toml.
    Sizes(GroupName),
}

impl About {
    /// The group or the Auto Scaling group that it is about, if it is one.
    fn of(&self) -> (Option<GroupName>, Option<AsgName>) {
        match self {
            Self::State
            | Self::Saving
            | Self::SlurmNodes
            | Self::SlurmQueue
            | Self::Groups
            | Self::Instances
            | Self::Hooks
            | Self::Queue
            | Self::Metrics
            | Self::Events
            | Self::Socket => (None, None),
            Self::Asg(asg) | Self::Launches(asg) => (None, Some(asg.clone())),
            Self::Room(group) | Self::Nodes(group) | Self::Sizes(group) => {
                (Some(group.clone()), None)
            }
        }
    }

    fn event(&self, reason: &str, over: bool, now: Timestamp) -> Event {
        let (group, asg) = self.of();
        let name = match (group.is_some() || asg.is_some(), over) {
            (true, false) => EventName::GroupProblem,
            (true, true) => EventName::GroupProblemOver,
            (false, false) => EventName::Problem,
            (false, true) => EventName::ProblemOver,
        };
        // The log's line begins with the group, which an event has in its own field.
        let of_group = group.as_ref().and_then(|group| {
            let rest = reason.strip_prefix("group=")?.strip_prefix(group.as_str())?;
            Some(rest.trim_start_matches([':', ' ']))
        });
        let reason = Some(of_group.unwrap_or(reason).to_owned());
        Event { group, asg, reason, ..Event::new(now, name) }
    }
}

/// Troubles that last, by what they are about.
#[derive(Debug, Default)]
pub struct Troubles {
    said: BTreeMap<About, (String, Timestamp)>,
    advised: BTreeSet<String>,
    news: Vec<Event>,
}

impl Troubles {
    /// Logs `error` if it is new; without one, the trouble is over, which is logged too.
    pub fn note<E: Display>(&mut self, about: &About, now: Timestamp, error: Option<&E>) {
        match error {
            Some(error) => self.report(about, now, &error.to_string()),
            None => self.over(about, now),
        }
    }

    /// Logs a trouble unless it was said already.
    pub fn report(&mut self, about: &About, now: Timestamp, message: &str) {
        let said = self.said.get(about);
        let is_old = said.is_some_and(|(text, _)| text == message);
        if is_old && said.is_some_and(|(_, at)| now.since(*at) < SAY_AGAIN) {
            return;
        }
        tracing::error!("{message}");
        if !is_old {
            self.news.push(about.event(message, false, now));
        }
        self.said.insert(about.clone(), (message.to_owned(), now));
    }

    /// Logs what would be better written elsewhere, once.
    pub fn advise(&mut self, line: &str) {
        if self.advised.insert(line.to_owned()) {
            tracing::warn!("{line}");
        }
    }

    /// The trouble is over.
    pub fn over(&mut self, about: &About, now: Timestamp) {
        if let Some((message, _)) = self.said.remove(about) {
            tracing::info!("over: {message}");
            self.news.push(about.event(&message, true, now));
        }
    }

    /// What lasts and is about no single group, a line each.
    pub fn lasting(&self) -> Vec<String> {
        let of_all = self.said.iter().filter(|(about, _)| about.of() == (None, None));
        of_all.map(|(_, (message, _))| message.clone()).collect()
    }

    /// What has begun or ended since this was asked last, as events.
    pub fn news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_one_event_when_it_begins_or_changes_and_one_when_it_ends() {
        let mut troubles = Troubles::default();
        let mut told = |about: &About, secs, message: Option<&str>| {
            troubles.note(about, Timestamp::from_secs(secs), message.as_ref());
            let text = |event: Event| {
                let of = event.group.as_ref().map(GroupName::as_str);
                let of = of.or(event.asg.as_ref().map(AsgName::as_str)).unwrap_or("-");
                format!("{} {of} {}", event.event, event.reason.unwrap_or_default())
            };
            troubles.news().into_iter().map(text).collect::<Vec<_>>()
        };
        let (all, asg) = (About::Groups, About::Asg("a".into()));
        let sizes = About::Sizes("g".into());
        assert_eq!(told(&all, 0, None), [""; 0]);
        assert_eq!(told(&all, 1, Some("throttled")), ["problem - throttled"]);
        assert_eq!(told(&all, 2, Some("throttled")), [""; 0]);
        // The log says it again; the event log has it.
        assert_eq!(told(&all, 1000, Some("throttled")), [""; 0]);
        assert_eq!(told(&all, 1001, Some("denied")), ["problem - denied"]);
        assert_eq!(told(&asg, 1002, Some("missing")), ["group_problem a missing"]);
        assert_eq!(told(&sizes, 1002, Some("group=g: small")), ["group_problem g small"]);
        assert_eq!(told(&all, 1003, None), ["problem_over - denied"]);
        assert_eq!(told(&asg, 1003, None), ["group_problem_over a missing"]);
        assert_eq!(told(&all, 1004, None), [""; 0]);
    }
}
