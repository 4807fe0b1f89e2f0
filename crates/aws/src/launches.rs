//! Launches that failed. A group without capacity says so in its activities only, not in the answer to
//! SetDesiredCapacity.

use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode};
use slurm_asg_core::ids::AsgName;
use slurm_asg_core::snapshot::LaunchFailure;
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::CloudError;

use crate::AwsCloud;
use crate::classify::{Failure, code_and_kind, one_line, zone};

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

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
