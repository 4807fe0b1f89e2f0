//! What slurm-asg relies on, checked against an endpoint: the same for AWS, moto and the sandbox.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use slurm_asg_aws::AwsCloud;
use slurm_asg_core::advice::{Advice, Setting};
use slurm_asg_core::ids::{AsgName, InstanceId, NodeName};
use slurm_asg_core::snapshot::{Asg, Lifecycle, Machine, MachineFacts};
use slurm_asg_engine::{Cloud, TerminateRequest};

/// How long the endpoint may take for each step.
const STEP_MAX: Duration = Duration::from_secs(60);

/// An endpoint to be tried, and what was prepared there.
pub struct Endpoint {
    pub cloud: AwsCloud,
    /// A group with min 0, max ≥ 5, desired 0 and nothing in it.
    pub asg: AsgName,
}

impl Endpoint {
    async fn group(&self) -> Asg {
        let groups = self.cloud.describe_groups(std::slice::from_ref(&self.asg)).await.unwrap();
        groups.get(&self.asg).cloned().unwrap()
    }

    /// Waits until the group's living instances are as wanted.
    async fn group_when(&self, wanted: impl Fn(&[InstanceId]) -> bool) -> (Asg, Vec<InstanceId>) {
        let start = Instant::now();
        loop {
            let group = self.group().await;
            let alive = in_service(&group);
            if wanted(&alive) {
                return (group, alive);
            }
            assert!(start.elapsed() < STEP_MAX, "the group stays at {group:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the group shows these sizes and has as many instances as are desired.
    async fn sized(&self, min: u32, desired: u32, max: u32) -> Vec<InstanceId> {
        let start = Instant::now();
        loop {
            let group = self.group().await;
            let alive = in_service(&group);
            let sizes = (group.min, group.desired, group.max);
            if sizes == (min, desired, max) && alive.len() == desired as usize {
                return alive;
            }
            assert!(start.elapsed() < STEP_MAX, "the group stays at {group:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn machines(&self, ids: &[InstanceId]) -> BTreeMap<InstanceId, Machine> {
        self.cloud.describe_instances(ids).await.unwrap()
    }

    async fn terminate(&self, ids: &[InstanceId], decrement: bool) {
        let (asg, instances) = (self.asg.clone(), ids.to_vec());
        let answers = self.cloud.terminate(&TerminateRequest { asg, instances, decrement }).await;
        assert_eq!(answers.len(), ids.len());
        for (id, answer) in answers {
            assert_eq!(answer, Ok(()), "{id}");
        }
    }
}

fn in_service(group: &Asg) -> Vec<InstanceId> {
    let members = group.instances.iter();
    let alive = members.filter(|(_, member)| member.lifecycle == Lifecycle::InService);
    alive.map(|(id, _)| id.clone()).collect()
}

fn is_alive(machine: &Machine) -> bool {
    machine.facts().is_some_and(|facts| !facts.dead)
}

/// Runs the whole contract.
pub async fn contract(endpoint: &Endpoint) {
    a_group_that_does_not_exist_is_absent(endpoint).await;
    let ids = desired_capacity_brings_instances(endpoint).await;
    instances_have_addresses_and_unknown_ones_are_not_found(endpoint, &ids).await;
    names_are_written_and_seen(endpoint, &ids).await;
    terminating_one_leaves_the_others(endpoint, &ids).await;
    what_is_gone_is_terminated_with_success(endpoint, &ids).await;
    several_go_together_with_one_that_is_gone(endpoint, &ids).await;
    without_decrement_another_one_comes(endpoint).await;
    a_minimum_brings_instances_and_lowering_it_ends_none(endpoint).await;
    protection_is_set_and_does_not_help_against_the_id(endpoint).await;
    what_is_advised_is_followed_and_seen(endpoint).await;
}

async fn a_group_that_does_not_exist_is_absent(endpoint: &Endpoint) {
    let names = [AsgName::new("no-such-group"), endpoint.asg.clone()];
    let groups = endpoint.cloud.describe_groups(&names).await.unwrap();
    assert_eq!(groups.keys().collect::<Vec<_>>(), [&endpoint.asg]);
    let group = endpoint.group().await;
    assert_eq!((group.min, group.desired), (0, 0));
    assert!(group.max >= 5 && group.instances.is_empty());
}

async fn desired_capacity_brings_instances(endpoint: &Endpoint) -> Vec<InstanceId> {
    for _ in 0..2 {
        // Twice: the second call changes nothing.
        endpoint.cloud.set_desired(&endpoint.asg, 3).await.unwrap();
    }
    let (group, ids) = endpoint.group_when(|alive| alive.len() == 3).await;
    assert_eq!((group.desired, group.instances.len()), (3, 3));
    for member in group.instances.values() {
        assert!(member.healthy && !member.protected && !member.zone.is_empty(), "{member:?}");
    }
    ids
}

async fn instances_have_addresses_and_unknown_ones_are_not_found(
    endpoint: &Endpoint,
    ids: &[InstanceId],
) {
    let unknown = ["i-0123456789abcdef0", "i-0123456789abcdef1", "i-0123456789abcdef2"];
    let unknown = unknown.map(InstanceId::new);
    let asked: Vec<InstanceId> = ids.iter().chain(&unknown).cloned().collect();
    let machines = endpoint.machines(&asked).await;
    assert_eq!(machines.len(), asked.len());
    for id in ids {
        let facts = machines[id].facts().unwrap();
        let MachineFacts { dead: false, address: Some(_), launched: Some(at), node_tag: None } =
            facts
        else {
            panic!("{id}: {facts:?}");
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age_ms = now.as_millis().abs_diff(u128::from(at.millis()));
        assert!(age_ms < 300_000, "{id} was launched {age_ms} ms ago");
    }
    for id in &unknown {
        assert_eq!(machines[id], Machine::NotFound);
    }
    let mut addresses: Vec<_> =
        ids.iter().map(|id| machines[id].facts().unwrap().address).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), ids.len(), "an address was given twice");
}

async fn names_are_written_and_seen(endpoint: &Endpoint, ids: &[InstanceId]) {
    let named = |id: &InstanceId| {
        let place = ids.iter().position(|other| other == id).unwrap();
        NodeName::new(&format!("node-{place}"))
    };
    let names: Vec<_> = ids.iter().map(|id| (id.clone(), named(id))).collect();
    endpoint.cloud.tag_later(names);
    let start = Instant::now();
    loop {
        let machines = endpoint.machines(ids).await;
        let has_name =
            |id: &&InstanceId| machines[*id].facts().unwrap().node_tag == Some(named(id));
        if ids.iter().filter(has_name).count() == ids.len() {
            return;
        }
        assert!(start.elapsed() < STEP_MAX, "names are not written: {machines:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn terminating_one_leaves_the_others(endpoint: &Endpoint, ids: &[InstanceId]) {
    let (gone, others) = ids.split_first().unwrap();
    endpoint.terminate(std::slice::from_ref(gone), true).await;
    let (group, alive) = endpoint.group_when(|alive| !alive.contains(gone)).await;
    assert_eq!((group.desired, alive.as_slice()), (2, others));
    let machines = endpoint.machines(ids).await;
    assert!(!is_alive(&machines[gone]));
    assert!(others.iter().all(|id| is_alive(&machines[id])), "{machines:?}");
}

async fn what_is_gone_is_terminated_with_success(endpoint: &Endpoint, ids: &[InstanceId]) {
    let gone = &ids[..1];
    endpoint.terminate(gone, true).await;
    endpoint.terminate(&[InstanceId::new("i-0123456789abcdef0")], true).await;
    let (group, alive) = endpoint.group_when(|alive| alive.len() == 2).await;
    assert_eq!((group.desired, alive.as_slice()), (2, &ids[1..]));
}

async fn several_go_together_with_one_that_is_gone(endpoint: &Endpoint, ids: &[InstanceId]) {
    endpoint.cloud.set_desired(&endpoint.asg, 3).await.unwrap();
    let (_, alive) = endpoint.group_when(|alive| alive.len() == 3).await;
    let kept = alive.iter().find(|id| !ids.contains(id)).unwrap();
    endpoint.terminate(ids, true).await;
    let (group, alive) = endpoint.group_when(|alive| alive.len() == 1).await;
    assert_eq!((group.desired, alive.as_slice()), (1, std::slice::from_ref(kept)));
}

async fn without_decrement_another_one_comes(endpoint: &Endpoint) {
    let (_, old) = endpoint.group_when(|alive| alive.len() == 1).await;
    endpoint.terminate(&old, false).await;
    let fresh = |alive: &[InstanceId]| alive.len() == 1 && alive != old.as_slice();
    let (group, alive) = endpoint.group_when(fresh).await;
    assert_eq!(group.desired, 1);
    endpoint.terminate(&alive, true).await;
    let (group, _) = endpoint.group_when(<[InstanceId]>::is_empty).await;
    assert_eq!(group.desired, 0);
}

async fn protection_is_set_and_does_not_help_against_the_id(endpoint: &Endpoint) {
    endpoint.cloud.set_desired(&endpoint.asg, 3).await.unwrap();
    let (_, ids) = endpoint.group_when(|alive| alive.len() == 3).await;
    for _ in 0..2 {
        // Twice: the second call changes nothing.
        let answers = endpoint.cloud.protect(&endpoint.asg, &ids[..2]).await;
        assert_eq!(answers.keys().collect::<Vec<_>>(), ids[..2].iter().collect::<Vec<_>>());
        assert!(answers.values().all(Result::is_ok), "{answers:?}");
    }
    let start = Instant::now();
    loop {
        let group = endpoint.group().await;
        let protected = group.instances.iter().filter(|(_, member)| member.protected);
        if protected.map(|(id, _)| id).eq(&ids[..2]) {
            break;
        }
        assert!(start.elapsed() < STEP_MAX, "protection does not show: {group:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    endpoint.terminate(&ids, true).await;
    let (group, _) = endpoint.group_when(<[InstanceId]>::is_empty).await;
    assert_eq!(group.desired, 0);
}

async fn what_is_advised_is_followed_and_seen(endpoint: &Endpoint) {
    for setting in [Setting::ProtectNew, Setting::SuspendAzRebalance] {
        for _ in 0..2 {
            let advice = Advice { asg: endpoint.asg.clone(), setting };
            endpoint.cloud.follow(&advice).await.unwrap();
        }
    }
    let start = Instant::now();
    loop {
        let group = endpoint.group().await;
        if group.protects_new && group.suspends_az_rebalance {
            return;
        }
        assert!(start.elapsed() < STEP_MAX, "the settings do not show: {group:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn a_minimum_brings_instances_and_lowering_it_ends_none(endpoint: &Endpoint) {
    let max = endpoint.group().await.max;
    for _ in 0..2 {
        // Twice: the second call changes nothing.
        endpoint.cloud.set_sizes(&endpoint.asg, 2, 4).await.unwrap();
    }
    let alive = endpoint.sized(2, 2, 4).await;
    endpoint.cloud.set_sizes(&endpoint.asg, 0, max).await.unwrap();
    assert_eq!(endpoint.sized(0, 2, max).await, alive);
    endpoint.terminate(&alive, true).await;
    let (group, _) = endpoint.group_when(<[InstanceId]>::is_empty).await;
    assert_eq!(group.desired, 0);
}
