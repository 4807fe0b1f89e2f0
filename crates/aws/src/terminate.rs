//! Terminating instances by id, in as few calls as the endpoint takes.
//!
//! Since 2026 the operation takes up to 100 InstanceIds together with the group's name (service
//! model of aws-sdk-autoscaling 1.141); not every region or emulator has that. What it does with
//! one bad id of many is undocumented. So an id counts as done only if the answer names it, or the
//! group shows it, and whatever is left is sent one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_autoscaling::operation::terminate_instance_in_auto_scaling_group::TerminateInstanceInAutoScalingGroupOutput as Output;
use aws_sdk_autoscaling::types::{Activity, ScalingActivityStatusCode};
use slurm_asg_core::ids::InstanceId;
use slurm_asg_core::snapshot::{Lifecycle, Machine};
use slurm_asg_engine::{CloudError, TerminateRequest};
use tokio::time::Instant;

use crate::classify::{Failure, cut_short, named_in, not_sent};
use crate::{AwsCloud, at_once, groups, instances};

const TERMINATE: &str = "TerminateInstanceInAutoScalingGroup";
/// InstanceIds in a call (API reference).
const IDS_MAX: usize = 100;
/// How often ids that are gone are taken out of a batch and the rest is sent again.
const GONE_ROUNDS_MAX: usize = 3;
/// Before the group is looked at: Auto Scaling's answers lag a little behind its deeds.
const DOUBT_PAUSE: Duration = Duration::from_secs(1);

type Ids = BTreeSet<InstanceId>;
type Answers = BTreeMap<InstanceId, Result<(), CloudError>>;

/// What is left of a batch, to be sent one by one.
struct Rest {
    ids: Ids,
    /// The endpoint gave no sense to the batch: if it carries out the single calls, it does not
    /// know batches.
    learn: bool,
}

/// Every id of the request is in the answer.
pub async fn terminate(cloud: &AwsCloud, request: &TerminateRequest) -> Answers {
    let ids: Vec<InstanceId> =
        request.instances.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
    let mut answers = Answers::new();
    let end = cloud.limits.end();
    for ids in ids.chunks(IDS_MAX) {
        if Instant::now() >= end {
            leave(&mut answers, ids);
            continue;
        }
        let ids: Ids = ids.iter().cloned().collect();
        // One id goes by the form that every endpoint knows.
        let rest = if ids.len() > 1 && cloud.batches.load(Ordering::Relaxed) {
            batch(cloud, request, ids, &mut answers).await
        } else {
            Rest { ids, learn: false }
        };
        let done = one_by_one(cloud, request, rest.ids, end, &mut answers).await;
        if rest.learn && done > 0 {
            forget_batches(cloud);
        }
    }
    answers
}

/// No call was made for them.
fn leave<'a>(answers: &mut Answers, ids: impl IntoIterator<Item = &'a InstanceId>) {
    answers.extend(ids.into_iter().map(|id| (id.clone(), Err(not_sent(TERMINATE)))));
}

fn forget_batches(cloud: &AwsCloud) {
    if cloud.batches.swap(false, Ordering::Relaxed) {
        let endpoint = cloud.clients.autoscaling_at.name();
        tracing::info!("{endpoint} does not take several instances in one {TERMINATE}: one by one");
    }
}

/// Sends one batch. What is settled goes into the answers, the rest is given back.
async fn batch(
    cloud: &AwsCloud,
    request: &TerminateRequest,
    mut ids: Ids,
    answers: &mut Answers,
) -> Rest {
    for _ in 0..GONE_ROUNDS_MAX {
        let failure = match send_batch(cloud, request, &ids).await {
            Ok(confirmed) => {
                let nothing = confirmed.is_empty();
                ids.retain(|id| !confirmed.contains(id));
                settle(answers, confirmed);
                if ids.is_empty() {
                    return Rest { ids, learn: false };
                }
                return in_doubt(cloud, request, ids, nothing, answers).await;
            }
            Err(failure) => failure,
        };
        if failure.is_batch_unknown() {
            forget_batches(cloud);
            return Rest { ids, learn: false };
        }
        if failure.is_nameless() {
            return in_doubt(cloud, request, ids, true, answers).await;
        }
        if !failure.is_gone() && !failure.is_invalid() {
            answers.extend(ids.into_iter().map(|id| (id, Err(failure.error.clone()))));
            return Rest { ids: Ids::new(), learn: false };
        }
        // One bad id, presumably. If it is named as gone, the others may still go together.
        let gone = if failure.is_gone() { failure.named(&ids) } else { Ids::new() };
        if gone.is_empty() {
            return Rest { ids, learn: false };
        }
        ids.retain(|id| !gone.contains(id));
        settle(answers, gone);
        if ids.is_empty() {
            break;
        }
    }
    Rest { ids, learn: false }
}

/// The endpoint did not say what it did. The group shows it; sending again what goes already might
/// lower the capacity twice.
async fn in_doubt(
    cloud: &AwsCloud,
    request: &TerminateRequest,
    mut ids: Ids,
    learn: bool,
    answers: &mut Answers,
) -> Rest {
    tokio::time::sleep(DOUBT_PAUSE).await;
    match going(cloud, request, &ids).await {
        Ok(going) => {
            ids.retain(|id| !going.contains(id));
            settle(answers, going);
            Rest { ids, learn }
        }
        Err(error) => {
            answers.extend(ids.into_iter().map(|id| (id, Err(error.clone()))));
            Rest { ids: Ids::new(), learn: false }
        }
    }
}

