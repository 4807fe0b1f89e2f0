//! The event log of one life of the engine, read as it is written.

use std::collections::{BTreeMap, BTreeSet};

use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::ids::{GroupName, InstanceId, NodeName};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::Journal;

use crate::clock::{MINUTE, Shared};

/// What may be told once only, as long as the engine lives.
pub struct Notebook {
    world: Shared,
    terminated: BTreeSet<InstanceId>,
    bound: BTreeSet<(NodeName, InstanceId)>,
    beats: BTreeMap<GroupName, Timestamp>,
    last: Option<Timestamp>,
}

impl Notebook {
    pub fn new(world: Shared) -> Self {
        Self {
            world,
            terminated: BTreeSet::new(),
            bound: BTreeSet::new(),
            beats: BTreeMap::new(),
            last: None,
        }
    }

    /// What is wrong with an event, if something is.
    fn fault(&mut self, event: &Event) -> Option<&'static str> {
        if event.event == EventName::ClockSet {
            (self.last, self.beats) = (None, BTreeMap::new());
        }
        if self.last.is_some_and(|last| last > event.time) {
            return Some("before its predecessor");
        }
        self.last = Some(event.time);
        if event.event.as_str().ends_with("_failed") != event.error.is_some() {
            return Some("failed without a reason, or the other way round");
        }
        if let (EventName::NodeBoundFailed, Some(id)) = (event.event, &event.instance) {
            // The success after a failure is news.
            let node = event.node.clone()?;
            self.bound.remove(&(node, id.clone()));
        }
        if let (EventName::InstanceTerminatedFailed, Some(id)) = (event.event, &event.instance) {
            // What could not be let go may serve its node again, and Slurm has lost its address.
            self.bound.retain(|(_, bound)| bound != id);
        }
        let is_new = match (event.event, &event.instance) {
            (EventName::InstanceTerminated, Some(id)) => self.terminated.insert(id.clone()),
            (EventName::NodeBound, Some(id)) => {
                let node = event.node.clone()?;
                self.bound.insert((node, id.clone()))
            }
            _ => true,
        };
        if !is_new {
            return Some("told before");
        }
        if event.event == EventName::Heartbeat {
            let group = event.group.clone()?;
            let before = self.beats.insert(group, event.time);
            let gap = before.map(|before| event.time.millis() - before.millis());
            if gap.is_some_and(|gap| gap < MINUTE) {
                return Some("less than a minute after the last");
            }
        }
        None
    }
}

impl Journal for Notebook {
    fn record(&mut self, event: Event) {
        if let Some(fault) = self.fault(&event) {
            let what = format!("9: {} {event}: {fault}", event.event);
            self.world.world().violation(what);
        }
    }

    fn flush(&mut self) {}

    fn trouble(&self) -> Option<String> {
        None
    }
}
