//! Points in time as data.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the Unix epoch, as Slurm and EC2 give times. Negative is the epoch.
    #[must_use]
    pub fn from_secs(secs: i64) -> Self {
        Self(u64::try_from(secs).unwrap_or(0).saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// The time that passed since `earlier`; zero if the clock was set back in between.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This point so many milliseconds later, or earlier, saturating.
    #[must_use]
    pub const fn moved(self, millis: i64) -> Self {
        Self(self.0.saturating_add_signed(millis))
    }

    /// This point plus `span`, saturating.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// A time as people read it, to the minute: `2026-11-25 18:00 UTC`.
#[must_use]
pub fn in_minutes(time: Timestamp) -> String {
    let text = rfc3339::text(time);
    let day_and_minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", day_and_minute.replace('T', " "))
}

/// A time of the day in UTC, to the minute: `14:05`.
#[must_use]
pub fn hour_and_minute(at: Timestamp) -> String {
    let minutes = at.millis() / 60_000;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// Times as text: RFC 3339 in UTC with milliseconds, as in `2026-11-25T09:34:56.007Z`.
pub mod rfc3339 {
    use jiff::fmt::temporal::DateTimePrinter;
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Timestamp;

    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

    /// A time as text. What is beyond the year 9999 is written as the end of that.
    #[must_use]
    pub fn text(time: Timestamp) -> String {
        let millis = i64::try_from(time.millis()).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
        PRINTER.timestamp_to_string(&time)
    }

    /// Reads a time with its offset; `None` if it is none, or before the Unix epoch.
    #[must_use]
    pub fn parse(text: &str) -> Option<Timestamp> {
        let time: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(time.as_millisecond()).ok().map(Timestamp::from_millis)
    }

    /// For serde's `with`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*time))
    }

    /// For serde's `with`.
    ///
    /// # Errors
    /// If it is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).ok_or_else(|| de::Error::custom(format!("`{text}` is no time")))
    }
}

/// The same where there may be none.
pub mod rfc3339_option {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Timestamp, rfc3339};

    /// For serde's `with`.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => rfc3339::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// For serde's `with`.
    ///
    /// # Errors
    /// If it is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        #[derive(Deserialize)]
        struct Time(#[serde(with = "rfc3339")] Timestamp);
        Ok(Option::<Time>::deserialize(from)?.map(|Time(time)| time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds_and_read_with_any_offset() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_599_296_007, "2026-11-25T09:34:56.007Z"),
            (u64::MAX, "9999-12-30T22:00:00.999Z"),
        ];
        for (millis, text) in table {
            assert_eq!(rfc3339::text(Timestamp::from_millis(millis)), text);
        }
        let read = |text| rfc3339::parse(text).map(Timestamp::millis);
        assert_eq!(read("2026-11-25T10:34:56.007+01:00"), Some(1_795_599_296_007));
        assert_eq!(read("2026-11-25T09:34:56Z"), Some(1_795_599_296_000));
        assert_eq!(read("1969-01-01T00:00:00Z"), None);
        assert_eq!(read("yesterday"), None);
    }
}
