//! What others do to the world: the mutating API calls, and accidents.

use super::model::{Activity, Cloud, Ec2State, Group, Lifecycle, no_group};
use super::scaling::Reason;
use super::{Effect, World, time_text};
use crate::error::ApiError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Instances one TerminateInstanceInAutoScalingGroup call may name.
pub const BATCH_MAX: usize = 100;
/// Instances one SetInstanceProtection call may name.
pub const PROTECTION_MAX: usize = 50;

/// A change of a group's sizes, in instances; what is not given stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupChange {
    /// Minimum size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Maximum size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Desired capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
}

impl World {
    /// SetDesiredCapacity.
    pub fn set_desired(&mut self, name: &str, desired: u32, now_ms: u64) -> Result<(), ApiError> {
        let group = self.group_mut(name)?;
        let refused = |side: &str, word: &str, bound: u32| {
            let text = format!(
                "New SetDesiredCapacity value {desired} is {side} {word} value {bound} for the AutoScalingGroup."
            );
            Err(ApiError::validation(text))
        };
        if desired > group.max {
            return refused("above", "max", group.max);
        }
        if desired < group.min {
            return refused("below", "min", group.min);
        }
        self.change_desired(
            name,
            desired,
            "a user request explicitly set group desired capacity",
            now_ms,
        );
        Ok(())
    }

    /// UpdateAutoScalingGroup, as far as sizes and protection go.
    pub fn update_group(
        &mut self,
        name: &str,
        change: GroupChange,
        protects_new: Option<bool>,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let group = self.group_mut(name)?;
        let (min, max) = (change.min.unwrap_or(group.min), change.max.unwrap_or(group.max));
        if max < min {
            return Err(ApiError::validation(format!(
                "Max bound, {max}, must be greater than or equal to min bound, {min}"
            )));
        }
        let desired = change.desired.unwrap_or_else(|| group.desired.clamp(min, max));
        if !(min..=max).contains(&desired) {
            let text = format!(
                "Desired capacity:{desired} must be between the specified min size:{min} and max size:{max}"
            );
            return Err(ApiError::validation(text));
        }
        (group.min, group.max) = (min, max);
        group.protects_new = protects_new.unwrap_or(group.protects_new);
        let words = format!(
            "a user request update of AutoScalingGroup constraints to min: {min}, max: {max}, desired: {desired}"
        );
        self.change_desired(name, desired, &words, now_ms);
        Ok(())
    }

    /// TerminateInstanceInAutoScalingGroup. What AWS does with a batch holding one bad id is undocumented: here nothing of
    /// the batch is carried out. An instance that is already going is success and changes the capacity no further.
    pub fn terminate(
        &mut self,
        group: Option<&str>,
        ids: &[&str],
        decrement: bool,
        now_ms: u64,
    ) -> Result<Vec<Activity>, ApiError> {
        if ids.is_empty() || ids.len() > BATCH_MAX {
            return Err(ApiError::validation(format!(
                "InstanceIds must name 1 to {BATCH_MAX} instances"
            )));
        }
        let mut fresh: BTreeMap<String, u32> = BTreeMap::new();
        for id in &ids.iter().copied().collect::<BTreeSet<_>>() {
            let instance = self
                .cloud
                .managed(id)
                .filter(|instance| group.is_none_or(|name| instance.group == name));
            let instance = instance.ok_or_else(|| not_managed(id))?;
            let count = fresh.entry(instance.group.clone()).or_default();
            *count += u32::from(instance.counts());
        }
        if decrement {
            self.decrement(&fresh)?;
        }
        for id in ids {
            self.terminate_one(id, decrement, now_ms);
        }
        self.settle(now_ms);
        Ok(ids.iter().filter_map(|id| self.termination_of(id)).collect())
    }

    fn decrement(&mut self, by: &BTreeMap<String, u32>) -> Result<(), ApiError> {
        for (name, count) in by {
            let group = self.group_mut(name)?;
            if *count > 0 && group.desired < group.min + count {
                return Err(at_minimum(group));
            }
        }
        for (name, count) in by {
            let group = self.group_mut(name)?;
            group.desired -= count;
        }
        Ok(())
    }

    fn terminate_one(&mut self, id: &str, decrement: bool, now_ms: u64) {
        let Some(instance) = self.cloud.managed(id).filter(|instance| instance.counts()) else {
            return;
        };
        let size = self.cloud.size(&instance.group);
        let words = if decrement {
            format!(", shrinking the capacity from {size} to {}", size.saturating_sub(1))
        } else {
            String::new()
        };
        self.begin_termination(id, Reason::Request(&words), now_ms);
    }

    fn termination_of(&self, id: &str) -> Option<Activity> {
        let about = |activity: &&Activity| {
            activity.instance.as_deref() == Some(id)
                && activity.description.starts_with("Terminating")
        };
        self.cloud.activities.iter().rev().find(about).cloned()
    }

