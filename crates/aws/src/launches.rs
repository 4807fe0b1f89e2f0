//! Launches that failed. A group without capacity says so in its activities only, not in the answer to
//! SetDesiredCapacity.

use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode};
use slurm_asg_core::ids::AsgName;
use slurm_asg_core::snapshot::{FailureKind, LaunchFailure};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::CloudError;

use crate::AwsCloud;
use crate::classify::{Failure, one_line};

const DESCRIBE: &str = "DescribeScalingActivities";
/// Activities in a page (API reference).
const RECORDS_MAX: i32 = 100;
/// Pages that are read: a group that launches thousands has as many activities, and the failures of
/// one request are alike.
const PAGES_MAX: usize = 5;

/// The last failure since then. AWS gives the youngest activities first.
pub async fn last_failure(
    cloud: &AwsCloud,
    asg: &AsgName,
    since: Timestamp,
) -> Result<Option<LaunchFailure>, CloudError> {
    let mut token = None;
    for _ in 0..PAGES_MAX {
        cloud.paces.asg_read.take().await;
        let call = cloud.clients.autoscaling.describe_scaling_activities();
        let call = call.auto_scaling_group_name(asg.as_str()).max_records(RECORDS_MAX);
        let page = call.set_next_token(token).send().await;
        let page = page
            .map_err(|error| Failure::of(DESCRIBE, &error, &cloud.clients.autoscaling_at).error)?;
        let young = |activity: &&Activity| began(activity).is_some_and(|at| at >= since);
        let activities = page.activities();
        if let Some(failure) = activities.iter().filter(young).find_map(parse) {
            return Ok(Some(failure));
        }
        token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if token.is_none() || !activities.iter().all(|activity| young(&activity)) {
            return Ok(None);
        }
    }
    Ok(None)
}

