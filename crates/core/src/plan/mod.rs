//! The one decision: from policy, memory and snapshot to a plan.
//!
//! A plan leaves no choice to whoever carries it out. It has no effect by itself, reads no
//! clock, and for the same input it is the same, byte for byte.

mod adopt;
mod base;
mod capacity;
mod cooldown;
mod group;
mod hooks;
mod kept;
mod launch;
mod pause;
mod protection;
mod report;
mod shut;
mod sizes;
mod supply;
mod watch;
mod whole;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

pub use cooldown::changed_cooldowns;
pub(crate) use group::RESUME_TIMEOUT;
pub use kept::may_be_refreshed;
pub(crate) use pause::scales;
pub use report::{GroupReport, NodeReport, Waiting, Why};
pub(crate) use shut::Shut;
pub use sizes::SizesProblem;
pub use watch::surely_watches_cloud;
pub(crate) use whole::is_overdue;

use crate::demand::{Counted, JobVerdict, Look, demand};
use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::memory::{Binding, Cooldown, Memory};
use crate::node_state::Phase;
use crate::notice::Notice;
use crate::policy::Policy;
use crate::snapshot::{Lifecycle, Machine, Node, Queue, Seen, Snapshot};
use crate::time::Timestamp;

/// How many actions one plan may have. What is left over comes with the next plan.
pub const ACTIONS_MAX: usize = 10_000;
/// How long an instance must be absent from its group and from EC2 to count as gone.
pub const MISSING_GRACE: Duration = Duration::from_secs(60);
/// Reads of AWS may be this old.
pub const READ_LAG_MAX: Duration = Duration::from_secs(30);
/// A node that was powered up for the base is not powered up again within this time, whatever
/// Slurm has done with it: a SuspendTime of seconds would have instances come and go.
pub const POWER_UP_REST: Duration = Duration::from_secs(60);
/// Sizes that were written may not show in a read for this long.
pub const SIZES_REST: Duration = Duration::from_secs(5);
/// What was launched of one request is listed within this time after the first failure of it.
pub const SETTLE: Duration = Duration::from_secs(2);
/// Protection that was set, and a hook that was answered, may not show in a read for this long.
pub const ANSWER_REST: Duration = Duration::from_secs(5);
/// Instances that one LaunchInstances may ask for (API reference).
pub const LAUNCH_MAX: u32 = 100;
/// After this time a terminate call that was taken but shows no effect is made again.
pub const TERMINATE_REPEAT: Duration = Duration::from_secs(60);

/// What is to be done now, and for every node that is not off, why nothing else is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In the order in which they are to begin.
    pub actions: Vec<Action>,
    /// The state of things, per group.
    pub groups: BTreeMap<GroupName, GroupReport>,
    /// Every node of a group that is not powered down and unneeded.
    pub nodes: BTreeMap<NodeName, NodeReport>,
    /// Bindings that memory had lost and that names and addresses give back.
    #[serde(skip)]
    pub adopted: BTreeMap<NodeName, Binding>,
    /// Instances that serve no node, with the time since when.
    #[serde(skip)]
    pub spares: BTreeMap<InstanceId, Timestamp>,
    /// Pending jobs, and why each counts or does not.
    #[serde(serialize_with = "as_map")]
    pub jobs: Arc<BTreeMap<u32, JobVerdict>>,
    /// What was counted of them, for plans that are made before the queue is read again.
    #[serde(skip)]
    pub count: Counted,
    /// The queue is to be read again before the plan is made: what is due now must not rest on an
    /// earlier one.
    #[serde(skip)]
    pub read_queue: bool,
    /// Pending jobs that capacity is raised for, with the time since when.
    #[serde(skip)]
    pub counted: BTreeMap<u32, Timestamp>,
    /// Jobs that have nodes and lack instances, with the time since when, in groups that launch all
    /// or nothing.
    #[serde(skip)]
    pub incomplete: BTreeMap<u32, Timestamp>,
    /// Groups that have the nodes that they begin with.
    #[serde(skip)]
    pub begun: BTreeSet<GroupName>,
    /// What is to be remembered of groups whose launches have failed.
    #[serde(skip)]
    pub cooldowns: BTreeMap<AsgName, Cooldown>,
    /// Auto Scaling groups that go into protected mode with this plan.
    #[serde(skip)]
    pub protected: BTreeSet<AsgName>,
    /// What the administrator should write elsewhere: lines for the log, each to be said once.
    pub advice: BTreeSet<String>,
    /// Instances about which EC2 is to be asked with the next look.
    pub look_up: BTreeSet<InstanceId>,
    /// Auto Scaling groups whose life-cycle hooks are to be asked for with the next look.
    #[serde(skip)]
    pub look_up_hooks: BTreeSet<AsgName>,
    /// Auto Scaling groups that launch less than was asked for: their activities say why.
    #[serde(skip)]
    pub look_up_launches: BTreeSet<AsgName>,
    /// Idle nodes that are protected from suspension: Slurm is to count their idle time anew.
    #[serde(skip)]
    pub refresh: BTreeSet<NodeName>,
    /// AWS is at work: the next look at it may show something new.
    pub watch_cloud: bool,
    /// Slurm is at work: nodes boot, or power down.
    pub watch_slurm: bool,
    /// When the plan may change without anything else happening.
    pub wake_at: Option<Timestamp>,
}

