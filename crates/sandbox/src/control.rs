//! The sandbox's own interface below `/sandbox/`: what there is, what was called, faults, accidents. JSON.

use crate::faults::{Fault, FaultInForce};
use crate::server::Shared;
use crate::world::{
    Alarm, AlarmState, GroupChange, HookAction, Instance, MetricKey, Notice, Point, World,
};
use hyper::Method;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Everything, as `GET /sandbox/state` shows it; never delayed by `read_lag_ms`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct State {
    /// The sandbox's clock, Unix epoch milliseconds.
    pub now_ms: u64,
    /// By name.
    pub groups: Vec<GroupState>,
    /// In the order they were set.
    pub faults: Vec<FaultInForce>,
    /// CloudWatch's metrics.
    pub metrics: Vec<MetricState>,
    /// CloudWatch's alarms.
    pub alarms: Vec<AlarmView>,
    /// How many messages each SQS queue has.
    pub queues: BTreeMap<String, usize>,
}

/// A metric.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct MetricState {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// In the order of their arrival.
    pub points: Vec<Point>,
}

/// An alarm.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct AlarmView {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AlarmState,
    /// How often its policy has changed a desired capacity.
    pub actions: u32,
}

/// An Auto Scaling group.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// Minimum size.
    pub min: u32,
    /// Maximum size.
    pub max: u32,
    /// Desired capacity.
    pub desired: u32,
    /// Oldest first; without those that have left the group.
    pub instances: Vec<InstanceState>,
}

/// An instance.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InstanceState {
    /// `i-…`.
    pub id: String,
    /// Private address.
    pub ip: Ipv4Addr,
    /// AWS's word: `Pending`, `Pending:Wait`, `InService`, `Terminating:Wait`, `Terminating`, …
    pub lifecycle: String,
    /// The actions of life-cycle hooks that it waits for, by the hooks' names.
    pub actions: Vec<ActionState>,
    /// Availability zone.
    pub zone: String,
    /// Protected from scale-in.
    pub protected: bool,
    /// EC2 tags.
    pub tags: BTreeMap<String, String>,
    /// The outermost process of its boot command, while that runs.
    pub pid: Option<u32>,
    /// Unix epoch milliseconds.
    pub launched_at_ms: u64,
    /// Whether the machine has power.
    pub alive: bool,
}

/// What an instance waits for before it enters service or is terminated.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ActionState {
    /// The hook's name.
    pub hook: String,
    /// For LifecycleActionToken.
    pub token: String,
    /// When it runs out, Unix epoch milliseconds.
    pub until_ms: u64,
}

impl State {
    /// The group of that name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupState> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The metric of that name with exactly these dimensions.
    #[must_use]
    pub fn metric(&self, name: &str, dimensions: &[(&str, &str)]) -> Option<&MetricState> {
        let dimensions: BTreeMap<_, _> = dimensions.iter().copied().collect();
        let has = |metric: &&MetricState| {
            metric.name == name
                && metric
                    .dimensions
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str()))
                    .eq(dimensions.clone())
        };
        self.metrics.iter().find(has)
    }

    /// The alarm of that name.
    #[must_use]
    pub fn alarm(&self, name: &str) -> Option<&AlarmView> {
        self.alarms.iter().find(|alarm| alarm.name == name)
    }
}

/// Serves a request for `path` (below `/sandbox/`): HTTP status and body, JSON if 200 and a line of text if not.
pub fn handle(shared: &Shared, method: &Method, path: &[&str], body: &[u8]) -> (u16, String) {
    let mut world = shared.world();
    let now_ms = shared.now_ms();
    let answer = match (method, path) {
        (&Method::GET, ["state"]) => json(&state(&world, now_ms)),
        (&Method::GET, ["calls"]) => json(&world.calls.iter().collect::<Vec<_>>()),
        (&Method::DELETE, ["calls"]) => {
            world.calls.clear();
            json(&())
        }
        (&Method::GET, ["faults"]) => json(&world.faults.in_force()),
        (&Method::POST, ["faults"]) => parse::<Fault>(body).and_then(|fault| json(&world.faults.add(fault).map_err(bad)?)),
        (&Method::DELETE, ["faults"]) => {
            world.faults.clear();
            json(&())
        }
        (&Method::POST, ["instances", id, "die"]) => match world.die(id, now_ms) {
            true => json(&()),
            false => Err((404, format!("{id}: no living instance"))),
        },
        (&Method::POST, ["instances", id, "terminate"]) => {
            let done = world.terminate(None, &[id], false, now_ms);
            done.map_err(|error| (404, error.message)).and_then(|_| json(&()))
        }
        (&Method::POST, ["instances", id, "notice"]) => {
            parse::<Notice>(body).and_then(|notice| match world.notify(id, notice, now_ms) {
                true => json(&()),
                false => Err((404, format!("{id}: no living instance"))),
            })
        }
        (&Method::POST, ["messages"]) => {
            world.post(&String::from_utf8_lossy(body));
            json(&())
        }
        (&Method::POST, ["groups", name]) => parse::<GroupChange>(body).and_then(|change| {
            world.update_group(name, change, None, now_ms).map_err(|error| bad(error.message))?;
            json(&())
        }),
        _ => Err((404, "known: GET state, GET|DELETE calls, GET|POST|DELETE faults, POST instances/ID/die|terminate|notice, POST messages, POST groups/NAME".into())),
    };
    drop(world);
    shared.changed();
    answer.map_or_else(|(status, line)| (status, format!("{line}\n")), |text| (200, text))
}

type Outcome = Result<String, (u16, String)>;

fn bad(line: impl Into<String>) -> (u16, String) {
    (400, line.into())
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, (u16, String)> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| bad(error.to_string()))
}

fn json(value: &impl Serialize) -> Outcome {
    serde_json::to_string(value).map_err(|error| (500, error.to_string()))
}

fn state(world: &World, now_ms: u64) -> State {
    let cloud = world.cloud();
    let group = |(name, group): (&String, &crate::world::Group)| GroupState {
        name: name.clone(),
        min: group.min,
        max: group.max,
        desired: group.desired,
        instances: cloud.members(name).into_iter().map(instance).collect(),
    };
    State {
        now_ms,
        groups: cloud.groups.iter().map(group).collect(),
        faults: world.faults.in_force().to_vec(),
        metrics: world.metrics().iter().map(|(key, points)| metric(key, points)).collect(),
        alarms: world.alarms().iter().map(alarm).collect(),
        queues: world.queue_counts(),
    }
}

fn metric<'a>(key: &MetricKey, points: impl IntoIterator<Item = &'a Point>) -> MetricState {
    let MetricKey { namespace, name, dimensions } = key.clone();
    MetricState { namespace, name, dimensions, points: points.into_iter().copied().collect() }
}

fn alarm(alarm: &Alarm) -> AlarmView {
    AlarmView { name: alarm.config.name.clone(), state: alarm.state, actions: alarm.actions }
}

fn instance(instance: &Instance) -> InstanceState {
    InstanceState {
        id: instance.id.clone(),
        ip: instance.ip,
        lifecycle: instance.lifecycle.name().into(),
        actions: instance.actions.iter().map(action).collect(),
        zone: instance.zone.clone(),
        protected: instance.protected,
        tags: instance.tags.clone(),
        pid: instance.pid,
        launched_at_ms: instance.launched_at_ms,
        alive: instance.alive,
    }
}

fn action(action: &HookAction) -> ActionState {
    let HookAction { hook, token, until_ms, .. } = action.clone();
    ActionState { hook, token, until_ms }
}
