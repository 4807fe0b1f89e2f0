//! All state, and its transitions. Nothing here sleeps, reads a clock or touches a process: every transition is given
//! `now_ms`, and what is to be done to processes comes out of [`World::step`] as [`Effect`]s.

mod alarms;
mod hook_actions;
mod hooks;
mod launches;
mod model;
pub(crate) mod operations;
mod queues;
mod scaling;
mod suspension;
#[cfg(test)]
mod tests;

pub use alarms::{Alarm, AlarmState, MetricKey, Metrics, POINTS_MAX, Point};
pub use hook_actions::ActionKey;
pub use hooks::{HOOKS_MAX, Hook, HookAction, HookChange, HookResult, Transition};
pub use launches::{LAUNCH_MAX, LaunchRequest, LaunchResult};
pub use model::{ACTIVITIES_MAX, Activity, Cloud, Ec2State, Group, Instance, Lifecycle};
pub use operations::{BATCH_MAX, GroupChange, PROTECTION_MAX};
pub use queues::{Message, Notice, SPOT_NOTICE_MS};
pub use suspension::{GroupProcess, Suspension};

use crate::calls::Calls;
use crate::config::{Config, GroupConfig};
use crate::faults::Faults;
use crate::imds::Tokens;
use launches::Launches;
use queues::Queues;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How long EC2 keeps showing a terminated instance.
pub const TERMINATED_SHOWN_MS: u64 = 3_600_000;

/// Something to be done to a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Start the instance's boot command.
    Boot(String),
    /// Cut the instance's power.
    Kill(String),
}

/// What a step leaves to its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// To carry out, in this order.
    pub effects: Vec<Effect>,
    /// When to step again at the latest, Unix epoch milliseconds.
    pub wake_at_ms: Option<u64>,
}

/// All state.
#[derive(Debug)]
pub struct World {
    config: Config,
    cloud: Cloud,
    history: VecDeque<(u64, Arc<Cloud>)>,
    effects: Vec<Effect>,
    metrics: Metrics,
    alarms: Vec<Alarm>,
    queues: Queues,
    launches: Launches,
    /// Spot Instances that have had their notice, and when they go.
    interruptions: BTreeMap<String, u64>,
    serial: u64,
    ids: u64,
    /// Faults in force.
    pub faults: Faults,
    /// Calls on record.
    pub calls: Calls,
    /// Session tokens of the metadata service.
    pub tokens: Tokens,
}

impl World {
    /// The groups of the configuration, as if just created.
    #[must_use]
    pub fn new(config: Config, now_ms: u64) -> Self {
        let mut world = Self {
            cloud: Cloud::default(),
            history: VecDeque::new(),
            effects: Vec::new(),
            metrics: Metrics::default(),
            alarms: config.alarm.iter().map(|alarm| Alarm::new(alarm.clone(), now_ms)).collect(),
            queues: Queues::new(&config.queues),
            launches: Launches::default(),
            interruptions: BTreeMap::new(),
            serial: 0,
            ids: 0,
            faults: Faults::default(),
            calls: Calls::default(),
            tokens: Tokens::default(),
            config,
        };
        for group in world.config.group.clone() {
            world.create_group(group, now_ms);
        }
        world.settle(now_ms);
        world
    }

