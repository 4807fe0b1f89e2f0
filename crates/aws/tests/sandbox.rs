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
use slurm_asg_core::doctor::survey::{Answer, HookFacts, Right};
use slurm_asg_core::ids::{AsgName, InstanceId};
use slurm_asg_core::plan::{AnswerHook, HookAnswer, Launch};
use slurm_asg_core::snapshot::{FailureKind, Lifecycle, Transition};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{Cloud, CloudErrorKind};
use slurm_asg_sandbox::{Config, Fault, Sandbox};

/// A sandbox with an empty group, and a cloud that calls it.
async fn start(options: &str) -> (Sandbox, AwsCloud) {
    start_with(options, "").await
}

/// The same, with further lines of the group.
async fn start_with(options: &str, group: &str) -> (Sandbox, AwsCloud) {
    let logs = tempfile::tempdir().unwrap();
    let text = format!(
        "boot_command = [\"/bin/sleep\", \"600\"]\nlog_dir = {:?}\nisolate = false\n\
         launch_delay_ms = 50\nboot_delay_ms = 100\nterminate_delay_ms = 300\n\
         replace_delay_ms = 100\n{options}\n[[group]]\nname = \"hpc-compute\"\nmax = 8\n{group}",
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

#[tokio::test]
async fn hooks_are_read_told_to_wait_and_completed_and_what_is_over_is_a_success() {
    let hooks = "hooks = [{ name = \"slurm-asg-up\", transition = \"launching\", \
                 heartbeat_timeout_s = 30 }, { name = \"slurm-asg-down\", \
                 transition = \"terminating\", heartbeat_timeout_s = 60 }]\n";
    let (sandbox, cloud) = start_with("", hooks).await;
    let asg = AsgName::new("hpc-compute");
    let mut found = cloud.describe_hooks(&asg).await.unwrap();
    found.sort_by(|one, other| other.name.cmp(&one.name));
    let names: Vec<_> = found.iter().map(|hook| (hook.name.as_str(), hook.transition)).collect();
    let (up, down) = (Transition::Launching, Transition::Terminating);
    assert_eq!(names, [("slurm-asg-up", up), ("slurm-asg-down", down)]);
    let timeouts: Vec<_> = found.iter().map(|hook| hook.timeout.as_secs()).collect();
    assert_eq!(timeouts, [30, 60]);
    cloud.set_desired(&asg, 1).await.unwrap();
    let instance = loop {
        let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
        let mut members = groups[&asg].instances.iter();
        if let Some((id, _)) =
            members.find(|(_, member)| member.lifecycle == Lifecycle::PendingWait)
        {
            break id.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let tell = |hook: &str, answer| AnswerHook {
        instance: instance.clone(),
        asg: asg.clone(),
        node: None,
        hook: hook.to_owned(),
        answer,
    };
    let answers = [
        tell("slurm-asg-up", HookAnswer::Wait),
        // It is not that far.
        tell("slurm-asg-down", HookAnswer::Continue),
        tell("slurm-asg-up", HookAnswer::Continue),
    ];
    for answer in &answers {
        assert_eq!(cloud.answer_hooks(std::slice::from_ref(answer)).await, [Ok(())]);
    }
    // Repeated, as after an answer that got lost.
    assert_eq!(cloud.answer_hooks(&answers[2..]).await, [Ok(())]);
    let calls = sandbox.client().calls().unwrap();
    let meant = calls.iter().filter(|call| call.action.contains("LifecycleAction"));
    let told: Vec<_> = meant.map(|call| (call.action.as_str(), call.status)).collect();
    let complete = "CompleteLifecycleAction";
    let expected = [
        ("RecordLifecycleActionHeartbeat", 200),
        (complete, 400),
        (complete, 200),
        (complete, 400),
    ];
    assert_eq!(told, expected);
    let nowhere = AsgName::new("nowhere");
    let error = cloud.describe_hooks(&nowhere).await.unwrap_err();
    assert_eq!(error.operation, "DescribeLifecycleHooks");
}

#[tokio::test]
async fn one_instance_that_cannot_be_protected_does_not_keep_the_others_from_it() {
    let (_sandbox, cloud) = start("").await;
    let asg = AsgName::new("hpc-compute");
    cloud.set_desired(&asg, 2).await.unwrap();
    let ids = loop {
        let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
        let members = groups[&asg].instances.iter();
        let up = members.filter(|(_, member)| member.lifecycle == Lifecycle::InService);
        let up: Vec<_> = up.map(|(id, _)| id.clone()).collect();
        if up.len() == 2 {
            break up;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let gone = InstanceId::new("i-0123456789abcdef0");
    let asked = [ids[0].clone(), gone.clone(), ids[1].clone()];
    let answers = cloud.protect(&asg, &asked).await;
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|(id, answer)| answer.is_ok() || *id == gone), "{answers:?}");
    let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
    assert!(groups[&asg].instances.values().all(|member| member.protected));
}

#[tokio::test]
async fn messages_of_the_queue_arrive_and_come_again_until_they_are_deleted() {
    let (sandbox, cloud) = start("queues = [\"q\"]").await;
    let cloud = cloud.listening_to("http://127.0.0.1/123456789012/q");
    let arrived = cloud.arrived();
    // The request is held open: nothing is asked again and again.
    tokio::time::sleep(Duration::from_millis(500)).await;
    sandbox.client().post("{\"one\": 1}").unwrap();
    tokio::time::timeout(Duration::from_secs(30), arrived.notified()).await.unwrap();
    let messages = cloud.messages();
    let bodies: Vec<_> = messages.iter().map(|message| message.body.as_str()).collect();
    assert_eq!((bodies, cloud.messages().len()), (vec!["{\"one\": 1}"], 0));
    assert_eq!(cloud.listened(), Some(Ok(())));
    let left = || sandbox.client().state().unwrap().queues["q"];
    assert_eq!(left(), 1, "it is deleted once it is taken note of");
    cloud.delete_later(messages.into_iter().map(|message| message.receipt).collect());
    for _ in 0..200 {
        if left() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left(), 0);
    let calls = sandbox.client().calls().unwrap();
    let asked = calls.iter().filter(|call| call.action == "ReceiveMessage").count();
    assert!(asked <= 3, "{asked} requests");
    let counted = cloud.calls().read();
    assert!(counted.iter().any(|(name, outcome, _)| name == "DeleteMessage" && *outcome == "ok"));
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_told_with_what_to_write() {
    let (sandbox, cloud) = start("").await;
    let cloud = cloud.listening_to("http://127.0.0.1/123456789012/none");
    let arrived = cloud.arrived();
    tokio::time::timeout(Duration::from_secs(30), arrived.notified()).await.unwrap();
    let error = cloud.listened().unwrap().unwrap_err().to_string();
    let expected = "ReceiveMessage: AWS.SimpleQueueService.NonExistentQueue: The specified queue \
        does not exist; correct events_queue or region in asg.toml, or create the queue \
        (packaging/cloudformation/events.json)";
    assert_eq!(error, expected);
    // It is asked again, and less and less often.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let calls = sandbox.client().calls().unwrap();
    let asked = calls.iter().filter(|call| call.action == "ReceiveMessage").count();
    assert!((2..=4).contains(&asked), "{asked} requests");
}

#[tokio::test]
async fn a_survey_has_group_hooks_template_type_rights_and_clock_and_changes_nothing() {
    let hook = "hooks = [{ name = \"slurm-asg-t\", transition = \"terminating\", \
                heartbeat_timeout_s = 90 }]\nmetadata_tags = false\ndesired = 1\n";
    let (sandbox, cloud) = start_with("", hook).await;
    common::until_some(&cloud, "hpc-compute").await;
    let names = ["hpc-compute".to_owned(), "gone".to_owned()];
    let survey = cloud.surveyor().survey(&names, &["g4dn.xlarge".to_owned()]).await;
    assert_eq!(survey.groups["gone"], Answer::Missing);
    let group = survey.groups["hpc-compute"].known().unwrap();
    assert_eq!((group.min, group.max, group.health_check.as_str()), (0, 8, "EC2"));
    assert_eq!(group.suspended, ["AZRebalance"]);
    assert!(group.arn.contains(":123456789012:"), "{}", group.arn);
    let hooks = group.hooks.as_ref().unwrap().known().unwrap();
    let expected = HookFacts {
        name: "slurm-asg-t".to_owned(),
        transition: Transition::Terminating,
        timeout_secs: 90,
    };
    assert_eq!(*hooks, [expected]);
    let template = group.template.as_ref().unwrap().known().unwrap();
    assert_eq!(
        (template.instance_type.as_deref(), template.metadata_tags),
        (Some("c5.large"), false)
    );
    let large = survey.types["c5.large"].known().unwrap();
    assert_eq!((large.vcpus, large.cores, large.threads, large.memory_mib), (2, 1, 2, 4096));
    assert_eq!(survey.types["g4dn.xlarge"].known().unwrap().gpus, 1);
    let ahead = survey.clock_ahead_ms.unwrap();
    assert!(ahead.abs() < 5000, "{ahead}");
    let right = |action: &str| &survey.rights[action];
    for action in ["ec2:CreateTags", "ec2:GetConsoleOutput", "ec2:DescribeInstances"] {
        assert_eq!(*right(action), Right::Allowed, "{action}");
    }
    assert!(matches!(right("autoscaling:SetDesiredCapacity"), Right::NotChecked(_)));
    let changes = ["CreateTags", "GetConsoleOutput"];
    for call in sandbox.client().calls().unwrap() {
        let dry = call.params.get("DryRun").is_some_and(|it| it == "true");
        assert_eq!(
            dry,
            call.action == "DescribeInstances" || changes.contains(&call.action.as_str()),
            "{call:?}"
        );
        assert!(dry || call.action.starts_with("Describe"), "{call:?}");
    }
    // A dry run is no failure.
    assert!(
        cloud.calls().read().iter().all(|(_, outcome, _)| *outcome == "ok"),
        "{:?}",
        cloud.calls()
    );
}

#[tokio::test]
async fn what_is_denied_is_told_and_an_earlier_call_shows_a_right() {
    let (sandbox, cloud) = start_with("", "desired = 1\n").await;
    common::until_some(&cloud, "hpc-compute").await;
    let asg = AsgName::new("hpc-compute");
    cloud.set_desired(&asg, 1).await.unwrap();
    let denied = ["CreateTags", "DescribeInstanceTypes", "DescribeLifecycleHooks"];
    let actions = denied.map(str::to_owned).to_vec();
    sandbox.client().fault(&Fault::Denied { actions }).unwrap();
    let survey = cloud.surveyor().survey(&["hpc-compute".to_owned()], &[]).await;
    assert_eq!(survey.rights["autoscaling:SetDesiredCapacity"], Right::Allowed);
    for action in
        ["ec2:CreateTags", "ec2:DescribeInstanceTypes", "autoscaling:DescribeLifecycleHooks"]
    {
        assert!(
            matches!(&survey.rights[action], Right::Denied(why) if why.contains("not authorized")),
            "{action}: {survey:#?}"
        );
    }
    let group = survey.groups["hpc-compute"].known().unwrap();
    assert!(
        matches!(&group.hooks, Some(Answer::Unknown(why)) if why.contains("DescribeLifecycleHooks"))
    );
    assert!(matches!(survey.types["c5.large"], Answer::Unknown(_)));
}

fn launch(count: u32, zone: &str, token: &str) -> Launch {
    let (asg, zone, token) = ("hpc-compute".into(), zone.to_owned(), token.to_owned());
    Launch { asg, zone, count, from: 0, to: count, token }
}

#[tokio::test]
async fn instances_are_launched_in_their_zone_and_never_twice_for_a_token() {
    let (sandbox, cloud) = start("").await;
    let asg = AsgName::new("hpc-compute");
    let requests = [launch(2, "eu-west-1b", "one"), launch(1, "eu-west-1a", "two")];
    let answers = cloud.launch(&requests).await;
    let launched: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!((launched[0].instances.len(), launched[1].instances.len()), (2, 1));
    assert!(launched.iter().all(|launched| launched.failure.is_none()));
    let group = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap()[&asg].clone();
    assert_eq!((group.desired, group.zones), (3, vec!["eu-west-1a".into(), "eu-west-1b".into()]));
    for id in &launched[0].instances {
        assert_eq!(group.instances[id].zone, "eu-west-1b");
    }
    // The answer gets lost: whoever asks again gets the same instances.
    sandbox
        .client()
        .fault(&Fault::LostReply { count: 3, actions: vec!["LaunchInstances".into()] })
        .unwrap();
    let lost = cloud.launch(&[launch(1, "eu-west-1a", "three")]).await.remove(0).unwrap_err();
    assert_eq!(lost.kind, CloudErrorKind::NoAnswer);
    sandbox.client().clear_faults().unwrap();
    let found = cloud.launch(&[launch(1, "eu-west-1a", "three")]).await.remove(0).unwrap();
    assert_eq!(found.instances.len(), 1);
    let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
    assert_eq!((groups[&asg].desired, groups[&asg].instances.len()), (4, 4));
    let other = cloud.launch(&[launch(2, "eu-west-1a", "three")]).await.remove(0).unwrap_err();
    assert_eq!(other.kind, CloudErrorKind::Other, "{other}");
    let full = cloud.launch(&[launch(99, "eu-west-1a", "four")]).await.remove(0).unwrap_err();
    assert_eq!(full.kind, CloudErrorKind::Conflict, "{full}");
}

#[tokio::test]
async fn a_zone_without_capacity_says_so_in_the_answer() {
    let (sandbox, cloud) = start("").await;
    let zone = Some("eu-west-1a".to_owned());
    let group = "hpc-compute".to_owned();
    sandbox.client().fault(&Fault::NoCapacity { group, zone, after: 1, message: None }).unwrap();
    let requests = [launch(3, "eu-west-1a", "one"), launch(2, "eu-west-1b", "two")];
    let answers = cloud.launch(&requests).await;
    let [near, far] = answers.as_slice() else { panic!("{answers:?}") };
    let near = near.clone().unwrap();
    assert_eq!((near.instances.len(), far.clone().unwrap().instances.len()), (1, 2));
    let failure = near.failure.unwrap();
    assert_eq!(failure.code, "InsufficientInstanceCapacity");
    assert_eq!((failure.kind, failure.zone.as_str()), (FailureKind::Capacity, "eu-west-1a"));
    let asg = AsgName::new("hpc-compute");
    let groups = cloud.describe_groups(std::slice::from_ref(&asg)).await.unwrap();
    assert_eq!(groups[&asg].desired, 3, "what was not launched is not desired");
}

#[tokio::test]
async fn what_cannot_launch_by_zone_is_told_from_what_fails() {
    let (_sandbox, cloud) = start("launch_instances = false").await;
    let error = cloud.launch(&[launch(1, "eu-west-1a", "one")]).await.remove(0).unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unsupported, "{error}");
    let (sandbox, cloud) = start_with("", "launch_template = false\n").await;
    let error = cloud.launch(&[launch(1, "eu-west-1a", "one")]).await.remove(0).unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unsupported, "{error}");
    assert!(error.message.contains("launch configuration"), "{error}");
    let actions = || vec!["LaunchInstances".to_owned()];
    sandbox.client().fault(&Fault::Denied { actions: actions() }).unwrap();
    let error = cloud.launch(&[launch(1, "eu-west-1a", "one")]).await.remove(0).unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unsupported, "{error}");
    assert!(error.message.ends_with("in the controller's IAM policy"), "{error}");
    sandbox.client().clear_faults().unwrap();
    sandbox
        .client()
        .fault(&Fault::Throttle { actions: actions(), count: None, rate: None })
        .unwrap();
    let error = cloud.launch(&[launch(1, "eu-west-1a", "one")]).await.remove(0).unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Throttled, "{error}");
}
