//! Life-cycle hooks as the AWS SDK sets and answers them, and as a test waits for them.

use crate::bench::{AUTOSCALING, Bench, EC2, GROUP, element, eventually};
use slurm_asg_sandbox::{ActionState, InstanceState};

const HOOK: &str = "slurm-asg-terminating";

/// A sandbox whose group has a terminating hook that does not run out during a test.
fn hooked() -> Bench {
    Bench::with_group(
        "exec sleep 1000",
        "isolate = false",
        &format!("hooks = [{{ name = \"{HOOK}\", transition = \"terminating\" }}]\n"),
    )
}

fn call(bench: &Bench, action: &str, rest: &str) -> (u16, String) {
    bench.call(AUTOSCALING, &format!("{action}&AutoScalingGroupName={GROUP}&{rest}"))
}

/// Waits until the group has an instance in this state.
fn one_in(bench: &Bench, lifecycle: &str) -> InstanceState {
    eventually(lifecycle, || bench.instances().into_iter().find(|i| i.lifecycle == lifecycle))
}

fn is_running(instance: &InstanceState) -> bool {
    let pid = instance.pid.unwrap();
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn hooks_are_described_in_the_sdks_element_names() {
    let bench = hooked();
    let put = "LifecycleHookName=up&LifecycleTransition=autoscaling%3AEC2_INSTANCE_LAUNCHING&HeartbeatTimeout=60&DefaultResult=CONTINUE";
    let (status, xml) = call(&bench, "PutLifecycleHook", put);
    assert_eq!((status, element(&xml, "PutLifecycleHookResult")), (200, Some("")), "{xml}");
    let (_, xml) = call(&bench, "DescribeLifecycleHooks", "");
    let hooks = element(element(&xml, "DescribeLifecycleHooksResult").unwrap(), "LifecycleHooks");
    assert_eq!(hooks.unwrap().matches("<member>").count(), 2, "{xml}");
    let filtered = |name: &str| {
        call(&bench, "DescribeLifecycleHooks", &format!("LifecycleHookNames.member.1={name}")).1
    };
    let check = |name: &str, want: [&str; 6]| {
        let xml = filtered(name);
        let tags = [
            "LifecycleHookName",
            "AutoScalingGroupName",
            "LifecycleTransition",
            "HeartbeatTimeout",
            "GlobalTimeout",
            "DefaultResult",
        ];
        assert_eq!(tags.map(|tag| element(&xml, tag).unwrap()), want);
    };
    check("up", ["up", GROUP, "autoscaling:EC2_INSTANCE_LAUNCHING", "60", "6000", "CONTINUE"]);
    check(HOOK, [HOOK, GROUP, "autoscaling:EC2_INSTANCE_TERMINATING", "3600", "172800", "ABANDON"]);
    assert_eq!(element(&filtered("none"), "LifecycleHooks"), Some(""));
    let (status, xml) = call(&bench, "DeleteLifecycleHook", "LifecycleHookName=up");
    assert_eq!((status, element(&xml, "DeleteLifecycleHookResult")), (200, Some("")), "{xml}");
    assert_eq!(element(&filtered("up"), "LifecycleHooks"), Some(""));
}

#[test]
fn what_is_wrong_with_a_hooks_call_is_a_validation_error() {
    let bench = hooked();
    let id = bench.one().id;
    let hook = format!("LifecycleHookName={HOOK}");
    let new = "LifecycleHookName=new";
    let check = |action: &str, rest: &str, message: &str| {
        let (status, xml) = call(&bench, action, rest);
        assert_eq!((status, element(&xml, "Code")), (400, Some("ValidationError")), "{xml}");
        assert!(element(&xml, "Message").unwrap().contains(message), "{xml}");
    };
    check("PutLifecycleHook", new, "at 'lifecycleTransition' failed");
    check(
        "PutLifecycleHook",
        &format!("{hook}&LifecycleTransition=x"),
        "x is not a valid Lifecycle",
    );
    check("PutLifecycleHook", &format!("{hook}&HeartbeatTimeout=29"), "must be 30 to 7200 s");
    check("PutLifecycleHook", &format!("{hook}&NotificationTargetARN=arn"), "not supported");
    check("DeleteLifecycleHook", new, "No Lifecycle Hook found");
    let complete = "LifecycleActionResult=CONTINUE";
    check("CompleteLifecycleAction", &format!("{hook}&{complete}"), "Either InstanceId or");
    check(
        "CompleteLifecycleAction",
        &format!("{new}&{complete}&InstanceId={id}"),
        "No Lifecycle Hook found",
    );
    check(
        "CompleteLifecycleAction",
        &format!("{hook}&InstanceId={id}"),
        "at 'lifecycleActionResult' failed",
    );
    check(
        "CompleteLifecycleAction",
        &format!("{hook}&LifecycleActionResult=DONE&InstanceId={id}"),
        "DONE is not a valid",
    );
    let none = format!("No active Lifecycle Action found with instance ID {id}");
    check("CompleteLifecycleAction", &format!("{hook}&{complete}&InstanceId={id}"), &none);
    check("RecordLifecycleActionHeartbeat", &format!("{hook}&InstanceId={id}"), &none);
    let (status, xml) = bench.call(AUTOSCALING, "DescribeLifecycleHooks&AutoScalingGroupName=x");
    assert_eq!(
        (status, element(&xml, "Message")),
        (400, Some("AutoScalingGroup name not found - AutoScalingGroup x not found"))
    );
}

#[test]
fn a_termination_at_the_console_waits_for_the_hook_with_the_machine_running() {
    let bench = hooked();
    let id = bench.one().id;
    bench.terminate(&id).unwrap();
    let waiting = one_in(&bench, "Terminating:Wait");
    assert!(waiting.id == id && waiting.alive && is_running(&waiting));
    let [ActionState { hook, token, until_ms }] = waiting.actions.as_slice() else {
        panic!("one action: {waiting:?}");
    };
    assert_eq!((hook.as_str(), token.len()), (HOOK, 36));
    assert!(*until_ms > bench.state().unwrap().now_ms + 3_500_000);
    // It is replaced at once, as the desired capacity stays.
    one_in(&bench, "InService");
    assert_eq!(bench.state().unwrap().group(GROUP).unwrap().desired, 1);
    let (_, xml) = call(&bench, "DescribeAutoScalingGroups", "");
    assert!(xml.contains("<LifecycleState>Terminating:Wait</LifecycleState>"), "{xml}");
    let (_, xml) = bench.call(EC2, &format!("DescribeInstances&InstanceId.1={id}"));
    assert_eq!(element(&xml, "instanceState"), Some("<code>16</code><name>running</name>"));
    let beat = format!("LifecycleHookName={HOOK}&InstanceId={id}");
    let (status, xml) = call(&bench, "RecordLifecycleActionHeartbeat", &beat);
    assert_eq!((status, element(&xml, "RecordLifecycleActionHeartbeatResult")), (200, Some("")));
    let waiting = bench.instances().into_iter().find(|instance| instance.id == id).unwrap();
    assert!(waiting.actions[0].until_ms > *until_ms, "the heartbeat restarts its time");
    let done = format!(
        "LifecycleHookName={HOOK}&LifecycleActionResult=CONTINUE&LifecycleActionToken={token}"
    );
    let (status, xml) = call(&bench, "CompleteLifecycleAction", &done);
    assert_eq!((status, element(&xml, "CompleteLifecycleActionResult")), (200, Some("")));
    eventually("it is gone", || (!bench.instances().iter().any(|i| i.id == id)).then_some(()));
    eventually("its power is cut", || (!is_running(&waiting)).then_some(()));
    let (status, xml) = call(&bench, "CompleteLifecycleAction", &done);
    let message = format!("No active Lifecycle Action found with token {token}");
    assert_eq!((status, element(&xml, "Message")), (400, Some(message.as_str())));
}

#[test]
fn a_launch_waits_in_pending_wait_with_its_machine_running() {
    let bench = Bench::idle();
    let put = "LifecycleHookName=up&LifecycleTransition=autoscaling%3AEC2_INSTANCE_LAUNCHING";
    assert_eq!(call(&bench, "PutLifecycleHook", put).0, 200);
    bench.set_desired(1);
    let id = one_in(&bench, "Pending:Wait").id;
    let runs = |i: &InstanceState| i.id == id && i.pid.is_some();
    eventually("it boots", || bench.instances().into_iter().find(runs));
    let done = format!("LifecycleHookName=up&LifecycleActionResult=CONTINUE&InstanceId={id}");
    assert_eq!(call(&bench, "CompleteLifecycleAction", &done).0, 200);
    let up = one_in(&bench, "InService");
    assert!(up.id == id && up.actions.is_empty());
}

#[test]
fn a_termination_at_the_console_of_a_stranger_is_refused() {
    let bench = Bench::idle();
    let error = bench.terminate("i-01234567890abcdef").unwrap_err().to_string();
    assert!(error.starts_with("404: Instance Id not found"), "{error}");
}
