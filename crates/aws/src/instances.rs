//! What EC2 knows of single instances.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::operation::describe_instances::builders::DescribeInstancesFluentBuilder;
use aws_sdk_ec2::types::{Filter, Instance};
use slurm_asg_core::ids::{InstanceId, NodeName};
use slurm_asg_core::snapshot::{Machine, MachineFacts, is_dead_state};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::CloudError;

use crate::AwsCloud;
use crate::classify::{Failure, odd_answer};
use crate::tags::NODE_TAG;

const DESCRIBE: &str = "DescribeInstances";
/// Ids in a call (API reference of DescribeInstances: a page has at most 1000 instances).
const IDS_MAX: usize = 1000;
/// Values of one filter (EC2 user guide, "List and filter").
const FILTER_VALUES_MAX: usize = 200;
/// How often ids that EC2 does not know are taken out and the rest is asked for again.
const UNKNOWN_ROUNDS_MAX: usize = 3;
/// Pages of one call's answer.
const PAGES_MAX: usize = 100;

type Machines = BTreeMap<InstanceId, Machine>;

/// Every id is in the answer.
pub async fn describe(cloud: &AwsCloud, ids: &[InstanceId]) -> Result<Machines, CloudError> {
    let mut machines: Machines = ids.iter().map(|id| (id.clone(), Machine::NotFound)).collect();
    let ids: Vec<InstanceId> = machines.keys().cloned().collect();
    // No ids at all would mean all instances of the account: `chunks` gives no chunk then.
    for ids in ids.chunks(IDS_MAX) {
        describe_some(cloud, ids, &mut machines).await?;
    }
    Ok(machines)
}

/// EC2 refuses the whole call for one id that it does not know. It names it: ask for the others.
/// Where that does not come to an end, a filter asks for the same and skips what is not there.
async fn describe_some(
    cloud: &AwsCloud,
    ids: &[InstanceId],
    machines: &mut Machines,
) -> Result<(), CloudError> {
    let describe = cloud.clients.ec2.describe_instances();
    let mut known: BTreeSet<InstanceId> = ids.iter().cloned().collect();
    for _ in 0..UNKNOWN_ROUNDS_MAX {
        if known.is_empty() {
            return Ok(());
        }
        let ids = known.iter().map(|id| id.as_str().to_owned()).collect();
        let call = describe.clone().set_instance_ids(Some(ids));
        let unknown = match pages(cloud, &call, machines).await {
            Ok(()) => return Ok(()),
            Err(Trouble::Call(failure)) if failure.is_unknown_instance() => failure.named(&known),
            Err(trouble) => return Err(trouble.into_error()),
        };
        if unknown.is_empty() {
            break;
        }
        known.retain(|id| !unknown.contains(id));
    }
    let known: Vec<String> = known.iter().map(|id| id.as_str().to_owned()).collect();
    for ids in known.chunks(FILTER_VALUES_MAX) {
        let filter = Filter::builder().name("instance-id").set_values(Some(ids.to_vec())).build();
        let call = describe.clone().filters(filter);
        pages(cloud, &call, machines).await.map_err(Trouble::into_error)?;
    }
    Ok(())
}

enum Trouble {
    Call(Failure),
    Answer(CloudError),
}

impl Trouble {
    fn into_error(self) -> CloudError {
        match self {
            Self::Call(failure) => failure.error,
            Self::Answer(error) => error,
        }
    }
}

/// Sends one call and follows its pages.
async fn pages(
    cloud: &AwsCloud,
    call: &DescribeInstancesFluentBuilder,
    machines: &mut Machines,
) -> Result<(), Trouble> {
    let mut token = None;
    for _ in 0..PAGES_MAX {
        cloud.paces.ec2_read.take().await;
        let page = call.clone().set_next_token(token).send().await;
        let page = page
            .map_err(|error| Trouble::Call(Failure::of(DESCRIBE, &error, &cloud.clients.ec2_at)))?;
        let instances = page.reservations().iter().flat_map(|reservation| reservation.instances());
        for instance in instances {
            let Some(id) = instance.instance_id() else {
                return Err(Trouble::Answer(odd_answer(DESCRIBE, "an instance without id")));
            };
            machines.insert(InstanceId::new(id), Machine::Known(facts(instance)));
        }
        token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if token.is_none() {
            return Ok(());
        }
    }
    Err(Trouble::Answer(odd_answer(DESCRIBE, &format!("more than {PAGES_MAX} pages"))))
}

fn facts(instance: &Instance) -> MachineFacts {
    let state = instance.state().and_then(|state| state.name()).map(|name| name.as_str());
    let launched = instance.launch_time().and_then(|time| time.to_millis().ok());
    let launched = launched.and_then(|millis| u64::try_from(millis).ok());
    let node = instance.tags().iter().find(|tag| tag.key() == Some(NODE_TAG));
    let node = node.and_then(|tag| tag.value()).filter(|value| !value.is_empty());
    MachineFacts {
        dead: state.is_some_and(is_dead_state),
        address: instance.private_ip_address().and_then(|address| address.parse().ok()),
        launched: launched.map(Timestamp::from_millis),
        node_tag: node.map(NodeName::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{InstanceState, InstanceStateName, Tag};
    use aws_smithy_types::DateTime;

    #[test]
    fn an_instance_is_dead_once_nothing_runs_on_it() {
        let dead = |state: &str| {
            let state = InstanceState::builder().name(InstanceStateName::from(state)).build();
            facts(&Instance::builder().state(state).build()).dead
        };
        for (state, expected) in [
            ("pending", false),
            ("running", false),
            ("shutting-down", true),
            ("terminated", true),
            ("stopping", true),
            ("stopped", true),
            ("a-state-of-the-future", false),
        ] {
            assert_eq!(dead(state), expected, "{state}");
        }
    }

    #[test]
    fn facts_are_read_and_what_is_missing_stays_unknown() {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let instance = Instance::builder()
            .private_ip_address("10.0.0.7")
            .launch_time(DateTime::from_secs(1_700_000_000))
            .tags(tag("Name", "other"))
            .tags(tag(NODE_TAG, "n1"))
            .build();
        let read = facts(&instance);
        assert_eq!(read.address, "10.0.0.7".parse().ok());
        assert_eq!(read.launched, Some(Timestamp::from_secs(1_700_000_000)));
        assert_eq!(read.node_tag, Some(NodeName::new("n1")));
        let nothing = MachineFacts { dead: false, address: None, launched: None, node_tag: None };
        assert_eq!(facts(&Instance::builder().build()), nothing);
    }
}
