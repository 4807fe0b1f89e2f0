//! Requests and responses.

use serde::{Deserialize, Serialize};

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
    /// What the last look planned.
    Plan {},
    /// What the last look has seen.
    Snapshot {},
    /// Why a job's nodes come or do not come, or why a node stays up or goes.
    Explain {
        /// A job's id, or a node's name.
        what: String,
    },
    /// Give the Auto Scaling groups the settings that the status advises.
    FollowAdvice {},
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
    /// Whether it only reads. Everybody on the host may read.
    #[must_use]
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::Status {} | Self::Plan {} | Self::Snapshot {} | Self::Explain { .. } => true,
            Self::Resume { .. }
            | Self::Suspend { .. }
            | Self::FollowAdvice {}
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
    /// The configuration file in force.
    pub config: String,
    /// The event log's current file. `None` if there is none.
    #[serde(default)]
    pub events: Option<String>,
    /// When it last looked, milliseconds since the Unix epoch. `None` before the first look.
    pub looked_at_ms: Option<u64>,
    /// Calls of the job_submit hook since the plugin was loaded.
    pub hook_calls: u64,
    /// The groups, in alphabetical order.
    pub groups: Vec<GroupStatus>,
    /// Nodes that have a machine or wait for one.
    pub nodes: Vec<NodeStatus>,
    /// Settings that Auto Scaling groups should have and have not.
    #[serde(default)]
    pub advice: Vec<AdviceStatus>,
    /// Pending jobs, and whether capacity is raised for them ahead of Slurm's allocation.
    pub jobs: Vec<JobStatus>,
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
}
