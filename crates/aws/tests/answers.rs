//! How the cloud behaves for answers that a real endpoint gives on bad days only.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod common;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use common::{
    Request, Server, cloud_at, config_at, crash, done, ec2_refusal, group, refusal, running,
    terminated,
};
use slurm_asg_aws::AwsCloud;
use slurm_asg_core::ids::{AsgName, InstanceId, NodeName};
use slurm_asg_core::snapshot::Machine;
use slurm_asg_engine::{Cloud, CloudError, CloudErrorKind, TerminateRequest};

const NULL_ID: &str = "1 validation error detected: Value null at 'instanceId' failed to satisfy \
    constraint: Member must not be null";
const AT_MIN: &str = "Currently, desiredSize equals minSize (1). Terminating instance without \
    replacement will violate group's min size constraint.";

fn ids(names: &str) -> Vec<InstanceId> {
    names.split_whitespace().map(InstanceId::new).collect()
}

/// Terminates and shows the answer: `i-1=ok i-2=Conflict`.
async fn terminate(cloud: &AwsCloud, names: &str) -> String {
    let request =
        TerminateRequest { asg: AsgName::new("g"), instances: ids(names), decrement: true };
    let show = |(id, answer): (InstanceId, Result<(), CloudError>)| match answer {
        Ok(()) => format!("{id}=ok"),
        Err(error) => format!("{id}={:?}", error.kind),
    };
    let answers = cloud.terminate(&request).await;
    answers.into_iter().map(show).collect::<Vec<_>>().join(" ")
}

fn is_batch(request: &Request) -> bool {
    request.get("InstanceIds.member.1").is_some()
}

const TERMINATE: &str = "TerminateInstanceInAutoScalingGroup";

#[tokio::test]
async fn groups_are_read_over_all_pages_and_missing_ones_are_absent() {
    let server = Server::start(|request| {
        let (group, more) = match request.get("NextToken") {
            None => (group("a", &["i-1"]), "<NextToken>2</NextToken>"),
            Some(_) => (group("b", &[]), ""),
        };
        let groups = format!("<AutoScalingGroups>{group}</AutoScalingGroups>{more}");
        done("DescribeAutoScalingGroups", &groups)
    });
    let cloud = cloud_at(&server.url).await;
    let names = ["b", "a", "absent", "a"].map(AsgName::new);
    let groups = cloud.describe_groups(&names).await.unwrap();
    let found: Vec<&str> = groups.keys().map(AsgName::as_str).collect();
    assert_eq!(found, ["a", "b"]);
    assert_eq!(groups[&AsgName::new("a")].instances.len(), 1);
    let asked = server.seen();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].list("AutoScalingGroupNames.member"), ["a", "absent", "b"]);
}

