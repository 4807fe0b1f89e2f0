//! What was last seen of AWS, and when it is to be looked at again.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slurm_asg_core::ids::{AsgName, InstanceId};
use slurm_asg_core::memory::{Memory, Retry};
use slurm_asg_core::policy::Policy;
use slurm_asg_core::snapshot::{Asg, Hook, LaunchFailure, Machine, Seen};
use slurm_asg_core::time::Timestamp;

use crate::cloud::{Cloud, CloudError};

/// An instance without an address is asked about again after this time.
const ASK_NEW_AGAIN: Duration = Duration::from_millis(500);
/// An instance that EC2 has described is asked about again after this time, if it seems ill.
const ASK_KNOWN_AGAIN: Duration = Duration::from_secs(10);
/// A group is asked why it launches nothing this long after the request, and then at pauses from
/// this to that.
const LAUNCHES_PAUSE: Duration = Duration::from_secs(2);
const LAUNCHES_PAUSE_MAX: Duration = Duration::from_secs(15);
/// A failure that was found is shown for so long. What follows from it is remembered.
const FAILURE_AGE_MAX: Duration = Duration::from_secs(3600);
/// How much AWS's clock may be behind this one.
const CLOCKS_APART: Duration = Duration::from_secs(30);
/// What was written is in EC2's answers after this time.
const TAGS_LAG: Duration = Duration::from_secs(5);
/// Life-cycle hooks are asked for again after this time, if they are needed.
const HOOKS_AGE_MAX: Duration = Duration::from_secs(300);

/// The last look at AWS.
#[derive(Debug, Default)]
pub struct CloudView {
    /// When the loop began.
    began: Timestamp,
    pub asgs: BTreeMap<AsgName, Seen<Asg>>,
    pub machines: BTreeMap<InstanceId, Machine>,
    asked: BTreeMap<InstanceId, Timestamp>,
    /// The groups' life-cycle hooks, and when they were asked for; none after a failure.
    hooks: BTreeMap<AsgName, (Timestamp, Option<Vec<Hook>>)>,
    /// When groups were asked for failed launches, and the last that was found.
    launches: BTreeMap<AsgName, (Timestamp, Option<LaunchFailure>)>,
    read_at: Option<Timestamp>,
    retry: Option<Retry>,
}

impl CloudView {
    /// Nothing has been looked at by a loop that began then.
    pub fn new(began: Timestamp) -> Self {
        Self { began, ..Self::default() }
    }

    /// The same loop begins to look anew.
    pub fn forget(&mut self) {
        *self = Self::new(self.began);
    }

