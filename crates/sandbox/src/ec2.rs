//! The EC2 API: ec2Query, version 2016-11-15. Element names are those the AWS SDK reads.

use crate::error::ApiError;
use crate::machines;
use crate::query::{Params, page};
use crate::world::operations::unknown_in;
use crate::world::{Instance, World, time_text};
use crate::xml::{Xml, ec2_answer};
use base64::Engine as _;
use std::net::Ipv4Addr;

/// The API's version, as sent in `Version`.
pub const VERSION: &str = "2016-11-15";
pub(crate) const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const PAGE_MAX: u32 = 1000;
/// What EC2 keeps of a console (API reference of GetConsoleOutput).
const CONSOLE_BYTES_MAX: usize = 65_536;

/// Carries out one call and returns the answer's XML.
pub fn handle(
    world: &mut World,
    action: &str,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    // What is wrong with the request is not looked at: the sandbox allows everything.
    if params.boolean("DryRun")?.unwrap_or(false) {
        let text = "Request would have succeeded, but DryRun flag is set.";
        return Err(ApiError::new(412, "DryRunOperation", text));
    }
    match action {
        "DescribeInstances" => describe_instances(world, params, now_ms),
        "DescribeInstanceTypes" => Ok(machines::describe_types(world, params)),
        "DescribeLaunchTemplateVersions" => machines::describe_template(world, params),
        "GetConsoleOutput" => console_output(world, params, now_ms),
        "CreateTags" => create_tags(world, params, now_ms),
        "TerminateInstances" => terminate_instances(world, params, now_ms),
        _ => Err(ApiError::new(
            400,
            "InvalidAction",
            format!("The action {action} is not valid for this web service."),
        )),
    }
}

fn describe_instances(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let ids = params.list("InstanceId");
    let max = params.number("MaxResults")?;
    if !ids.is_empty() && max.is_some() {
        let text = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(ApiError::new(400, "InvalidParameterCombination", text));
    }
    let filters = params.filters("Filter", "Value");
    let request_id = world.fresh_id();
    let region = world.config().region.clone();
    let cloud = world.described(now_ms);
    unknown_in(cloud, &ids)?;
    let mut chosen: Vec<&Instance> = cloud
        .instances
        .values()
        .filter(|i| ids.is_empty() || ids.contains(&i.id.as_str()))
        .collect();
    chosen.sort_by_key(|instance| instance.serial);
    for (name, values) in &filters {
        let admits = filter(name)?;
        chosen.retain(|instance| {
            admits(instance).is_some_and(|value| values.contains(&value.as_str()))
        });
    }
    let (instances, next) =
        page(&chosen, params.get("NextToken"), max.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX))?;
    Ok(ec2_answer(NAMESPACE, "DescribeInstances", &request_id, |xml| {
        xml.list("reservationSet", "item", instances, |xml, instance| {
            xml.leaf("reservationId", instance.id.replacen("i-", "r-", 1))
                .leaf("ownerId", "123456789012");
            xml.list("instancesSet", "item", [instance], |xml, instance| {
                instance_xml(xml, instance, &region)
            });
        });
        xml.maybe("nextToken", next);
    }))
}

type FilterBy = Box<dyn Fn(&Instance) -> Option<String>>;

/// The filters known here; one that is not must not be taken for "everything".
fn filter(name: &str) -> Result<FilterBy, ApiError> {
    Ok(match name {
        "instance-id" => Box::new(|instance| Some(instance.id.clone())),
        "instance-state-name" => Box::new(|instance| Some(instance.ec2_state().1.into())),
        "private-ip-address" => Box::new(|instance| Some(instance.ip.to_string())),
        _ => {
            let bad = || {
                ApiError::new(
                    400,
                    "InvalidParameterValue",
                    format!("The filter '{name}' is invalid"),
                )
            };
            let key = name.strip_prefix("tag:").ok_or_else(bad)?.to_owned();
            Box::new(move |instance| instance.tags.get(&key).cloned())
        }
    })
}

fn instance_xml(xml: &mut Xml, instance: &Instance, region: &str) {
    let gone = instance.ec2_state().1 == "terminated";
    xml.leaf("instanceId", &instance.id).leaf("imageId", "ami-00000000000000001");
    state_xml(xml, "instanceState", instance.ec2_state());
    // A terminated instance has no address any more.
    xml.leaf("privateDnsName", if gone { String::new() } else { dns_name(instance.ip, region) });
    xml.maybe("privateIpAddress", (!gone).then_some(instance.ip));
    xml.leaf("instanceType", &instance.instance_type)
        .leaf("launchTime", time_text(instance.launched_at_ms));
    xml.node("placement", |xml| {
        xml.leaf("availabilityZone", &instance.zone).leaf("tenancy", "default");
    });
    xml.list("tagSet", "item", &instance.tags, |xml, (key, value)| {
        xml.leaf("key", key).leaf("value", value);
    });
}

fn dns_name(ip: Ipv4Addr, region: &str) -> String {
    format!("ip-{}.{region}.compute.internal", ip.to_string().replace('.', "-"))
}

fn state_xml(xml: &mut Xml, tag: &str, (code, name): (u16, &str)) {
    xml.node(tag, |xml| {
        xml.leaf("code", code).leaf("name", name);
    });
}

/// The end of what an instance's boot command has written.
fn console_output(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let id = params.get("InstanceId").ok_or_else(|| missing_parameter("InstanceId"))?.to_owned();
    let path = world.config().log_dir.join(format!("{id}.log"));
    unknown_in(world.described(now_ms), &[id.as_str()])?;
    let log = std::fs::read(path).unwrap_or_default();
    let end = log.get(log.len().saturating_sub(CONSOLE_BYTES_MAX)..).unwrap_or_default();
    let output = base64::engine::general_purpose::STANDARD.encode(end);
    Ok(ec2_answer(NAMESPACE, "GetConsoleOutput", &world.fresh_id(), |xml| {
        xml.leaf("instanceId", &id).leaf("timestamp", time_text(now_ms)).leaf("output", &output);
    }))
}

fn create_tags(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let ids = params.list("ResourceId");
    let tag = |n: u32| {
        Some((
            params.get(&format!("Tag.{n}.Key"))?,
            params.get(&format!("Tag.{n}.Value")).unwrap_or(""),
        ))
    };
    let tags: Vec<(&str, &str)> = (1..).map_while(tag).collect();
    for (what, missing) in [("resourceIdSet", ids.is_empty()), ("tagSet", tags.is_empty())] {
        if missing {
            return Err(missing_parameter(what));
        }
    }
    world.create_tags(&ids, &tags, now_ms)?;
    Ok(ec2_answer(NAMESPACE, "CreateTags", &world.fresh_id(), |xml| {
        xml.leaf("return", true);
    }))
}

fn terminate_instances(
    world: &mut World,
    params: &Params,
    now_ms: u64,
) -> Result<String, ApiError> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(missing_parameter("InstanceId"));
    }
    let before = world.ec2_terminate(&ids, now_ms)?;
    let request_id = world.fresh_id();
    let now =
        |id: &str| world.cloud().instances.get(id).map_or((48, "terminated"), Instance::ec2_state);
    Ok(ec2_answer(NAMESPACE, "TerminateInstances", &request_id, |xml| {
        xml.list("instancesSet", "item", &before, |xml, (id, was)| {
            xml.leaf("instanceId", id);
            state_xml(xml, "currentState", now(id));
            state_xml(xml, "previousState", *was);
        });
    }))
}

fn missing_parameter(name: &str) -> ApiError {
    ApiError::new(400, "MissingParameter", format!("The request must contain the parameter {name}"))
}
