//! The Auto Scaling API: awsQuery, version 2011-01-01. Element names are those the AWS SDK reads.

use crate::error::ApiError;
use crate::launch_api;
use crate::lifecycle_api;
use crate::machines;
use crate::query::{Params, page, parse_time};
use crate::suspension_api;
use crate::world::{Activity, Group, GroupChange, Instance, World, time_text};
use crate::xml::{Xml, query_answer};

/// The API's version, as sent in `Version`.
pub const VERSION: &str = "2011-01-01";
/// XML namespace of its answers.
pub const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

const NAMES_MAX: usize = 50;
const GROUPS_PAGE: (u32, u32) = (50, 100);
const INSTANCES_PAGE: (u32, u32) = (50, 50);
const ACTIVITIES_PAGE: (u32, u32) = (100, 100);

/// Carries out one call and returns the answer's XML.
pub fn handle(
    world: &mut World,
    action: &str,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    match action {
        "DescribeAutoScalingGroups" => describe_groups(world, params, now_ms),
        "DescribeAutoScalingInstances" => describe_instances(world, params, now_ms),
        "DescribeScalingActivities" => describe_activities(world, params, now_ms),
        "SetDesiredCapacity" => set_desired(world, params, now_ms),
        "UpdateAutoScalingGroup" => update_group(world, params, now_ms),
        "TerminateInstanceInAutoScalingGroup" => terminate(world, params, now_ms),
        "SetInstanceProtection" => protect(world, params, now_ms),
        "LaunchInstances" => launch_api::launch(world, params, now_ms),
        "SuspendProcesses" => suspension_api::suspend(world, params, now_ms),
        "ResumeProcesses" => suspension_api::resume(world, params, now_ms),
        "PutLifecycleHook" => lifecycle_api::put_hook(world, params, now_ms),
        "DeleteLifecycleHook" => lifecycle_api::delete_hook(world, params, now_ms),
        "DescribeLifecycleHooks" => lifecycle_api::describe_hooks(world, params, now_ms),
        "CompleteLifecycleAction" => lifecycle_api::complete_action(world, params, now_ms),
        "RecordLifecycleActionHeartbeat" => lifecycle_api::record_heartbeat(world, params, now_ms),
        _ => Err(ApiError::unknown_operation(action, VERSION)),
    }
}

fn describe_groups(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let names = params.list("AutoScalingGroupNames.member");
    at_most(
        "AutoScalingGroupNames",
        names.len(),
        if params.get("MaxRecords").is_some() { 100 } else { NAMES_MAX },
    )?;
    refuse(params, "Filters")?;
    let with_instances = params.boolean("IncludeInstances")?.unwrap_or(true);
    let request_id = world.fresh_id();
    let (region, cloud) = (&world.config().region, world.described(now_ms));
    let chosen: Vec<(&String, &Group)> = cloud
        .groups
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(&name.as_str()))
        .collect();
    let (groups, next) = page(&chosen, params.get("NextToken"), page_size(params, GROUPS_PAGE)?)?;
    Ok(answer("DescribeAutoScalingGroups", &request_id, |xml| {
        xml.list("AutoScalingGroups", "member", groups, |xml, (name, group)| {
            let members = if with_instances { cloud.members(name) } else { Vec::new() };
            group_xml(xml, name, group, &members, region);
        });
        xml.maybe("NextToken", next);
    }))
}

fn group_xml(xml: &mut Xml, name: &str, group: &Group, members: &[&Instance], region: &str) {
    xml.leaf("AutoScalingGroupName", name).leaf("AutoScalingGroupARN", group_arn(region, name));
    launch_template(xml, name);
    xml.leaf("MinSize", group.min)
        .leaf("MaxSize", group.max)
        .leaf("DesiredCapacity", group.desired);
    xml.leaf("DefaultCooldown", 300).texts("AvailabilityZones", "member", &group.config.zones);
    xml.leaf("HealthCheckType", &group.config.health_check_type);
    xml.leaf("HealthCheckGracePeriod", 0);
    xml.leaf("CapacityRebalance", group.config.capacity_rebalance);
    xml.list("Instances", "member", members, |xml, instance| instance_xml(xml, instance));
    xml.leaf("CreatedTime", time_text(group.created_at_ms));
    xml.list("SuspendedProcesses", "member", &group.suspended, suspension_api::suspension_xml);
    xml.texts("TerminationPolicies", "member", ["Default"]);
    xml.leaf("NewInstancesProtectedFromScaleIn", group.protects_new);
    xml.node("Tags", |_| {});
}