fn began(activity: &Activity) -> Option<Timestamp> {
    let millis = activity.start_time()?.to_millis().ok()?;
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// Reads a failed launch; anything else is none.
fn parse(activity: &Activity) -> Option<LaunchFailure> {
    let failed = matches!(
        activity.status_code(),
        Some(ScalingActivityStatusCode::Failed | ScalingActivityStatusCode::Cancelled)
    );
    let is_launch = activity.description().is_some_and(|text| text.starts_with("Launching"));
    if !failed || !is_launch {
        return None;
    }
    let words = activity.status_message().unwrap_or_default();
    // A launch that a life-cycle hook abandoned had its instance.
    if words.contains("Lifecycle Action") {
        return None;
    }
    let (code, kind) = code_and_kind(words);
    Some(LaunchFailure {
        at: began(activity)?,
        kind,
        code,
        zone: zone(activity.details().unwrap_or_default()),
        message: one_line(words),
    })
}

/// The Availability Zone in the Details, which are JSON.
fn zone(details: &str) -> String {
    let after = details.split_once("\"Availability Zone\":").map_or("", |(_, after)| after);
    let quoted = after.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
    quoted.map(|(zone, _)| zone.to_owned()).unwrap_or_default()
}

/// EC2's code in the words of an activity: `Could not launch On-Demand Instances.
/// InsufficientInstanceCapacity - We currently do not have …` (seen in public threads).
fn code_and_kind(words: &str) -> (String, FailureKind) {
    let known = [
        ("InsufficientInstanceCapacity", FailureKind::Capacity),
        ("InsufficientHostCapacity", FailureKind::Capacity),
        ("InsufficientReservedInstanceCapacity", FailureKind::Capacity),
        ("InsufficientCapacity", FailureKind::Capacity),
        ("UnfulfillableCapacity", FailureKind::Capacity),
        ("ReservationCapacityExceeded", FailureKind::Capacity),
        ("SpotMaxPriceTooLow", FailureKind::Capacity),
        ("VcpuLimitExceeded", FailureKind::Limit),
        ("InstanceLimitExceeded", FailureKind::Limit),
        ("MaxSpotInstanceCountExceeded", FailureKind::Limit),
        ("InsufficientFreeAddressesInSubnet", FailureKind::Limit),
        ("VolumeLimitExceeded", FailureKind::Limit),
        ("InsufficientVolumeCapacity", FailureKind::Capacity),
        ("UnauthorizedOperation", FailureKind::Denied),
        ("AccessDenied", FailureKind::Denied),
    ];
    if let Some((code, kind)) = known.iter().find(|(code, _)| words.contains(code)) {
        return ((*code).to_owned(), *kind);
    }
    let says = |part: &str| words.to_ascii_lowercase().contains(part);
    if says("max spot instance count exceeded") {
        return ("MaxSpotInstanceCountExceeded".to_owned(), FailureKind::Limit);
    }
    if says("not authorized") {
        return ("UnauthorizedOperation".to_owned(), FailureKind::Denied);
    }
    if says("sufficient") && says("capacity") {
        return ("InsufficientInstanceCapacity".to_owned(), FailureKind::Capacity);
    }
    let is_code = |word: &&str| {
        word.len() > 8
            && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
            && word.chars().skip(1).any(|c| c.is_ascii_uppercase())
    };
    let before_dash = words.split(" - ").next().unwrap_or_default();
    let code = before_dash.split_whitespace().next_back().filter(is_code);
    (code.unwrap_or("LaunchFailed").to_owned(), FailureKind::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_failed_launches_have_their_code_and_kind() {
        use FailureKind::{Capacity, Denied, Limit, Other};
        for (words, code, kind) in [
            (
                "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently \
                 do not have sufficient g5.12xlarge capacity in the Availability Zone you requested \
                 (us-east-1b). Launching EC2 instance failed.",
                "InsufficientInstanceCapacity",
                Capacity,
            ),
            (
                "We currently do not have sufficient p4d.24xlarge capacity in the zones you \
                 requested. Launching EC2 instance failed.",
                "InsufficientInstanceCapacity",
                Capacity,
            ),
            (
                "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill \
                 capacity. Launching EC2 instance failed.",
                "UnfulfillableCapacity",
                Capacity,
            ),
            (
                "Could not launch On-Demand Instances. VcpuLimitExceeded - You have requested more \
                 vCPU capacity than your current vCPU limit of 8 allows.",
                "VcpuLimitExceeded",
                Limit,
            ),
            (
                "Max spot instance count exceeded. Placing Spot instance request failed.",
                "MaxSpotInstanceCountExceeded",
                Limit,
            ),
            (
                "InsufficientFreeAddressesInSubnet - There are not enough free addresses in subnet \
                 'subnet-1' to satisfy the requested number of instances.",
                "InsufficientFreeAddressesInSubnet",
                Limit,
            ),
            (
                "You are not authorized to use launch template: lt-1",
                "UnauthorizedOperation",
                Denied,
            ),
            (
                "Could not launch On-Demand Instances. InvalidAMIID.NotFound - The image id does \
                 not exist.",
                "InvalidAMIID.NotFound",
                Other,
            ),
            (
                "The key pair 'x' does not exist. Launching EC2 instance failed.",
                "LaunchFailed",
                Other,
            ),
            ("", "LaunchFailed", Other),
        ] {
            assert_eq!(code_and_kind(words), (code.to_owned(), kind), "{words}");
        }
    }

    #[test]
    fn only_launches_that_failed_are_failures() {
        let activity = |status: &str, description: &str, words: &str| {
            let at = aws_sdk_autoscaling::primitives::DateTime::from_secs(100);
            let activity = Activity::builder().start_time(at).description(description);
            let activity = activity.status_code(ScalingActivityStatusCode::from(status));
            let details = "{\"Subnet ID\":\"subnet-1\",\"Availability Zone\":\"eu-west-1a\"}";
            activity.status_message(words).details(details).build()
        };
        let launching = "Launching a new EC2 instance.  Status Reason: …";
        let failure =
            parse(&activity("Failed", launching, "VcpuLimitExceeded - no\n more")).unwrap();
        assert_eq!((failure.at, failure.zone.as_str()), (Timestamp::from_secs(100), "eu-west-1a"));
        assert_eq!(failure.message, "VcpuLimitExceeded - no more");
        assert!(parse(&activity("Cancelled", launching, "no capacity, not sufficient")).is_some());
        assert_eq!(parse(&activity("Successful", launching, "")), None);
        assert_eq!(parse(&activity("InProgress", launching, "")), None);
        assert_eq!(parse(&activity("Failed", "Terminating EC2 instance: i-1", "no")), None);
        let abandoned = "Instance failed to complete user's Lifecycle Action: … was abandoned";
        assert_eq!(parse(&activity("Cancelled", launching, abandoned)), None);
        assert_eq!((zone(""), zone("{}"), zone("\"Availability Zone\":7")), Default::default());
    }
}
