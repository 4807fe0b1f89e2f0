//! What must hold, from the world's own truth: nothing here knows the planner.

use std::collections::VecDeque;

use slurm_asg_core::ids::{InstanceId, NodeName};
use slurm_asg_core::node_state::Phase;

use crate::aws::Instance;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::slurm::Node;
use crate::world::{ORPHAN_GRACE, Sizes, World};

/// Calls in any minute, and in a minute in which nothing happens.
const CALLS_MAX: usize = 120;
const IDLE_CALLS_MAX: usize = 4;
/// The same for looks at Slurm's nodes. A turn that finds an old view looks twice.
const LOOKS_MAX: usize = 120;
const IDLE_LOOKS_MAX: usize = 6;
/// What an orphan may live beyond its grace: one idle pause, and failures that still count.
const ORPHAN_SLACK: Millis = 30 * SECOND + 2 * MINUTE;

/// How often something happened within a minute.
#[derive(Default)]
pub struct Rate {
    times: VecDeque<Millis>,
    pub total: u64,
    pub most: usize,
}

impl Rate {
    fn count(&mut self, now: Millis) -> usize {
        self.total += 1;
        self.times.push_back(now);
        while self.times.front().is_some_and(|at| *at + MINUTE <= now) {
            self.times.pop_front();
        }
        self.most = self.most.max(self.times.len());
        self.times.len()
    }
}

