//! Slurm's states in JSON: by name or by number, as Slurm's users and programs write them.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::node_state::NodeState;

/// Reads a number, or a word that stands for one.
pub(super) struct NumberOrWord {
    pub expected: &'static str,
    pub of_word: fn(&str) -> Option<u32>,
}

impl Visitor<'_> for NumberOrWord {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        u32::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<u32, E> {
        (self.of_word)(word).ok_or_else(|| {
            E::custom(format_args!("`{word}` is not known; expected {}", self.expected))
        })
    }
}

/// A job's `job_state`: a base state in the low eight bits, flags above (slurm.h, `enum
/// job_states` and the `JOB_*` flags; the same in 22.05 to 26.05).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobState(pub u32);

impl JobState {
    /// Waits for its start.
    pub const PENDING: Self = Self(0);
    /// Runs, or its nodes boot.
    pub const RUNNING: Self = Self(1);
    /// The flag of a job that has its nodes and waits for them to boot.
    pub const CONFIGURING: u32 = 1 << 14;

    const BASE: u32 = 0xff;
    const BASE_NAMES: [&str; 12] = [
        "PENDING",
        "RUNNING",
        "SUSPENDED",
        "COMPLETED",
        "CANCELLED",
        "FAILED",
        "TIMEOUT",
        "NODE_FAIL",
        "PREEMPTED",
        "BOOT_FAIL",
        "DEADLINE",
        "OUT_OF_MEMORY",
    ];
    const FLAG_NAMES: [(&str, u32); 11] = [
        ("LAUNCH_FAILED", 1 << 8),
        ("REQUEUED", 1 << 10),
        ("REQUEUE_HOLD", 1 << 11),
        ("SPECIAL_EXIT", 1 << 12),
        ("RESIZING", 1 << 13),
        ("CONFIGURING", Self::CONFIGURING),
        ("COMPLETING", 1 << 15),
        ("STOPPED", 1 << 16),
        ("RECONFIG_FAIL", 1 << 17),
        ("REVOKED", 1 << 19),
        ("STAGE_OUT", 1 << 23),
    ];

    /// The state without flags.
    #[must_use]
    pub const fn base(self) -> Self {
        Self(self.0 & Self::BASE)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, self.0, self.0 & Self::BASE, &Self::BASE_NAMES, &Self::FLAG_NAMES)
    }
}

impl Serialize for JobState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(NumberOrWord {
                expected: "a job's state, as `PENDING`, or its number",
                of_word: |text| read_words(text, &Self::BASE_NAMES, &Self::FLAG_NAMES),
            })
            .map(Self)
    }
}

/// Node states as `scontrol show node` writes them, `IDLE+CLOUD+POWERED_DOWN`, or as numbers.
impl Serialize for NodeState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_wholly_named() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for NodeState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(NumberOrWord {
                expected: "a node's state, as `IDLE+CLOUD+POWERED_DOWN`, or its number",
                of_word: |text| Self::parse(text).map(|state| state.0),
            })
            .map(Self)
    }
}

/// A partition's `state_up` (slurm.h, `PARTITION_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState(pub u32);

impl PartitionState {
    /// UP: takes jobs and starts them.
    pub const UP: Self = Self(3);

    const NAMES: [&str; 4] = ["INACTIVE", "DOWN", "DRAIN", "UP"];
    /// PARTITION_SCHED: jobs may start.
    const STARTS_JOBS: u32 = 2;

    /// Whether jobs of the partition may start.
    #[must_use]
    pub const fn starts_jobs(self) -> bool {
        self.0 & Self::STARTS_JOBS != 0
    }
}

impl Default for PartitionState {
    fn default() -> Self {
        Self::UP
    }
}

impl fmt::Display for PartitionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_words(f, self.0, self.0, &Self::NAMES, &[])
    }
}

impl Serialize for PartitionState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PartitionState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(NumberOrWord {
                expected: "a partition's state, one of UP, DOWN, DRAIN, INACTIVE, or its number",
                of_word: |text| read_words(text, &Self::NAMES, &[]),
            })
            .map(Self)
    }
}

/// Reads `BASE+FLAG+FLAG`, in upper or lower case.
pub fn read_words(text: &str, bases: &[&str], flags: &[(&str, u32)]) -> Option<u32> {
    let mut words = text.split('+').map(str::trim);
    let base = words.next()?;
    let base = bases.iter().position(|name| name.eq_ignore_ascii_case(base))?;
    let mut number = u32::try_from(base).ok()?;
    for word in words {
        number |= flags.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?.1;
    }
    Some(number)
}

/// Writes `BASE+FLAG+FLAG`; bits without a name are left out.
pub fn write_words(
    f: &mut fmt::Formatter<'_>,
    number: u32,
    base: u32,
    bases: &[&str],
    flags: &[(&str, u32)],
) -> fmt::Result {
    let base = usize::try_from(base).ok().and_then(|base| bases.get(base));
    f.write_str(base.copied().unwrap_or("?"))?;
    flags.iter().filter(|(_, bit)| number & bit != 0).try_for_each(|(name, _)| write!(f, "+{name}"))
}

/// Seconds since the Unix epoch, as Slurm has times in its records; 0 is "not set".
pub mod seconds {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::Timestamp;

    /// Writes whole seconds.
    ///
    /// # Errors
    /// As the serializer.
    pub fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map_or(0, |time| time.millis() / 1000).serialize(serializer)
    }

    /// Reads seconds; fractions are cut off.
    ///
    /// # Errors
    /// If it is no number.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let secs = i64::deserialize(deserializer)?;
        Ok((secs > 0).then(|| Timestamp::from_secs(secs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_by_name_or_number_and_written_by_name() {
        let job = |text| serde_json::from_str::<JobState>(text).unwrap();
        assert_eq!(job("\"PENDING\""), JobState::PENDING);
        assert_eq!(job("1"), JobState::RUNNING);
        assert_eq!(job("\"running+configuring\""), JobState(1 | 1 << 14));
        assert_eq!(JobState(1 | 1 << 14).to_string(), "RUNNING+CONFIGURING");
        let node = |text| serde_json::from_str::<NodeState>(text).unwrap();
        let off = NodeState(NodeState::IDLE | NodeState::CLOUD | NodeState::POWERED_DOWN);
        assert_eq!(node("\"IDLE+CLOUD+POWERED_DOWN\""), off);
        assert_eq!(node(&off.0.to_string()), off);
        assert_eq!(serde_json::to_string(&off).unwrap(), "\"IDLE+CLOUD+POWERED_DOWN\"");
        // A bit that has no name here is not lost.
        assert_eq!(serde_json::to_string(&NodeState(2 | 1 << 31)).unwrap(), "2147483650");
        let partition = |text| serde_json::from_str::<PartitionState>(text).unwrap();
        assert!(partition("\"UP\"").starts_jobs() && partition("\"DRAIN\"").starts_jobs());
        assert!(!partition("1").starts_jobs() && !partition("\"inactive\"").starts_jobs());
    }

    #[test]
    fn a_word_that_is_no_state_is_an_error_that_says_what_is_one() {
        let error = serde_json::from_str::<NodeState>("\"IDLE+COULD\"").unwrap_err().to_string();
        assert!(error.starts_with("`IDLE+COULD` is not known; expected a node's state"), "{error}");
        assert!(serde_json::from_str::<JobState>("4294967296").is_err());
        assert!(serde_json::from_str::<PartitionState>("[]").is_err());
    }
}
