//! The life-cycle hooks' part of the Auto Scaling API.

use crate::autoscaling::{answer, at_most, refuse};
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{ActionKey, HOOKS_MAX, Hook, HookChange, HookResult, Transition, World};
use crate::xml::Xml;

pub(crate) fn put_hook(
    world: &mut World,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    let (group, name) = hook_of(params)?;
    // Nobody is notified here; and an ARN alone would make AWS send a test message.
    for unsupported in ["NotificationTargetARN", "NotificationMetadata", "RoleARN"] {
        refuse(params, unsupported)?;
    }
    let change = HookChange {
        transition: word(params, "LifecycleTransition", Transition::parse)?,
        heartbeat_timeout_s: params.number("HeartbeatTimeout")?,
        default_result: word(params, "DefaultResult", HookResult::parse)?,
    };
    world.put_hook(group, name, change, now_ms)?;
    Ok(answer("PutLifecycleHook", &world.fresh_id(), |_| {}))
}

pub(crate) fn delete_hook(
    world: &mut World,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    let (group, name) = hook_of(params)?;
    world.delete_hook(group, name, now_ms)?;
    Ok(answer("DeleteLifecycleHook", &world.fresh_id(), |_| {}))
}

pub(crate) fn describe_hooks(
    world: &mut World,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    let group = params.required("AutoScalingGroupName")?;
    let names = params.list("LifecycleHookNames.member");
    at_most("LifecycleHookNames", names.len(), HOOKS_MAX)?;
    let request_id = world.fresh_id();
    let hooks = &world.described(now_ms).group(group)?.hooks;
    let chosen =
        hooks.values().filter(|hook| names.is_empty() || names.contains(&hook.name.as_str()));
    Ok(answer("DescribeLifecycleHooks", &request_id, |xml| {
        xml.list("LifecycleHooks", "member", chosen, |xml, hook| hook_xml(xml, group, hook));
    }))
}

fn hook_xml(xml: &mut Xml, group: &str, hook: &Hook) {
    xml.leaf("LifecycleHookName", &hook.name).leaf("AutoScalingGroupName", group);
    xml.leaf("LifecycleTransition", hook.transition.name());
    xml.leaf("HeartbeatTimeout", hook.heartbeat_timeout_s)
        .leaf("GlobalTimeout", hook.global_timeout_s())
        .leaf("DefaultResult", hook.default_result.name());
}

pub(crate) fn complete_action(
    world: &mut World,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    let (group, hook) = hook_of(params)?;
    let result = word(params, "LifecycleActionResult", HookResult::parse)?
        .ok_or_else(|| ApiError::missing("LifecycleActionResult"))?;
    world.complete_action(group, hook, action_of(params)?, result, now_ms)?;
    Ok(answer("CompleteLifecycleAction", &world.fresh_id(), |_| {}))
}

pub(crate) fn record_heartbeat(
    world: &mut World,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    let (group, hook) = hook_of(params)?;
    world.record_heartbeat(group, hook, action_of(params)?, now_ms)?;
    Ok(answer("RecordLifecycleActionHeartbeat", &world.fresh_id(), |_| {}))
}

/// The group's and the hook's name.
fn hook_of(params: &Params) -> Result<(&str, &str), ApiError> {
    Ok((params.required("AutoScalingGroupName")?, params.required("LifecycleHookName")?))
}

/// A token says more than an instance, whose hooks may be several. What AWS says to neither is not documented.
fn action_of(params: &Params) -> Result<ActionKey<'_>, ApiError> {
    let token = params.get("LifecycleActionToken").map(ActionKey::Token);
    let key = token.or_else(|| params.get("InstanceId").map(ActionKey::Instance));
    key.ok_or_else(|| {
        ApiError::validation("Either InstanceId or LifecycleActionToken must be specified")
    })
}

/// A parameter that has one of AWS's words. What AWS says to another word is not documented.
fn word<T>(
    params: &Params,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let parsed = |text: &str| {
        parse(text).ok_or_else(|| ApiError::validation(format!("{text} is not a valid {key}")))
    };
    params.get(key).map(parsed).transpose()
}
