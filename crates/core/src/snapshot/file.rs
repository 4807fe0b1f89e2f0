//! A snapshot as a JSON file: docs/snapshot.md describes it for its writers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::listed::{self, NAMES_MAX};
use super::words::seconds;
use super::{
    Asg, Job, License, Lifecycle, Machine, MachineFacts, Member, Node, Partition, Queue,
    Reservation, Seen, SlurmFacts, Snapshot,
};
use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::memory::{Binding, Memory};
use crate::node_state::Phase;
use crate::policy::{GroupPolicy, Policy};
use crate::time::Timestamp;
use crate::word::one_line;

/// The partition that stands for all, where a file has none.
const ONLY_PARTITION: &str = "";

/// A file's content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct File {
    /// When it was taken. If that is not said, the newest time in the file that is no plan for
    /// the future.
    #[serde(with = "seconds")]
    pub now: Option<Timestamp>,
    /// How this Slurm shares out nodes.
    pub slurm: SlurmFacts,
    /// Jobs that are pending or wait for their nodes to boot, and running tasks of arrays.
    pub jobs: Vec<Job>,
    /// All nodes, in slurmctld's order.
    pub nodes: Vec<Node>,
    /// All partitions. Without one, all nodes are in the one that each job names.
    #[serde(deserialize_with = "listed::read")]
    pub partitions: Vec<Partition>,
    /// Reservations, if they are known.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "listed::read_option")]
    pub reservations: Option<Vec<Reservation>>,
    /// Licenses, if they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licenses: Option<Vec<License>>,
    /// What the Auto Scaling groups hold, by the names of groups in asg.toml. A group that is
    /// not said has the sizes of asg.toml, and an instance for each node that is not powered down.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<GroupName, Holdings>,
    /// What the plugin remembers, as in its state file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

/// What one group's Auto Scaling groups hold: for one the numbers, for several a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holdings {
    /// MinSize.
    #[serde(alias = "min_size", skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// MaxSize.
    #[serde(alias = "max_size", skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// DesiredCapacity.
    #[serde(alias = "desired_capacity", skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
    /// Its instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<Vec<Instance>>,
    /// If there are several, each by its name, instead of the numbers above.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub asgs: BTreeMap<AsgName, Holdings>,
    /// Why it could not be read, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// An instance of an Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// InstanceId.
    pub instance_id: InstanceId,
    /// LifecycleState.
    pub lifecycle_state: String,
    /// HealthStatus is `Healthy`.
    pub healthy: bool,
    /// AvailabilityZone.
    pub availability_zone: String,
    /// ProtectedFromScaleIn.
    pub protected_from_scale_in: bool,
    /// The node it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// PrivateIpAddress, if EC2 has said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ip_address: Option<IpAddr>,
    /// LaunchTime.
    #[serde(with = "seconds")]
    pub launch_time: Option<Timestamp>,
    /// Its tag `slurm-asg:node`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_tag: Option<NodeName>,
    /// EC2 says that nothing runs on it any more.
    pub dead: bool,
}

impl Default for Instance {
    fn default() -> Self {
        Self {
            instance_id: InstanceId::new(""),
            lifecycle_state: "InService".to_owned(),
            healthy: true,
            availability_zone: String::new(),
            protected_from_scale_in: false,
            node: None,
            private_ip_address: None,
            launch_time: None,
            node_tag: None,
            dead: false,
        }
    }
}

/// What is wrong with a file: one line with the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(String);

impl FileError {
    /// What is quoted from the file may have line feeds; they are written as `\n`.
    fn new(text: &str) -> Self {
        Self(one_line(text))
    }
}

/// What was read, and fields of it that mean nothing here.
#[derive(Debug)]
pub struct Read {
    /// The content.
    pub file: File,
    /// Fields that were passed over, as in `jobs.nice`: each once, in alphabetical order.
    pub ignored: Vec<String>,
}

