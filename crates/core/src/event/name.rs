//! The names of events. They are stable: programs search for them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[doc = $doc:literal])* $variant:ident = $word:literal,)*) => {
        /// What happened. docs/events.md lists them all.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventName {
            $($(#[doc = $doc])* #[serde(rename = $word)] $variant,)*
        }

        impl EventName {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

names! {
    /// The plugin has begun to work.
    Started = "started",
    /// Somebody has set the machine's clock.
    ClockSet = "clock_set",
    /// A configuration is in force.
    ConfigurationRead = "configuration_read",
    /// A configuration is wrong; the last good one stays in force.
    ConfigurationRefused = "configuration_refused",
    /// Capacity is raised for a pending job.
    JobCounted = "job_counted",
    /// Slurm did not give a job the nodes that were counted for it: it counts no more.
    JobDropped = "job_dropped",
    /// The desired capacity was raised.
    CapacityRaised = "capacity_raised",
    /// It could not be.
    CapacityRaisedFailed = "capacity_raised_failed",
    /// Capacity that was asked for and never launched was given back.
    CapacityGivenBack = "capacity_given_back",
    /// It could not be.
    CapacityGivenBackFailed = "capacity_given_back_failed",
    /// Launches fail: the group is asked for nothing for a while.
    LaunchesFail = "launches_fail",
    /// An instance never registered.
    NeverRegistered = "never_registered",
    /// What the console of such an instance had last.
    BootConsole = "boot_console",
    /// It could not be read.
    BootConsoleFailed = "boot_console_failed",
    /// Too many boots in a row have failed: nothing is launched any more.
    ProtectedMode = "protected_mode",
    /// An administrator has ended a cooldown or protected mode.
    Cleared = "cleared",
    /// An administrator has paused a group.
    ScalingPaused = "scaling_paused",
    /// It goes on.
    ScalingResumed = "scaling_resumed",
    /// An administrator protects a node from suspension.
    NodeProtected = "node_protected",
    /// That is over: an administrator has said so, or its time has come.
    NodeReleased = "node_released",
    /// Minimum and maximum of a group were written.
    SizesSet = "sizes_set",
    /// They could not be.
    SizesSetFailed = "sizes_set_failed",
    /// Slurm called the ResumeProgram.
    NodesResumed = "nodes_resumed",
    /// An instance got a node's name, and Slurm its address.
    NodeBound = "node_bound",
    /// Slurm did not take the address.
    NodeBoundFailed = "node_bound_failed",
    /// A node's slurmd has registered.
    NodeUp = "node_up",
    /// A node was set DOWN: its jobs requeue.
    NodeDown = "node_down",
    /// It could not be.
    NodeDownFailed = "node_down_failed",
    /// Slurm was asked to power a node up without a job.
    NodePowerUp = "node_power_up",
    /// It could not be.
    NodePowerUpFailed = "node_power_up_failed",
    /// Slurm was asked to power a node down.
    NodePowerDown = "node_power_down",
    /// It could not be.
    NodePowerDownFailed = "node_power_down_failed",
    /// AWS has said that it takes an instance.
    InstanceNotice = "instance_notice",
    /// A node gives no job any more: its instance is about to be terminated by someone else.
    NodeDrained = "node_drained",
    /// Slurm did not take that.
    NodeDrainedFailed = "node_drained_failed",
    /// Powered-down nodes were closed to jobs: nothing can be launched for them.
    NodesClosed = "nodes_closed",
    /// Slurm did not take that.
    NodesClosedFailed = "nodes_closed_failed",
    /// They were opened again.
    NodesOpened = "nodes_opened",
    /// Slurm did not take that.
    NodesOpenedFailed = "nodes_opened_failed",
    /// Nodes are up without work.
    Heartbeat = "heartbeat",
    /// What a group's instances do.
    GroupState = "group_state",
    /// Slurm called the SuspendProgram or the ResumeFailProgram.
    NodesSuspended = "nodes_suspended",
    /// An instance that serves a node was protected from scale-in.
    InstanceProtected = "instance_protected",
    /// It could not be.
    InstanceProtectedFailed = "instance_protected_failed",
    /// A life-cycle hook was told to go on holding an instance.
    HookHeld = "hook_held",
    /// AWS did not take that.
    HookHeldFailed = "hook_held_failed",
    /// A life-cycle hook was told to let an instance go on.
    HookCompleted = "hook_completed",
    /// AWS did not take that.
    HookCompletedFailed = "hook_completed_failed",
    /// AWS took the call that terminates an instance.
    InstanceTerminated = "instance_terminated",
    /// It did not.
    InstanceTerminatedFailed = "instance_terminated_failed",
    /// A setting of a group was changed, as `slurm-asg check --fix` asked.
    SettingChanged = "setting_changed",
    /// AWS did not take that.
    SettingChangedFailed = "setting_changed_failed",
    /// Something keeps a group from being served as asg.toml says.
    GroupProblem = "group_problem",
    /// That is over.
    GroupProblemOver = "group_problem_over",
    /// Something that is about no single group does not work.
    Problem = "problem",
    /// That is over.
    ProblemOver = "problem_over",
    /// Events are missing here: they could not be written.
    EventsDropped = "events_dropped",
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.iter().find(|name| name.as_str() == text);
        found.copied().ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// A word that is no event's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no event; the events are {list}", list = list())]
pub struct UnknownName(String);

fn list() -> String {
    EventName::ALL.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../../docs/events.md");

    #[test]
    fn the_document_lists_exactly_the_names_that_there_are() {
        let rows = DOCUMENT.lines().skip_while(|line| !line.starts_with("## Events"));
        let rows = rows.take_while(|line| !line.starts_with("## Fields"));
        let listed: Vec<_> = rows
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name)
            .collect();
        let names: Vec<_> = EventName::ALL.iter().map(|name| name.as_str()).collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in EventName::ALL {
            assert_eq!(name.as_str().parse(), Ok(*name));
            let json = serde_json::to_string(name).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<EventName>(&json).unwrap(), *name);
        }
        let error = "node_bond".parse::<EventName>().unwrap_err().to_string();
        assert!(error.starts_with("`node_bond` is no event; the events are started, "), "{error}");
    }
}
