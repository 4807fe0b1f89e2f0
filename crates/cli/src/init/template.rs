//! The CloudFormation template: launch template, Auto Scaling group, hooks, alarms, rights.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::pieces::{iam, user_data};
use super::setup::Setup;

/// The alarms that raise the capacity, as they are shipped.
const ALARMS: &str = include_str!("../../../../packaging/cloudformation/alarms.json");

/// The template.
pub fn of(setup: &Setup) -> Result<Value> {
    let mut parameters = parameters(setup);
    let mut resources = json!({
        "LaunchTemplate": launch_template(setup),
        "AutoScalingGroup": group(setup),
        "ControllerPolicy": {
            "Type": "AWS::IAM::Policy",
            "Condition": "HasControllerRole",
            "Properties": {
                "PolicyName": {"Fn::Sub": "${AWS::StackName}-slurm-asg"},
                "Roles": [{"Ref": "ControllerRole"}],
                "PolicyDocument": iam(setup)?,
            },
        },
    });
    let mut conditions = Map::new();
    conditions.insert("HasControllerRole".to_owned(), is_given("ControllerRole"));
    let resources_map = resources.as_object_mut().context("resources")?;
    if setup.alarms {
        let (more_parameters, more) = alarms(setup)?;
        parameters.extend(more_parameters);
        resources_map.extend(more);
    } else if setup.metrics {
        parameters.insert("AlarmTopic".to_owned(), json!({
            "Type": "String",
            "Description": "ARN of an SNS topic that is told when jobs have waited for an hour; empty for none",
            "Default": "",
        }));
        conditions.insert("HasAlarmTopic".to_owned(), is_given("AlarmTopic"));
        resources_map.insert("WaitingAlarm".to_owned(), waiting_alarm(setup));
    }
    Ok(json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!("slurm-asg: the Auto Scaling group {} of the Slurm cluster {}", setup.asg, setup.cluster),
        "Parameters": parameters,
        "Conditions": conditions,
        "Resources": resources,
        "Outputs": {
            "NextStep": {
                // CloudFormation has no property for it.
                "Description": "AZRebalance is to be suspended, or AWS ends busy instances to even out zones",
                "Value": format!(
                    "aws autoscaling suspend-processes --auto-scaling-group-name {} --scaling-processes AZRebalance",
                    setup.asg
                ),
            },
        },
    }))
}

fn is_given(parameter: &str) -> Value {
    json!({"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, ""]}]})
}

fn parameters(setup: &Setup) -> Map<String, Value> {
    let mut parameters = Map::new();
    let mut add = |name: &str, kind: &str, text: &str, default: Option<Value>| {
        let mut parameter = Map::new();
        parameter.insert("Type".to_owned(), json!(kind));
        parameter.insert("Description".to_owned(), json!(text));
        parameter.extend(default.map(|default| ("Default".to_owned(), default)));
        parameters.insert(name.to_owned(), Value::Object(parameter));
    };
    let list = |all: &[String]| (!all.is_empty()).then(|| json!(all.join(",")));
    add(
        "ImageId",
        "AWS::EC2::Image::Id",
        "The image: slurmd, munge, munge.key, curl",
        setup.image.as_ref().map(|it| json!(it)),
    );
    add(
        "InstanceType",
        "String",
        "The instance type, as the NodeName line in slurm.conf is for",
        setup.instance_type.as_ref().map(|it| json!(it)),
    );
    add(
        "Subnets",
        "List<AWS::EC2::Subnet::Id>",
        "Where instances are launched",
        list(&setup.subnets),
    );
    add(
        "SecurityGroups",
        "List<AWS::EC2::SecurityGroup::Id>",
        "They let slurmd, slurmctld and other nodes reach each other",
        list(&setup.security_groups),
    );
    add(
        "ControllerRole",
        "String",
        "Name of the IAM role of slurmctld's instance, to be given the rights; empty if it has them",
        Some(json!("")),
    );
    parameters
}

fn launch_template(setup: &Setup) -> Value {
    json!({
        "Type": "AWS::EC2::LaunchTemplate",
        "Properties": {
            "LaunchTemplateData": {
                "ImageId": {"Ref": "ImageId"},
                "InstanceType": {"Ref": "InstanceType"},
                "SecurityGroupIds": {"Ref": "SecurityGroups"},
                "MetadataOptions": {
                    "HttpEndpoint": "enabled",
                    "HttpTokens": "required",
                    "InstanceMetadataTags": "enabled",
                },
                "UserData": {"Fn::Base64": user_data(setup)},
            },
        },
    })
}

fn group(setup: &Setup) -> Value {
    json!({
        "Type": "AWS::AutoScaling::AutoScalingGroup",
        // An update of the stack leaves the desired capacity alone: it is slurm-asg's.
        "UpdatePolicy": {
            "AutoScalingScheduledAction": {"IgnoreUnmodifiedGroupSizeProperties": true},
        },
        "Properties": {
            "AutoScalingGroupName": setup.asg,
            "MinSize": "0",
            "MaxSize": setup.count.to_string(),
            "VPCZoneIdentifier": {"Ref": "Subnets"},
            "LaunchTemplate": {
                "LaunchTemplateId": {"Ref": "LaunchTemplate"},
                "Version": {"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]},
            },
            "HealthCheckType": "EC2",
            "CapacityRebalance": false,
            "NewInstancesProtectedFromScaleIn": true,
            "LifecycleHookSpecificationList": [{
                "LifecycleHookName": "slurm-asg-terminating",
                "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
                "HeartbeatTimeout": 300,
                "DefaultResult": "CONTINUE",
            }],
            "Tags": [
                {"Key": "slurm-asg:cluster", "Value": setup.cluster, "PropagateAtLaunch": true},
            ],
        },
    })
}

/// Told when the metric `pending` has been above zero for an hour.
fn waiting_alarm(setup: &Setup) -> Value {
    json!({
        "Type": "AWS::CloudWatch::Alarm",
        "Condition": "HasAlarmTopic",
        "Properties": {
            "AlarmDescription": "Slurm jobs have waited for instances for an hour",
            "Namespace": "SlurmAsg",
            "MetricName": "pending",
            "Dimensions": [
                {"Name": "Cluster", "Value": setup.cluster},
                {"Name": "Group", "Value": setup.name},
            ],
            "Statistic": "Minimum",
            "Period": 300,
            "EvaluationPeriods": 12,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": 0,
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": "AlarmTopic"}],
        },
    })
}

/// Parameters and resources of the shipped alarms, for this group.
fn alarms(setup: &Setup) -> Result<(Map<String, Value>, Map<String, Value>)> {
    let own = ALARMS.replace("\"AutoScalingGroupName\"\n", "\"AutoScalingGroup\"\n");
    let mut shipped: Value = serde_json::from_str(&own).context("packaging/cloudformation")?;
    let mut take = |name: &str| {
        let part = shipped.get_mut(name).and_then(Value::as_object_mut).map(std::mem::take);
        part.with_context(|| format!("packaging/cloudformation has no {name}"))
    };
    let (mut parameters, mut resources) = (take("Parameters")?, take("Resources")?);
    // They are resources and parameters of this template already.
    parameters.remove("AutoScalingGroupName");
    parameters.remove("ControllerRole");
    resources.remove("PublishMetrics");
    for (name, value) in [("ClusterName", &setup.cluster), ("GroupName", &setup.name)] {
        let parameter = parameters.get_mut(name).and_then(Value::as_object_mut);
        let parameter = parameter.with_context(|| format!("no parameter {name}"))?;
        parameter.insert("Default".to_owned(), json!(value));
    }
    Ok((parameters, resources))
}
