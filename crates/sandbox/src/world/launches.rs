//! LaunchInstances: instances in one zone, at once, and never twice for the same token.

use super::World;
use crate::error::ApiError;
use std::collections::BTreeMap;

/// Instances one LaunchInstances call may ask for.
pub const LAUNCH_MAX: u32 = 100;

/// What one call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    /// Name of the Auto Scaling group.
    pub group: String,
    /// The Availability Zone; none is the group's only one.
    pub zone: Option<String>,
    /// How many instances.
    pub count: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchResult {
    /// Where.
    pub zone: String,
    /// The instances.
    pub instances: Vec<String>,
    /// EC2's code and message for those that could not be launched.
    pub error: Option<(String, String)>,
}

/// Requests that were carried out, by token.
#[derive(Debug, Default)]
pub struct Launches(BTreeMap<String, (LaunchRequest, LaunchResult)>);

impl World {
    /// LaunchInstances without retry. That the desired capacity goes up with what is launched is not
    /// documented in so many words; otherwise the group would end it again.
    pub fn launch_instances(
        &mut self,
        request: LaunchRequest,
        token: &str,
        now_ms: u64,
    ) -> Result<LaunchResult, ApiError> {
        if let Some((earlier, result)) = self.launches.0.get(token) {
            return if *earlier == request {
                Ok(result.clone())
            } else {
                let text = "The client token was used with other parameters.";
                Err(ApiError::new(400, "IdempotentParameterMismatch", text))
            };
        }
        let zone = self.zone_of(&request)?;
        let mut result = LaunchResult { zone, instances: Vec::new(), error: None };
        for _ in 0..request.count {
            if let Some(message) = self.faults.refuses_launch(&request.group, &result.zone) {
                result.error = Some(self.refusal(&request.group, &result.zone, message));
                break;
            }
            if let Ok(group) = self.group_mut(&request.group) {
                group.desired += 1;
            }
            let words = "a user request launched instances synchronously";
            if let Some(id) = self.launch(&request.group, &result.zone, words, now_ms) {
                result.instances.push(id);
            }
        }
        self.launches.0.insert(token.to_owned(), (request, result.clone()));
        self.settle(now_ms);
        Ok(result)
    }

    /// The zone of a request that the group can have.
    fn zone_of(&mut self, request: &LaunchRequest) -> Result<String, ApiError> {
        let group = self.group_mut(&request.group)?;
        if !group.config.launch_template {
            let text = "LaunchInstances is not supported for Auto Scaling groups that use a launch \
                        configuration.";
            return Err(ApiError::validation(text));
        }
        if !(1..=LAUNCH_MAX).contains(&request.count) {
            let text = format!("RequestedCapacity must be between 1 and {LAUNCH_MAX}");
            return Err(ApiError::validation(text));
        }
        if group.desired.saturating_add(request.count) > group.max {
            let text = format!(
                "New SetDesiredCapacity value {} is above max value {} for the AutoScalingGroup.",
                group.desired.saturating_add(request.count),
                group.max
            );
            return Err(ApiError::validation(text));
        }
        match (&request.zone, group.config.zones.as_slice()) {
            (Some(zone), zones) if zones.contains(zone) => Ok(zone.clone()),
            (None, [only]) => Ok(only.clone()),
            (Some(zone), _) => {
                Err(ApiError::validation(format!("{zone} is not a zone of the group")))
            }
            (None, _) => Err(ApiError::validation("AvailabilityZones or SubnetIds is required")),
        }
    }

    /// EC2's code and message, from the words of an activity or the usual ones.
    fn refusal(&self, name: &str, zone: &str, message: Option<String>) -> (String, String) {
        let Some(message) = message else {
            let group = self.cloud.groups.get(name);
            let kind = group.map_or("?", |group| group.config.instance_type.as_str());
            let text = format!(
                "We currently do not have sufficient {kind} capacity in the Availability Zone you \
                 requested ({zone})."
            );
            return ("InsufficientInstanceCapacity".to_owned(), text);
        };
        match message.split_once(" - ") {
            Some((code, text)) => (code.to_owned(), text.to_owned()),
            None => ("InternalError".to_owned(), message),
        }
    }
}
