//! Why a job's nodes come or do not come, why a node stays up or goes, what an instance is there for
//! and how a group stands: in plain words.

mod group;
mod instance;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::demand::{JobVerdict, JobWhy, Look, demand};
use crate::hostlist;
use crate::ids::{GroupName, InstanceId, NodeName};
use crate::memory::Memory;
use crate::node_state::{NodeState, Phase};
use crate::plan::{NodeReport, Plan, Why, look};
use crate::policy::Policy;
use crate::snapshot::{Job, Node, Queue, SlurmFacts, Snapshot, said};
use crate::time::Timestamp;
use crate::view::{GroupView, PlanView};

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A job.
    Job(u32),
    /// A node.
    Node(NodeName),
    /// An instance.
    Instance(InstanceId),
    /// A group of asg.toml.
    Group(GroupName),
}

impl Subject {
    /// A number is a job, `i-` with hexadecimal digits an instance, anything else a node, or a
    /// group if there is no such node. `12_3`, a task of an array, is job 12. What logs have is
    /// taken as well: `node=compute-1`, `group=compute`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let is_instance = |text: &str| {
            let digits = text.strip_prefix("i-");
            digits.is_some_and(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_hexdigit()))
        };
        match text.split_once('=') {
            Some(("node", name)) => return Self::Node(NodeName::new(name)),
            Some(("group", name)) => return Self::Group(GroupName::new(name)),
            Some(("instance", id)) => return Self::Instance(InstanceId::new(id)),
            Some(("job", id)) => return Self::parse(id),
            _ => {}
        }
        let id = text.split(['_', '+']).next().unwrap_or(text);
        match id.parse() {
            Ok(id) => Self::Job(id),
            Err(_) if is_instance(text) => Self::Instance(InstanceId::new(text)),
            Err(_) => Self::Node(NodeName::new(text)),
        }
    }

    /// The same where a name could be of something else: a node goes before an instance and a group.
    fn among(self, policy: &Policy, snapshot: &Snapshot) -> Self {
        let nodes = snapshot.nodes.known();
        let is_node = |name: &NodeName| nodes.is_some_and(|nodes| nodes.contains_key(name));
        match &self {
            Self::Node(name) if !is_node(name) => {
                let group = GroupName::new(name.as_str());
                let is_group = policy.groups.contains_key(&group);
                if is_group { Self::Group(group) } else { self }
            }
            Self::Instance(id) if is_node(&NodeName::new(id.as_str())) => {
                Self::Node(NodeName::new(id.as_str()))
            }
            Self::Job(_) | Self::Node(_) | Self::Instance(_) | Self::Group(_) => self,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(id) => write!(f, "job {id}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Instance(id) => write!(f, "instance {id}"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// `job 12`, `node compute-1`, `instance i-0a1`, `group compute`.
    pub subject: String,
    /// Whether it is known at all.
    pub known: bool,
    /// A stable word, as in the plan.
    pub why: String,
    /// The answer in one sentence.
    pub answer: String,
    /// What stands behind it, a sentence each.
    pub details: Vec<String>,
    /// What it waits for, if it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// For how long it has been so, seconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_secs: Option<u64>,
    /// How long it will be so at most, seconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most_secs: Option<u64>,
    /// How long it takes usually, from its beginning, seconds: the median of the last boots that
    /// were seen, if there were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usually_secs: Option<u64>,
}

/// Explains a job, a node, an instance or a group from what the last look has seen and planned.
#[must_use]
pub fn explain(
    subject: &Subject,
    policy: &Policy,
    memory: &Memory,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Explanation {
    let teller = Teller {
        policy,
        memory,
        snapshot,
        plan,
        groups: PlanView::of(policy, plan, snapshot.now).groups,
    };
    let subject = subject.clone().among(policy, snapshot);
    let mut explanation = match &subject {
        Subject::Job(id) => teller.job(*id),
        Subject::Node(name) => teller.node(name),
        Subject::Instance(id) => teller.instance(id),
        Subject::Group(name) => match policy.groups.get(name) {
            Some(group) => teller.group(name, group),
            None => {
                let all: Vec<_> = policy.groups.keys().map(GroupName::as_str).collect();
                unknown(format!("asg.toml has no such group; it has {}", all.join(", ")))
            }
        },
    };
    explanation.subject = subject.to_string();
    explanation
}

struct Teller<'a> {
    policy: &'a Policy,
    memory: &'a Memory,
    snapshot: &'a Snapshot,
    plan: &'a Plan,
    groups: BTreeMap<GroupName, GroupView>,
}

impl Teller<'_> {
    fn job(&self, id: u32) -> Explanation {
        let Some(queue) = self.snapshot.queue.known() else {
            return unknown("the queue could not be read".to_owned());
        };
        let Some(job) = queue.jobs.iter().find(|job| job.job_id == id) else {
            return unknown(format!(
                "it is neither pending nor does it wait for nodes: squeue -j {id} and sacct -j {id} \
                 say how it stands"
            ));
        };
        match self.plan.jobs.get(&id) {
            Some(verdict) => self.pending_job(job, verdict, queue),
            None => self.configuring_job(job),
        }
    }

    fn pending_job(&self, job: &Job, verdict: &JobVerdict, queue: &Queue) -> Explanation {
        let mut told = Explanation {
            known: true,
            why: verdict.why.word(),
            answer: verdict.to_string(),
            ..Explanation::default()
        };
        let counted_since = self.memory.counted_since.get(&job.job_id);
        told.for_secs = counted_since.map(|since| self.secs_since(*since));
        if verdict.why.is_counted() {
            self.tell_nodes(job, queue, &mut told);
            told.waits_for = Some("Slurm to give it these nodes with its next pass".to_owned());
        }
        match &verdict.why {
            JobWhy::NotYet { at } => {
                let secs = at.since(self.snapshot.now).as_secs();
                told.at_most_secs = Some(secs);
                told.waits_for = Some("its start time".to_owned());
            }
            JobWhy::NoFreeNodes | JobWhy::BehindOthers | JobWhy::NodesUnavailable => {
                told.details.extend(self.partition_in_numbers(job, queue));
                told.waits_for = Some("nodes that can run it".to_owned());
            }
            JobWhy::Impossible => {
                told.details.extend(self.partition_in_numbers(job, queue));
                told.details.push(
                    "nothing is launched for it; compare what it asks for with `scontrol show \
                     node` of its partition's nodes"
                        .to_owned(),
                );
            }
            JobWhy::LeftToSlurm { .. } => told.details.push(
                "if Slurm gives it nodes that are powered down, they are launched at once"
                    .to_owned(),
            ),
            JobWhy::WaitsForOtherJobs => {
                told.waits_for = said(&job.dependency).map(|text| format!("jobs: {text}"));
            }
            JobWhy::WaitsForLicenses => {
                told.waits_for = said(&job.licenses).map(|text| format!("licenses: {text}"));
            }
            JobWhy::NotTaken => told.details.push(
                "machines were launched for it and Slurm used them for nothing: what the job asks \
                 for and `scontrol show job` may say why; please report it"
                    .to_owned(),
            ),
            JobWhy::Counted
            | JobWhy::FitsOnNodesThatAreUp
            | JobWhy::Held
            | JobWhy::HeldBack { .. }
            | JobWhy::ArrayLimit { .. }
            | JobWhy::NoSuchPartition
            | JobWhy::PartitionClosed { .. }
            | JobWhy::OverTimeLimit { .. }
            | JobWhy::OverNodeLimit { .. }
            | JobWhy::NoNodesAsked
            | JobWhy::ReservationNotActive
            | JobWhy::NeedsReservation
            | JobWhy::TooFarBehind => {}
        }
        told
    }

    /// Which nodes a counted job will get, and how they stand.
    fn tell_nodes(&self, job: &Job, queue: &Queue, told: &mut Explanation) {
        let Some(nodes) = self.snapshot.nodes.known() else { return };
        let look = look(self.policy, self.memory, self.snapshot, nodes, queue);
        let names = demand(&Look { trace: Some(job.job_id), ..look }).traced;
        if names.is_empty() {
            return;
        }
        told.details.push(format!("its nodes will be {}", hostlist::compress(&names)));
        for (name, group) in &self.policy.groups {
            let here = names.iter().filter(|node| self.policy.group_of(node) == Some(name)).count();
            let Some(view) = self.groups.get(name).filter(|_| here > 0) else { continue };
            if !group.prelaunch && view.ahead == 0 {
                told.details.push(format!(
                    "group {name} has prelaunch = false: machines are launched once Slurm has \
                     given the nodes"
                ));
            }
            told.details.push(in_numbers(name, view));
        }
    }

    /// A job that has its nodes and waits for them to boot.
    fn configuring_job(&self, job: &Job) -> Explanation {
        let nodes = job.node_names();
        let mut waits: BTreeMap<String, Vec<NodeName>> = BTreeMap::new();
        let mut oldest = None;
        for name in &nodes {
            let Some(report) = self.plan.nodes.get(name) else { continue };
            if matches!(report.phase, Phase::Up) {
                continue;
            }
            oldest = report.why.since().into_iter().chain(oldest).min();
            waits.entry(report.why.to_string()).or_default().push(name.clone());
        }
        let waiting: usize = waits.values().map(Vec::len).sum();
        let details =
            waits.iter().map(|(why, names)| format!("{}: {why}", hostlist::compress(names)));
        let mut details: Vec<String> = details.collect();
        for (name, view) in &self.groups {
            if nodes.iter().any(|node| self.policy.group_of(node) == Some(name)) {
                details.push(in_numbers(name, view));
            }
        }
        Explanation {
            known: true,
            why: "configuring".to_owned(),
            answer: format!(
                "Slurm has given it {} nodes, {waiting} of which are not up yet",
                nodes.len()
            ),
            details,
            waits_for: (waiting > 0).then(|| "its nodes to boot".to_owned()),
            for_secs: oldest.map(|since| self.secs_since(since)),
            at_most_secs: oldest.and_then(|since| self.until_resume_timeout(since)),
            usually_secs: oldest.and_then(|_| self.usual_boot_secs(&nodes)),
            ..Explanation::default()
        }
    }

    fn node(&self, name: &NodeName) -> Explanation {
        let Some(nodes) = self.snapshot.nodes.known() else {
            return unknown("Slurm's nodes could not be read".to_owned());
        };
        let Some(node) = nodes.get(name) else {
            return unknown(
                "Slurm has no such node, and asg.toml no such group: `sinfo -N` lists nodes; before Slurm 23.02 powered-down \
                 nodes are hidden without PrivateData=cloud"
                    .to_owned(),
            );
        };
        let Some(group) = self.policy.group_of(name) else {
            return Explanation {
                known: true,
                why: "no_group".to_owned(),
                answer: "no group of asg.toml has it: slurm-asg leaves it alone".to_owned(),
                details: vec![format!("its state is {}", node.state)],
                ..Explanation::default()
            };
        };
        let mut told = Explanation { known: true, ..Explanation::default() };
        match self.plan.nodes.get(name) {
            Some(report) => self.reported_node(name, node, report, &mut told),
            None => {
                told.why = "off".to_owned();
                told.answer = "powered down, and wanted by nobody".to_owned();
            }
        }
        told.details.push(format!("its state is {}", node.state));
        if let Some(kept) = self.memory.kept_at(name, self.snapshot.now) {
            told.details.push(format!("it is {}", kept.in_words()));
        }
        if !node.reason.is_empty() {
            told.details.push(format!("Slurm's reason: {}", node.reason));
        }
        if let Some(view) = self.groups.get(group) {
            told.details.push(in_numbers(group, view));
        }
        told
    }

    fn reported_node(
        &self,
        name: &NodeName,
        node: &Node,
        report: &NodeReport,
        told: &mut Explanation,
    ) {
        told.why = report.why.word();
        told.answer = report.why.to_string();
        told.for_secs = report.why.since().map(|since| self.secs_since(since));
        if let Some(instance) = &report.instance {
            told.details.push(format!("instance {instance} serves it"));
        }
        let drained = node.state.has(NodeState::DRAIN);
        if let Why::Idle { since: Some(since) } = &report.why
            && !drained
        {
            told.waits_for = Some("a job, or Slurm's SuspendTime".to_owned());
            told.at_most_secs = self
                .slurm()
                .suspend_time
                .map(|secs| u64::from(secs).saturating_sub(self.secs_since(*since)));
        } else if let Why::Booting { since } = &report.why {
            told.waits_for = Some("slurmd on its instance to register".to_owned());
            told.at_most_secs = self.until_resume_timeout(*since);
            told.usually_secs = self.usual_boot_secs([name]);
        } else if let Why::WaitsForBillingHour { at, .. } = &report.why {
            told.waits_for = Some("a job, or the end of the hour that is paid for".to_owned());
            told.at_most_secs = Some(at.since(self.snapshot.now).as_secs());
        } else if let Why::RetryAt { at } | Why::NoCapacity { at, .. } = &report.why {
            told.waits_for = Some("the next try".to_owned());
            told.at_most_secs = Some(at.since(self.snapshot.now).as_secs());
        } else if let Why::Incomplete { until, .. } = &report.why {
            told.waits_for =
                Some("all instances of its job, or for Slurm to requeue it".to_owned());
            told.at_most_secs = Some(until.since(self.snapshot.now).as_secs());
        }
    }

    /// What a boot takes usually, where these nodes boot.
    fn usual_boot_secs<'n>(&self, nodes: impl IntoIterator<Item = &'n NodeName>) -> Option<u64> {
        let bindings = nodes.into_iter().filter_map(|name| self.memory.bindings.get(name));
        let times = bindings.filter_map(|binding| self.memory.usual_boot([&binding.asg]));
        times.map(|(usually, _)| usually.as_secs()).max()
    }

    fn slurm(&self) -> SlurmFacts {
        self.snapshot.queue.known().map(|queue| queue.slurm).unwrap_or_default()
    }

    fn secs_since(&self, since: Timestamp) -> u64 {
        self.snapshot.now.since(since).as_secs()
    }

    fn until_resume_timeout(&self, since: Timestamp) -> Option<u64> {
        let limit = u64::from(self.slurm().resume_timeout?);
        Some(limit.saturating_sub(self.secs_since(since)))
    }

    /// How the nodes of a job's partitions stand.
    fn partition_in_numbers(&self, job: &Job, queue: &Queue) -> Vec<String> {
        let Some(nodes) = self.snapshot.nodes.known() else { return Vec::new() };
        let partitions = job.partition.split(',').filter_map(|name| queue.partitions.get(name));
        partitions
            .map(|partition| {
                let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
                for node in partition.nodes.iter().filter_map(|name| nodes.get(name)) {
                    *counts.entry(standing(node)).or_insert(0) += 1;
                }
                let counts: Vec<_> =
                    counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
                format!(
                    "partition {} has {} nodes: {}",
                    partition.name,
                    partition.nodes.len(),
                    counts.join(", ")
                )
            })
            .collect()
    }
}

fn standing(node: &Node) -> &'static str {
    let closed = NodeState::DRAIN | NodeState::FAIL | NodeState::MAINT;
    if node.state.is_down() {
        return "down";
    }
    if node.state.has(closed) {
        return "drained";
    }
    match node.state.phase() {
        Phase::Off => "powered down",
        Phase::Releasing => "powering down",
        Phase::Wanted | Phase::Booting => "booting",
        Phase::Up if node.state.has_work() => "busy",
        Phase::Up => "idle",
    }
}

fn in_numbers(name: &GroupName, view: &GroupView) -> String {
    let desired = view.desired_text();
    let problem = view.problem.as_ref().map_or_else(String::new, |why| format!("; {why}"));
    format!(
        "group {name}: desired capacity {desired} of at most {}, {} busy, {} idle, {} booting{problem}",
        view.max, view.busy, view.idle, view.booting
    )
}

fn unknown(answer: String) -> Explanation {
    Explanation { answer, why: "unknown".to_owned(), ..Explanation::default() }
}

#[cfg(test)]
mod tests;