/// One thing to do. Doing it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "action")]
pub enum Action {
    /// Write a group's minimum and maximum.
    SetSizes(SetSizes),
    /// Raise the desired capacity.
    SetDesired(SetDesired),
    /// Launch instances in one zone.
    Launch(Launch),
    /// Lower the desired capacity to what is there: the rest was asked for and never launched.
    GiveBack(GiveBack),
    /// Set a node DOWN: its machine is gone, or does not come.
    MarkDown(MarkDown),
    /// Close powered-down nodes to jobs.
    CloseNodes(CloseNodes),
    /// Open them again.
    OpenNodes(OpenNodes),
    /// Ask Slurm to power a node down, which makes it available again.
    PowerDown(PowerDown),
    /// Have a node give no job any more, and power it down when its jobs have ended.
    Drain(Drain),
    /// Ask Slurm to power a node up without a job.
    PowerUp(PowerUp),
    /// Give an instance its node name, and Slurm the instance's address.
    Bind(Bind),
    /// Protect an instance from scale-in.
    Protect(Protect),
    /// Terminate an instance, by id.
    Terminate(Terminate),
    /// Answer a life-cycle hook that holds an instance.
    AnswerHook(AnswerHook),
}

/// Write MinSize and MaxSize of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetSizes {
    /// The Auto Scaling group.
    pub asg: AsgName,
    /// Minimum and maximum as they are.
    pub from: (u32, u32),
    /// MinSize, instances.
    pub min: u32,
    /// MaxSize, instances. Never less than the desired capacity.
    pub max: u32,
    /// What DesiredCapacity is then at least: AWS raises it to the minimum.
    pub desired: u32,
}

/// Raise the desired capacity of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetDesired {
    /// The Auto Scaling group.
    pub asg: AsgName,
    /// What it is now.
    pub from: u32,
    /// What it is to be: more, and at most the maximum.
    pub to: u32,
}

/// Launch instances in one zone (LaunchInstances). The desired capacity goes up with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Launch {
    /// The Auto Scaling group.
    pub asg: AsgName,
    /// The Availability Zone.
    pub zone: String,
    /// How many instances, at most [`LAUNCH_MAX`].
    pub count: u32,
    /// What DesiredCapacity is before it.
    pub from: u32,
    /// What it is once all have been launched.
    pub to: u32,
    /// ClientToken: with the same one nothing is launched twice.
    pub token: String,
}

/// Give back what was asked for and never launched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GiveBack {
    /// The Auto Scaling group: every living instance of it is protected from scale-in.
    pub asg: AsgName,
    /// What DesiredCapacity is.
    pub from: u32,
    /// What it is to be: as many as live, and at least the minimum.
    pub to: u32,
}

/// Close powered-down nodes to jobs (`state=DRAIN`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloseNodes {
    /// The nodes, all of one group.
    pub nodes: Vec<NodeName>,
    /// Their reason, for `sinfo -R`.
    pub reason: String,
}

/// Open nodes that were closed (`state=UNDRAIN`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenNodes {
    /// The nodes, all of one group.
    pub nodes: Vec<NodeName>,
}

/// Set a node DOWN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarkDown {
    /// The node.
    pub node: NodeName,
    /// Its reason, for `sinfo -R`.
    pub reason: String,
}

/// Power a node down through Slurm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PowerDown {
    /// The node.
    pub node: NodeName,
    /// Why.
    pub cause: PowerDownCause,
}

/// Why a node is powered down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerDownCause {
    /// It has no machine any more, or never got one: it becomes available again.
    Recover,
    /// It is idle, and the next hour of its instance is about to be billed.
    BillingHour,
    /// It is idle, and a job waits for which there is no room.
    MakeRoom,
}

/// Let a node's jobs end and power it down then (`POWER_DOWN_ASAP`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drain {
    /// The node.
    pub node: NodeName,
    /// Its reason, for `sinfo -R`.
    pub reason: String,
}