/// Reads a file's text.
///
/// # Errors
/// The first thing that is wrong, with line and column, or with the record.
pub fn read(text: &str) -> Result<Read, FileError> {
    if !text.trim_start().starts_with('{') {
        // A list would be taken for the fields in their order.
        let what = "a snapshot is a JSON object with jobs, nodes and partitions";
        return Err(FileError::new(what));
    }
    let mut ignored = BTreeSet::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let mut note = |path: serde_ignored::Path<'_>| {
        let path = path.to_string();
        let names = path.split('.').filter(|part| part.parse::<u64>().is_err());
        let names: Vec<_> = names.filter(|part| *part != "?").collect();
        ignored.insert(names.join("."));
    };
    let mut file: File = serde_ignored::deserialize(&mut json, &mut note)
        .and_then(|file| json.end().map(|()| file))
        .map_err(|error| FileError::new(&error.to_string()))?;
    number_and_check(&mut file)?;
    Ok(Read { file, ignored: ignored.into_iter().collect() })
}

fn number_and_check(file: &mut File) -> Result<(), FileError> {
    let missing = |list: &str, at: usize, field: &str| {
        Err(FileError::new(&format!("{list}[{at}] has no `{field}`")))
    };
    let twice = |list: &str, at: usize, name: &str| {
        Err(FileError::new(&format!("{list}[{at}]: `{name}` is there twice")))
    };
    let mut names = BTreeSet::new();
    for (at, node) in file.nodes.iter_mut().enumerate() {
        node.index = u32::try_from(at).unwrap_or(u32::MAX);
        if node.name.as_str().is_empty() {
            return missing("nodes", at, "name");
        }
        if !names.insert(node.name.clone()) {
            return twice("nodes", at, node.name.as_str());
        }
    }
    let mut names = BTreeSet::new();
    let mut listed = 0_usize;
    for (at, partition) in file.partitions.iter_mut().enumerate() {
        if partition.name.is_empty() {
            return missing("partitions", at, "name");
        }
        if !names.insert(Arc::clone(&partition.name)) {
            return twice("partitions", at, &partition.name);
        }
        if matches!(partition.nodes.as_slice(), [all] if all.as_str() == "ALL") {
            listed = listed.saturating_add(file.nodes.len());
            if listed > NAMES_MAX {
                return Err(FileError::new(&format!(
                    "partitions[{at}]: so many partitions have `ALL` nodes that these are more \
                     than {NAMES_MAX} in all"
                )));
            }
            partition.nodes = file.nodes.iter().map(|node| node.name.clone()).collect();
        }
    }
    if file.partitions.is_empty() {
        check_partitions_of_jobs(file)?;
    }
    let mut ids = BTreeSet::new();
    for (at, job) in file.jobs.iter().enumerate() {
        if job.job_id == 0 {
            return missing("jobs", at, "job_id");
        }
        if !ids.insert(job.job_id) {
            return twice("jobs", at, &job.job_id.to_string());
        }
    }
    Ok(())
}

/// Without partitions all nodes are in each that a job names.
fn check_partitions_of_jobs(file: &File) -> Result<(), FileError> {
    let names: BTreeSet<&str> = file.jobs.iter().flat_map(|job| job.partition.split(',')).collect();
    if names.len().saturating_mul(file.nodes.len()) > NAMES_MAX {
        return Err(FileError::new(&format!(
            "jobs are in {} partitions, and none of them is described; write `partitions`",
            names.len()
        )));
    }
    Ok(())
}

