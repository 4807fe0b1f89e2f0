//! The contract against the project's own sandbox: with batches, and without.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;
mod contract;

use std::time::Duration;

use contract::Endpoint;
use slurm_asg_aws::AwsCloud;
use slurm_asg_core::ids::AsgName;
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{Cloud, CloudErrorKind};
use slurm_asg_sandbox::{Config, Fault, Sandbox};

/// A sandbox with an empty group, and a cloud that calls it.
async fn start(options: &str) -> (Sandbox, AwsCloud) {
    let logs = tempfile::tempdir().unwrap();
    let text = format!(
        "boot_command = [\"/bin/sleep\", \"600\"]\nlog_dir = {:?}\nisolate = false\n\
         launch_delay_ms = 50\nboot_delay_ms = 100\nterminate_delay_ms = 300\n\
         replace_delay_ms = 100\n{options}\n[[group]]\nname = \"hpc-compute\"\nmax = 8\n",
        logs.path().display().to_string(),
    );
    let sandbox = Sandbox::start(Config::parse(&text, "test").unwrap()).unwrap();
    let cloud = common::cloud_at(&sandbox.endpoint_url()).await;
    (sandbox, cloud)
}

/// Runs the contract; gives how many ids each terminate call had.
async fn keeps_the_contract(options: &str) -> Vec<usize> {
    let (sandbox, cloud) = start(options).await;
    contract::contract(&Endpoint { cloud, asg: AsgName::new("hpc-compute") }).await;
    let calls = sandbox.client().calls().unwrap();
    let calls = calls.iter().filter(|call| call.action == "TerminateInstanceInAutoScalingGroup");
    calls
        .map(|call| {
            let ids = call.params.keys().filter(|key| key.starts_with("InstanceId"));
            ids.count()
        })
        .collect()
}

#[tokio::test]
async fn the_sandbox_keeps_the_contract_with_batches() {
    let sizes = keeps_the_contract("batch_terminate = true").await;
    assert!(sizes.contains(&3), "{sizes:?}");
}

#[tokio::test]
async fn the_sandbox_keeps_the_contract_without_batches() {
    keeps_the_contract("batch_terminate = false").await;
}

#[tokio::test]
async fn the_sandbox_keeps_the_contract_when_its_answers_lag() {
    keeps_the_contract("read_lag_ms = 300").await;
}

#[tokio::test]
async fn figures_arrive_in_cloudwatch_with_their_dimensions_and_their_time() {
    let (sandbox, cloud) = start("").await;
    let at = common::now();
    cloud.publish_later(common::publication(at, 1));
    assert_eq!(common::published(&cloud).await, Ok(()));
    assert_eq!(cloud.published(), None, "it is told once");
    let state = sandbox.client().state().unwrap();
    let points = |name, dimensions: &[(&str, &str)]| {
        let metric = state.metric(name, dimensions).unwrap();
        assert_eq!(metric.namespace, "HPC/Slurm");
        metric.points.iter().map(|point| (point.at_ms, point.value)).collect::<Vec<_>>()
    };
    assert_eq!(state.metrics.len(), 2);
    assert_eq!(points("pending", &[("Cluster", "lab")]), [(at.millis(), 0.0)]);
    let dimensions = [("Cluster", "lab"), ("Group", "group-1")];
    assert_eq!(points("in_service", &dimensions), [(at.millis(), 3.0)]);
    let calls = sandbox.client().calls().unwrap();
    assert_eq!(calls[0].params["MetricData.member.2.Unit"], "Count");
}

#[tokio::test]
async fn more_figures_than_any_cluster_has_go_in_calls_of_a_thousand() {
    let (sandbox, cloud) = start("").await;
    cloud.publish_later(common::publication(common::now(), 1200));
    assert_eq!(common::published(&cloud).await, Ok(()));
    assert_eq!(sandbox.client().state().unwrap().metrics.len(), 1201);
    let calls = sandbox.client().calls().unwrap();
    assert_eq!(calls.iter().filter(|call| call.action == "PutMetricData").count(), 2);
}

#[tokio::test]
async fn figures_that_wait_give_way_to_newer_ones_and_nothing_waits_for_them() {
    let (sandbox, cloud) = start("").await;
    let (ms, actions) = (1000, vec!["PutMetricData".to_owned()]);
    sandbox.client().fault(&Fault::Latency { ms, actions }).unwrap();
    let at = |secs: u64| Timestamp::from_millis(common::now().millis() - 60_000 + secs * 1000);
    let times = [at(1), at(2), at(3)];
    cloud.publish_later(common::publication(times[0], 0));
    while sandbox.client().calls().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cloud.publish_later(common::publication(times[1], 0));
    cloud.publish_later(common::publication(times[2], 0));
    for _ in 0..2 {
        assert_eq!(common::published(&cloud).await, Ok(()));
    }
    let state = sandbox.client().state().unwrap();
    let points = &state.metric("pending", &[("Cluster", "lab")]).unwrap().points;
    let came: Vec<u64> = points.iter().map(|point| point.at_ms).collect();
    assert_eq!(came, [times[0].millis(), times[2].millis()]);
}

#[tokio::test]
async fn a_publication_that_cloudwatch_refuses_is_named_with_its_kind() {
    let (sandbox, cloud) = start("").await;
    let (count, rate) = (None, None);
    let throttle = Fault::Throttle { actions: Vec::new(), count, rate };
    let fail = Fault::ServerError { actions: Vec::new(), count, rate };
    for (fault, kind) in [(throttle, CloudErrorKind::Throttled), (fail, CloudErrorKind::Service)] {
        sandbox.client().clear_faults().unwrap();
        sandbox.client().fault(&fault).unwrap();
        cloud.publish_later(common::publication(common::now(), 0));
        let error = common::published(&cloud).await.unwrap_err();
        assert_eq!((error.operation, error.kind), ("PutMetricData", kind), "{error}");
    }
    sandbox.client().clear_faults().unwrap();
    let mut wrong = common::publication(common::now(), 0);
    wrong.namespace = "AWS/EC2".to_owned();
    cloud.publish_later(wrong);
    let error = common::published(&cloud).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Other);
    assert!(error.message.starts_with("InvalidParameterValue: The value AWS/ "), "{error}");
}