/// Which of them are on their way out, or gone: by what the group says, and EC2 of those that the
/// group does not list. An instance that lives outside the group is neither.
async fn going(cloud: &AwsCloud, request: &TerminateRequest, ids: &Ids) -> Result<Ids, CloudError> {
    let groups = groups::describe(cloud, std::slice::from_ref(&request.asg)).await?;
    let members = groups.get(&request.asg).map(|asg| &asg.instances);
    let member = |id: &InstanceId| members.and_then(|members| members.get(id));
    let absent: Vec<InstanceId> = ids.iter().filter(|id| member(id).is_none()).cloned().collect();
    let machines = instances::describe(cloud, &absent).await?;
    let is_going = |id: &&InstanceId| match member(id).map(|member| &member.lifecycle) {
        Some(Lifecycle::Terminating | Lifecycle::TerminatingWait) => true,
        Some(
            Lifecycle::Pending
            | Lifecycle::PendingWait
            | Lifecycle::InService
            | Lifecycle::Other(_),
        ) => false,
        None => machines.get(*id).and_then(Machine::facts).is_none_or(|facts| facts.dead),
    };
    Ok(ids.iter().filter(is_going).cloned().collect())
}

fn settle(answers: &mut Answers, ids: Ids) {
    answers.extend(ids.into_iter().map(|id| (id, Ok(()))));
}

/// Sends one call with all ids. The ids that its answer confirms: an endpoint that does not know
/// InstanceIds may well answer, but not with their activities.
async fn send_batch(
    cloud: &AwsCloud,
    request: &TerminateRequest,
    ids: &Ids,
) -> Result<Ids, Failure> {
    cloud.paces.asg_write.take().await;
    let call = cloud.clients.autoscaling.terminate_instance_in_auto_scaling_group();
    let list = ids.iter().map(|id| id.as_str().to_owned()).collect();
    let call = call.set_instance_ids(Some(list)).auto_scaling_group_name(request.asg.as_str());
    let sent = call.should_decrement_desired_capacity(request.decrement).send().await;
    let answer =
        sent.map_err(|error| Failure::of(TERMINATE, &error, &cloud.clients.autoscaling_at))?;
    Ok(confirmed(&answer, ids))
}

fn confirmed(answer: &Output, ids: &Ids) -> Ids {
    let failed = |activity: &&Activity| {
        matches!(
            activity.status_code(),
            Some(ScalingActivityStatusCode::Failed | ScalingActivityStatusCode::Cancelled)
        )
    };
    let activities = answer.activities().iter().chain(answer.activity());
    let activities = activities.filter(|activity| !failed(activity));
    let texts = activities.flat_map(|activity| [activity.description(), activity.cause()]);
    texts.flatten().flat_map(|text| named_in(text, ids)).collect()
}

/// Sends one call for each id, a few at a time, until `end`. How many were carried out.
async fn one_by_one(
    cloud: &AwsCloud,
    request: &TerminateRequest,
    ids: Ids,
    end: Instant,
    answers: &mut Answers,
) -> usize {
    let mut begun = 0;
    let in_time = ids.iter().take_while(|_| Instant::now() < end).inspect(|_| begun += 1);
    let calls = in_time.map(|id| {
        let call = cloud.clients.autoscaling.terminate_instance_in_auto_scaling_group();
        let call = call.instance_id(id.as_str());
        let call = call.should_decrement_desired_capacity(request.decrement);
        let (id, endpoint) = (id.clone(), cloud.clients.autoscaling_at.clone());
        let turn = cloud.paces.asg_write.turn();
        async move {
            turn.wait().await;
            let sent = call.send().await;
            (id, sent.map_err(|error| Failure::of(TERMINATE, &error, &endpoint)))
        }
    });
    let mut done = 0;
    let mut unclear = BTreeMap::new();
    for (id, sent) in at_once::all(calls, cloud.limits.at_once).await {
        let answer = match sent {
            Ok(_) => {
                done += 1;
                Ok(())
            }
            Err(failure) if failure.is_gone() => Ok(()),
            Err(failure) if failure.is_nameless() => {
                unclear.insert(id, failure.error);
                continue;
            }
            Err(failure) => Err(failure.error),
        };
        answers.insert(id, answer);
    }
    if !unclear.is_empty() {
        look_at_unclear(cloud, request, unclear, answers).await;
    }
    leave(answers, ids.iter().skip(begun));
    for id in ids {
        answers.entry(id).or_insert_with(|| Err(cut_short(TERMINATE)));
    }
    done
}

/// A server that crashed on the request: perhaps because the instance is gone.
async fn look_at_unclear(
    cloud: &AwsCloud,
    request: &TerminateRequest,
    unclear: BTreeMap<InstanceId, CloudError>,
    answers: &mut Answers,
) {
    let ids = unclear.keys().cloned().collect();
    // If the look fails too, the first failure is the one to tell.
    let going = going(cloud, request, &ids).await.unwrap_or_default();
    answers.extend(unclear.into_iter().map(|(id, error)| {
        let answer = if going.contains(&id) { Ok(()) } else { Err(error) };
        (id, answer)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_named_by_an_activity_that_did_not_fail_are_confirmed() {
        let ids: Ids = ["i-1", "i-2", "i-3", "i-4"].map(InstanceId::new).into();
        let activity = |status: &str, description: &str, cause: &str| {
            let activity = Activity::builder().status_code(ScalingActivityStatusCode::from(status));
            activity.description(description).cause(cause).build()
        };
        let answer = Output::builder()
            .activities(activity("InProgress", "Terminating EC2 instance: i-1", ""))
            .activities(activity("Failed", "Terminating EC2 instance: i-2", ""))
            .activity(activity("InProgress", "", "instance i-3 was taken out of service"))
            .build();
        let confirmed = confirmed(&answer, &ids);
        assert_eq!(confirmed, ["i-1", "i-3"].map(InstanceId::new).into());
        assert!(super::confirmed(&Output::builder().build(), &ids).is_empty());
    }
}