/// Power a node up through Slurm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PowerUp {
    /// The node.
    pub node: NodeName,
    /// What for.
    pub cause: PowerUpCause,
}

/// Why a node is powered up without a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerUpCause {
    /// The group keeps as many nodes.
    Base,
    /// The group begins with as many nodes.
    Initial,
}

/// Give an instance a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// The node.
    pub node: NodeName,
    /// The instance.
    pub instance: InstanceId,
    /// The instance's Auto Scaling group.
    pub asg: AsgName,
    /// The instance's private address.
    pub address: IpAddr,
}

/// Protect an instance from scale-in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Protect {
    /// The instance: it is in service and serves a node.
    pub instance: InstanceId,
    /// Its Auto Scaling group.
    pub asg: AsgName,
}

/// Answer a life-cycle hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnswerHook {
    /// The instance that it holds.
    pub instance: InstanceId,
    /// Its Auto Scaling group.
    pub asg: AsgName,
    /// The node it serves, if any.
    pub node: Option<NodeName>,
    /// LifecycleHookName.
    pub hook: String,
    /// What it is told.
    pub answer: HookAnswer,
}

/// What a life-cycle hook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HookAnswer {
    /// Go on holding the instance (RecordLifecycleActionHeartbeat).
    Wait,
    /// Let it into service, or let it be terminated (`CONTINUE`).
    Continue,
    /// It is not to come into service (`ABANDON`).
    Abandon,
}

/// Terminate an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Terminate {
    /// The instance.
    pub instance: InstanceId,
    /// Its Auto Scaling group.
    pub asg: AsgName,
    /// The node it served, if any.
    pub node: Option<NodeName>,
    /// Whether the desired capacity goes down with it. If not, the group replaces it.
    pub decrement: bool,
    /// Why it goes.
    pub cause: TerminateCause,
}

/// Why an instance is terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminateCause {
    /// Slurm has powered the node down.
    NodeReleased,
    /// Slurm has powered its node down and wants it again: a fresh one takes its place.
    Outdated,
    /// It never served a node, or serves none any more, and none wants it.
    Orphan,
}

/// Makes the plan.
#[must_use]
pub fn plan(policy: &Policy, memory: &Memory, snapshot: &Snapshot) -> Plan {
    let mut plan = Plan::default();
    let nodes = match &snapshot.nodes {
        Seen::Known(nodes) => nodes,
        Seen::Unknown { why } => {
            // Nothing is decided over nodes that cannot be seen; spares keep their age.
            plan.spares.clone_from(&memory.spare_since);
            plan.counted.clone_from(&memory.counted_since);
            plan.incomplete.clone_from(&memory.incomplete);
            for name in policy.groups.keys() {
                let report = GroupReport { problem: Some(why.clone()), ..GroupReport::default() };
                plan.groups.insert(name.clone(), report);
            }
            return plan;
        }
    };
    plan.adopted = adopt::adopted(policy, memory, snapshot, nodes, &bound_by(memory));
    let recovered;
    let memory = if plan.adopted.is_empty() {
        memory
    } else {
        recovered = memory.with(&plan.adopted);
        &recovered
    };
    let bound = &bound_by(memory);
    let counted = match (&snapshot.queue, &snapshot.counted) {
        (Seen::Known(queue), None) => {
            let mut demand = demand(&look(policy, memory, snapshot, nodes, queue));
            plan.counted = std::mem::take(&mut demand.counted);
            Counted::new(demand, nodes, snapshot.now)
        }
        (queue, counted) => {
            plan.counted.clone_from(&memory.counted_since);
            // Nodes that Slurm wants by name are served also without a queue.
            queue.known().and(counted.clone()).unwrap_or_default()
        }
    };
    let demand = counted.left(policy, nodes, snapshot.now);
    for (name, group) in &policy.groups {
        let of = |sum: &BTreeMap<GroupName, u32>| sum.get(name).copied().unwrap_or(0);
        let ahead = if group.prelaunch { of(&demand.launch) } else { 0 };
        let reuse = of(&demand.reuse);
        let (launched, pending) = (&*demand.launched, &*counted.jobs);
        let scene = group::Scene {
            name,
            group,
            memory,
            snapshot,
            nodes,
            bound,
            ahead,
            launched,
            pending,
            reuse,
        };
        group::plan_group(&scene, &mut plan);
    }
    if let Some(at) = demand.next_start {
        plan.wake(at);
    }
    plan.jobs = Arc::clone(&counted.jobs);
    plan.count = counted;
    // One order for all groups: what makes jobs wait least comes first.
    plan.actions.sort_by_key(Action::rank);
    if plan.actions.len() > ACTIONS_MAX {
        plan.actions.truncate(ACTIONS_MAX);
        plan.wake(snapshot.now);
    }
    plan
}