impl File {
    /// The snapshot that the file stands for, and what is remembered with it.
    #[must_use]
    pub fn into_snapshot(self, policy: &Policy) -> (Snapshot, Memory) {
        let now = self.now.unwrap_or_else(|| self.newest_time());
        let mut memory = self.memory.unwrap_or_default();
        let mut partitions: BTreeMap<Arc<str>, Partition> =
            self.partitions.into_iter().map(|it| (Arc::clone(&it.name), it)).collect();
        if partitions.is_empty() {
            let nodes: Vec<_> = self.nodes.iter().map(|node| node.name.clone()).collect();
            let mut names: BTreeSet<&str> =
                self.jobs.iter().flat_map(|job| job.partition.split(',')).collect();
            names.insert(ONLY_PARTITION);
            partitions.extend(names.into_iter().map(|name| {
                let name = Arc::from(name);
                (
                    Arc::clone(&name),
                    Partition { name, nodes: nodes.clone(), ..Partition::default() },
                )
            }));
        }
        let nodes: BTreeMap<NodeName, Node> =
            self.nodes.into_iter().map(|node| (node.name.clone(), node)).collect();
        let mut asgs = BTreeMap::new();
        let mut machines = BTreeMap::new();
        for (name, group) in &policy.groups {
            let held = self.groups.get(name);
            let mut world =
                World { now, asgs: &mut asgs, machines: &mut machines, memory: &mut memory };
            match held {
                Some(held) if !held.asgs.is_empty() => {
                    for asg in &group.asgs {
                        world.take(asg, held.asgs.get(asg).unwrap_or(&Holdings::default()), group);
                    }
                }
                Some(held) => world.take_first(group, held),
                None => world.take_first(group, &as_nodes_show(group, &nodes)),
            }
        }
        let reservations = self
            .reservations
            .map(|all| all.into_iter().map(|it| (Arc::clone(&it.name), it)).collect());
        let licenses =
            self.licenses.map(|all| all.into_iter().map(|it| (Arc::clone(&it.name), it)).collect());
        let queue = Queue {
            jobs: self.jobs,
            partitions,
            reservations,
            licenses,
            slurm: self.slurm,
            comments: BTreeMap::new(),
        };
        let snapshot = Snapshot {
            now,
            nodes: Seen::Known(Arc::new(nodes)),
            queue: Seen::Known(Arc::new(queue)),
            counted: None,
            asgs,
            machines,
        };
        (snapshot, memory)
    }

    /// The file that stands for a snapshot.
    #[must_use]
    pub fn of(policy: &Policy, snapshot: &Snapshot, memory: &Memory) -> Self {
        let queue = snapshot.queue.known().cloned().unwrap_or_default();
        let mut nodes: Vec<Node> = snapshot
            .nodes
            .known()
            .map(|nodes| nodes.values().cloned().collect())
            .unwrap_or_default();
        nodes.sort_by_key(|node| node.index);
        let groups = policy.groups.iter().map(|(name, group)| {
            let mut all: Vec<(AsgName, Holdings)> = group
                .asgs
                .iter()
                .map(|asg| (asg.clone(), holdings(snapshot, memory, asg)))
                .collect();
            let held = match all.pop() {
                Some((_, only)) if all.is_empty() => only,
                last => {
                    Holdings { asgs: all.into_iter().chain(last).collect(), ..Holdings::default() }
                }
            };
            (name.clone(), held)
        });
        Self {
            now: Some(snapshot.now),
            slurm: queue.slurm,
            jobs: queue.jobs.clone(),
            nodes,
            partitions: queue.partitions.values().cloned().collect(),
            reservations: queue.reservations.as_ref().map(|all| all.values().cloned().collect()),
            licenses: queue.licenses.as_ref().map(|all| all.values().cloned().collect()),
            groups: groups.collect(),
            memory: Some(memory.clone()),
        }
    }

    /// The newest time that is no plan for the future: when a node was last busy, or when a job
    /// became eligible.
    fn newest_time(&self) -> Timestamp {
        let nodes = self.nodes.iter().filter_map(|node| node.idle_since);
        let launches = self.groups.values().flat_map(|held| held.instances.iter().flatten());
        let launches = launches.filter_map(|instance| instance.launch_time);
        let reason = super::Reason::BEGIN_TIME;
        let jobs = self.jobs.iter().filter(|job| job.state_reason != reason);
        let jobs = jobs.filter_map(|job| job.eligible_time.or(job.start_time));
        nodes.chain(launches).chain(jobs).max().unwrap_or_default()
    }
}

/// What a snapshot of AWS is made of.
struct World<'a> {
    now: Timestamp,
    asgs: &'a mut BTreeMap<AsgName, Seen<Asg>>,
    machines: &'a mut BTreeMap<InstanceId, Machine>,
    memory: &'a mut Memory,
}

