//! What there is: groups, instances, activities.

use super::hooks::{Hook, HookAction};
use super::suspension::Suspension;
use crate::config::GroupConfig;
use crate::error::ApiError;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

/// Older activities are forgotten beyond this many.
pub const ACTIVITIES_MAX: usize = 5_000;

/// Everything the Describe calls show.
#[derive(Debug, Clone, Default)]
pub struct Cloud {
    /// By name.
    pub groups: BTreeMap<String, Group>,
    /// By instance id; those that left their group stay for a while, as in EC2.
    pub instances: BTreeMap<String, Instance>,
    /// Oldest first.
    pub activities: VecDeque<Activity>,
}

impl Cloud {
    /// The instances a group shows, oldest first: all that have not left it.
    pub fn members(&self, group: &str) -> Vec<&Instance> {
        let mut members: Vec<_> = self
            .instances
            .values()
            .filter(|instance| instance.group == group && instance.lifecycle != Lifecycle::Gone)
            .collect();
        members.sort_by_key(|instance| instance.serial);
        members
    }

    /// A group that must be there.
    pub fn group(&self, name: &str) -> Result<&Group, ApiError> {
        self.groups.get(name).ok_or_else(|| no_group(name))
    }

    /// How many instances count towards a group's desired capacity.
    #[must_use]
    pub fn size(&self, group: &str) -> u32 {
        let count = self
            .instances
            .values()
            .filter(|instance| instance.group == group && instance.counts())
            .count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// An instance that is still in a group.
    #[must_use]
    pub fn managed(&self, id: &str) -> Option<&Instance> {
        self.instances.get(id).filter(|instance| instance.lifecycle != Lifecycle::Gone)
    }
}

/// AWS's error for a group that it does not know.
pub(super) fn no_group(name: &str) -> ApiError {
    ApiError::validation(format!(
        "AutoScalingGroup name not found - AutoScalingGroup {name} not found"
    ))
}

/// An Auto Scaling group.
#[derive(Debug, Clone)]
pub struct Group {
    /// As configured; the sizes here are those of the start.
    pub config: GroupConfig,
    /// Minimum size.
    pub min: u32,
    /// Maximum size.
    pub max: u32,
    /// Desired capacity.
    pub desired: u32,
    /// Whether new instances are protected from scale-in.
    pub protects_new: bool,
    /// What it does not do by itself for now.
    pub suspended: Vec<Suspension>,
    /// Life-cycle hooks, by name.
    pub hooks: BTreeMap<String, Hook>,
    /// Creation, Unix epoch milliseconds.
    pub created_at_ms: u64,
    /// When missing instances are launched.
    pub launch_at_ms: Option<u64>,
    /// Length of the cooldown of the scaling policy that was carried out last.
    pub cooldown_ms: u64,
    /// Until then no scaling policy is carried out, Unix epoch milliseconds.
    pub cooldown_until_ms: u64,
    /// The last change of the desired capacity, for the activities' cause.
    pub cause: String,
}

/// Where an instance is in its group's life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    /// Launched, not yet up.
    Pending,
    /// Up, and waiting for its launching hooks.
    PendingWait,
    /// About to enter service, its launching hooks being done.
    PendingProceed,
    /// Up, as far as the group knows.
    InService,
    /// Chosen to go, still running, and waiting for its terminating hooks.
    TerminatingWait,
    /// Going, its terminating hooks being done.
    TerminatingProceed,
    /// Going.
    Terminating,
    /// Left its group.
    Gone,
}

impl Lifecycle {
    /// AWS's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::PendingWait => "Pending:Wait",
            Self::PendingProceed => "Pending:Proceed",
            Self::InService => "InService",
            Self::TerminatingWait => "Terminating:Wait",
            Self::TerminatingProceed => "Terminating:Proceed",
            Self::Terminating => "Terminating",
            Self::Gone => "Terminated",
        }
    }

    /// Whether it is launched and not yet in service.
    #[must_use]
    pub const fn is_launching(self) -> bool {
        matches!(self, Self::Pending | Self::PendingWait | Self::PendingProceed)
    }
}