    /// SetInstanceProtection.
    pub fn protect(
        &mut self,
        name: &str,
        ids: &[&str],
        protected: bool,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        self.group_mut(name)?;
        if ids.is_empty() || ids.len() > PROTECTION_MAX {
            return Err(ApiError::validation(format!(
                "InstanceIds must name 1 to {PROTECTION_MAX} instances"
            )));
        }
        for id in ids {
            let instance = self.cloud.managed(id).filter(|instance| instance.group == name);
            let instance = instance.ok_or_else(|| {
                ApiError::validation(format!(
                    "The instance {id} is not part of Auto Scaling group {name}."
                ))
            })?;
            if instance.lifecycle != Lifecycle::InService {
                return Err(ApiError::validation(format!(
                    "The instance {id} is not in InService or EnteringStandby or Standby."
                )));
            }
        }
        for id in ids {
            if let Some(instance) = self.cloud.instances.get_mut(*id) {
                instance.protected = protected;
            }
        }
        self.settle(now_ms);
        Ok(())
    }

    /// EC2's CreateTags.
    pub fn create_tags(
        &mut self,
        ids: &[&str],
        tags: &[(&str, &str)],
        now_ms: u64,
    ) -> Result<(), ApiError> {
        self.known(ids)?;
        if tags.iter().any(|(key, _)| key.starts_with("aws:")) {
            let text = "Tag keys starting with 'aws:' are reserved for internal use";
            return Err(ApiError::new(400, "InvalidParameterValue", text));
        }
        for id in ids {
            if let Some(instance) = self.cloud.instances.get_mut(*id) {
                instance.tags.extend(
                    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
                );
            }
        }
        self.settle(now_ms);
        Ok(())
    }

    /// EC2's TerminateInstances: the machines lose power now; their groups notice later and replace them.
    /// Returns each instance's state before.
    pub fn ec2_terminate(
        &mut self,
        ids: &[&str],
        now_ms: u64,
    ) -> Result<Vec<(String, Ec2State)>, ApiError> {
        self.known(ids)?;
        let mut before = Vec::new();
        for id in ids {
            if let Some(instance) = self.cloud.instances.get_mut(*id) {
                before.push(((*id).to_owned(), instance.ec2_state()));
                instance.ec2_terminating = true;
            }
            self.cut_power(id, now_ms);
        }
        self.settle(now_ms);
        Ok(before)
    }

    /// The machine loses power now. False if there is no such living machine.
    pub fn die(&mut self, id: &str, now_ms: u64) -> bool {
        let died = self.cut_power(id, now_ms);
        self.settle(now_ms);
        died
    }

    fn cut_power(&mut self, id: &str, now_ms: u64) -> bool {
        let notice_at_ms = now_ms + self.config.replace_delay_ms;
        let Some(instance) = self.cloud.instances.get_mut(id).filter(|instance| instance.alive)
        else {
            return false;
        };
        instance.alive = false;
        // One that waits for its terminating hooks waits on, whatever became of its machine.
        if instance.counts() {
            instance.next_at_ms = Some(notice_at_ms);
        }
        self.effects.push(Effect::Kill(id.into()));
        self.tell_state(id, "shutting-down", now_ms);
        true
    }

    /// Whether EC2 knows all of them; else its error.
    pub fn known(&self, ids: &[&str]) -> Result<(), ApiError> {
        unknown_in(&self.cloud, ids)
    }

    pub(super) fn change_desired(&mut self, name: &str, desired: u32, words: &str, now_ms: u64) {
        let launch_at_ms = now_ms + self.config.launch_delay_ms;
        if let Some(group) = self.cloud.groups.get_mut(name) {
            group.cause = format!(
                "At {} {words} changing the desired capacity from {} to {desired}.",
                time_text(now_ms),
                group.desired
            );
            group.desired = desired;
            // A wish expressed anew does not wait for the group's slow retry after a failure.
            group.launch_at_ms = group.launch_at_ms.map(|at_ms| at_ms.min(launch_at_ms));
        }
        self.settle(now_ms);
    }

    pub(super) fn group_mut(&mut self, name: &str) -> Result<&mut Group, ApiError> {
        self.cloud.groups.get_mut(name).ok_or_else(|| no_group(name))
    }
}

fn not_managed(id: &str) -> ApiError {
    ApiError::validation(format!(
        "Instance Id not found - No managed instance found for instance ID: {id}"
    ))
}

fn at_minimum(group: &Group) -> ApiError {
    let state = if group.desired == group.min {
        format!("desiredSize equals minSize ({})", group.min)
    } else {
        format!("desiredSize is {} and minSize is {}", group.desired, group.min)
    };
    ApiError::validation(format!(
        "Currently, {state}. Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size."
    ))
}

/// EC2's error for ids it does not know.
pub(crate) fn unknown_in(cloud: &Cloud, ids: &[&str]) -> Result<(), ApiError> {
    let well_formed = |id: &str| {
        id.strip_prefix("i-").is_some_and(|hex| {
            hex.bytes().all(|b| b.is_ascii_hexdigit()) && matches!(hex.len(), 8 | 17)
        })
    };
    if let Some(id) = ids.iter().find(|id| !well_formed(id)) {
        return Err(ApiError::new(
            400,
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    let unknown: Vec<&str> =
        ids.iter().copied().filter(|id| !cloud.instances.contains_key(*id)).collect();
    match unknown.as_slice() {
        [] => Ok(()),
        [id] => Err(ApiError::new(
            400,
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{id}' does not exist"),
        )),
        many => Err(ApiError::new(
            400,
            "InvalidInstanceID.NotFound",
            format!("The instance IDs '{}' do not exist", many.join(", ")),
        )),
    }
}
