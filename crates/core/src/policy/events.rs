//! The table `[events]`: the event log.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{PolicyError, Source};

const MIB: u64 = 1 << 20;
/// The largest size of one file that may be asked for, MiB.
const SIZE_MAX_MIB: u64 = 4096;
/// How many earlier files may be asked for.
const KEEP_MAX: u32 = 100;

/// What the event log is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsPolicy {
    /// Whether there is one.
    pub enabled: bool,
    /// The current file; `None` is events.jsonl in the state directory.
    pub path: Option<PathBuf>,
    /// A file that would grow beyond this is put aside, bytes.
    pub size_max: u64,
    /// How many files that were put aside are kept.
    pub keep: u32,
    /// From one heartbeat of a group to the next.
    pub heartbeat: Duration,
}

impl Default for EventsPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            path: None,
            size_max: 16 * MIB,
            keep: 4,
            heartbeat: Duration::from_secs(60),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    enabled: Option<bool>,
    path: Option<toml::Spanned<PathBuf>>,
    max_size_mib: Option<toml::Spanned<u64>>,
    keep: Option<toml::Spanned<u32>>,
    heartbeat: Option<toml::Spanned<u64>>,
}

/// Reads the table.
pub(super) fn read(source: &Source<'_>, raw: Raw) -> Result<EventsPolicy, PolicyError> {
    let mut events = EventsPolicy::default();
    events.enabled = raw.enabled.unwrap_or(events.enabled);
    events.path = raw.path.map(|path| source.absolute("path", path)).transpose()?;
    if let Some(size) = raw.max_size_mib {
        events.size_max = source.within("max_size_mib", "in MiB", size, 1..=SIZE_MAX_MIB)? * MIB;
    }
    if let Some(keep) = raw.keep {
        events.keep = source.within("keep", "a number of files", keep, 1..=KEEP_MAX)?;
    }
    if let Some(period) = raw.heartbeat {
        let secs = source.within("heartbeat", "in seconds", period, 1..=3600)?;
        events.heartbeat = Duration::from_secs(secs);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse;

    const GROUP: &str = "[[group]]\nname = \"c\"\nnodes = \"c[1-2]\"\nasg = \"a\"\n";

    #[test]
    fn the_event_log_is_on_and_small_unless_something_else_is_asked_for() {
        let events = |table: &str| {
            parse("asg.toml".as_ref(), &format!("{table}{GROUP}")).map(|policy| policy.events)
        };
        assert_eq!(events(""), Ok(EventsPolicy::default()));
        let table = "[events]\nenabled = false\npath = \"/var/log/e.jsonl\"\nmax_size_mib = 1\n\
                     keep = 2\nheartbeat = 3\n";
        let expected = EventsPolicy {
            enabled: false,
            path: Some("/var/log/e.jsonl".into()),
            size_max: MIB,
            keep: 2,
            heartbeat: Duration::from_secs(3),
        };
        assert_eq!(events(table), Ok(expected));
    }

    #[test]
    fn every_error_names_file_line_and_what_to_write() {
        let table = [
            ("path = \"e.jsonl\"", "asg.toml:2: path must be an absolute path, beginning with /"),
            ("max_size_mib = 0", "asg.toml:2: max_size_mib is in MiB, from 1 to 4096"),
            ("keep = 101", "asg.toml:2: keep is a number of files, from 1 to 100"),
            ("heartbeat = 0", "asg.toml:2: heartbeat is in seconds, from 1 to 3600"),
            (
                "size = 3",
                "asg.toml:2: unknown field `size`, expected one of `enabled`, `path`, \
                 `max_size_mib`, `keep`, `heartbeat`",
            ),
        ];
        for (line, message) in table {
            let error = parse("asg.toml".as_ref(), &format!("[events]\n{line}\n{GROUP}"));
            assert_eq!(error.unwrap_err().to_string(), message);
        }
    }
}
