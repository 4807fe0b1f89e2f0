//! Settings of instances and groups: protection from scale-in, and processes that are suspended.

use std::collections::{BTreeMap, BTreeSet};

use slurm_asg_core::advice::{AZ_REBALANCE, Advice, Setting};
use slurm_asg_core::ids::{AsgName, InstanceId};
use slurm_asg_engine::CloudError;

use crate::AwsCloud;
use crate::classify::Failure;

const PROTECT: &str = "SetInstanceProtection";
const UPDATE: &str = "UpdateAutoScalingGroup";
const SUSPEND: &str = "SuspendProcesses";
/// InstanceIds in a call of SetInstanceProtection (API reference).
const IDS_MAX: usize = 50;

/// Protects instances of one group from scale-in. Every id is in the answer.
pub async fn protect(
    cloud: &AwsCloud,
    asg: &AsgName,
    instances: &[InstanceId],
) -> BTreeMap<InstanceId, Result<(), CloudError>> {
    let ids: Vec<_> = instances.iter().collect::<BTreeSet<_>>().into_iter().collect();
    let mut answers = BTreeMap::new();
    for ids in ids.chunks(IDS_MAX) {
        let sent = protect_some(cloud, asg, ids).await;
        match sent {
            // One that has left meanwhile spoils the call for all: each by itself.
            Err(failure) if failure.is_invalid_or_conflict() && ids.len() > 1 => {
                for id in ids {
                    let sent = protect_some(cloud, asg, &[*id]).await;
                    answers.insert((*id).clone(), settled(sent));
                }
            }
            sent => {
                let done = settled(sent);
                answers.extend(ids.iter().map(|id| ((*id).clone(), done.clone())));
            }
        }
    }
    answers
}

/// Instances that their group has no more need no protection.
fn settled(sent: Result<(), Failure>) -> Result<(), CloudError> {
    match sent {
        Err(failure) if failure.is_gone() => Ok(()),
        other => other.map_err(|failure| failure.error),
    }
}

async fn protect_some(cloud: &AwsCloud, asg: &AsgName, ids: &[&InstanceId]) -> Result<(), Failure> {
    cloud.paces.asg_write.take().await;
    let call = cloud.clients.autoscaling.set_instance_protection();
    let list = ids.iter().map(|id| id.as_str().to_owned()).collect();
    let call = call.auto_scaling_group_name(asg.as_str()).set_instance_ids(Some(list));
    let sent = call.protected_from_scale_in(true).send().await;
    sent.map_err(|error| Failure::of(PROTECT, &error, &cloud.clients.autoscaling_at))?;
    Ok(())
}

/// Gives a group a setting that was advised.
pub async fn follow(cloud: &AwsCloud, advice: &Advice) -> Result<(), CloudError> {
    cloud.paces.asg_write.take().await;
    let at = &cloud.clients.autoscaling_at;
    let asg = advice.asg.as_str();
    match advice.setting {
        Setting::ProtectNew => {
            let call = cloud.clients.autoscaling.update_auto_scaling_group();
            let call = call.auto_scaling_group_name(asg);
            let sent = call.new_instances_protected_from_scale_in(true).send().await;
            sent.map(drop).map_err(|error| Failure::of(UPDATE, &error, at).error)
        }
        Setting::SuspendAzRebalance => {
            // An omitted list would mean all processes.
            let call = cloud.clients.autoscaling.suspend_processes();
            let call = call.auto_scaling_group_name(asg);
            let sent = call.scaling_processes(AZ_REBALANCE).send().await;
            sent.map(drop).map_err(|error| Failure::of(SUSPEND, &error, at).error)
        }
    }
}
