//! The processes of a group that can be suspended.
//!
//! From the user guide of EC2 Auto Scaling ("How suspended processes affect other processes"), as far as there is
//! something to suspend here: without Launch nothing is launched; without Terminate the group ends no instance by
//! itself, neither a surplus nor an unhealthy one; without ReplaceUnhealthy the unhealthy stay; without
//! AlarmNotification alarms change no capacity. On resumption what was left undone is done. The other processes are only
//! shown. TerminateInstanceInAutoScalingGroup is taken to be no process: what AWS does with it is not documented.

use super::World;
use super::model::Group;
use super::scaling::Reason;
use crate::error::ApiError;
use serde::Deserialize;

/// A process of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "AWS's words")]
pub enum GroupProcess {
    Launch,
    Terminate,
    AddToLoadBalancer,
    AlarmNotification,
    AZRebalance,
    HealthCheck,
    InstanceRefresh,
    ReplaceUnhealthy,
    ScheduledActions,
}

impl GroupProcess {
    const ALL: [Self; 9] = [
        Self::Launch,
        Self::Terminate,
        Self::AddToLoadBalancer,
        Self::AlarmNotification,
        Self::AZRebalance,
        Self::HealthCheck,
        Self::InstanceRefresh,
        Self::ReplaceUnhealthy,
        Self::ScheduledActions,
    ];

    /// AWS's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launch => "Launch",
            Self::Terminate => "Terminate",
            Self::AddToLoadBalancer => "AddToLoadBalancer",
            Self::AlarmNotification => "AlarmNotification",
            Self::AZRebalance => "AZRebalance",
            Self::HealthCheck => "HealthCheck",
            Self::InstanceRefresh => "InstanceRefresh",
            Self::ReplaceUnhealthy => "ReplaceUnhealthy",
            Self::ScheduledActions => "ScheduledActions",
        }
    }

    /// What a call names; all of them if it names none, as at AWS. The words of the refusal are not documented.
    fn chosen(names: &[&str]) -> Result<Vec<Self>, ApiError> {
        if names.is_empty() {
            return Ok(Self::ALL.to_vec());
        }
        let parse = |name: &&str| {
            let mut all = Self::ALL.into_iter();
            let unknown = || ApiError::validation(format!("{name} is not a valid scaling process"));
            all.find(|process| process.name() == *name).ok_or_else(unknown)
        };
        names.iter().map(parse).collect()
    }
}

/// A process that is suspended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Which.
    pub process: GroupProcess,
    /// By whom, and since when.
    pub reason: String,
}

impl Group {
    /// Whether it leaves that undone for now.
    #[must_use]
    pub fn suspends(&self, process: GroupProcess) -> bool {
        self.suspended.iter().any(|suspension| suspension.process == process)
    }

    fn ends_the_unhealthy(&self) -> bool {
        !self.suspends(GroupProcess::ReplaceUnhealthy) && !self.suspends(GroupProcess::Terminate)
    }
}

impl World {
    /// SuspendProcesses; one that is suspended already stays as it is.
    pub fn suspend(&mut self, name: &str, processes: &[&str], now_ms: u64) -> Result<(), ApiError> {
        let chosen = GroupProcess::chosen(processes)?;
        let group = self.group_mut(name)?;
        let reason = format!("User suspended at {}", super::time_text_s(now_ms));
        for process in chosen {
            if !group.suspends(process) {
                group.suspended.push(Suspension { process, reason: reason.clone() });
            }
        }
        self.settle(now_ms);
        Ok(())
    }

    /// ResumeProcesses.
    pub fn resume(&mut self, name: &str, processes: &[&str], now_ms: u64) -> Result<(), ApiError> {
        let chosen = GroupProcess::chosen(processes)?;
        let group = self.group_mut(name)?;
        group.suspended.retain(|suspension| !chosen.contains(&suspension.process));
        self.end_unhealthy(name, now_ms);
        self.settle(now_ms);
        Ok(())
    }

    /// Takes out the instances that the group believes dead, unless it is kept from that.
    pub(super) fn end_unhealthy(&mut self, name: &str, now_ms: u64) {
        if !self.cloud.groups.get(name).is_some_and(Group::ends_the_unhealthy) {
            return;
        }
        let members = self.cloud.members(name).into_iter();
        let unhealthy = members.filter(|instance| instance.counts() && !instance.healthy);
        let ids: Vec<String> = unhealthy.map(|instance| instance.id.clone()).collect();
        for id in ids {
            self.begin_termination(&id, Reason::Health, now_ms);
        }
    }
}