fn instance_xml(xml: &mut Xml, instance: &Instance) {
    xml.leaf("InstanceId", &instance.id).leaf("InstanceType", &instance.instance_type);
    xml.leaf("AvailabilityZone", &instance.zone).leaf("LifecycleState", instance.lifecycle.name());
    xml.leaf("HealthStatus", instance.health()).leaf("ProtectedFromScaleIn", instance.protected);
    launch_template(xml, &instance.group);
}

fn launch_template(xml: &mut Xml, group: &str) {
    xml.node("LaunchTemplate", |xml| {
        xml.leaf("LaunchTemplateId", machines::template_id(group))
            .leaf("LaunchTemplateName", group)
            .leaf("Version", machines::TEMPLATE_VERSION);
    });
}

fn describe_instances(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let ids = params.list("InstanceIds.member");
    at_most("InstanceIds", ids.len(), NAMES_MAX)?;
    let request_id = world.fresh_id();
    let cloud = world.described(now_ms);
    let mut chosen: Vec<&Instance> =
        cloud.groups.keys().flat_map(|name| cloud.members(name)).collect();
    chosen.retain(|instance| ids.is_empty() || ids.contains(&instance.id.as_str()));
    let (instances, next) =
        page(&chosen, params.get("NextToken"), page_size(params, INSTANCES_PAGE)?)?;
    Ok(answer("DescribeAutoScalingInstances", &request_id, |xml| {
        xml.list("AutoScalingInstances", "member", instances, |xml, instance| {
            xml.leaf("AutoScalingGroupName", &instance.group);
            // This shape writes the health status in capitals.
            xml.leaf("InstanceId", &instance.id).leaf("InstanceType", &instance.instance_type);
            xml.leaf("AvailabilityZone", &instance.zone)
                .leaf("LifecycleState", instance.lifecycle.name());
            xml.leaf("HealthStatus", instance.health().to_uppercase())
                .leaf("ProtectedFromScaleIn", instance.protected);
            launch_template(xml, &instance.group);
        });
        xml.maybe("NextToken", next);
    }))
}

fn describe_activities(
    world: &mut World,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    let chosen_by = ActivityFilter::parse(params)?;
    let request_id = world.fresh_id();
    let (region, cloud) = (&world.config().region, world.described(now_ms));
    let mut chosen: Vec<&Activity> =
        cloud.activities.iter().filter(|activity| chosen_by.admits(activity)).collect();
    chosen.reverse();
    let (activities, next) =
        page(&chosen, params.get("NextToken"), page_size(params, ACTIVITIES_PAGE)?)?;
    Ok(answer("DescribeScalingActivities", &request_id, |xml| {
        xml.list("Activities", "member", activities, |xml, activity| {
            activity_xml(xml, activity, region)
        });
        xml.maybe("NextToken", next);
    }))
}

/// What DescribeScalingActivities may be asked for.
#[derive(Default)]
struct ActivityFilter<'a> {
    ids: Vec<&'a str>,
    group: Option<&'a str>,
    from_ms: Option<u64>,
    until_ms: Option<u64>,
    statuses: Vec<&'a str>,
}

impl<'a> ActivityFilter<'a> {
    fn parse(params: &'a Params) -> Result<Self, ApiError> {
        let mut filter = Self {
            ids: params.list("ActivityIds.member"),
            group: params.get("AutoScalingGroupName"),
            ..Self::default()
        };
        for (name, values) in params.filters("Filters.member", "Values.member") {
            match (name, values.as_slice()) {
                ("StartTimeLowerBound", [time]) => filter.from_ms = Some(parse_time(time)?),
                ("StartTimeUpperBound", [time]) => filter.until_ms = Some(parse_time(time)?),
                ("Status", _) => filter.statuses = values,
                _ => {
                    return Err(ApiError::validation(format!(
                        "Filter {name} with {} values is not valid",
                        values.len()
                    )));
                }
            }
        }
        Ok(filter)
    }

    fn admits(&self, activity: &Activity) -> bool {
        (self.ids.is_empty() || self.ids.contains(&activity.id.as_str()))
            && self.group.is_none_or(|name| activity.group == name)
            && self.from_ms.is_none_or(|from_ms| activity.start_ms >= from_ms)
            && self.until_ms.is_none_or(|until_ms| activity.start_ms <= until_ms)
            && (self.statuses.is_empty() || self.statuses.contains(&activity.status))
    }
}

