//! Launches that failed, as Auto Scaling's activities tell of them.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A launch that failed (DescribeScalingActivities: StatusCode `Failed` or `Cancelled`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchFailure {
    /// StartTime, by AWS's clock.
    pub at: Timestamp,
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// EC2's error code, as in `InsufficientInstanceCapacity`; `LaunchFailed` if there is none.
    pub code: String,
    /// The Availability Zone; empty if it is not said.
    pub zone: String,
    /// StatusMessage, in one line.
    pub message: String,
}

/// Why instances cannot be had. Who has to act differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// AWS has none of that type there now: it passes, or another type or zone is taken.
    Capacity,
    /// A limit of the account or the subnet is reached: somebody has it raised.
    Limit,
    /// The rights do not suffice: somebody corrects them.
    Denied,
    /// Anything else, as a launch template that does not fit.
    Other,
}

impl LaunchFailure {
    /// What is the matter, in a few words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let place = if self.zone.is_empty() { String::new() } else { format!(" in {}", self.zone) };
        match self.kind {
            FailureKind::Capacity => format!("AWS has no capacity{place}"),
            FailureKind::Limit => format!("a limit of the account or subnet is reached{place}"),
            FailureKind::Denied => "the launch is not allowed".to_owned(),
            FailureKind::Other => "the launch fails".to_owned(),
        }
    }
}
