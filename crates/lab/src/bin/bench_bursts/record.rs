//! What is seen of a burst against time: samples of the plugin's glance and of the sandbox's state, and
//! the calls that arrived.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use slurm_asg_core::event::{Event, EventName};
use slurm_asg_lab::{Lab, now_ms};
use slurm_asg_wire::{Request, Response, Status, ask};

/// The cluster at one moment, in instances or nodes of all groups together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// What nodes and pending jobs need, as the plugin's last look has it.
    pub wanted: u32,
    /// Desired capacity at AWS.
    pub asked: u32,
    /// Living instances at AWS.
    pub launched: u32,
    /// Nodes with an instance. As long as the burst is followed, as of the plugin's last look, which may
    /// be half a minute ago; then as its event log has it.
    pub bound: u32,
    /// Instances for which a terminate call was answered, since the record was cleared.
    pub terminated: u32,
}

/// Looks once. A glance is what the plugin knows already: nobody looks anew for it.
pub fn sample(lab: &Lab) -> Result<Sample> {
    let status = glance(lab)?;
    let state = lab.sandbox().state()?;
    let alive = |group: &slurm_asg_sandbox::GroupState| {
        group.instances.iter().filter(|instance| instance.alive).count()
    };
    let bound = status.nodes.iter().filter(|node| node.instance.is_some()).count();
    Ok(Sample {
        at_ms: now_ms(),
        wanted: status.groups.iter().map(|group| group.demand).sum(),
        asked: state.groups.iter().map(|group| group.desired).sum(),
        launched: u32::try_from(state.groups.iter().map(alive).sum::<usize>())?,
        bound: u32::try_from(bound)?,
        terminated: 0,
    })
}

/// How things stood with the last look.
fn glance(lab: &Lab) -> Result<Status> {
    match ask(&lab.path("run/asg.sock"), &Request::Glance {}, Duration::from_secs(30))? {
        Response::Status(status) => Ok(*status),
        other @ (Response::Ok | Response::Refused { .. } | Response::Document { .. }) => {
            bail!("no status: {other:?}")
        }
    }
}

/// How many nodes had an instance, from each time on at which the event log has a change of that.
pub fn bindings(lab: &Lab, since_ms: u64) -> Result<Vec<(u64, u32)>> {
    let log = lab.command("slurm-asg", &["events", "--json"])?;
    let events: Vec<Event> = log.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(steps(&events, since_ms))
}

fn steps(events: &[Event], since_ms: u64) -> Vec<(u64, u32)> {
    let mut bound = BTreeSet::new();
    let mut steps = Vec::new();
    for event in events.iter().filter(|event| event.time.millis() >= since_ms) {
        let Some(node) = &event.node else { continue };
        let begins = event.event == EventName::NodeBound && bound.insert(node);
        let ends = event.event == EventName::InstanceTerminated && bound.remove(node);
        if begins || ends {
            steps.push((event.time.millis(), u32::try_from(bound.len()).unwrap_or(u32::MAX)));
        }
    }
    steps
}

/// Puts into each sample how many nodes had an instance by then.
pub fn count_bound(samples: &mut [Sample], steps: &[(u64, u32)]) {
    for sample in samples {
        let before = steps.partition_point(|(at_ms, _)| *at_ms <= sample.at_ms);
        let last = before.checked_sub(1).and_then(|last| steps.get(last));
        sample.bound = last.map_or(0, |(_, count)| *count);
    }
}

/// Puts into each sample how many instances had been terminated by then. Calls are few beside tags.
pub fn count_terminated(samples: &mut [Sample], ends: &[(u64, u32)]) {
    for sample in samples {
        let before = ends.iter().filter(|(at_ms, _)| *at_ms <= sample.at_ms);
        sample.terminated = before.map(|(_, count)| count).sum();
    }
}

#[cfg(test)]
mod tests {
    use slurm_asg_core::time::Timestamp;

    use super::*;

    #[test]
    fn nodes_are_bound_from_their_event_to_the_end_of_their_instance() {
        let event = |at_ms, name, node: &str| Event {
            node: Some(node.into()),
            ..Event::new(Timestamp::from_millis(at_ms), name)
        };
        let events = [
            event(1, EventName::NodeBound, "a burst before"),
            event(5, EventName::NodeBound, "n1"),
            event(5, EventName::InstanceTerminated, "a burst before"),
            event(7, EventName::NodeBound, "n2"),
            event(8, EventName::NodeBound, "n2"),
            event(9, EventName::InstanceTerminated, "n1"),
        ];
        let steps = steps(&events, 2);
        assert_eq!(steps, [(5, 1), (7, 2), (9, 1)]);
        let mut samples = [4, 5, 8, 10].map(|at_ms| Sample { at_ms, ..Sample::default() });
        count_bound(&mut samples, &steps);
        assert_eq!(samples.map(|sample| sample.bound), [0, 1, 2, 1]);
    }

    #[test]
    fn what_was_terminated_adds_up_with_time() {
        let at = |at_ms| Sample { at_ms, ..Sample::default() };
        let mut samples = [at(1), at(5), at(9)];
        count_terminated(&mut samples, &[(5, 100), (7, 20)]);
        assert_eq!(samples.map(|sample| sample.terminated), [0, 100, 120]);
    }
}