#[tokio::test]
async fn nothing_named_is_nothing_asked_not_everything() {
    let server = Server::start(|_| crash());
    let cloud = cloud_at(&server.url).await;
    assert!(cloud.describe_groups(&[]).await.unwrap().is_empty());
    assert!(cloud.describe_instances(&[]).await.unwrap().is_empty());
    assert_eq!(terminate(&cloud, "").await, "");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_page_that_fails_fails_the_whole_look() {
    let server = Server::start(|request| match request.get("NextToken") {
        None => done(
            "DescribeAutoScalingGroups",
            &format!(
                "<AutoScalingGroups>{}</AutoScalingGroups><NextToken>2</NextToken>",
                group("a", &[])
            ),
        ),
        Some(_) => refusal(400, "ValidationError", "The token '2' is invalid."),
    });
    let cloud = cloud_at(&server.url).await;
    let error = cloud.describe_groups(&[AsgName::new("a")]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "DescribeAutoScalingGroups: ValidationError: The token '2' is invalid."
    );
}

#[tokio::test]
async fn groups_are_asked_for_a_hundred_at_a_time() {
    let server = Server::start(|_| done("DescribeAutoScalingGroups", ""));
    let cloud = cloud_at(&server.url).await;
    let names: Vec<AsgName> = (0..230).map(|n| AsgName::new(&format!("g{n:03}"))).collect();
    assert!(cloud.describe_groups(&names).await.unwrap().is_empty());
    let sizes: Vec<usize> = server
        .seen()
        .iter()
        .map(|request| request.list("AutoScalingGroupNames.member").len())
        .collect();
    assert_eq!(sizes, [100, 100, 30]);
    assert!(server.seen().iter().all(|request| request.get("MaxRecords") == Some("100")));
}

#[tokio::test]
async fn unknown_instances_are_taken_out_and_the_rest_is_asked_for_again() {
    let server = Server::start(|request| {
        let asked = request.list("InstanceId");
        let unknown: Vec<&str> = asked.iter().filter(|id| id.starts_with("i-0")).copied().collect();
        if unknown.is_empty() {
            return running(&asked);
        }
        let words = format!("The instance IDs '{}' do not exist", unknown.join(", "));
        ec2_refusal(400, "InvalidInstanceID.NotFound", &words)
    });
    let cloud = cloud_at(&server.url).await;
    let machines = cloud.describe_instances(&ids("i-1 i-01 i-02 i-2")).await.unwrap();
    let known = |id: &str| machines[&InstanceId::new(id)].facts().is_some();
    assert_eq!(["i-1", "i-01", "i-02", "i-2"].map(known), [true, false, false, true]);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_endpoint_that_names_one_unknown_instance_a_time_is_asked_by_filter_in_the_end() {
    let server = Server::start(|request| {
        let unknown = request.list("InstanceId").into_iter().find(|id| id.starts_with("i-0"));
        match unknown {
            Some(id) => {
                let words = format!("The instance ID '{id}' does not exist");
                ec2_refusal(400, "InvalidInstanceID.NotFound", &words)
            }
            None => running(&["i-1"]),
        }
    });
    let cloud = cloud_at(&server.url).await;
    let asked = ids("i-1 i-01 i-02 i-03 i-04 i-05");
    let machines = cloud.describe_instances(&asked).await.unwrap();
    let known = machines.values().filter(|machine| **machine != Machine::NotFound).count();
    assert_eq!((machines.len(), known), (6, 1));
    let seen = server.seen();
    let last = seen.last().unwrap();
    assert_eq!(last.get("Filter.1.Name"), Some("instance-id"));
    assert_eq!(last.list("Filter.1.Value"), ["i-04", "i-05", "i-1"]);
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn instances_of_one_group_go_together() {
    let server = Server::start(|request| terminated(&request.terminates()));
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-2 i-3").await, "i-1=ok i-2=ok i-3=ok");
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].get("AutoScalingGroupName"), Some("g"));
    assert_eq!(seen[0].get("ShouldDecrementDesiredCapacity"), Some("true"));
}

#[tokio::test]
async fn a_batch_holds_a_hundred_ids() {
    let server = Server::start(|request| terminated(&request.terminates()));
    let cloud = cloud_at(&server.url).await;
    let many: Vec<String> = (0..201).map(|n| format!("i-{n}")).collect();
    assert_eq!(terminate(&cloud, &many.join(" ")).await.matches("=ok").count(), 201);
    let sizes: Vec<usize> = server.seen().iter().map(|call| call.terminates().len()).collect();
    assert_eq!(sizes, [100, 100, 1]);
}

#[tokio::test]
async fn an_endpoint_without_batches_is_asked_one_by_one_and_remembered() {
    let server = Server::start(|request| match request.get("InstanceId") {
        None => refusal(400, "ValidationError", NULL_ID),
        Some(_) => done(TERMINATE, "<Activity><ActivityId>a</ActivityId></Activity>"),
    });
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-2").await, "i-1=ok i-2=ok");
    assert_eq!(terminate(&cloud, "i-3 i-4").await, "i-3=ok i-4=ok");
    let mut calls = server.terminations();
    calls.sort();
    assert_eq!(calls, ["i-1", "i-1 i-2", "i-2", "i-3", "i-4"]);
}

/// Of so many instances at an endpoint that takes longer for a call than calls may begin: how many
/// were terminated, how many were not asked for, and how many calls there were.
async fn begun_in_time(count: usize, batches: bool) -> (usize, usize, usize) {
    let server = Server::start(move |request| {
        std::thread::sleep(Duration::from_millis(400));
        if batches || !is_batch(request) {
            return terminated(&request.terminates());
        }
        refusal(400, "ValidationError", NULL_ID)
    });
    let cloud = cloud_at(&server.url).await.one_call_at_a_time();
    // Whether it takes batches is known from here on.
    assert_eq!(terminate(&cloud, "i-a i-b").await, "i-a=ok i-b=ok");
    let before = server.seen().len();
    let cloud = cloud.beginning_calls_for(Duration::from_millis(300));
    let names: Vec<String> = (0..count).map(|n| format!("i-{n}")).collect();
    let shown = terminate(&cloud, &names.join(" ")).await;
    let ended = |how: &str| shown.matches(how).count();
    assert_eq!(ended("=ok") + ended("=NotSent"), count, "{shown}");
    (ended("=ok"), ended("=NotSent"), server.seen().len() - before)
}

#[tokio::test]
async fn a_request_of_many_calls_ends_after_a_while_and_names_what_was_not_sent() {
    assert_eq!(begun_in_time(250, true).await, (100, 150, 1));
    assert_eq!(begun_in_time(5, false).await, (1, 4, 1));
}

#[tokio::test]
async fn a_gone_instance_is_success_and_does_not_cost_the_others_their_batch() {
    let server = Server::start(|request| {
        let asked = request.terminates();
        if asked.contains(&"i-2") {
            let words = "Instance Id not found - No managed instance found for instance ID: i-2";
            return refusal(400, "ValidationError", words);
        }
        terminated(&asked)
    });
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-2 i-3").await, "i-1=ok i-2=ok i-3=ok");
    assert_eq!(terminate(&cloud, "i-4 i-5").await, "i-4=ok i-5=ok");
    assert_eq!(terminate(&cloud, "i-2").await, "i-2=ok");
    assert_eq!(server.terminations(), ["i-1 i-2 i-3", "i-1 i-3", "i-4 i-5", "i-2"]);
}

#[tokio::test]
async fn a_batch_refused_for_an_unnamed_bad_id_is_sent_one_by_one_but_batches_stay() {
    let server = Server::start(|request| {
        let asked = request.terminates();
        if asked.contains(&"i-2") {
            return refusal(400, "ValidationError", "One of the instances is not valid.");
        }
        terminated(&asked)
    });
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-2").await, "i-1=ok i-2=Other");
    assert_eq!(terminate(&cloud, "i-4 i-5").await, "i-4=ok i-5=ok");
    assert_eq!(server.terminations().last().unwrap(), "i-4 i-5");
}

#[tokio::test]
async fn at_the_minimum_nothing_is_tried_one_by_one() {
    let server = Server::start(|_| refusal(400, "ValidationError", AT_MIN));
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-2").await, "i-1=Conflict i-2=Conflict");
    assert_eq!(terminate(&cloud, "i-1").await, "i-1=Conflict");
    assert_eq!(server.terminations(), ["i-1 i-2", "i-1"]);
}

#[tokio::test]
async fn a_batch_that_is_answered_but_not_confirmed_is_no_success() {
    let server = Server::start(|request| match request.action() {
        "DescribeAutoScalingGroups" => done(
            "DescribeAutoScalingGroups",
            &format!("<AutoScalingGroups>{}</AutoScalingGroups>", group("g", &["i-1", "i-2"])),
        ),
        _ if is_batch(request) => done(TERMINATE, ""),
        _ => terminated(&request.terminates()),
    });
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-2").await, "i-1=ok i-2=ok");
    let mut calls = server.terminations();
    calls.sort();
    assert_eq!(calls, ["i-1", "i-1 i-2", "i-2"]);
}

#[tokio::test]
async fn a_server_that_crashes_on_batches_and_on_gone_instances_is_understood_by_looking() {
    let mut alive = vec!["i-1", "i-2"];
    let server = Server::start(move |request| match request.action() {
        "DescribeAutoScalingGroups" => done(
            "DescribeAutoScalingGroups",
            &format!("<AutoScalingGroups>{}</AutoScalingGroups>", group("g", &alive)),
        ),
        "DescribeInstances" => {
            let asked = request.list("InstanceId").join(", ");
            let words = format!("The instance ID '{asked}' does not exist");
            ec2_refusal(400, "InvalidInstanceID.NotFound", &words)
        }
        _ => {
            let asked = request.terminates();
            if is_batch(request) || !alive.contains(&asked[0]) {
                return crash();
            }
            alive.retain(|id| *id != asked[0]);
            done(TERMINATE, "<Activity><ActivityId>a</ActivityId></Activity>")
        }
    });
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-3").await, "i-1=ok i-3=ok");
    let before = server.terminations().len();
    assert_eq!(terminate(&cloud, "i-2 i-3").await, "i-2=ok i-3=ok");
    let later = server.terminations().split_off(before);
    assert!(later.iter().all(|call| !call.contains(' ')), "batches were tried again: {later:?}");
}

#[tokio::test]
async fn throttling_is_tried_three_times_and_named() {
    let server = Server::start(|_| refusal(400, "Throttling", "Rate exceeded"));
    let cloud = cloud_at(&server.url).await;
    let error = cloud.set_desired(&AsgName::new("g"), 2).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Throttled);
    assert_eq!(server.actions(), ["SetDesiredCapacity"; 3]);
    assert_eq!(server.seen()[0].get("HonorCooldown"), Some("false"));
    assert_eq!(terminate(&cloud, "i-1 i-2").await, "i-1=Throttled i-2=Throttled");
}