    fn create_group(&mut self, mut config: GroupConfig, now_ms: u64) {
        if config.zones.is_empty() {
            config.zones =
                ["a", "b"].map(|letter| format!("{}{letter}", self.config.region)).to_vec();
        }
        let (min, max, desired) = (config.min, config.max, config.desired.unwrap_or(config.min));
        let cause = format!(
            "At {} a user request created an AutoScalingGroup changing the desired capacity from 0 to {desired}.",
            time_text(now_ms)
        );
        let protects_new = config.new_instances_protected;
        let hooks = config.hooks.iter().map(|hook| (hook.name.clone(), hook.clone())).collect();
        let configured =
            |process: &GroupProcess| Suspension { process: *process, reason: "configured".into() };
        let suspended = config.suspended_processes.iter().map(configured).collect();
        let name = config.name.clone();
        let group = Group {
            config,
            min,
            max,
            desired,
            protects_new,
            suspended,
            hooks,
            created_at_ms: now_ms,
            launch_at_ms: None,
            cooldown_ms: 0,
            cooldown_until_ms: 0,
            cause,
        };
        self.cloud.groups.insert(name, group);
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The world as it is.
    #[must_use]
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// The world as the Describe calls show it: `read_lag_ms` old.
    #[must_use]
    pub fn described(&self, now_ms: u64) -> &Cloud {
        let then = now_ms.saturating_sub(self.config.read_lag_ms);
        let seen = self
            .history
            .iter()
            .rev()
            .find(|(at_ms, _)| *at_ms <= then)
            .or_else(|| self.history.front());
        seen.map_or(&self.cloud, |(_, cloud)| cloud)
    }

    /// Makes all transitions that are due.
    pub fn step(&mut self, now_ms: u64) -> Step {
        self.interrupt_due(now_ms);
        self.make_due_transitions(now_ms);
        self.evaluate_alarms(now_ms);
        self.settle(now_ms);
        let instances = self.cloud.instances.values().filter_map(Instance::wake_at_ms);
        let launches = self.cloud.groups.values().filter_map(|group| group.launch_at_ms);
        let alarms = self.alarms.iter().map(Alarm::next_at_ms);
        let interruption = self.next_interruption_ms();
        Step {
            wake_at_ms: instances.chain(launches).chain(alarms).chain(interruption).min(),
            effects: std::mem::take(&mut self.effects),
        }
    }

    /// Notes that an instance's boot command runs.
    pub fn booted(&mut self, id: &str, pid: u32) {
        if let Some(instance) = self.cloud.instances.get_mut(id) {
            instance.pid = Some(pid);
        }
    }

    /// Notes that an instance's boot command ended; the instance goes on living.
    pub fn boot_ended(&mut self, id: &str) {
        if let Some(instance) = self.cloud.instances.get_mut(id) {
            instance.pid = None;
        }
    }

    /// A fresh id in the form of a UUID, for requests and activities.
    pub fn fresh_id(&mut self) -> String {
        self.ids += 1;
        let (high, low) = (scramble(self.ids), scramble(!self.ids));
        let hex = format!("{high:016x}{low:016x}");
        let mut parts = [8, 4, 4, 4, 12].iter();
        let mut left = hex.as_str();
        let mut words = Vec::new();
        while let Some((word, rest)) =
            parts.next().and_then(|length| left.split_at_checked(*length))
        {
            words.push(word);
            left = rest;
        }
        words.join("-")
    }

    /// After every change: bring the groups towards their desired capacity, and remember the world for lagging readers.
    fn settle(&mut self, now_ms: u64) {
        let names: Vec<String> = self.cloud.groups.keys().cloned().collect();
        for name in &names {
            self.reconcile(name, now_ms);
        }
        if self.config.read_lag_ms > 0 {
            self.remember(now_ms);
        }
    }

    fn remember(&mut self, now_ms: u64) {
        self.history.push_back((now_ms, Arc::new(self.cloud.clone())));
        let then = now_ms.saturating_sub(self.config.read_lag_ms);
        // One snapshot at or before `then` is still needed: the one that readers see now.
        while self.history.get(1).is_some_and(|(at_ms, _)| *at_ms <= then) {
            self.history.pop_front();
        }
    }

    fn record(&mut self, activity: Activity) -> Activity {
        if self.cloud.activities.len() >= ACTIVITIES_MAX {
            self.cloud.activities.pop_front();
        }
        self.cloud.activities.push_back(activity.clone());
        activity
    }

    fn activity(
        &mut self,
        group: &str,
        instance: Option<&str>,
        zone: &str,
        now_ms: u64,
    ) -> Activity {
        let subnet = scramble(zone.bytes().fold(0, |sum, byte| sum * 31 + u64::from(byte)));
        let details = BTreeMap::from([
            ("Availability Zone", zone.to_owned()),
            ("Subnet ID", format!("subnet-0{subnet:016x}")),
        ]);
        Activity {
            id: self.fresh_id(),
            group: group.into(),
            instance: instance.map(str::to_owned),
            description: String::new(),
            cause: String::new(),
            start_ms: now_ms,
            end_ms: None,
            status: "InProgress",
            message: None,
            details: serde_json::to_string(&details).unwrap_or_default(),
        }
    }
}

/// A fixed one-to-one scattering of numbers (the splitmix64 finalizer): ids look like real ones, never meet, and repeat
/// from run to run.
#[must_use]
pub const fn scramble(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A time as AWS writes it.
#[must_use]
pub fn time_text(at_ms: u64) -> String {
    time_as("%Y-%m-%dT%H:%M:%S.%3fZ", at_ms)
}

/// A time as AWS writes it in some texts: without milliseconds.
fn time_text_s(at_ms: u64) -> String {
    time_as("%Y-%m-%dT%H:%M:%SZ", at_ms)
}

fn time_as(form: &str, at_ms: u64) -> String {
    let millis = i64::try_from(at_ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    time.strftime(form).to_string()
}