impl World {
    pub fn violation(&mut self, what: String) {
        self.say(|| format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    /// An instance is being terminated by a call of the engine, or by the group's shrinking.
    pub fn is_terminated(&mut self, id: &InstanceId) {
        let alive = self.aws.instances[id].is_alive(self.now);
        if let (Some(node), true) = (self.busy_on(id), alive) {
            let what = format!("1: {id} terminated while {node} has a job");
            self.violation(what);
        }
    }

    /// The node that an instance serves, if that has a job.
    pub fn busy_on(&self, id: &InstanceId) -> Option<&NodeName> {
        let serves = |node: &Node| {
            node.registered.as_ref() == Some(id) && node.job.is_some() && node.phase() == Phase::Up
        };
        let mut nodes = self.slurm.now.nodes.iter();
        nodes.find(|(_, node)| serves(node)).map(|(name, _)| name)
    }

    /// Nobody has told a hook to wait any longer, and a job may run there.
    pub fn hook_ran_out(&mut self, id: &InstanceId) {
        if self.busy_on(id).is_some() {
            self.faults.count("hook ran out under a job");
            if self.faults.are_harmless() {
                self.violation(format!("10: {id} ended under a job that its hook could wait for"));
            }
        }
    }

    pub fn is_set_down(&mut self, name: &NodeName) {
        let (now, node) = (self.now, &self.slurm.now.nodes[name]);
        let Some(id) = node.registered.clone().filter(|_| node.job.is_some()) else { return };
        let well = |i: &Instance| i.is_alive(now) && i.is_capacity(now);
        if node.phase() == Phase::Up && self.aws.instances.get(&id).is_some_and(well) {
            self.violation(format!("1: {name} set down while {id} runs a job"));
        }
    }

    pub fn is_set(&mut self, before: u32, to: u32) {
        let (min, max) = (self.aws.min, self.aws.max);
        if to < min || to > max {
            self.violation(format!("2: desired {to} is not within {min} and {max}"));
        }
        self.is_lowered(before, to);
    }

    /// Minimum and maximum are written: AWS lowers the capacity to the maximum.
    pub fn is_sized(&mut self, min: u32, max: u32) {
        if self.sizes != (Sizes { min, max }) && max != self.aws.max {
            self.violation(format!("2: sizes {min} to {max} written, asked {:?}", self.sizes));
        }
        let desired = self.aws.desired();
        self.is_lowered(desired, desired.min(max));
    }

    fn is_lowered(&mut self, before: u32, to: u32) {
        // The calls have no compare-and-set: what another actor raises between a read and the
        // call cannot be known.
        let unseen = self.now < self.aws.raised_by_other + self.faults.lag_max + 2 * SECOND;
        if to < before && unseen {
            self.faults.count("lowered, racing with another actor");
        } else if to < before && !self.aws.is_all_protected(self.now) {
            self.violation(format!("2: desired lowered by number, {before} -> {to}"));
        }
    }

    /// An instance is told its node, by whatever way.
    pub fn is_named(&mut self, id: &InstanceId, node: &NodeName) {
        let Some(instance) = self.aws.instances.get_mut(id) else { return };
        let name = instance.name.get_or_insert_with(|| node.clone()).clone();
        if name != *node {
            self.violation(format!("3: {id} is {name} and gets the name {node}"));
        }
    }

    pub fn is_called(&mut self) {
        let limit = if self.quiet { IDLE_CALLS_MAX } else { CALLS_MAX };
        let calls = self.calls.count(self.now);
        if calls > limit {
            self.violation(format!("6: {calls} AWS calls in a minute"));
        }
    }

    pub fn slurm_is_looked_at(&mut self) {
        let limit = if self.quiet { IDLE_LOOKS_MAX } else { LOOKS_MAX };
        let looks = self.looks.count(self.now);
        if looks > limit {
            self.violation(format!("6: {looks} looks at Slurm in a minute"));
        }
    }

    /// Once a second after the last fault.
    pub fn look_for_orphans(&mut self) {
        let now = self.now;
        let nodes = &self.slurm.now.nodes;
        let waits = nodes.values().any(|node| {
            let phase = node.phase();
            phase == Phase::Wanted || phase == Phase::Booting && node.registered.is_none()
        });
        let settled = self.aws.desired() <= self.aws.min;
        let mut orphan = None;
        for (id, instance) in &mut self.aws.instances {
            let is_used = |node: &Node| {
                let closed = matches!(node.phase(), Phase::Off | Phase::Releasing);
                !closed
                    && (node.address.parse() == Ok(instance.address)
                        || node.registered.as_ref() == Some(id))
            };
            let useful = waits || settled || !instance.is_capacity(now);
            if useful || !instance.is_alive(now) || nodes.values().any(is_used) {
                instance.useless_since = None;
            } else {
                let since = *instance.useless_since.get_or_insert(now);
                if now > since + ORPHAN_GRACE + ORPHAN_SLACK {
                    orphan = Some(id.clone());
                }
            }
        }
        if let Some(id) = orphan {
            self.violation(format!("5: {id} serves nothing, and lives"));
        }
    }

    /// After the last job and a quiet time.
    pub fn is_at_rest(&mut self) {
        let (desired, Sizes { min, max }) = (self.aws.desired(), self.sizes);
        let capacity = self.aws.capacity(self.now);
        if desired != min || capacity != min && !self.base_is_suspended() {
            self.violation(format!("5: {capacity} of {desired} instances at rest, minimum {min}"));
        }
        if (self.aws.min, self.aws.max) != (min, max) {
            let (own_min, own_max) = (self.aws.min, self.aws.max);
            self.violation(format!("8: {own_min} to {own_max}, and not {min} to {max}"));
        }
        let nodes = &self.slurm.now.nodes;
        let (up, others): (Vec<_>, Vec<_>) =
            nodes.iter().partition(|(_, node)| node.phase() == Phase::Up && !node.is_down());
        if up.len() != min as usize && !self.base_is_suspended() {
            self.violation(format!("8: {} nodes up at rest, and {min} are kept", up.len()));
        } else if let Some((name, node)) =
            others.iter().find(|(_, n)| n.is_down() || n.phase() != Phase::Off)
            && !self.base_is_suspended()
        {
            let what = format!("4: {name} cannot be used again: {:#x} {}", node.state, node.reason);
            self.violation(what);
        }
    }

    /// Slurm suspends what the group keeps, again and again: at rest is no such world.
    pub fn base_is_suspended(&self) -> bool {
        self.slurm.spared < self.sizes.min as usize
    }
}