impl World<'_> {
    /// The numbers are those of the group's first Auto Scaling group; others are empty.
    fn take_first(&mut self, group: &GroupPolicy, held: &Holdings) {
        let none = Holdings { max: Some(0), ..Holdings::default() };
        for (nth, asg) in group.asgs.iter().enumerate() {
            self.take(asg, if nth == 0 { held } else { &none }, group);
        }
    }

    fn take(&mut self, name: &AsgName, held: &Holdings, group: &GroupPolicy) {
        if let Some(why) = &held.unknown {
            self.asgs.insert(name.clone(), Seen::Unknown { why: why.clone() });
            return;
        }
        let mut instances = BTreeMap::new();
        for instance in held.instances.iter().flatten() {
            self.take_instance(name, instance);
            let member = Member {
                lifecycle: Lifecycle::parse(&instance.lifecycle_state),
                healthy: instance.healthy,
                zone: instance.availability_zone.clone(),
                protected: instance.protected_from_scale_in,
            };
            instances.insert(instance.instance_id.clone(), member);
        }
        let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let living = instances.values().filter(|member| member.lifecycle.is_capacity()).count();
        let max = held.max.or(group.sizes.max);
        let max = max.unwrap_or_else(|| size(group.nodes.len().max(living)));
        let min = held.min.or(group.sizes.min).unwrap_or(0);
        let desired = held.desired.unwrap_or_else(|| size(living)).max(min);
        self.asgs.insert(
            name.clone(),
            Seen::Known(Asg { min, max, desired, instances, ..Asg::default() }),
        );
    }

    fn take_instance(&mut self, asg: &AsgName, instance: &Instance) {
        let facts = MachineFacts {
            dead: instance.dead,
            address: instance.private_ip_address,
            launched: instance.launch_time,
            node_tag: instance.node_tag.clone(),
        };
        self.machines.insert(instance.instance_id.clone(), Machine::Known(facts));
        if let Some(node) = &instance.node {
            let bound_at = instance.launch_time.unwrap_or(self.now);
            let binding = Binding::new(&instance.instance_id, asg, bound_at);
            self.memory.bindings.entry(node.clone()).or_insert(binding);
        }
    }
}

/// One instance for each node that has or awaits its machine.
fn as_nodes_show(group: &GroupPolicy, nodes: &BTreeMap<NodeName, Node>) -> Holdings {
    let instances = group.nodes.iter().filter_map(|name| {
        let phase = nodes.get(name)?.state.phase();
        let has_machine = matches!(phase, Phase::Up | Phase::Booting);
        has_machine.then(|| Instance {
            instance_id: InstanceId::new(&format!("i-of-{name}")),
            node: Some(name.clone()),
            // Nothing is known that would have to be done about it.
            protected_from_scale_in: true,
            ..Instance::default()
        })
    });
    Holdings { instances: Some(instances.collect()), ..Holdings::default() }
}

fn holdings(snapshot: &Snapshot, memory: &Memory, name: &AsgName) -> Holdings {
    let asg = match snapshot.asgs.get(name) {
        Some(Seen::Known(asg)) => asg,
        Some(Seen::Unknown { why }) => {
            return Holdings { unknown: Some(why.clone()), ..Holdings::default() };
        }
        None => {
            let why = format!("Auto Scaling group {name} has not been looked at yet");
            return Holdings { unknown: Some(why), ..Holdings::default() };
        }
    };
    let served: BTreeMap<&InstanceId, &NodeName> =
        memory.bindings.iter().map(|(node, binding)| (&binding.instance, node)).collect();
    let instances = asg.instances.iter().map(|(id, member)| {
        let facts = snapshot.machines.get(id).and_then(Machine::facts);
        Instance {
            instance_id: id.clone(),
            lifecycle_state: member.lifecycle.word().to_owned(),
            healthy: member.healthy,
            availability_zone: member.zone.clone(),
            protected_from_scale_in: member.protected,
            node: served.get(id).map(|node| (*node).clone()),
            private_ip_address: facts.and_then(|facts| facts.address),
            launch_time: facts.and_then(|facts| facts.launched),
            node_tag: facts.and_then(|facts| facts.node_tag.clone()),
            dead: facts.is_some_and(|facts| facts.dead),
        }
    });
    Holdings {
        min: Some(asg.min),
        max: Some(asg.max),
        desired: Some(asg.desired),
        instances: Some(instances.collect()),
        ..Holdings::default()
    }
}
