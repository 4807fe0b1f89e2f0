//! What the count of demand must know of the way in which this Slurm shares out nodes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A release of Slurm without its micro version: 22.05, 24.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    major: u8,
    minor: u8,
}

impl Release {
    /// From this release on powered-down nodes have a weight of their own.
    pub const V23_02: Self = Self { major: 23, minor: 2 };
    /// From this release on they have the weight of their configuration.
    pub const V24_05: Self = Self { major: 24, minor: 5 };
    /// From this release on a node's address is taken from where its slurmd calls from.
    pub const V23_11: Self = Self { major: 23, minor: 11 };

    /// Whether powered-down nodes are shown without `PrivateData=cloud` (23.02 and later).
    #[must_use]
    pub fn shows_powered_down_nodes(self) -> bool {
        self >= Self::V23_02
    }

    /// Whether `cloud_reg_addrs` is always so, and an error to write (src/common/read_config.c).
    #[must_use]
    pub fn takes_addresses_from_peers(self) -> bool {
        self >= Self::V23_11
    }

    /// TreeWidth where slurm.conf has none (DEFAULT_TREE_WIDTH in src/common/read_config.h): the
    /// lower one where the release is not known.
    #[must_use]
    pub fn tree_width_of(release: Option<Self>) -> u64 {
        if release.is_some_and(|release| release < Self::V23_11) { 50 } else { 16 }
    }

    /// From slurm_version.h's SLURM_VERSION_NUMBER: `(major << 16) + (minor << 8) + micro`.
    #[must_use]
    pub const fn of_number(number: u32) -> Self {
        let [_, major, minor, _] = number.to_be_bytes();
        Self { major, minor }
    }

    /// Reads `22.05` or `22.05.8`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}.{:02}", self.major, self.minor)
    }
}

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Release {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "`{text}` is no release of Slurm; write for instance \"22.05\""
            ))
        })
    }
}

/// How this Slurm shares out nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SlurmFacts {
    /// The release. If it is not known, Slurm is taken for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Release>,
    /// SelectTypeParameters (slurm.h, `CR_*`). `None` is not known: then cores are shared out,
    /// and memory where jobs ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_type_param: Option<u32>,
    /// SchedulerType is `sched/builtin`: jobs behind one that waits never start before it.
    pub strictly_in_order: bool,
    /// SuspendTime, seconds: so long an idle node is kept. `None` is without end, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend_time: Option<u32>,
    /// ResumeTimeout, seconds: so long Slurm waits for a node to register.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_timeout: Option<u32>,
}

impl SlurmFacts {
    const CR_MEMORY: u32 = 0x10;
    const CR_SOCKET: u32 = 0x2;
    const CR_CPU: u32 = 0x1;
    const CR_LLN: u32 = 0x4000;

    /// Whether SelectTypeParameters are known and have this bit.
    fn selects_by(&self, bit: u32) -> bool {
        self.select_type_param.is_some_and(|bits| bits & bit != 0)
    }

    /// Whether jobs behind one that waits may start before it.
    #[must_use]
    pub const fn backfills(&self) -> bool {
        !self.strictly_in_order
    }

    /// Whether memory is shared out.
    #[must_use]
    pub fn shares_memory(&self) -> bool {
        self.select_type_param.is_none() || self.selects_by(Self::CR_MEMORY)
    }

    /// Whether a job that says nothing of memory gets all of a node's.
    #[must_use]
    pub fn unsaid_is_all_memory(&self) -> bool {
        self.selects_by(Self::CR_MEMORY)
    }

    /// Whether the threads of a core may go to different jobs.
    #[must_use]
    pub fn splits_cores(&self) -> bool {
        self.selects_by(Self::CR_CPU)
    }

    /// Whether jobs get whole sockets.
    #[must_use]
    pub fn gives_sockets(&self) -> bool {
        self.selects_by(Self::CR_SOCKET)
    }

    /// Whether the least loaded nodes are taken first.
    #[must_use]
    pub fn least_loaded_first(&self) -> bool {
        self.selects_by(Self::CR_LLN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_numbers_and_texts() {
        assert_eq!(Release::of_number(0x16_05_08).to_string(), "22.05");
        assert_eq!(Release::parse("24.05.8"), Some(Release::V24_05));
        assert!(Release::of_number(0x16_05_08) < Release::V23_02);
        assert_eq!(Release::parse("new"), None);
    }

    #[test]
    fn memory_is_shared_out_if_slurm_says_so_or_says_nothing() {
        let facts = |select_type_param| SlurmFacts { select_type_param, ..SlurmFacts::default() };
        assert!(facts(Some(0x14)).shares_memory() && facts(Some(0x14)).unsaid_is_all_memory());
        assert!(!facts(Some(0x4)).shares_memory());
        assert!(facts(None).shares_memory() && !facts(None).unsaid_is_all_memory());
    }
}
