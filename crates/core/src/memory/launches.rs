//! Requests for instances in a zone (LaunchInstances): from before they are made until their
//! instances are listed, and what came of them.
//!
//! Each request has a token. While no answer has come it is repeated with the same one, and AWS
//! launches nothing twice (LaunchInstances, ClientToken).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{COOLDOWN_MEMORY, Level, Memory, Retry};
use crate::ids::{AsgName, InstanceId};
use crate::plan::{Launch, READ_LAG_MAX};
use crate::snapshot::{Asg, LaunchFailure, Snapshot};
use crate::time::Timestamp;

/// For so long a group that cannot is not asked again.
const REFUSAL_MEMORY: Duration = Duration::from_secs(3600);

/// A request whose instances may not be listed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launching {
    /// The Auto Scaling group.
    pub asg: AsgName,
    /// The Availability Zone.
    pub zone: String,
    /// How many instances.
    pub count: u32,
    /// When it was last made.
    pub asked_at: Timestamp,
    /// What AWS has launched; `None` while it has not answered.
    pub launched: Option<BTreeSet<InstanceId>>,
    /// Set after a try without an answer.
    pub retry: Option<Retry>,
}

impl Launching {
    /// How many instances may be on their way that this read of the group does not list.
    #[must_use]
    pub fn unlisted(&self, asg: &Asg) -> u32 {
        let Some(launched) = &self.launched else { return self.count };
        let unlisted = launched.iter().filter(|id| !asg.instances.contains_key(*id));
        u32::try_from(unlisted.count()).unwrap_or(u32::MAX)
    }
}

/// A group for which instances cannot be asked for by zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// When that was said.
    pub at: Timestamp,
    /// Why, in one line.
    pub why: String,
}

/// What AWS has launched of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launched {
    /// The instances.
    pub instances: BTreeSet<InstanceId>,
    /// Why there are not more.
    pub failure: Option<LaunchFailure>,
}

impl Memory {
    /// How many instances of a group may be on their way that this read of it does not list.
    #[must_use]
    pub fn unlisted(&self, name: &AsgName, asg: &Asg) -> u32 {
        let own = self.launches.values().filter(|launching| launching.asg == *name);
        own.fold(0, |sum, launching| sum.saturating_add(launching.unlisted(asg)))
    }

    /// A request is about to be made, or made again.
    pub(super) fn note_launch(&mut self, launch: &Launch, now: Timestamp) {
        let level = self.levels.get(&launch.asg).map_or(0, |level| level.to).max(launch.to);
        let known = self.launches.insert(
            launch.token.clone(),
            Launching {
                asg: launch.asg.clone(),
                zone: launch.zone.clone(),
                count: launch.count,
                asked_at: now,
                launched: None,
                retry: self.launches.get(&launch.token).and_then(|known| known.retry),
            },
        );
        if known.is_none() {
            self.levels.insert(launch.asg.clone(), Level { to: level, at: now });
        }
    }

    /// AWS has answered.
    pub(super) fn note_launched(&mut self, launch: &Launch, launched: &Launched, now: Timestamp) {
        let count = u32::try_from(launched.instances.len()).unwrap_or(u32::MAX);
        self.lower_level(&launch.asg, launch.count.saturating_sub(count));
        if let Some(launching) = self.launches.get_mut(&launch.token) {
            launching.launched = Some(launched.instances.clone());
            launching.retry = None;
        }
        self.raise_retry.remove(&launch.asg);
        let zones = self.zone_failures.entry(launch.asg.clone()).or_default();
        match &launched.failure {
            Some(failure) => {
                let failure = LaunchFailure { at: now, ..failure.clone() };
                zones.insert(launch.zone.clone(), failure);
            }
            None => {
                zones.remove(&launch.zone);
            }
        }
        self.zone_failures.retain(|_, zones| !zones.is_empty());
    }

    /// No answer came: it may have been carried out.
    pub(super) fn note_unanswered(&mut self, launch: &Launch, now: Timestamp) {
        if let Some(launching) = self.launches.get_mut(&launch.token) {
            launching.retry = Some(Retry::after_failure(launching.retry, now));
        }
    }

    /// It was certainly not carried out.
    pub(super) fn note_not_launched(&mut self, launch: &Launch) {
        if self.launches.remove(&launch.token).is_some() {
            self.lower_level(&launch.asg, launch.count);
        }
    }

    /// The endpoint or the group cannot.
    pub(super) fn note_unsupported(&mut self, launch: &Launch, why: &str, now: Timestamp) {
        self.note_not_launched(launch);
        let refusal = Refusal { at: now, why: why.to_owned() };
        self.launch_refusals.insert(launch.asg.clone(), refusal);
    }

    fn lower_level(&mut self, asg: &AsgName, by: u32) {
        if let Some(level) = self.levels.get_mut(asg) {
            level.to = level.to.saturating_sub(by);
        }
    }

    /// What is listed is known from the list. What has not shown for as long as a read may lag does
    /// not come: a request that was never answered is not repeated any more, whatever became of it.
    pub(super) fn forget_launches(&mut self, snapshot: &Snapshot) {
        let now = snapshot.now;
        // The clock may have been set back.
        let is_young = |at: Timestamp, age| at <= now && now.since(at) < age;
        self.launches.retain(|_, launching| {
            if let (Some(asg), Some(launched)) =
                (snapshot.asg(&launching.asg), &mut launching.launched)
            {
                launched.retain(|id| !asg.instances.contains_key(id));
            }
            let is_open = launching.launched.as_ref().is_none_or(|launched| !launched.is_empty());
            is_open && is_young(launching.asked_at, READ_LAG_MAX)
        });
        for zones in self.zone_failures.values_mut() {
            zones.retain(|_, failure| is_young(failure.at, COOLDOWN_MEMORY));
        }
        self.zone_failures.retain(|_, zones| !zones.is_empty());
        self.launch_refusals.retain(|_, refusal| is_young(refusal.at, REFUSAL_MEMORY));
    }
}
