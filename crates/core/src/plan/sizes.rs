//! The sizes of an Auto Scaling group: what asg.toml wants, what is in force, and what to write.
//!
//! UpdateAutoScalingGroup raises DesiredCapacity to a raised minimum, which does no harm. It also
//! lowers DesiredCapacity to a lowered maximum, and the group then ends instances of its own
//! choice (API reference of UpdateAutoScalingGroup, MaxSize). So a maximum below what is desired
//! is not written until releases have brought the capacity down.

use std::fmt;

use super::{READ_LAG_MAX, SetSizes};
use crate::ids::AsgName;
use crate::memory::Memory;
use crate::policy::Sizes;
use crate::snapshot::Asg;
use crate::time::Timestamp;

/// One group's sizes, as a plan counts on them: what is in force and what asg.toml says, the
/// narrower of both. Room that is written now is used by the next plan: the write may fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The capacity is not taken below this.
    pub keep: u32,
    /// The capacity is not raised above this.
    pub max: u32,
    /// What is to be written now.
    pub write: Option<SetSizes>,
    /// When it may be written, if the last try failed.
    pub retry_at: Option<Timestamp>,
    /// What keeps the group from being as asg.toml says.
    pub problem: Option<SizesProblem>,
}

/// Why an Auto Scaling group does not have the sizes of asg.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SizesProblem {
    /// More capacity is in use than asg.toml allows.
    InUse {
        /// `max_size`.
        max: u32,
        /// DesiredCapacity.
        desired: u32,
    },
    /// Only `min_size` is given, and it is more than the group's own maximum.
    AboveMaxSize {
        /// `min_size`, or `initial_size` where that is kept.
        min: u32,
        /// MaxSize.
        max: u32,
    },
    /// Only `max_size` is given, and it is less than the group's own minimum.
    BelowMinSize {
        /// `max_size`.
        max: u32,
        /// MinSize.
        min: u32,
    },
    /// `initial_size` is more than the group's own maximum.
    InitialAboveMaxSize {
        /// `initial_size`.
        initial: u32,
        /// MaxSize.
        max: u32,
    },
}

impl fmt::Display for SizesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { max, desired } => write!(
                f,
                "max_size = {max} is written to the Auto Scaling group once its desired capacity, \
                 {desired} now, has come down as Slurm releases nodes"
            ),
            Self::AboveMaxSize { min, max } => write!(
                f,
                "asg.toml keeps {min} instances and the Auto Scaling group has MaxSize {max}; \
                 write max_size = {min} or more"
            ),
            Self::BelowMinSize { max, min } => write!(
                f,
                "max_size = {max} is below the Auto Scaling group's MinSize of {min}; write \
                 min_size = {max} or less"
            ),
            Self::InitialAboveMaxSize { initial, max } => write!(
                f,
                "initial_size = {initial} is above the Auto Scaling group's MaxSize of {max}; \
                 write max_size = {initial} or more"
            ),
        }
    }
}

/// Compares what asg.toml wants with what the group has.
pub fn settle(
    sizes: &Sizes,
    name: &AsgName,
    asg: &Asg,
    memory: &Memory,
    now: Timestamp,
) -> Settled {
    let (min, max) = (sizes.min.unwrap_or(asg.min), sizes.max.unwrap_or(asg.max));
    let as_it_is =
        Settled { keep: asg.min, max: asg.max, write: None, retry_at: None, problem: None };
    if min > max {
        // asg.toml gives one of them only: two would have been refused with the file.
        let problem = Some(match sizes.min {
            Some(_) => SizesProblem::AboveMaxSize { min, max },
            None => SizesProblem::BelowMinSize { max, min },
        });
        return Settled { problem, ..as_it_is };
    }
    let desired = in_use(name, asg, memory, now);
    let in_use = max < asg.max && max < desired;
    let written = if in_use { asg.max } else { max };
    let problem = in_use.then_some(SizesProblem::InUse { max, desired });
    let keep = min.max(asg.min);
    let wanted = Settled { keep, max: max.min(asg.max), problem, ..as_it_is };
    if (min, written) == (asg.min, asg.max) {
        return wanted;
    }
    let retry = memory.sizes_retry.get(name).filter(|retry| retry.not_before > now);
    if let Some(retry) = retry {
        return Settled { retry_at: Some(retry.not_before), ..wanted };
    }
    let write = SetSizes {
        asg: name.clone(),
        from: (asg.min, asg.max),
        min,
        max: written,
        desired: desired.max(min),
    };
    Settled { write: Some(write), ..wanted }
}

/// DesiredCapacity, as read and as it was asked for a moment ago, whichever is more: a read may
/// be older than the last raise.
fn in_use(name: &AsgName, asg: &Asg, memory: &Memory, now: Timestamp) -> u32 {
    let level = memory.levels.get(name).filter(|level| now.since(level.at) < READ_LAG_MAX);
    level.map_or(0, |level| level.to).max(asg.desired)
}
