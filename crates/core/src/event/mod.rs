//! The event log: what was decided and what came of it, one JSON object on a line.
//!
//! `name` has the names, which are stable, `text` says an event in words, for slurmctld's log and
//! for people, `follow` says which events follow from a plan and from how its actions ended, and
//! `chronicle` which from a look alone.
//! Nothing here writes or reads a file.

mod chronicle;
mod follow;
mod name;
mod text;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use chronicle::{Chronicle, STATE_AGAIN};
pub use follow::{
    boot_console, clock_set, counted_jobs, dropped_jobs, failed_boots, failing_launches, heartbeat,
    newly_protected, of_outcome, of_request,
};
pub use name::{EventName, UnknownName};

use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::time::Timestamp;

/// The current file's name in the state directory; asg.toml may name another.
pub const FILE_NAME: &str = "events.jsonl";

/// One event. Fields that say nothing of it are left out of the line. docs/events.md says which
/// event has which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, written as RFC 3339 in UTC with milliseconds.
    #[serde(with = "crate::time::rfc3339")]
    pub time: Timestamp,
    /// What happened.
    pub event: EventName,
    /// The group in asg.toml.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// The Auto Scaling group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asg: Option<AsgName>,
    /// The node, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// The nodes as a Slurm node list, where they may be several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// The instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The instance's private address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The job, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<u32>,
    /// The jobs, where they may be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<u32>,
    /// The life-cycle hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Why it was decided: a stable word, or the line that the log has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// DesiredCapacity before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u32>,
    /// DesiredCapacity after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
    /// The Availability Zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// MinSize before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_from: Option<u32>,
    /// MinSize after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_to: Option<u32>,
    /// MaxSize before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_from: Option<u32>,
    /// MaxSize after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_to: Option<u32>,
    /// Nodes that the job will be given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_count: Option<u32>,
    /// Those of them that are launched for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<u32>,
    /// Whether the group launches another instance in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<bool>,
    /// Idle nodes that wait to be let go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u32>,
    /// MaxSize.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// DesiredCapacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
    /// Instances that nodes and pending jobs need.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demand: Option<u32>,
    /// Nodes with work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<u32>,
    /// Nodes without work that the group keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<u32>,
    /// Instances that a node waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub booting: Option<u32>,
    /// Instances that no node waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spare: Option<u32>,
    /// Instances on their way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub releasing: Option<u32>,
    /// From the instance's getting the node's name to slurmd's registration, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<u64>,
    /// For how long the first of them has been idle, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_idle_s: Option<u64>,
    /// How many events are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
    /// Whose word it was, a user's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// Until when, written as `time` is.
    #[serde(
        default,
        with = "crate::time::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<Timestamp>,
    /// The last of what an instance's console had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// slurm-asg's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Event {
    /// An event that says nothing but its name yet.
    #[must_use]
    pub const fn new(time: Timestamp, event: EventName) -> Self {
        Self {
            time,
            event,
            group: None,
            asg: None,
            node: None,
            nodes: None,
            instance: None,
            address: None,
            job: None,
            jobs: Vec::new(),
            hook: None,
            reason: None,
            error: None,
            from: None,
            to: None,
            zone: None,
            min_from: None,
            min_to: None,
            max_from: None,
            max_to: None,
            node_count: None,
            launch: None,
            replaced: None,
            idle: None,
            max: None,
            desired: None,
            demand: None,
            busy: None,
            base: None,
            booting: None,
            spare: None,
            releasing: None,
            boot_ms: None,
            oldest_idle_s: None,
            dropped: None,
            user: None,
            until: None,
            console: None,
            version: None,
            path: None,
        }
    }

    /// The event as one line of the log, with its end.
    ///
    /// # Errors
    /// Never in practice: it has no map whose keys are not text.
    pub fn line(&self) -> serde_json::Result<String> {
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        Ok(line)
    }
}

/// Where the `nth` file before the current one is: `events.jsonl.1` is the one before.
#[must_use]
pub fn rotated(path: &Path, nth: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{nth}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_with_what_it_says_and_nothing_else() {
        let at = Timestamp::from_millis(1_795_599_296_007);
        let event = Event {
            group: Some("g".into()),
            asg: Some("a".into()),
            from: Some(0),
            to: Some(2),
            ..Event::new(at, EventName::CapacityRaised)
        };
        let line = event.line().unwrap();
        let expected = r#"{"time":"2026-11-25T09:34:56.007Z","event":"capacity_raised","group":"g","asg":"a","from":0,"to":2}"#;
        assert_eq!(line, format!("{expected}\n"));
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    #[test]
    fn words_of_others_cannot_break_a_line() {
        let error = Some("a\nb\u{2028}\"c".to_owned());
        let event = Event { error, ..Event::new(Timestamp::default(), EventName::Problem) };
        let line = event.line().unwrap();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    #[test]
    fn earlier_files_are_counted() {
        assert_eq!(rotated(Path::new("/s/events.jsonl"), 2), Path::new("/s/events.jsonl.2"));
    }
}