    /// How old the view is; `None` if there has been no look yet.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        self.read_at.map(|at| now.since(at))
    }

    /// When the next look may be, after failures.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.retry.map(|retry| retry.not_before)
    }

    /// Whether it is time to look, for those who can do with a view younger than `old_enough`.
    /// After failures the next try has its own time, whatever they can do with.
    pub fn is_stale(&self, old_enough: Duration, now: Timestamp) -> bool {
        match self.retry {
            Some(retry) => retry.not_before <= now,
            None => self.age(now).is_none_or(|age| age >= old_enough),
        }
    }

    /// Something was done that rests on this view: nothing else may rest on it.
    pub fn expire(&mut self) {
        self.read_at = None;
    }

    /// Looks at all groups of the policy.
    pub async fn refresh<C: Cloud>(
        &mut self,
        cloud: &C,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<(), CloudError> {
        let names = policy.asgs();
        self.read_at = Some(now);
        match cloud.describe_groups(&names).await {
            Ok(mut found) => {
                self.retry = None;
                self.asgs = names
                    .into_iter()
                    .map(|name| {
                        let seen = found.remove(&name).map_or_else(|| missing(&name), Seen::Known);
                        (name, seen)
                    })
                    .collect();
                self.add_hooks(now);
                self.add_failures(now);
                Ok(())
            }
            Err(error) => {
                self.retry = Some(Retry::after_failure(self.retry, now));
                let why = error.to_string();
                self.asgs = names
                    .into_iter()
                    .map(|name| (name, Seen::Unknown { why: why.clone() }))
                    .collect();
                Err(error)
            }
        }
    }

    /// Which of `wanted` are to be asked for their hooks now.
    pub fn hooks_due(&self, wanted: &BTreeSet<AsgName>, now: Timestamp) -> Vec<AsgName> {
        let is_due = |name: &&AsgName| {
            self.hooks.get(*name).is_none_or(|(at, found)| {
                let pause = if found.is_some() { HOOKS_AGE_MAX } else { ASK_KNOWN_AGAIN };
                now.since(*at) >= pause
            })
        };
        wanted.iter().filter(is_due).cloned().collect()
    }

    /// Asks for the life-cycle hooks of groups.
    pub async fn look_up_hooks<C: Cloud>(
        &mut self,
        cloud: &C,
        names: &[AsgName],
        now: Timestamp,
    ) -> Result<(), CloudError> {
        for name in names {
            self.hooks.insert(name.clone(), (now, None));
            let found = cloud.describe_hooks(name).await?;
            self.hooks.insert(name.clone(), (now, Some(found)));
        }
        self.add_hooks(now);
        Ok(())
    }

    /// Hooks change seldom: what was found a moment ago holds for every look at the group.
    fn add_hooks(&mut self, now: Timestamp) {
        for (name, (at, found)) in &self.hooks {
            let is_young = now.since(*at) < HOOKS_AGE_MAX;
            if let Some(Seen::Known(asg)) = self.asgs.get_mut(name) {
                asg.hooks = found.clone().filter(|_| is_young);
            }
        }
    }

    /// Which of `wanted` are to be asked now why they launch less than was asked for, and from when
    /// on. Soon after the request, and then less and less often: launches take their time.
    pub fn launches_due(
        &self,
        wanted: &BTreeSet<AsgName>,
        memory: &Memory,
        now: Timestamp,
    ) -> Vec<(AsgName, Timestamp)> {
        let due = |name: &AsgName| {
            let level = memory.levels.get(name);
            let age = level.map_or(LAUNCHES_PAUSE_MAX, |level| now.since(level.at));
            let pause = (age / 2).clamp(LAUNCHES_PAUSE, LAUNCHES_PAUSE_MAX);
            let asked = self.launches.get(name).map(|(at, _)| *at);
            let is_due = age >= LAUNCHES_PAUSE && asked.is_none_or(|at| now.since(at) >= pause);
            let since = level.map_or(now, |level| level.at).millis();
            let since = since.saturating_sub(millis(CLOCKS_APART));
            is_due.then(|| (name.clone(), Timestamp::from_millis(since)))
        };
        wanted.iter().filter_map(due).collect()
    }

    /// Asks for a group's failed launches. `true` if one is new.
    pub async fn look_up_launches<C: Cloud>(
        &mut self,
        cloud: &C,
        name: &AsgName,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, CloudError> {
        let earlier = self.launches.get(name).and_then(|(_, failure)| failure.clone());
        self.launches.insert(name.clone(), (now, earlier.clone()));
        let Some(found) = cloud.last_failure(name, since).await? else { return Ok(false) };
        let is_new = earlier.is_none_or(|earlier| earlier.at < found.at);
        if is_new {
            self.launches.insert(name.clone(), (now, Some(found)));
            self.add_failures(now);
        }
        Ok(is_new)
    }

    fn add_failures(&mut self, now: Timestamp) {
        for (name, (at, failure)) in &self.launches {
            let is_young = now.since(*at) < FAILURE_AGE_MAX;
            if let Some(Seen::Known(asg)) = self.asgs.get_mut(name) {
                asg.failure = failure.clone().filter(|_| is_young);
            }
        }
    }

    /// Which of `wanted` EC2 is to be asked about now.
    pub fn due(&self, wanted: &BTreeSet<InstanceId>, now: Timestamp) -> Vec<InstanceId> {
        wanted
            .iter()
            .filter(|id| {
                let complete = self
                    .machines
                    .get(*id)
                    .and_then(Machine::facts)
                    .is_some_and(|facts| facts.address.is_some());
                let pause = if complete { ASK_KNOWN_AGAIN } else { ASK_NEW_AGAIN };
                let is_due = |at: &Timestamp| now.since(*at) >= pause;
                // Of the others, another answer would say no more.
                self.asked.get(*id).is_none_or(|at| is_due(at) && (complete || !self.hides(now)))
            })
            .cloned()
            .collect()
    }

    /// Asks EC2 about single instances.
    pub async fn look_up<C: Cloud>(
        &mut self,
        cloud: &C,
        ids: &[InstanceId],
        now: Timestamp,
    ) -> Result<(), CloudError> {
        self.asked.extend(ids.iter().map(|id| (id.clone(), now)));
        let mut found = cloud.describe_instances(ids).await?;
        if self.hides(now) {
            found.values_mut().for_each(|machine| hide_address(machine, self.began));
        }
        self.machines.extend(found);
        Ok(())
    }

    /// Whether the loop has begun so short a time ago that tags may not show.
    fn hides(&self, now: Timestamp) -> bool {
        now.since(self.began) < TAGS_LAG
    }

    /// Forgets instances that neither a group nor memory knows any more.
    pub fn prune(&mut self, memory: &Memory) {
        let asgs: Option<Vec<&Asg>> = self.asgs.values().map(Seen::known).collect();
        // A group that could not be read may hold any of them.
        let Some(asgs) = asgs else { return };
        let bound = LazyCell::new(|| -> BTreeSet<&InstanceId> {
            memory.bindings.values().map(|binding| &binding.instance).collect()
        });
        let is_known = |id: &InstanceId| {
            asgs.iter().any(|asg| asg.instances.contains_key(id))
                || memory.releases.contains_key(id)
                || bound.contains(id)
        };
        self.machines.retain(|id, _| is_known(id));
        self.asked.retain(|id, _| is_known(id));
    }
}

/// A loop before this one may have named an instance right before it ended, and its memory of that may
/// not have been saved. As long as the tag may not show, the instance is as one without an address: it
/// gets no name, is not terminated, and is asked about again.
fn hide_address(machine: &mut Machine, began: Timestamp) {
    let Machine::Known(facts) = machine else { return };
    let is_older = facts.launched.is_some_and(|at| at < began.after(CLOCKS_APART));
    if facts.node_tag.is_none() && is_older {
        facts.address = None;
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn missing(name: &AsgName) -> Seen<Asg> {
    let why = format!(
        "Auto Scaling group {name} does not exist in this account and region; \
         correct `asg` or `region` in asg.toml, or create it"
    );
    Seen::Unknown { why }
}