#[tokio::test]
async fn a_failure_that_aws_names_is_not_a_reason_for_single_calls() {
    let server = Server::start(|_| refusal(503, "ServiceUnavailable", "later"));
    let cloud = cloud_at(&server.url).await;
    assert_eq!(terminate(&cloud, "i-1 i-2").await, "i-1=Service i-2=Service");
    assert!(server.terminations().iter().all(|call| call == "i-1 i-2"));
}

fn check_line(error: &CloudError, kind: CloudErrorKind, needles: &[&str]) {
    let line = error.to_string();
    assert_eq!(error.kind, kind, "{line}");
    assert!(!line.contains('\n') && line.len() < 500, "{line}");
    for needle in needles {
        assert!(line.contains(needle), "{needle} is missing in: {line}");
    }
}

#[tokio::test]
async fn a_dead_endpoint_is_named() {
    // Bound and dropped: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let cloud = cloud_at(&url).await;
    let error = cloud.describe_groups(&[AsgName::new("g")]).await.unwrap_err();
    check_line(&error, CloudErrorKind::NoAnswer, &[&url, "Connection refused"]);
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_and_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(100))
        .operation_timeout(Duration::from_millis(250));
    let config = config_at(&url).await.into_builder().timeout_config(timeouts.build()).build();
    let start = Instant::now();
    let error =
        AwsCloud::from_sdk_config(&config).set_desired(&AsgName::new("g"), 1).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    check_line(&error, CloudErrorKind::NoAnswer, &[&url, "no answer in time"]);
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named() {
    let cloud = cloud_at("http://no-such-host.invalid").await;
    let error = cloud.describe_instances(&ids("i-1")).await.unwrap_err();
    check_line(&error, CloudErrorKind::NoAnswer, &["http://no-such-host.invalid", "lookup"]);
}

