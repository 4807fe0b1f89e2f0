//! Requests and responses.

use serde::{Deserialize, Serialize};

use crate::Figures;

/// How much is said of a request that is none, characters.
const REASON_CHARS_MAX: usize = 300;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Slurm wants these nodes: look now. From the ResumeProgram.
    Resume {
        /// The program's argument, a hostlist expression.
        nodes: String,
        /// The content of the resume file, if it could be read.
        file: Option<String>,
    },
    /// Slurm has released these nodes: look now. From the SuspendProgram and ResumeFailProgram.
    Suspend {
        /// The program's argument, a hostlist expression.
        nodes: String,
    },
    /// How things stand.
    // A struct without fields: serde refuses unknown fields in those only.
    Status {},
    /// The same as of the last look, without having another one made: for whoever asks often.
    Glance {},
    /// What the last look planned.
    Plan {},
    /// What the last look has seen.
    Snapshot {},
    /// Why a job's nodes come or do not come, why a node stays up or goes, what an instance is there
    /// for, or how a group stands.
    Explain {
        /// A job's id, a node's or a group's name, or an instance's id.
        what: String,
    },
    /// What AWS says of the groups beyond what the loop needs: some calls to AWS, which change
    /// nothing.
    Survey {},
    /// Give the Auto Scaling groups the settings that the status advises.
    FollowAdvice {},
    /// Drain a node, so that its instance can go.
    Retire {
        /// The node, or the instance that serves it.
        what: String,
        /// Why, in one line.
        why: String,
    },
    /// Read asg.toml again now.
    Reload {},
    /// Keep nodes from being suspended until a time.
    Protect {
        /// The nodes, a hostlist expression.
        nodes: String,
        /// Until when, milliseconds since the Unix epoch.
        until_ms: u64,
        /// Why, to be shown with the status.
        reason: Option<String>,
    },
    /// Let them be suspended again.
    Release {
        /// The nodes, a hostlist expression.
        nodes: String,
        /// Why, for the event log.
        reason: Option<String>,
    },
    /// End cooldowns and protected mode.
    Clear {
        /// Groups by name; none for all.
        groups: Vec<String>,
        /// Why, for the event log.
        reason: Option<String>,
    },
    /// Ask for no instance any more and let none go.
    Pause {
        /// Groups by name; none for all.
        groups: Vec<String>,
        /// Why, to be shown with the status.
        reason: Option<String>,
    },
    /// Go on after that.
    ResumeScaling {
        /// Groups by name; none for all.
        groups: Vec<String>,
        /// Why, for the event log.
        reason: Option<String>,
    },
}

impl Request {
    /// Reads a request, with or without the end of its line.
    ///
    /// # Errors
    /// Why it is none, in one line.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        // An error quotes what was sent, however long that is.
        let plain = |text: String| {
            let line = text.replace(char::is_control, " ");
            let end = line.char_indices().nth(REASON_CHARS_MAX).map_or(line.len(), |(at, _)| at);
            line.get(..end).unwrap_or_default().to_owned()
        };
        serde_json::from_slice(line).map_err(|error| plain(format!("not a request: {error}")))
    }

    /// Whether it only reads, and costs AWS's limits nothing. Everybody on the host may read.
    #[must_use]
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::Status {}
            | Self::Glance {}
            | Self::Plan {}
            | Self::Snapshot {}
            | Self::Explain { .. } => true,
            Self::Resume { .. }
            | Self::Suspend { .. }
            | Self::Survey {}
            | Self::FollowAdvice {}
            | Self::Retire { .. }
            | Self::Reload {}
            | Self::Protect { .. }
            | Self::Release { .. }
            | Self::Clear { .. }
            | Self::Pause { .. }
            | Self::ResumeScaling { .. } => false,
        }
    }
}

/// What the plugin answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// Heard; the loop is awake.
    Ok,
    /// Not done, and why, in one line.
    Refused {
        /// The reason.
        why: String,
    },
    /// How things stand.
    Status(Box<Status>),
    /// A plan, a snapshot or an explanation, as the request asked for, in the form that the
    /// core gives it.
    Document {
        /// The JSON.
        content: serde_json::Value,
    },
}

/// How things stand, as of the last look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// slurm-asg's version.
    pub version: String,
    /// The Slurm release that the plugin runs in, as in `22.05.8`.
    pub slurm_version: String,
    /// What the plugin does: `starting`, then `active`.
    pub state: String,
    /// What keeps it from working, in one line.
    pub problem: Option<String>,
    /// What does not work and is about no single group, a line each: state that cannot be saved,
    /// an event log that cannot be written, a Slurm or an AWS that does not answer.
    #[serde(default)]
    pub problems: Vec<String>,
    /// The configuration file in force.
    pub config: String,
    /// The event log's current file. `None` if there is none.
    #[serde(default)]
    pub events: Option<String>,
    /// When it last looked, milliseconds since the Unix epoch. `None` before the first look.
    pub looked_at_ms: Option<u64>,
    /// When it last read Slurm's queue, in the same unit: with a long one not with each look.
    #[serde(default)]
    pub queue_read_at_ms: Option<u64>,
    /// Calls of the job_submit hook since the plugin was loaded.
    pub hook_calls: u64,
    /// The groups, in alphabetical order.
    pub groups: Vec<GroupStatus>,
    /// Nodes that have a machine or wait for one.
    pub nodes: Vec<NodeStatus>,
    /// Nodes that an administrator has protected from suspension, powered down or not, by name.
    #[serde(default)]
    pub protected: Vec<ProtectedStatus>,
    /// Settings that Auto Scaling groups should have and have not.
    #[serde(default)]
    pub advice: Vec<AdviceStatus>,
    /// The currency of prices.
    #[serde(default)]
    pub currency: String,
    /// Numbers of the loop itself.
    #[serde(default)]
    pub figures: Figures,
    /// Pending jobs, and whether capacity is raised for them ahead of Slurm's allocation.
    pub jobs: Vec<JobStatus>,
}

