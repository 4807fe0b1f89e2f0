//! Which events are shown.

use serde_json::Value;
use slurm_asg_core::event::EventName;
use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::time::{Timestamp, rfc3339};

/// What an event must be; what is not given is not asked. It is read as plain JSON, so that
/// events of another version pass too.
#[derive(Debug, Default)]
pub struct Filter {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Of this node, alone or in a list.
    pub node: Option<NodeName>,
    /// Of this group.
    pub group: Option<String>,
    /// Of this job, alone or in a list.
    pub job: Option<u32>,
    /// One of these names.
    pub events: Vec<EventName>,
}

impl Filter {
    /// Whether a line is an event that is to be shown. What is no event is none: a crash tears
    /// a line.
    pub fn passes(&self, line: &str) -> bool {
        let Ok(event) = serde_json::from_str::<Value>(line) else { return false };
        let text = |key: &str| event.get(key).and_then(Value::as_str);
        let (Some(time), Some(name)) = (text("time").and_then(rfc3339::parse), text("event"))
        else {
            return false;
        };
        let is_node = |node: &NodeName| {
            text("node") == Some(node.as_str())
                || text("nodes")
                    .and_then(|nodes| hostlist::expand(nodes).ok())
                    .is_some_and(|nodes| nodes.contains(node))
        };
        let is_job = |job: &u32| {
            let job = Value::from(*job);
            let among = event.get("jobs").and_then(Value::as_array);
            event.get("job") == Some(&job) || among.is_some_and(|jobs| jobs.contains(&job))
        };
        self.since.is_none_or(|since| time >= since)
            && (self.events.is_empty() || self.events.iter().any(|event| event.as_str() == name))
            && self.group.as_deref().is_none_or(|group| text("group") == Some(group))
            && self.node.as_ref().is_none_or(is_node)
            && self.job.as_ref().is_none_or(is_job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [&str; 6] = [
        r#"{"time":"2026-11-25T09:00:00.000Z","event":"job_counted","group":"g","job":1}"#,
        r#"{"time":"2026-11-25T09:00:01.000Z","event":"nodes_resumed","group":"g","nodes":"n[1-2]","jobs":[1,3]}"#,
        r#"{"time":"2026-11-25T09:00:02.000Z","event":"node_bound","group":"h","node":"n1"}"#,
        r#"{"time":"2026-11-25T09:00:03.000Z","event":"of_another_version","group":"g"}"#,
        r#"{"time":"2026-11-25T09:00:04.000Z","ev"#,
        "3",
    ];

    fn check(filter: &Filter, expected: &[usize]) {
        let passing: Vec<_> = (0..EVENTS.len()).filter(|nth| filter.passes(EVENTS[*nth])).collect();
        assert_eq!(passing, expected, "{filter:?}");
    }

    #[test]
    fn an_event_passes_if_it_is_all_that_is_asked_for_and_torn_lines_never_do() {
        let none = Filter::default;
        check(&none(), &[0, 1, 2, 3]);
        let since = rfc3339::parse("2026-11-25T10:00:02+01:00");
        check(&Filter { since, ..none() }, &[2, 3]);
        check(&Filter { node: Some("n1".into()), ..none() }, &[1, 2]);
        check(&Filter { node: Some("n2".into()), ..none() }, &[1]);
        check(&Filter { node: Some("n".into()), ..none() }, &[]);
        check(&Filter { group: Some("g".into()), ..none() }, &[0, 1, 3]);
        check(&Filter { job: Some(1), ..none() }, &[0, 1]);
        check(&Filter { job: Some(3), ..none() }, &[1]);
        let events = vec![EventName::JobCounted, EventName::NodeBound];
        check(&Filter { events, ..none() }, &[0, 2]);
        check(&Filter { job: Some(1), node: Some("n1".into()), ..none() }, &[1]);
    }
}
