//! Says what is wrong once, not with every turn: in the log, and as an event.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::ids::{AsgName, GroupName};
use slurm_asg_core::policy::{GroupPolicy, Policy};
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
    /// Keeping protected nodes from suspension.
    Protection,
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
            | Self::Protection
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

/// A trouble that lasts.
#[derive(Debug)]
struct Said {
    text: String,
    at: Timestamp,
    /// How often it was seen again since, which nobody was told.
    more: u64,
}

impl Said {
    /// How often it came besides, if it did.
    fn repeats(&self) -> String {
        if self.more == 0 { String::new() } else { format!(" (… {} more)", self.more) }
    }
}

/// Troubles that last, by what they are about.
#[derive(Debug, Default)]
pub struct Troubles {
    said: BTreeMap<About, Said>,
    /// Which group an Auto Scaling group serves, for the log.
    groups: BTreeMap<AsgName, GroupName>,
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
        let mut repeats = String::new();
        if let Some(said) = self.said.get_mut(about).filter(|said| said.text == message) {
            if now.since(said.at) < SAY_AGAIN {
                said.more += 1;
                return;
            }
            repeats = said.repeats();
        } else {
            self.news.push(about.event(message, false, now));
        }
        tracing::error!("{}{message}{repeats}", self.keys(about, message));
        let said = Said { text: message.to_owned(), at: now, more: 0 };
        self.said.insert(about.clone(), said);
    }

    /// Logs what would be better written elsewhere, once.
    pub fn advise(&mut self, line: &str) {
        if self.advised.insert(line.to_owned()) {
            tracing::warn!("{line}");
        }
    }

    /// The trouble is over.
    pub fn over(&mut self, about: &About, now: Timestamp) {
        if let Some(said) = self.said.remove(about) {
            let (keys, repeats) = (self.keys(about, &said.text), said.repeats());
            tracing::info!("{keys}over: {}{repeats}", said.text);
            self.news.push(about.event(&said.text, true, now));
        }
    }

    /// Takes note of which group each Auto Scaling group serves.
    pub fn know_groups(&mut self, policy: &Policy) {
        let of_group = |(name, group): (&GroupName, &GroupPolicy)| -> Vec<_> {
            group.asgs.iter().map(|asg| (asg.clone(), name.clone())).collect()
        };
        self.groups = policy.groups.iter().flat_map(of_group).collect();
    }

    /// `group=g asg=a `, as far as they apply and the message does not say them itself.
    fn keys(&self, about: &About, message: &str) -> String {
        let (group, asg) = about.of();
        let group = group.or_else(|| self.groups.get(asg.as_ref()?).cloned());
        let mut keys = String::new();
        if let Some(group) = group.filter(|_| !message.starts_with("group=")) {
            keys += &format!("group={group} ");
        }
        if let Some(asg) = asg {
            keys += &format!("asg={asg} ");
        }
        keys
    }

    /// What lasts and is about no single group, a line each.
    pub fn lasting(&self) -> Vec<String> {
        let of_all = self.said.iter().filter(|(about, _)| about.of() == (None, None));
        of_all.map(|(_, said)| said.text.clone()).collect()
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
    fn a_line_of_the_log_has_its_keys_and_says_how_often_it_came() {
        let policy = "[[group]]\nname = 'g'\nnodes = 'n1'\nasg = ['a', 'b']\n";
        let policy = slurm_asg_core::policy::parse("asg.toml".as_ref(), policy).unwrap();
        let mut troubles = Troubles::default();
        let keys = |troubles: &Troubles, about, text| troubles.keys(&about, text);
        assert_eq!(keys(&troubles, About::Asg("a".into()), "missing"), "asg=a ");
        troubles.know_groups(&policy);
        assert_eq!(keys(&troubles, About::Launches("b".into()), "denied"), "group=g asg=b ");
        assert_eq!(keys(&troubles, About::Nodes("g".into()), "group=g: none"), "");
        assert_eq!(keys(&troubles, About::Groups, "throttled"), "");
        for secs in 0..38 {
            troubles.note(&About::Groups, Timestamp::from_secs(secs), Some(&"throttled"));
        }
        assert_eq!(troubles.said[&About::Groups].repeats(), " (… 37 more)");
        troubles.note(&About::Groups, Timestamp::from_secs(1000), Some(&"throttled"));
        assert_eq!(troubles.said[&About::Groups].repeats(), "", "it was said");
    }

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