/// A node that is protected from suspension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedStatus {
    /// The node.
    pub node: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Until when, milliseconds since the Unix epoch.
    pub until_ms: u64,
    /// Whose word it is, a user's number.
    pub user: u32,
    /// Why, in the user's words.
    pub reason: Option<String>,
}

/// A setting that an Auto Scaling group should have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdviceStatus {
    /// The Auto Scaling group.
    pub asg: String,
    /// The setting: a stable word, as in docs/events.md.
    pub setting: String,
    /// What is the matter, in plain words.
    pub text: String,
    /// Why it could not be changed, if that was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One pending job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Slurm's job id.
    pub id: u32,
    /// Nodes that it will be given.
    pub nodes: u32,
    /// Those of them that are powered down now and that no job before it takes.
    #[serde(default)]
    pub launch: u32,
    /// Why it counts or does not: a stable word.
    pub why: String,
    /// The same in plain words.
    pub text: String,
}

/// One group, in numbers of instances and nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its name in asg.toml.
    pub name: String,
    /// Its Auto Scaling groups.
    pub asgs: Vec<String>,
    /// MinSize.
    pub min: u32,
    /// DesiredCapacity.
    pub desired: u32,
    /// MaxSize.
    pub max: u32,
    /// Instances in service.
    pub in_service: u32,
    /// Instances on their way.
    pub pending: u32,
    /// Nodes with work.
    pub busy: u32,
    /// Nodes up without work.
    pub idle: u32,
    /// Nodes that wait for their machine.
    pub booting: u32,
    /// Nodes that pending jobs will be given and that Slurm has not asked for yet.
    pub ahead: u32,
    /// Instances that nodes and pending jobs need.
    pub demand: u32,
    /// Instances that pending work needs and that are neither there nor on their way, where that
    /// is known: the metric `pending`.
    #[serde(default)]
    pub pending_instances: Option<u32>,
    /// Instances that serve no node.
    pub spare: u32,
    /// Instances that are being terminated.
    pub releasing: u32,
    /// What an instance costs for an hour, millionths of the currency, if asg.toml says so.
    #[serde(default)]
    pub price_micros: Option<u64>,
    /// Whether an administrator has paused it.
    #[serde(default)]
    pub paused: bool,
    /// Whether one of its Auto Scaling groups is in protected mode: too many boots have failed.
    #[serde(default)]
    pub protected: bool,
    /// Until when one of its Auto Scaling groups is asked for nothing, as launches fail;
    /// milliseconds since the Unix epoch.
    #[serde(default)]
    pub cooldown_until_ms: Option<u64>,
    /// What is wrong, in one line.
    pub problem: Option<String>,
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Slurm's state, in Slurm's words.
    pub state: String,
    /// The instance that serves it.
    pub instance: Option<String>,
    /// Why it is as it is, or what it waits for: a stable word.
    pub why: String,
    /// The same in plain words.
    pub text: String,
    /// Since when, milliseconds since the Unix epoch, where that is known.
    pub since_ms: Option<u64>,
    /// When that ends at the latest, where that is known: by SuspendTime, ResumeTimeout, the hour
    /// that is paid for, or the next try.
    #[serde(default)]
    pub until_ms: Option<u64>,
}

impl NodeStatus {
    /// Whether its machine has failed it: gone, never registered, or not to be found.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let words = ["instance_gone", "never_registered", "no_machine", "no_instance_known"];
        words.contains(&self.why.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_and_without_the_end_of_its_line() {
        let line = b"{\"request\":\"explain\",\"what\":\"12\"}\n";
        let expected = Request::Explain { what: "12".to_owned() };
        assert_eq!(Request::read(line).as_ref(), Ok(&expected));
        assert_eq!(Request::read(line.trim_ascii_end()), Ok(expected));
    }

    #[test]
    fn what_is_no_request_is_one_line_whatever_it_quotes() {
        for line in [
            &b""[..],
            b"\xff\n",
            b"{\"request\":\"fl\\ny\"}",
            b"{\"request\":\"fly\x7f\"}",
            b"{\"request\":\"status\",\"a\\u0085\\r\":1}",
            format!("{{\"request\":\"{}\"}}", "é".repeat(10_000)).as_bytes(),
        ] {
            let why = Request::read(line).unwrap_err();
            assert!(why.starts_with("not a request: "), "{why}");
            assert!(!why.contains(char::is_control), "{why:?}");
            assert!(why.chars().count() <= REASON_CHARS_MAX, "{why}");
        }
    }
}
