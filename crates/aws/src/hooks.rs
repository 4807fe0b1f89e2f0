//! Life-cycle hooks: reading a group's, and answering those that hold an instance.

use std::time::Duration;

use aws_sdk_autoscaling::types::LifecycleHook;
use slurm_asg_core::ids::AsgName;
use slurm_asg_core::plan::{AnswerHook, HookAnswer};
use slurm_asg_core::snapshot::{Hook, Transition};
use slurm_asg_engine::CloudError;

use crate::classify::{Failure, odd_answer};
use crate::client::Clients;
use crate::{AwsCloud, at_once};

const DESCRIBE: &str = "DescribeLifecycleHooks";
const HEARTBEAT: &str = "RecordLifecycleActionHeartbeat";
const COMPLETE: &str = "CompleteLifecycleAction";
/// HeartbeatTimeout where a hook has none of its own, seconds (API reference of PutLifecycleHook).
const TIMEOUT_DEFAULT: u64 = 3600;

/// The hooks of a group; AWS gives all of them in one answer, at most 50.
pub async fn describe(cloud: &AwsCloud, asg: &AsgName) -> Result<Vec<Hook>, CloudError> {
    cloud.paces.asg_read.take().await;
    of_group(&cloud.clients, asg).await
}

/// The same at the caller's pace.
pub async fn of_group(clients: &Clients, asg: &AsgName) -> Result<Vec<Hook>, CloudError> {
    let call = clients.autoscaling.describe_lifecycle_hooks();
    let sent = call.auto_scaling_group_name(asg.as_str()).send().await;
    let answer =
        sent.map_err(|error| Failure::of(DESCRIBE, &error, &clients.autoscaling_at).error)?;
    let hooks = answer.lifecycle_hooks().iter().map(|hook| {
        let what = || odd_answer(DESCRIBE, &format!("group {asg}: a hook without name"));
        parse(hook).ok_or_else(what)
    });
    let hooks: Result<Vec<Option<Hook>>, CloudError> = hooks.collect();
    Ok(hooks?.into_iter().flatten().collect())
}

/// Reads a hook; of a transition that is not known, nothing.
fn parse(hook: &LifecycleHook) -> Option<Option<Hook>> {
    let name = hook.lifecycle_hook_name()?.to_owned();
    let transition = match hook.lifecycle_transition() {
        Some("autoscaling:EC2_INSTANCE_LAUNCHING") => Transition::Launching,
        Some("autoscaling:EC2_INSTANCE_TERMINATING") => Transition::Terminating,
        _ => return Some(None),
    };
    let secs = hook.heartbeat_timeout().and_then(|secs| u64::try_from(secs).ok());
    let timeout = Duration::from_secs(secs.unwrap_or(TIMEOUT_DEFAULT));
    Some(Some(Hook { name, transition, timeout }))
}

/// An answer for each, in their order.
pub async fn answer(cloud: &AwsCloud, answers: &[AnswerHook]) -> Vec<Result<(), CloudError>> {
    let calls = answers.iter().map(|told| {
        let clients = cloud.clients.clone();
        let turn = cloud.paces.asg_write.turn();
        let told = told.clone();
        async move {
            turn.wait().await;
            let asg = told.asg.as_str();
            let id = told.instance.as_str();
            let at = &clients.autoscaling_at;
            let result = match told.answer {
                HookAnswer::Wait => None,
                HookAnswer::Continue => Some("CONTINUE"),
                HookAnswer::Abandon => Some("ABANDON"),
            };
            let sent = if let Some(result) = result {
                let call = clients.autoscaling.complete_lifecycle_action();
                let call = call.auto_scaling_group_name(asg).instance_id(id);
                let call = call.lifecycle_hook_name(&told.hook);
                let sent = call.lifecycle_action_result(result).send().await;
                sent.map(drop).map_err(|error| Failure::of(COMPLETE, &error, at))
            } else {
                let call = clients.autoscaling.record_lifecycle_action_heartbeat();
                let call = call.auto_scaling_group_name(asg).instance_id(id);
                let sent = call.lifecycle_hook_name(&told.hook).send().await;
                sent.map(drop).map_err(|error| Failure::of(HEARTBEAT, &error, at))
            };
            match sent {
                // The read was older than the end of the wait.
                Err(failure) if failure.is_no_longer_held() => Ok(()),
                other => other.map_err(|failure| failure.error),
            }
        }
    });
    let limits = cloud.limits;
    at_once::in_order(COMPLETE, calls, limits.at_once, Some(limits.end())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_read_and_one_of_an_unknown_transition_is_passed_over() {
        let hook = |transition: &str, secs: Option<i32>| {
            let hook = LifecycleHook::builder().lifecycle_hook_name("slurm-asg");
            hook.lifecycle_transition(transition).set_heartbeat_timeout(secs).build()
        };
        let read = |transition, secs| parse(&hook(transition, secs)).unwrap();
        let launching = read("autoscaling:EC2_INSTANCE_LAUNCHING", Some(120)).unwrap();
        assert_eq!(launching.transition, Transition::Launching);
        assert_eq!(launching.timeout, Duration::from_secs(120));
        let terminating = read("autoscaling:EC2_INSTANCE_TERMINATING", None).unwrap();
        assert_eq!(terminating.transition, Transition::Terminating);
        assert_eq!(terminating.timeout, Duration::from_secs(3600));
        assert_eq!(read("autoscaling:SOMETHING_NEW", None), None);
        assert_eq!(parse(&LifecycleHook::builder().build()), None);
    }
}
