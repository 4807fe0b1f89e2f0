//! Boots that fail: instances that never register.

use serde::{Deserialize, Serialize};

use super::{Binding, Memory, Paused};
use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::node_state::Phase;
use crate::plan::RESUME_TIMEOUT;
use crate::policy::GroupPolicy;
use crate::snapshot::Snapshot;
use crate::time::Timestamp;

/// How the boot of a bound instance goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boot {
    /// Its slurmd has not registered yet.
    #[default]
    Awaited,
    /// It has.
    Registered,
    /// It did not within ResumeTimeout, and counts as failed.
    Failed,
}

/// Boots of one Auto Scaling group that have failed since the last one that went well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boots {
    /// How many.
    pub failures: u32,
    /// The last of these instances.
    pub last: InstanceId,
    /// Since when nothing is launched any more, until an administrator says so.
    pub protected_since: Option<Timestamp>,
}

impl Boots {
    /// Whether nothing is to be launched any more.
    #[must_use]
    pub const fn are_too_many(&self, group: &GroupPolicy) -> bool {
        let max = group.boot_failures_max;
        max > 0 && (self.protected_since.is_some() || self.failures >= max)
    }
}

/// A boot that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedBoot {
    /// The node that the instance was to serve.
    pub node: NodeName,
    /// The instance.
    pub instance: InstanceId,
    /// Its Auto Scaling group.
    pub asg: AsgName,
}

impl Memory {
    /// Boots that have failed since this was last asked.
    pub fn take_failed_boots(&mut self) -> Vec<FailedBoot> {
        std::mem::take(&mut self.failed_boots)
    }

    /// Which boots have ended since the last look, and how.
    pub(super) fn notice_boots(&mut self, snapshot: &Snapshot) {
        let Some(nodes) = snapshot.nodes.known() else { return };
        let mut ended = Vec::new();
        for (name, binding) in &mut self.bindings {
            let Some(node) = nodes.get(name) else { continue };
            let phase = node.state.phase();
            if phase == Phase::Up && !node.state.is_down() {
                if binding.boot != Boot::Registered {
                    binding.boot = Boot::Registered;
                    ended.push((name.clone(), binding.clone()));
                }
            } else if binding.boot == Boot::Awaited
                && phase == Phase::Off
                && node.state.is_down()
                && node.reason.starts_with(RESUME_TIMEOUT)
            {
                binding.boot = Boot::Failed;
                ended.push((name.clone(), binding.clone()));
            }
        }
        // Of boots that end at the same time one that goes well says more.
        ended.sort_by_key(|(_, binding)| binding.boot == Boot::Registered);
        for (node, binding) in ended {
            if binding.boot == Boot::Registered {
                self.note_success(&binding.asg);
            } else {
                self.note_failure(&node, &binding);
            }
        }
    }

    /// Another instance takes the place of one: it was gone before it had registered.
    pub(super) fn note_replaced(&mut self, node: &NodeName, old: &Binding) {
        if old.boot == Boot::Awaited && !old.outdated {
            self.note_failure(node, old);
        }
    }

    fn note_failure(&mut self, node: &NodeName, binding: &Binding) {
        let Binding { instance, asg, .. } = binding.clone();
        let boots = self.boots.entry(asg.clone()).or_insert_with(|| Boots {
            failures: 0,
            last: instance.clone(),
            protected_since: None,
        });
        boots.failures = boots.failures.saturating_add(1);
        boots.last = instance.clone();
        self.failed_boots.push(FailedBoot { node: node.clone(), instance, asg });
    }

    fn note_success(&mut self, asg: &AsgName) {
        // What was on its way when launching stopped proves nothing about the next.
        if self.boots.get(asg).is_some_and(|boots| boots.protected_since.is_none()) {
            self.boots.remove(asg);
        }
    }

    /// Notes that a group is not to be scaled. `true` if that is new, or has another reason.
    pub fn pause(&mut self, group: &GroupName, paused: Paused) -> bool {
        let known = self.paused.get(group);
        if known.is_some_and(|it| it.user == paused.user && it.reason == paused.reason) {
            return false;
        }
        self.paused.insert(group.clone(), paused);
        true
    }

    /// Forgets what keeps Auto Scaling groups from launching. `true` if there was anything.
    pub fn clear(&mut self, asgs: &[AsgName], now: Timestamp) -> bool {
        let mut any = false;
        for asg in asgs {
            any |= self.boots.remove(asg).is_some();
            any |= self.zone_failures.remove(asg).is_some();
            // Its failure stays known: a read may still show it.
            if let Some(cooldown) = self.cooldowns.get_mut(asg).filter(|it| it.is_in_force(now)) {
                cooldown.until = now;
                any = true;
            }
        }
        any
    }
}
