//! Each fault as a caller meets it.

use crate::bench::{AUTOSCALING, Bench, EC2, GROUP, element, eventually};
use slurm_asg_sandbox::{ClientError, Fault, GroupChange};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

const DESCRIBE: &str = "DescribeAutoScalingGroups";

fn fault(bench: &Bench, json: &str) {
    bench.fault(&serde_json::from_str::<Fault>(json).unwrap()).unwrap();
}

fn codes(bench: &Bench, version: &str, query: &str, calls: usize) -> Vec<(u16, Option<String>)> {
    let call = |_| bench.call(version, query);
    (0..calls)
        .map(call)
        .map(|(status, xml)| (status, element(&xml, "Code").map(str::to_owned)))
        .collect()
}

#[test]
fn throttling_and_server_errors_use_each_services_codes() {
    let bench = Bench::idle();
    let refusal = |status, code: &str| (status, Some(code.to_owned()));
    fault(&bench, r#"{"kind":"throttle","count":1}"#);
    assert_eq!(codes(&bench, AUTOSCALING, DESCRIBE, 2), [refusal(400, "Throttling"), (200, None)]);
    fault(&bench, r#"{"kind":"throttle","actions":["DescribeInstances"]}"#);
    assert_eq!(
        codes(&bench, EC2, "DescribeInstances", 2),
        [refusal(503, "RequestLimitExceeded"), refusal(503, "RequestLimitExceeded")]
    );
    assert_eq!(codes(&bench, AUTOSCALING, DESCRIBE, 1), [(200, None)]);
    bench.clear_faults().unwrap();
    fault(&bench, r#"{"kind":"server_error","count":2}"#);
    assert_eq!(codes(&bench, EC2, "DescribeInstances", 1), [refusal(500, "InternalError")]);
    assert_eq!(
        codes(&bench, AUTOSCALING, DESCRIBE, 2),
        [refusal(500, "InternalFailure"), (200, None)]
    );
}

#[test]
fn latency_delays_the_call() {
    let bench = Bench::idle();
    fault(&bench, r#"{"kind":"latency","ms":300}"#);
    let start = Instant::now();
    assert_eq!(bench.call(AUTOSCALING, DESCRIBE).0, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_lost_reply_is_carried_out_without_an_answer() {
    let bench = Bench::idle();
    fault(&bench, r#"{"kind":"lost_reply","count":1,"actions":["SetDesiredCapacity"]}"#);
    let body = format!(
        "Version={AUTOSCALING}&Action=SetDesiredCapacity&AutoScalingGroupName={GROUP}&DesiredCapacity=2"
    );
    let lost = bench.request("POST", "/", &["Authorization: x"], &body).unwrap_err();
    assert!(matches!(lost.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{lost}");
    bench.up(2);
    let calls = bench.calls().unwrap();
    assert_eq!((calls[0].status, calls[0].error_code.as_deref()), (0, Some("lost_reply")));
}

#[test]
fn a_hanging_call_is_neither_carried_out_nor_answered() {
    let bench = Bench::idle();
    fault(&bench, r#"{"kind":"hang","actions":["SetDesiredCapacity"]}"#);
    let client = bench.client;
    // Left waiting: it ends with the sandbox.
    std::thread::spawn(move || {
        client.request("POST", "/", &["Authorization: x"], "Action=SetDesiredCapacity")
    });
    eventually("the call on record", || {
        let calls = bench.calls().unwrap();
        calls.first().is_some_and(|call| call.error_code.as_deref() == Some("hang")).then_some(())
    });
    assert_eq!(bench.call(AUTOSCALING, DESCRIBE).0, 200);
    assert_eq!(bench.state().unwrap().group(GROUP).unwrap().desired, 0);
}

#[test]
fn a_group_without_capacity_says_so_in_its_activities_and_recovers() {
    let bench = Bench::idle();
    fault(&bench, r#"{"kind":"no_capacity","group":"g","after":1}"#);
    bench.set_desired(2);
    let failed = eventually("a failed activity", || {
        let (_, xml) = bench.call(AUTOSCALING, "DescribeScalingActivities&AutoScalingGroupName=g");
        (element(&xml, "StatusCode") == Some("Failed")).then_some(xml)
    });
    let message = element(&failed, "StatusMessage").unwrap();
    assert!(
        message
            .starts_with("Could not launch On-Demand Instances. InsufficientInstanceCapacity - "),
        "{message}"
    );
    assert!(element(&failed, "Details").unwrap().contains("Availability Zone"), "{failed}");
    assert_eq!(bench.instances().len(), 1);
    bench.clear_faults().unwrap();
    bench.up(2);
}

#[test]
fn an_instance_that_never_boots_runs_nothing() {
    let bench = Bench::idle();
    fault(&bench, r#"{"kind":"never_boots","count":1}"#);
    fault(&bench, r#"{"kind":"boot_delay","ms":60000,"count":1}"#);
    bench.set_desired(1);
    assert_eq!(eventually("it is launched", || bench.instances().pop()).lifecycle, "Pending");
    assert_eq!(bench.state().unwrap().faults, []);
    bench.set_desired(2);
    let second = eventually("the second boots", || {
        bench.instances().pop().filter(|instance| instance.pid.is_some())
    });
    assert_eq!(second.lifecycle, "InService");
    assert_eq!(bench.instances()[0].pid, None);
}

#[test]
fn unknown_faults_and_paths_are_told_what_there_is() {
    let bench = Bench::idle();
    let (status, line) =
        bench.request("POST", "/sandbox/faults", &[], r#"{"kind":"flood"}"#).unwrap();
    assert_eq!((status, line.lines().count()), (400, 1));
    for kind in [
        "throttle",
        "server_error",
        "latency",
        "hang",
        "no_capacity",
        "never_boots",
        "boot_delay",
        "lost_reply",
    ] {
        assert!(line.contains(kind), "{line}");
    }
    assert!(bench.request("GET", "/sandbox/x", &[], "").unwrap().1.contains("POST groups/NAME"));
    assert!(matches!(bench.die("i-1"), Err(ClientError::Refused { status: 404, .. })));
}

#[test]
fn another_actors_changes_are_no_api_calls() {
    let bench = Bench::idle();
    bench.set_group(GROUP, GroupChange { min: Some(1), max: Some(2), desired: None }).unwrap();
    bench.up(1);
    assert_eq!(bench.calls().unwrap(), []);
    let refused = bench
        .set_group(GROUP, GroupChange { desired: Some(3), ..GroupChange::default() })
        .unwrap_err();
    assert!(refused.to_string().contains("must be between"), "{refused}");
    bench.call(AUTOSCALING, DESCRIBE);
    let calls = bench.calls().unwrap();
    assert_eq!(
        (calls[0].action.as_str(), calls[0].status, calls[0].params["Version"].as_str()),
        (DESCRIBE, 200, AUTOSCALING)
    );
    bench.clear_calls().unwrap();
    assert_eq!(bench.calls().unwrap(), []);
}
