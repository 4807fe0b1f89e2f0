//! Auto Scaling groups: describing them, and setting their desired capacity and their sizes.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance};
use slurm_asg_core::advice::AZ_REBALANCE;
use slurm_asg_core::ids::{AsgName, InstanceId};
use slurm_asg_core::snapshot::{Asg, Lifecycle, Member};
use slurm_asg_engine::CloudError;

use crate::AwsCloud;
use crate::classify::{Failure, odd_answer};

const DESCRIBE: &str = "DescribeAutoScalingGroups";
const SET_DESIRED: &str = "SetDesiredCapacity";
const UPDATE: &str = "UpdateAutoScalingGroup";
/// Names in a call: 50, or 100 with MaxRecords (API reference of DescribeAutoScalingGroups).
const NAMES_MAX: usize = 100;
const RECORDS_MAX: i32 = 100;
/// Pages of one call's answer. As many as there are names would do.
const PAGES_MAX: usize = 100;

/// The named groups; those that do not exist are missing.
pub async fn describe(
    cloud: &AwsCloud,
    names: &[AsgName],
) -> Result<BTreeMap<AsgName, Asg>, CloudError> {
    let names: Vec<&AsgName> = names.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let mut groups = BTreeMap::new();
    // No names at all would mean all groups of the account: `chunks` gives no chunk then.
    for names in names.chunks(NAMES_MAX) {
        describe_some(cloud, names, &mut groups).await?;
    }
    Ok(groups)
}

async fn describe_some(
    cloud: &AwsCloud,
    names: &[&AsgName],
    groups: &mut BTreeMap<AsgName, Asg>,
) -> Result<(), CloudError> {
    let names: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        cloud.paces.asg_read.take().await;
        let call = cloud.clients.autoscaling.describe_auto_scaling_groups();
        let call = call.set_auto_scaling_group_names(Some(names.clone())).max_records(RECORDS_MAX);
        let page = call.set_next_token(token).send().await;
        let page = page
            .map_err(|error| Failure::of(DESCRIBE, &error, &cloud.clients.autoscaling_at).error)?;
        for group in page.auto_scaling_groups() {
            let (name, group) = parse(group).map_err(|what| odd_answer(DESCRIBE, &what))?;
            groups.insert(name, group);
        }
        token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(());
        }
    }
    Err(odd_answer(DESCRIBE, &format!("more than {PAGES_MAX} pages")))
}

/// Reads a group, or says what is wrong with it. A size that is missing must not become 0.
fn parse(group: &AutoScalingGroup) -> Result<(AsgName, Asg), String> {
    let name = group.auto_scaling_group_name().ok_or("a group without name")?;
    let size = |value: Option<i32>, what: &str| {
        let size = value.and_then(|value| u32::try_from(value).ok());
        size.ok_or_else(|| format!("group {name}: no {what}"))
    };
    let members = group.instances().iter().map(|instance| {
        member(instance).ok_or_else(|| format!("group {name}: an instance without id or state"))
    });
    let asg = Asg {
        min: size(group.min_size(), "MinSize")?,
        max: size(group.max_size(), "MaxSize")?,
        desired: size(group.desired_capacity(), "DesiredCapacity")?,
        zones: group.availability_zones().to_vec(),
        instances: members.collect::<Result<_, _>>()?,
        protects_new: group.new_instances_protected_from_scale_in().unwrap_or(false),
        suspends_az_rebalance: group
            .suspended_processes()
            .iter()
            .any(|process| process.process_name() == Some(AZ_REBALANCE)),
        hooks: None,
        failure: None,
    };
    Ok((AsgName::new(name), asg))
}

fn member(instance: &Instance) -> Option<(InstanceId, Member)> {
    let id = InstanceId::new(instance.instance_id()?);
    let member = Member {
        lifecycle: Lifecycle::parse(instance.lifecycle_state()?.as_str()),
        // `Healthy` here, `HEALTHY` in DescribeAutoScalingInstances.
        healthy: instance.health_status().is_some_and(|word| word.eq_ignore_ascii_case("healthy")),
        zone: instance.availability_zone().unwrap_or_default().to_owned(),
        protected: instance.protected_from_scale_in().unwrap_or(false),
    };
    Some((id, member))
}

