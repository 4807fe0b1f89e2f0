//! One line of the event log, as far as a report needs it. It borrows from the line: a report reads
//! millions. Events of other versions are read as well, names that are not known do no harm.

use std::borrow::Cow;

use serde::Deserialize;
use slurm_asg_core::time::Timestamp;

/// An event.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    /// Its name.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// Its group.
    #[serde(borrow)]
    pub group: Option<Cow<'a, str>>,
    /// Its node.
    #[serde(borrow)]
    pub node: Option<Cow<'a, str>>,
    /// Its nodes.
    #[serde(borrow)]
    pub nodes: Option<Cow<'a, str>>,
    /// Its job.
    pub job: Option<u32>,
    /// Its jobs.
    #[serde(default)]
    pub jobs: Vec<u32>,
    /// Why.
    #[serde(borrow)]
    pub reason: Option<Cow<'a, str>>,
    /// Why not.
    #[serde(borrow)]
    pub error: Option<Cow<'a, str>>,
    /// Of `group_state`.
    pub busy: Option<u32>,
    /// Of `group_state`.
    pub idle: Option<u32>,
    /// Of `group_state`.
    pub base: Option<u32>,
    /// Of `group_state`.
    pub booting: Option<u32>,
    /// Of `group_state`.
    pub spare: Option<u32>,
    /// Of `group_state`.
    pub releasing: Option<u32>,
    /// Of `group_state`.
    pub demand: Option<u32>,
    /// Of `node_up`.
    pub boot_ms: Option<u64>,
    /// Of `events_dropped`.
    pub dropped: Option<u64>,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` if it is no event.
    pub fn read(line: &'a str) -> Option<(Timestamp, Self)> {
        let event: Self = serde_json::from_str(line).ok()?;
        let time = time(&event.time)?;
        Some((time, event))
    }
}

/// The log's own form of a time, `2026-11-25T09:34:56.007Z`, is read by its digits: that is the half of
/// the time that reading a line would take. Any other form is left to the library.
fn time(text: &str) -> Option<Timestamp> {
    own_form(text.as_bytes()).or_else(|| slurm_asg_core::time::rfc3339::parse(text))
}

fn own_form(text: &[u8]) -> Option<Timestamp> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        i1,
        i2,
        b':',
        s1,
        s2,
        b'.',
        f1,
        f2,
        f3,
        b'Z',
    ] = text
    else {
        return None;
    };
    let number = |digits: &[&u8]| {
        digits.iter().try_fold(0_u64, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(**digit - b'0'))
        })
    };
    let (year, month) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?);
    let (day, hour) = (number(&[d1, d2])?, number(&[h1, h2])?);
    let (minute, second) = (number(&[i1, i2])?, number(&[s1, s2])?);
    let millis = number(&[f1, f2, f3])?;
    let is_date =
        (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=28).contains(&day);
    // The last days of a month, and leap seconds, are for the library.
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let secs = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_millis(secs * 1000 + millis))
}

/// Days from 1970-01-01, in the Gregorian calendar; years begin with March, so that the day that a
/// leap year adds is the last.
const fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    // From year 0 to 1970 there are 719,468 days.
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use slurm_asg_core::time::rfc3339;

    #[test]
    fn times_are_read_as_the_library_reads_them() {
        for day in (0_u64..3_000_000).step_by(17) {
            let at = Timestamp::from_millis(day * 86_400_000 + 7 + day % 86_000_000);
            let text = rfc3339::text(at);
            if text.starts_with("9999") {
                break;
            }
            assert_eq!(time(&text), Some(at), "{text}");
        }
        for text in [
            "2024-02-29T23:59:59.999Z",
            "2026-11-25T10:34:56+01:00",
            "2026-11-31T00:00:00.000Z",
            "x",
        ] {
            assert_eq!(time(text), rfc3339::parse(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_event_is_passed_over_and_what_another_version_writes_is_not() {
        for line in ["", "{", "3", "{\"time\":\"now\",\"event\":\"x\"}", "{\"event\":\"x\"}"] {
            assert!(Line::read(line).is_none(), "{line}");
        }
        let line = r#"{"time":"2026-11-25T09:34:56.007Z","event":"of_tomorrow","flies":true}"#;
        assert_eq!(Line::read(line).unwrap().1.event, "of_tomorrow");
    }
}
