//! An event in words: who, with key=value for those who search, and what.

use std::fmt;

use super::{Event, EventName};
use crate::plan::{PowerUpCause, TerminateCause};
use crate::time::in_minutes;

use super::follow::{BILLING_HOUR, MAKE_ROOM, power_up_word, terminate_word};

/// How many jobs are named in words.
const JOBS_SHOWN_MAX: usize = 10;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pair = |key: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => write!(f, "{key}={value} "),
            None => Ok(()),
        };
        pair("group", self.group.as_ref().map(|it| it as _))?;
        pair("asg", self.asg.as_ref().map(|it| it as _))?;
        pair("node", self.node.as_ref().map(|it| it as _))?;
        pair("node", self.nodes.as_ref().map(|it| it as _))?;
        pair("instance", self.instance.as_ref().map(|it| it as _))?;
        pair("address", self.address.as_ref().map(|it| it as _))?;
        pair("job", self.job.as_ref().map(|it| it as _))?;
        self.what(f)?;
        match &self.error {
            Some(error) => write!(f, " failed: {error}; will be tried again"),
            None => Ok(()),
        }
    }
}

/// The last line of a text that says anything.
fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default()
}

impl Event {
    /// Who said so, and why.
    fn by_user(&self, f: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
        f.write_str(what)?;
        if let Some(user) = self.user {
            write!(f, ", by user {user}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }

    /// What happened, without whom it happened to.
    fn what(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.unwrap_or(0);
        let reason = self.reason.as_deref().unwrap_or("?");
        match self.event {
            EventName::Started => {
                write!(f, "slurm-asg {} has begun to work", self.version.as_deref().unwrap_or("?"))
            }
            EventName::ClockSet => {
                write!(f, "the machine's clock was set {reason}; what is remembered moves along")
            }
            EventName::ConfigurationRead => {
                write!(f, "{} is in force", self.path.as_deref().unwrap_or("?"))
            }
            EventName::ConfigurationRefused | EventName::GroupProblem | EventName::Problem => {
                f.write_str(reason)
            }
            EventName::GroupProblemOver | EventName::ProblemOver => write!(f, "over: {reason}"),
            EventName::JobCounted => {
                let (nodes, launch) = (number(self.node_count), number(self.launch));
                let s = if nodes == 1 { "" } else { "s" };
                write!(f, "will get {nodes} node{s}; {launch} to be powered up for it")
            }
            EventName::JobDropped => {
                f.write_str("counts no more: Slurm did not give it nodes that seemed free")
            }
            EventName::CapacityRaised | EventName::CapacityRaisedFailed => {
                write!(f, "desired capacity {} -> {}", number(self.from), number(self.to))?;
                match &self.zone {
                    Some(zone) => write!(f, " in {zone}"),
                    None => Ok(()),
                }
            }
            EventName::CapacityGivenBack | EventName::CapacityGivenBackFailed => write!(
                f,
                "desired capacity {} -> {}: the rest was asked for and never launched",
                number(self.from),
                number(self.to)
            ),
            EventName::LaunchesFail | EventName::ProtectedMode | EventName::InstanceNotice => {
                f.write_str(reason)
            }
            EventName::NeverRegistered => f.write_str("has never registered"),
            EventName::BootConsole => match &self.console {
                Some(text) => write!(f, "its console had last: {}", last_line(text)),
                None => f.write_str("its console had nothing"),
            },
            EventName::BootConsoleFailed => f.write_str("reading its console"),
            EventName::Cleared => self.by_user(f, "cooldown and protected mode are over"),
            EventName::ScalingPaused => self.by_user(f, "scaling is paused"),
            EventName::ScalingResumed => self.by_user(f, "scaling goes on"),
            EventName::NodeProtected => {
                let until = in_minutes(self.until.unwrap_or_default());
                self.by_user(f, &format!("protected from suspension until {until}"))
            }
            EventName::NodeReleased => self.by_user(f, "may be suspended again"),
            EventName::NodesClosed | EventName::NodesClosedFailed => {
                write!(f, "closed to jobs: {reason}")
            }
            EventName::NodesOpened | EventName::NodesOpenedFailed => {
                f.write_str("open to jobs again")
            }
            EventName::SizesSet | EventName::SizesSetFailed => write!(
                f,
                "minimum {} -> {}, maximum {} -> {}, as in asg.toml",
                number(self.min_from),
                number(self.min_to),
                number(self.max_from),
                number(self.max_to)
            ),
            EventName::NodesResumed => {
                f.write_str("wanted by Slurm")?;
                self.for_jobs(f)
            }
            EventName::NodesSuspended => f.write_str("released by Slurm"),
            EventName::NodeBound | EventName::NodeBoundFailed => f.write_str("bound"),
            EventName::NodeUp => {
                f.write_str("up")?;
                match self.boot_ms {
                    Some(millis) => write!(f, " after {:.1} s", millis_in_secs(millis)),
                    None => Ok(()),
                }
            }
            EventName::GroupState => write!(
                f,
                "{} busy, {} idle, {} base, {} booting, {} spare, {} releasing; desired capacity \
                 {} of at most {}, demand {}",
                number(self.busy),
                number(self.idle),
                number(self.base),
                number(self.booting),
                number(self.spare),
                number(self.releasing),
                number(self.desired),
                number(self.max),
                number(self.demand)
            ),
            EventName::NodeDown | EventName::NodeDownFailed => write!(f, "set down: {reason}"),
            EventName::NodePowerUp | EventName::NodePowerUpFailed => {
                f.write_str("power up asked, ")?;
                f.write_str(match reason {
                    _ if reason == power_up_word(PowerUpCause::Base) => {
                        "as the group keeps so many nodes"
                    }
                    _ if reason == power_up_word(PowerUpCause::Initial) => {
                        "as the group begins with so many nodes"
                    }
                    other => other,
                })
            }
            EventName::NodePowerDown | EventName::NodePowerDownFailed => {
                f.write_str(if reason == BILLING_HOUR {
                    "power down asked: idle, and its instance's hour ends"
                } else if reason == MAKE_ROOM {
                    "power down asked: idle, and a job waits for room"
                } else {
                    "power down asked, to make it available again"
                })
            }
            EventName::NodeDrained | EventName::NodeDrainedFailed => {
                write!(f, "drained, to be powered down after its jobs: {reason}")
            }
            EventName::InstanceProtected | EventName::InstanceProtectedFailed => {
                f.write_str("protected from scale-in")
            }
            EventName::HookHeld | EventName::HookHeldFailed => {
                write!(f, "hook {} told to wait", self.hook.as_deref().unwrap_or("?"))
            }
            EventName::HookCompleted | EventName::HookCompletedFailed => {
                let hook = self.hook.as_deref().unwrap_or("?");
                write!(f, "hook {hook} completed: {reason}")
            }
            EventName::Heartbeat => {
                write!(f, "{} idle", number(self.idle))?;
                match self.oldest_idle_s {
                    Some(secs) => write!(f, ", for {secs} s at most"),
                    None => Ok(()),
                }
            }
            EventName::InstanceTerminated | EventName::InstanceTerminatedFailed => {
                let why = match reason {
                    _ if reason == terminate_word(TerminateCause::NodeReleased) => {
                        "Slurm released the node"
                    }
                    _ if reason == terminate_word(TerminateCause::Outdated) => {
                        "Slurm wants the node anew"
                    }
                    _ if reason == terminate_word(TerminateCause::Orphan) => {
                        "it serves no node and none wants it"
                    }
                    other => other,
                };
                let replaced = self.replaced == Some(true);
                let capacity = if replaced { "is replaced" } else { "capacity goes down" };
                write!(f, "terminated: {why}; {capacity}")
            }
            EventName::SettingChanged | EventName::SettingChangedFailed => {
                write!(f, "setting changed: {reason}")
            }
            EventName::EventsDropped => write!(
                f,
                "{} events are missing here: they could not be written",
                self.dropped.unwrap_or(0)
            ),
        }
    }

    /// ` job=1,2,3,…`, with no more ids than a line takes.
    fn for_jobs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, job) in self.jobs.iter().take(JOBS_SHOWN_MAX).enumerate() {
            let before = if nth == 0 { " job=" } else { "," };
            write!(f, "{before}{job}")?;
        }
        if self.jobs.len() > JOBS_SHOWN_MAX { f.write_str(",…") } else { Ok(()) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "to be read")]
const fn millis_in_secs(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn every_event_reads_as_who_and_what() {
        let new = |name| Event::new(Timestamp::default(), name);
        let of = |name| Event {
            group: Some("g".into()),
            asg: Some("a".into()),
            node: Some("n1".into()),
            instance: Some("i-1".into()),
            reason: Some("orphan".to_owned()),
            ..new(name)
        };
        let table = [
            (
                Event { from: Some(0), to: Some(2), ..of(EventName::CapacityRaised) },
                "group=g asg=a node=n1 instance=i-1 desired capacity 0 -> 2",
            ),
            (
                of(EventName::InstanceTerminated),
                "group=g asg=a node=n1 instance=i-1 terminated: it serves no node and none wants \
                 it; capacity goes down",
            ),
            (
                Event { error: Some("no".to_owned()), ..of(EventName::NodeBoundFailed) },
                "group=g asg=a node=n1 instance=i-1 bound failed: no; will be tried again",
            ),
            (
                Event {
                    nodes: Some("n[1-2]".into()),
                    jobs: vec![4711],
                    ..new(EventName::NodesResumed)
                },
                "node=n[1-2] wanted by Slurm job=4711",
            ),
            (
                Event { jobs: (0..20).collect(), ..new(EventName::NodesResumed) },
                "wanted by Slurm job=0,1,2,3,4,5,6,7,8,9,…",
            ),
            (
                Event {
                    job: Some(3),
                    node_count: Some(2),
                    launch: Some(1),
                    ..new(EventName::JobCounted)
                },
                "job=3 will get 2 nodes; 1 to be powered up for it",
            ),
            (
                Event { idle: Some(2), oldest_idle_s: Some(60), ..new(EventName::Heartbeat) },
                "2 idle, for 60 s at most",
            ),
            (
                Event { boot_ms: Some(41_230), ..of(EventName::NodeUp) },
                "group=g asg=a node=n1 instance=i-1 up after 41.2 s",
            ),
            (
                Event { dropped: Some(3), ..new(EventName::EventsDropped) },
                "3 events are missing here: they could not be written",
            ),
        ];
        for (event, text) in table {
            assert_eq!(event.to_string(), text);
        }
        for name in EventName::ALL {
            assert!(!new(*name).to_string().trim().is_empty(), "{name}");
        }
    }
}
