//! LaunchInstances: instances in one zone, answered when EC2 has launched them.

use std::collections::BTreeSet;

use aws_sdk_autoscaling::operation::launch_instances::LaunchInstancesOutput;
use aws_sdk_autoscaling::types::RetryStrategy;
use slurm_asg_core::ids::InstanceId;
use slurm_asg_core::memory::Launched;
use slurm_asg_core::plan::Launch;
use slurm_asg_core::snapshot::{FailureKind, LaunchFailure};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{CloudError, CloudErrorKind};

use crate::AwsCloud;
use crate::at_once;
use crate::classify::{Failure, code_and_kind, one_line};
use crate::groups::number;

const LAUNCH: &str = "LaunchInstances";

/// Makes the requests, some at once; an answer for each, in their order.
pub async fn launch(cloud: &AwsCloud, requests: &[Launch]) -> Vec<Result<Launched, CloudError>> {
    let calls = requests.iter().cloned().map(|request| {
        let (clients, turn) = (cloud.clients.clone(), cloud.paces.asg_write.turn());
        async move {
            turn.wait().await;
            let count = number(LAUNCH, request.count)?;
            let call = clients.autoscaling.launch_instances();
            let call = call.auto_scaling_group_name(request.asg.as_str()).requested_capacity(count);
            let call = call.availability_zones(&request.zone).client_token(&request.token);
            // What cannot be had in this zone is asked for elsewhere, by the next plan.
            let sent = call.retry_strategy(RetryStrategy::None).send().await;
            match sent {
                Ok(answer) => Ok(parse(&answer, &request)),
                Err(error) => {
                    let failure = Failure::of(LAUNCH, &error, &clients.autoscaling_at);
                    Err(sorted(failure))
                }
            }
        }
    });
    // Few, each with a token that is saved already: all are sent.
    at_once::in_order(LAUNCH, calls, cloud.limits.at_once, None).await
}

/// Tells what cannot be done here from what failed this time.
fn sorted(failure: Failure) -> CloudError {
    let kind = if failure.is_unsupported() {
        CloudErrorKind::Unsupported
    } else if failure.is_in_progress() {
        CloudErrorKind::NoAnswer
    } else {
        failure.error.kind
    };
    CloudError { kind, ..failure.error }
}

fn parse(answer: &LaunchInstancesOutput, request: &Launch) -> Launched {
    let ids = answer.instances().iter().flat_map(|some| some.instance_ids());
    let instances: BTreeSet<_> = ids.map(|id| InstanceId::new(id)).collect();
    let failure = answer.errors().first().map(|error| {
        let code = error.error_code().unwrap_or_default();
        let words = error.error_message().unwrap_or_default();
        let zone = error.availability_zone().unwrap_or(&request.zone);
        failure(&format!("{code} - {words}"), words, zone)
    });
    let all = instances.len() >= request.count as usize;
    let missing = || failure_without_words(&request.zone);
    let failure = failure.or_else(|| (!all).then(missing));
    Launched { instances, failure }
}

/// `all` has the code before the words, as activities have.
fn failure(all: &str, words: &str, zone: &str) -> LaunchFailure {
    let (code, kind) = code_and_kind(all);
    // Whoever keeps it sets its time.
    let at = Timestamp::default();
    LaunchFailure { at, kind, code, zone: zone.to_owned(), message: one_line(words) }
}

fn failure_without_words(zone: &str) -> LaunchFailure {
    let message = "fewer instances were launched than asked for, without a word why".to_owned();
    let (at, kind, code) = (Timestamp::default(), FailureKind::Capacity, "LaunchFailed".to_owned());
    LaunchFailure { at, kind, code, zone: zone.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_autoscaling::types::{InstanceCollection, LaunchInstancesError};

    fn request(count: u32) -> Launch {
        let (zone, token) = ("eu-west-1a".to_owned(), "t".to_owned());
        Launch { asg: "a".into(), zone, count, from: 0, to: count, token }
    }

    #[test]
    fn instances_and_errors_may_both_be_in_an_answer() {
        let some = InstanceCollection::builder().instance_ids("i-1").instance_ids("i-2").build();
        let error = LaunchInstancesError::builder()
            .error_code("VcpuLimitExceeded")
            .error_message("You have requested\n more vCPU capacity")
            .build();
        let answer = LaunchInstancesOutput::builder().instances(some.clone()).errors(error).build();
        let launched = parse(&answer, &request(3));
        assert_eq!(launched.instances, ["i-1".into(), "i-2".into()].into());
        let failure = launched.failure.unwrap();
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (FailureKind::Limit, "VcpuLimitExceeded")
        );
        assert_eq!(failure.message, "You have requested more vCPU capacity");
        assert_eq!(failure.zone, "eu-west-1a");
        let answer = LaunchInstancesOutput::builder().instances(some).build();
        assert_eq!(parse(&answer, &request(2)).failure, None);
        let failure = parse(&answer, &request(3)).failure.unwrap();
        assert_eq!(failure.code, "LaunchFailed", "less than asked for is a failure, said or not");
    }
}
