//! LaunchInstances of the Auto Scaling API.

use crate::autoscaling::{VERSION, answer, at_most};
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{LaunchRequest, World};

/// The one way of trying again that is played: none.
const NO_RETRY: &str = "none";

pub(crate) fn launch(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    if !world.config().launch_instances {
        return Err(ApiError::unknown_operation("LaunchInstances", VERSION));
    }
    let token = params.required("ClientToken")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
    if token.is_empty() || token.len() > 64 || !token.chars().all(allowed) {
        return Err(ApiError::validation(
            "ClientToken must have 1 to 64 letters, digits, -, _ or /",
        ));
    }
    if params.get("RetryStrategy").is_some_and(|word| word != NO_RETRY) {
        return Err(ApiError::validation("RetryStrategy: the sandbox knows none only"));
    }
    let zones = params.list("AvailabilityZones.member");
    at_most("AvailabilityZones", zones.len(), 1)?;
    let count = params.number("RequestedCapacity")?;
    let request = LaunchRequest {
        group: params.required("AutoScalingGroupName")?.to_owned(),
        zone: zones.first().map(|zone| (*zone).to_owned()),
        count: count.ok_or_else(|| ApiError::missing("RequestedCapacity"))?,
    };
    let result = world.launch_instances(request.clone(), token, now_ms)?;
    let kind = world.cloud().group(&request.group)?.config.instance_type.clone();
    Ok(answer("LaunchInstances", &world.fresh_id(), |xml| {
        xml.leaf("AutoScalingGroupName", &request.group).leaf("ClientToken", token);
        let launched = (!result.instances.is_empty()).then_some(&result.instances);
        xml.list("Instances", "member", launched, |xml, instances| {
            xml.leaf("InstanceType", &kind).leaf("MarketType", "OnDemand");
            xml.leaf("AvailabilityZone", &result.zone).texts("InstanceIds", "member", instances);
        });
        xml.list("Errors", "member", &result.error, |xml, (code, message)| {
            xml.leaf("InstanceType", &kind).leaf("MarketType", "OnDemand");
            xml.leaf("ErrorCode", code).leaf("ErrorMessage", message);
            xml.leaf("AvailabilityZone", &result.zone);
        });
    }))
}
