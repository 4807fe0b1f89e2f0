//! Since when: a span before now, or a time.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use slurm_asg_core::time::{Timestamp, rfc3339};

/// What `--since` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Span(Duration),
    /// A time.
    Time(Timestamp),
}

impl Since {
    /// The time that it is, at `now`.
    pub fn before(self, now: SystemTime) -> Timestamp {
        match self {
            Self::Time(time) => time,
            Self::Span(span) => {
                let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
                let millis = since_epoch.saturating_sub(span).as_millis();
                Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
            }
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(span) = span(text) {
            return Ok(Self::Span(span));
        }
        rfc3339::parse(text).or_else(|| local(text)).map(Self::Time).ok_or_else(|| {
            "write a span as 90s, 10m, 2h or 1d, or a time as 2026-11-25, 2026-11-25T09:00 or \
             2026-11-25T09:00:00Z"
                .to_owned()
        })
    }
}

/// A span as `90s`, `10m`, `2h` or `1d`.
pub fn span(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    Some(Duration::from_secs(number.checked_mul(secs)?))
}

/// A time without an offset is in the local time zone.
fn local(text: &str) -> Option<Timestamp> {
    let time = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::system()).ok()?;
    u64::try_from(time.timestamp().as_millisecond()).ok().map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_told_apart_and_everything_else_is_refused() {
        let secs = |secs| Some(Since::Span(Duration::from_secs(secs)));
        let table = [
            ("90s", secs(90)),
            ("10m", secs(600)),
            ("2h", secs(7200)),
            ("1d", secs(86_400)),
            ("2026-11-25T09:34:56Z", Some(Since::Time(Timestamp::from_secs(1_795_599_296)))),
            ("2026-11-25T10:34:56+01:00", Some(Since::Time(Timestamp::from_secs(1_795_599_296)))),
            ("10", None),
            ("m", None),
            ("-1m", None),
            ("99999999999999999d", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse::<Since>().ok(), expected, "{text}");
        }
        for local in ["2026-11-25", "2026-11-25T09:00", "2026-11-25 09:00:01"] {
            assert!(matches!(local.parse(), Ok(Since::Time(_))), "{local}");
        }
    }

    #[test]
    fn a_span_ends_now_and_begins_no_earlier_than_time_does() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(Since::Span(Duration::from_secs(60)).before(now), Timestamp::from_secs(940));
        assert_eq!(Since::Span(Duration::from_secs(6000)).before(now), Timestamp::default());
    }
}