/// Which instance serves which node.
fn bound_by(memory: &Memory) -> BTreeMap<&InstanceId, &NodeName> {
    memory.bindings.iter().map(|(node, binding)| (&binding.instance, node)).collect()
}

/// What the count of demand reads, from a snapshot.
pub(crate) fn look<'a>(
    policy: &'a Policy,
    memory: &'a Memory,
    snapshot: &'a Snapshot,
    nodes: &'a BTreeMap<NodeName, Node>,
    queue: &'a Queue,
) -> Look<'a> {
    let broken = memory
        .bindings
        .iter()
        // One that boots gets another instance; one that was up is set down.
        .filter(|(node, _)| nodes.get(*node).is_some_and(|it| it.state.phase() == Phase::Up))
        .filter(|(_, binding)| {
            is_gone(binding, snapshot) || departure(binding, memory, snapshot).is_some()
        })
        .map(|(node, _)| node)
        .collect();
    Look {
        policy,
        nodes,
        broken,
        queue,
        earlier: &memory.counted_since,
        now: snapshot.now,
        trace: None,
    }
}

fn as_map<S: Serializer>(
    jobs: &Arc<BTreeMap<u32, JobVerdict>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(jobs.iter())
}

impl Plan {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }
}

impl PowerDown {
    /// Makes a node available again.
    fn recover(node: &NodeName) -> Self {
        Self { node: node.clone(), cause: PowerDownCause::Recover }
    }
}

impl Action {
    /// The binding, if it is one.
    #[must_use]
    pub const fn bind(&self) -> Option<&Bind> {
        if let Self::Bind(bind) = self { Some(bind) } else { None }
    }

    /// The launch by zone, if it is one.
    #[must_use]
    pub const fn launch(&self) -> Option<&Launch> {
        if let Self::Launch(launch) = self { Some(launch) } else { None }
    }

    /// The termination, if it is one.
    #[must_use]
    pub const fn terminate(&self) -> Option<&Terminate> {
        if let Self::Terminate(terminate) = self { Some(terminate) } else { None }
    }

    /// The node that is set down, if it is one.
    #[must_use]
    pub const fn mark_down(&self) -> Option<&MarkDown> {
        if let Self::MarkDown(down) = self { Some(down) } else { None }
    }

    const fn terminate_mut(&mut self) -> Option<&mut Terminate> {
        if let Self::Terminate(terminate) = self { Some(terminate) } else { None }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::SetSizes(_) => 0,
            Self::SetDesired(_) | Self::Launch(_) | Self::GiveBack(_) => 1,
            Self::MarkDown(_) => 2,
            Self::PowerDown(_) | Self::Drain(_) | Self::CloseNodes(_) | Self::OpenNodes(_) => 3,
            Self::PowerUp(_) => 4,
            Self::Bind(_) => 5,
            Self::Protect(_) => 6,
            Self::Terminate(_) => 7,
            Self::AnswerHook(_) => 8,
        }
    }
}

/// Why a bound instance is about to go, though slurm-asg does not end it: its node drains.
enum Departure<'a> {
    /// Someone else ends it, and a life-cycle hook still holds it.
    Held,
    /// AWS has said that it takes it.
    Noticed(&'a Notice),
}

/// Why a bound instance is about to go, if it is.
fn departure<'a>(
    binding: &Binding,
    memory: &'a Memory,
    snapshot: &Snapshot,
) -> Option<Departure<'a>> {
    let member = snapshot.member(&binding.asg, &binding.instance);
    if member.is_some_and(|member| member.lifecycle == Lifecycle::TerminatingWait) {
        return Some(Departure::Held);
    }
    memory.notices.get(&binding.instance).map(Departure::Noticed)
}

/// Whether a bound instance is certainly gone. What was not seen is not gone.
#[must_use]
pub fn is_gone(binding: &Binding, snapshot: &Snapshot) -> bool {
    let Some(asg) = snapshot.asg(&binding.asg) else {
        return false;
    };
    let machine = snapshot.machines.get(&binding.instance);
    if let Some(Machine::Known(facts)) = machine
        && facts.dead
    {
        return true;
    }
    match asg.instances.get(&binding.instance) {
        Some(member) => member.lifecycle == Lifecycle::Terminating,
        None => {
            machine == Some(&Machine::NotFound)
                && binding
                    .missing_since
                    .is_some_and(|since| snapshot.now.since(since) >= MISSING_GRACE)
        }
    }
}

#[cfg(test)]
mod tests;
