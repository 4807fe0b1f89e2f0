//! What AWS says of Auto Scaling groups, launch templates and instance types, for `slurm-asg check` and
//! `slurm-asg init`. Only read when somebody asks: the loop needs none of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::snapshot::Transition;

/// What AWS was asked, and what it said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Auto Scaling groups, by name.
    pub groups: BTreeMap<String, Answer<GroupFacts>>,
    /// Instance types, by name.
    pub types: BTreeMap<String, Answer<TypeFacts>>,
    /// Calls that slurm-asg makes, by IAM's names of them, and whether they are allowed.
    pub rights: BTreeMap<String, Right>,
    /// How much the host's clock is ahead of AWS's, milliseconds. AWS says whole seconds.
    pub clock_ahead_ms: Option<i64>,
}

/// What slurm-asg-survey is asked for, as one line of JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Question {
    /// AWS region; `None` leaves it to the SDK's own chain.
    pub region: Option<String>,
    /// Auto Scaling groups.
    pub groups: Vec<String>,
    /// Instance types, beside those of the groups.
    pub types: Vec<String>,
}

/// Something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It is so.
    Known(T),
    /// There is none of that name.
    Missing,
    /// AWS refused, or did not answer: one line.
    Unknown(String),
}

impl<T> Answer<T> {
    /// What is known.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(known) => Some(known),
            Self::Missing | Self::Unknown(_) => None,
        }
    }
}

/// An Auto Scaling group (DescribeAutoScalingGroups, DescribeLifecycleHooks).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupFacts {
    /// AutoScalingGroupARN.
    pub arn: String,
    /// MinSize.
    pub min: u32,
    /// MaxSize.
    pub max: u32,
    /// NewInstancesProtectedFromScaleIn.
    pub protects_new: bool,
    /// SuspendedProcesses.
    pub suspended: Vec<String>,
    /// HealthCheckType, as it is written: `EC2`, `EC2,ELB`.
    pub health_check: String,
    /// CapacityRebalance.
    pub capacity_rebalance: bool,
    /// MaxInstanceLifetime, seconds.
    pub lifetime_max_secs: Option<u32>,
    /// It has a launch configuration in the place of a launch template.
    pub launch_configuration: Option<String>,
    /// It has a warm pool.
    pub warm_pool: bool,
    /// Instance types that it may launch, as far as they are named.
    pub types: Vec<String>,
    /// VPCZoneIdentifier, its subnets.
    pub subnets: Vec<String>,
    /// Life-cycle hooks.
    pub hooks: Option<Answer<Vec<HookFacts>>>,
    /// Its launch template.
    pub template: Option<Answer<TemplateFacts>>,
}

/// A life-cycle hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookFacts {
    /// LifecycleHookName.
    pub name: String,
    /// LifecycleTransition.
    pub transition: Transition,
    /// HeartbeatTimeout, seconds.
    pub timeout_secs: u64,
}

/// A version of a launch template (DescribeLaunchTemplateVersions).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemplateFacts {
    /// LaunchTemplateName.
    pub name: String,
    /// Its version.
    pub version: String,
    /// ImageId.
    pub image: Option<String>,
    /// InstanceType.
    pub instance_type: Option<String>,
    /// MetadataOptions.InstanceMetadataTags is `enabled`.
    pub metadata_tags: bool,
    /// CpuOptions: cores, and threads of each.
    pub cpu: Option<(u32, u32)>,
    /// SecurityGroupIds.
    pub security_groups: Vec<String>,
}

/// An instance type (DescribeInstanceTypes).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeFacts {
    /// VCpuInfo.DefaultVCpus.
    pub vcpus: u32,
    /// VCpuInfo.DefaultCores.
    pub cores: u32,
    /// VCpuInfo.DefaultThreadsPerCore.
    pub threads: u32,
    /// MemoryInfo.SizeInMiB.
    pub memory_mib: u64,
    /// GPUs in all.
    pub gpus: u32,
    /// What they are called, in small letters without blanks: `a100`.
    pub gpu_name: Option<String>,
}

/// Whether a call is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// It was made, or AWS said of a dry run that it would be.
    Allowed,
    /// AWS's words.
    Denied(String),
    /// Why not.
    NotChecked(String),
}