fn activity_xml(xml: &mut Xml, activity: &Activity, region: &str) {
    xml.leaf("ActivityId", &activity.id).leaf("AutoScalingGroupName", &activity.group);
    xml.leaf("Description", &activity.description).leaf("Cause", &activity.cause);
    xml.leaf("StartTime", time_text(activity.start_ms))
        .maybe("EndTime", activity.end_ms.map(time_text));
    xml.leaf("StatusCode", activity.status).maybe("StatusMessage", activity.message.as_deref());
    xml.leaf("Progress", if activity.end_ms.is_some() { 100 } else { 30 })
        .leaf("Details", &activity.details);
    xml.leaf("AutoScalingGroupARN", group_arn(region, &activity.group));
}

fn set_desired(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let name = params.required("AutoScalingGroupName")?;
    let desired =
        params.number("DesiredCapacity")?.ok_or_else(|| ApiError::missing("DesiredCapacity"))?;
    world.set_desired(name, desired, now_ms)?;
    Ok(empty_answer("SetDesiredCapacity", &world.fresh_id()))
}

fn update_group(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let name = params.required("AutoScalingGroupName")?;
    let change = GroupChange {
        min: params.number("MinSize")?,
        max: params.number("MaxSize")?,
        desired: params.number("DesiredCapacity")?,
    };
    world.update_group(
        name,
        change,
        params.boolean("NewInstancesProtectedFromScaleIn")?,
        now_ms,
    )?;
    Ok(empty_answer("UpdateAutoScalingGroup", &world.fresh_id()))
}

fn terminate(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let decrement = params
        .boolean("ShouldDecrementDesiredCapacity")?
        .ok_or_else(|| ApiError::missing("ShouldDecrementDesiredCapacity"))?;
    let batch = params.list("InstanceIds.member");
    // A service that does not know InstanceIds ignores it, and then misses the InstanceId it requires.
    let is_batch = world.config().batch_terminate && !batch.is_empty();
    let activities = if is_batch {
        if params.get("InstanceId").is_some() {
            return Err(ApiError::validation("Specify either InstanceId or InstanceIds, not both"));
        }
        world.terminate(
            Some(params.required("AutoScalingGroupName")?),
            &batch,
            decrement,
            now_ms,
        )?
    } else {
        world.terminate(None, &[params.required("InstanceId")?], decrement, now_ms)?
    };
    let request_id = world.fresh_id();
    let region = &world.config().region;
    Ok(answer("TerminateInstanceInAutoScalingGroup", &request_id, |xml| {
        if is_batch {
            xml.list("Activities", "member", &activities, |xml, activity| {
                activity_xml(xml, activity, region)
            });
        } else if let Some(activity) = activities.first() {
            xml.node("Activity", |xml| activity_xml(xml, activity, region));
        }
    }))
}

fn protect(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let name = params.required("AutoScalingGroupName")?;
    let protected = params
        .boolean("ProtectedFromScaleIn")?
        .ok_or_else(|| ApiError::missing("ProtectedFromScaleIn"))?;
    world.protect(name, &params.list("InstanceIds.member"), protected, now_ms)?;
    Ok(answer("SetInstanceProtection", &world.fresh_id(), |_| {}))
}

pub(crate) fn answer(action: &str, request_id: &str, result: impl FnOnce(&mut Xml)) -> String {
    query_answer(NAMESPACE, action, request_id, Some(result))
}

pub(crate) fn empty_answer(action: &str, request_id: &str) -> String {
    query_answer(NAMESPACE, action, request_id, None::<fn(&mut Xml)>)
}

fn group_arn(region: &str, name: &str) -> String {
    format!(
        "arn:aws:autoscaling:{region}:123456789012:autoScalingGroup:00000000-0000-0000-0000-000000000000:autoScalingGroupName/{name}"
    )
}

fn page_size(params: &Params, (default, max): (u32, u32)) -> Result<u32, ApiError> {
    let asked = params.number("MaxRecords")?.unwrap_or(default);
    if (1..=max).contains(&asked) {
        return Ok(asked);
    }
    Err(ApiError::validation(format!("MaxRecords {asked}: must be between 1 and {max}")))
}

pub(crate) fn at_most(what: &str, count: usize, max: usize) -> Result<(), ApiError> {
    if count <= max {
        return Ok(());
    }
    Err(ApiError::validation(format!(
        "The number of {what} that may be passed in is limited to {max}"
    )))
}

/// A parameter whose silent neglect would answer wrongly.
pub(crate) fn refuse(params: &Params, prefix: &str) -> Result<(), ApiError> {
    if params.flat().keys().any(|key| key.starts_with(prefix)) {
        return Err(ApiError::validation(format!("{prefix} is not supported by the sandbox")));
    }
    Ok(())
}