#[tokio::test]
async fn without_a_region_the_line_says_what_to_write() {
    let config: SdkConfig = config_at("http://127.0.0.1:1").await;
    let config = config.into_builder().region(None).endpoint_url("").build();
    let mut builder = config.into_builder();
    builder.set_endpoint_url(None);
    let cloud = AwsCloud::from_sdk_config(&builder.build());
    let expected = "no AWS region; write region = \"eu-west-1\" in asg.toml or set AWS_REGION";
    let error = cloud.describe_groups(&[AsgName::new("g")]).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (CloudErrorKind::Denied, expected));
    let error = cloud.describe_instances(&ids("i-1")).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (CloudErrorKind::Denied, expected));
}

#[tokio::test]
async fn names_are_written_again_until_the_instance_is_known() {
    let mut asked = 0;
    let server = Server::start(move |_| {
        asked += 1;
        if asked == 1 {
            let words = "The instance ID 'i-1' does not exist";
            return ec2_refusal(400, "InvalidInstanceID.NotFound", words);
        }
        (200, "<CreateTagsResponse><return>true</return></CreateTagsResponse>".to_owned())
    });
    let cloud = cloud_at(&server.url).await;
    cloud.tag_later(vec![(InstanceId::new("i-1"), NodeName::new("n1"))]);
    let start = Instant::now();
    while server.seen().len() < 2 && start.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seen = server.seen();
    let last = seen.last().unwrap();
    assert_eq!((seen.len(), last.get("ResourceId.1")), (2, Some("i-1")));
    let tag = |n: u32| (last.get(&format!("Tag.{n}.Key")), last.get(&format!("Tag.{n}.Value")));
    assert_eq!(tag(1), (Some("Name"), Some("n1")));
    assert_eq!(tag(2), (Some("slurm-asg:node"), Some("n1")));
}

#[tokio::test]
async fn dropping_the_cloud_ends_the_writing_of_names() {
    let server = Server::start(|_| {
        (200, "<CreateTagsResponse><return>true</return></CreateTagsResponse>".to_owned())
    });
    let cloud = cloud_at(&server.url).await;
    let names = (0..50).map(|n| (InstanceId::new(&format!("i-{n}")), NodeName::new("n")));
    cloud.tag_later(names.collect());
    drop(cloud);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(server.seen().is_empty());
}