/// Sets DesiredCapacity. The cooldown is for simple scaling policies; a job does not wait for it.
pub async fn set_desired(cloud: &AwsCloud, asg: &AsgName, desired: u32) -> Result<(), CloudError> {
    let desired = number(SET_DESIRED, desired)?;
    cloud.paces.asg_write.take().await;
    let call = cloud.clients.autoscaling.set_desired_capacity();
    let call = call.auto_scaling_group_name(asg.as_str()).desired_capacity(desired);
    let sent = call.honor_cooldown(false).send().await;
    sent.map_err(|error| Failure::of(SET_DESIRED, &error, &cloud.clients.autoscaling_at).error)?;
    Ok(())
}

/// Writes MinSize and MaxSize, both: one alone might contradict the other.
pub async fn set_sizes(
    cloud: &AwsCloud,
    asg: &AsgName,
    min: u32,
    max: u32,
) -> Result<(), CloudError> {
    let (min, max) = (number(UPDATE, min)?, number(UPDATE, max)?);
    cloud.paces.asg_write.take().await;
    let call = cloud.clients.autoscaling.update_auto_scaling_group();
    let call = call.auto_scaling_group_name(asg.as_str()).min_size(min).max_size(max);
    let sent = call.send().await;
    sent.map_err(|error| Failure::of(UPDATE, &error, &cloud.clients.autoscaling_at).error)?;
    Ok(())
}

/// A count as the API takes it.
pub fn number(operation: &'static str, count: u32) -> Result<i32, CloudError> {
    i32::try_from(count)
        .map_err(|_| odd_answer(operation, &format!("{count} is more than AWS can count")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_autoscaling::types::LifecycleState;

    fn group() -> aws_sdk_autoscaling::types::builders::AutoScalingGroupBuilder {
        let group = AutoScalingGroup::builder().auto_scaling_group_name("g");
        group.min_size(0).max_size(4).desired_capacity(2)
    }

    #[test]
    fn a_group_is_read_with_its_members() {
        let instance = |id: &str, state: &str, health: &str| {
            let instance = Instance::builder().instance_id(id).availability_zone("a");
            let instance = instance.lifecycle_state(LifecycleState::from(state));
            instance.health_status(health).protected_from_scale_in(id == "i-1").build()
        };
        let group = group()
            .instances(instance("i-1", "InService", "Healthy"))
            .instances(instance("i-2", "Pending:Wait", "Unhealthy"))
            .instances(instance("i-3", "Warmed:Running", "Healthy"))
            .build();
        let (name, asg) = parse(&group).unwrap();
        assert_eq!((name.as_str(), asg.min, asg.max, asg.desired), ("g", 0, 4, 2));
        let member = |id: &str| asg.instances[&InstanceId::new(id)].clone();
        let expect = |lifecycle, healthy, protected| Member {
            lifecycle,
            healthy,
            zone: "a".to_owned(),
            protected,
        };
        assert_eq!(member("i-1"), expect(Lifecycle::InService, true, true));
        assert_eq!(member("i-2"), expect(Lifecycle::PendingWait, false, false));
        assert_eq!(member("i-3"), expect(Lifecycle::Other("Warmed:Running".into()), true, false));
    }

    #[test]
    fn what_is_missing_in_a_group_is_an_error_not_zero() {
        let no_size = AutoScalingGroup::builder().auto_scaling_group_name("g").min_size(0);
        assert_eq!(parse(&no_size.build()).unwrap_err(), "group g: no MaxSize");
        let no_id = group().instances(Instance::builder().build()).build();
        assert_eq!(parse(&no_id).unwrap_err(), "group g: an instance without id or state");
    }
}