/// EC2's code and name of an instance's state.
pub type Ec2State = (u16, &'static str);

/// An instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// `i-` and 17 hexadecimal digits.
    pub id: String,
    /// Its place in the order of launches, from 0.
    pub serial: u64,
    /// Its group's name, also after it left.
    pub group: String,
    /// Private address, of its own.
    pub ip: Ipv4Addr,
    /// Availability zone.
    pub zone: String,
    /// EC2 instance type.
    pub instance_type: String,
    /// Life cycle in the group.
    pub lifecycle: Lifecycle,
    /// What the group believes of its health.
    pub healthy: bool,
    /// Whether the machine has power; a dead one may still be InService for its group.
    pub alive: bool,
    /// EC2 was told to terminate it.
    pub ec2_terminating: bool,
    /// Protected from scale-in.
    pub protected: bool,
    /// EC2 tags.
    pub tags: BTreeMap<String, String>,
    /// Process id of its boot command's outermost process, while that runs.
    pub pid: Option<u32>,
    /// Whether it will run its boot command.
    pub boots: bool,
    /// Launch, Unix epoch milliseconds.
    pub launched_at_ms: u64,
    /// When its next transition is due: up, InService, death noticed, gone, forgotten.
    pub next_at_ms: Option<u64>,
    /// What it waits for before its next transition.
    pub actions: Vec<HookAction>,
}

impl Instance {
    /// Whether it counts towards the desired capacity.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.lifecycle.is_launching() || self.lifecycle == Lifecycle::InService
    }

    /// When something is due: its next transition, or the end of an action's time. Unix epoch milliseconds.
    #[must_use]
    pub fn wake_at_ms(&self) -> Option<u64> {
        self.actions.iter().map(|action| action.until_ms).chain(self.next_at_ms).min()
    }

    /// EC2's code and name of its state.
    #[must_use]
    pub fn ec2_state(&self) -> Ec2State {
        match self.lifecycle {
            Lifecycle::Gone => (48, "terminated"),
            Lifecycle::Terminating | Lifecycle::TerminatingProceed => (32, "shutting-down"),
            // Its group may keep it for hours after its machine is gone.
            Lifecycle::TerminatingWait if !self.alive => (48, "terminated"),
            Lifecycle::Pending
            | Lifecycle::PendingWait
            | Lifecycle::PendingProceed
            | Lifecycle::InService
                if self.ec2_terminating =>
            {
                (32, "shutting-down")
            }
            Lifecycle::Pending => (0, "pending"),
            Lifecycle::PendingWait
            | Lifecycle::PendingProceed
            | Lifecycle::InService
            | Lifecycle::TerminatingWait => (16, "running"),
        }
    }

    /// AWS's word for its health.
    #[must_use]
    pub const fn health(&self) -> &'static str {
        if self.healthy { "Healthy" } else { "Unhealthy" }
    }
}

/// A scaling activity.
#[derive(Debug, Clone)]
pub struct Activity {
    /// In the form of a UUID.
    pub id: String,
    /// The group's name.
    pub group: String,
    /// The instance it is about, if one came to be.
    pub instance: Option<String>,
    /// What is done.
    pub description: String,
    /// Why.
    pub cause: String,
    /// Start, Unix epoch milliseconds.
    pub start_ms: u64,
    /// End, Unix epoch milliseconds.
    pub end_ms: Option<u64>,
    /// `InProgress`, `MidLifecycleAction`, `Successful`, `Failed` or `Cancelled`.
    pub status: &'static str,
    /// Why it failed.
    pub message: Option<String>,
    /// JSON text naming subnet and zone.
    pub details: String,
}

impl Activity {
    /// Whether it is about this instance and goes on.
    #[must_use]
    pub fn is_open_for(&self, id: &str) -> bool {
        self.instance.as_deref() == Some(id) && self.end_ms.is_none()
    }
}
