//! The event log's lines, one after the other, added up. What is kept does not grow with the log.

use std::collections::BTreeMap;
use std::time::Duration;

use slurm_asg_core::event::STATE_AGAIN;
use slurm_asg_core::time::Timestamp;

use super::line::Line;
use super::quantiles::Quantiles;
use super::waits::{Wait, Waits};

/// What instances do; the names are those of the fields of `group_state`.
pub const STATES: [&str; 6] = ["busy", "idle", "base", "booting", "spare", "releasing"];
/// A group's numbers hold for so long at most: without a new line after this nobody looked.
pub const HOLDS_MAX: Duration = Duration::from_secs(STATE_AGAIN.as_secs() + 600);
/// So many columns have the charts.
pub const COLUMNS: u64 = 168;
/// How many jobs are named.
const LONGEST_MAX: usize = 10;
/// Different failures that are told apart; more are one.
const FAILURES_MAX: usize = 1000;

/// What a report is about.
#[derive(Clone, Debug)]
pub struct Tally {
    /// From when on.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Only this group.
    only: Option<String>,
    /// Events within that time.
    pub events: u64,
    /// Events that the log says are missing.
    pub dropped: u64,
    /// The groups.
    pub groups: BTreeMap<String, Group>,
    /// Failures, by event and AWS's or slurm-asg's code.
    pub failures: BTreeMap<(String, String), u64>,
    /// How long jobs waited for their nodes.
    pub waits: Quantiles,
    /// The jobs that waited longest, the longest first.
    pub longest: Vec<Wait>,
    /// Jobs whose nodes failed while they waited.
    pub waits_failed: u64,
    following: Waits,
}

/// One group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Instance-milliseconds in each state.
    pub millis: [u64; STATES.len()],
    /// For how long nothing is known.
    pub unknown_ms: u64,
    /// Instances that were given a node.
    pub bound: u64,
    /// Instances that were terminated, by reason.
    pub terminated: BTreeMap<String, u64>,
    /// From the node's name to the registration.
    pub boots: Quantiles,
    /// For the charts; empty columns are not known.
    pub columns: Vec<Column>,
    last: Option<(Timestamp, Numbers)>,
}

/// A slice of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// For how long it is known, milliseconds.
    pub known_ms: u64,
    /// Instance-milliseconds in each state.
    pub millis: [u64; STATES.len()],
    /// The same for the demand.
    pub demand_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Numbers {
    states: [u32; STATES.len()],
    demand: u32,
}

impl Group {
    /// Instance-milliseconds in all.
    pub fn all_ms(&self) -> u64 {
        self.millis.iter().sum()
    }

    fn hold(&mut self, span: (Timestamp, Timestamp), until: Timestamp) {
        let (since, end) = span;
        let Some((at, numbers)) = self.last else { return };
        let holds_until = until.min(at.after(HOLDS_MAX));
        let (from, to) = (at.max(since), holds_until.min(end));
        let unknown_from = holds_until.max(since);
        self.unknown_ms += millis_between(unknown_from, until.min(end));
        let length = millis_between(from, to);
        for (sum, count) in self.millis.iter_mut().zip(numbers.states) {
            *sum += length * u64::from(count);
        }
        self.draw(span, (from, to), numbers);
    }

    fn draw(
        &mut self,
        span: (Timestamp, Timestamp),
        part: (Timestamp, Timestamp),
        numbers: Numbers,
    ) {
        let width = column_ms(span.0, span.1);
        let (mut from, to) = (part.0.millis(), part.1.millis());
        while from < to {
            let nth = (from - span.0.millis()) / width;
            let end = (span.0.millis() + (nth + 1) * width).min(to);
            let column = usize::try_from(nth).ok().and_then(|nth| self.columns.get_mut(nth));
            if let Some(column) = column {
                column.known_ms += end - from;
                column.demand_ms += (end - from) * u64::from(numbers.demand);
                for (sum, count) in column.millis.iter_mut().zip(numbers.states) {
                    *sum += (end - from) * u64::from(count);
                }
            }
            from = end;
        }
    }
}

/// How long one column of the charts is.
pub fn column_ms(since: Timestamp, until: Timestamp) -> u64 {
    millis_between(since, until).div_ceil(COLUMNS).max(1)
}

/// From one time to a later one, milliseconds.
pub const fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    to.millis().saturating_sub(from.millis())
}

impl Tally {
    /// Of nothing yet.
    pub fn new(since: Timestamp, until: Timestamp, only: Option<String>) -> Self {
        Self {
            since,
            until,
            only,
            events: 0,
            dropped: 0,
            groups: BTreeMap::new(),
            failures: BTreeMap::new(),
            waits: Quantiles::default(),
            longest: Vec::new(),
            waits_failed: 0,
            following: Waits::default(),
        }
    }

    /// Adds a line. Lines before the time of the report say how things stood when it began.
    pub fn add(&mut self, line: &str) {
        let Some((at, line)) = Line::read(line) else { return };
        if at > self.until {
            return;
        }
        let is_other = |only: &String| line.group.as_deref().is_some_and(|group| group != only);
        if self.only.as_ref().is_some_and(is_other) {
            return;
        }
        let is_within = at >= self.since;
        if is_within {
            self.events += 1;
            self.dropped += line.dropped.unwrap_or(0);
            self.failure(&line);
        }
        match &*line.event {
            "group_state" => self.state(at, &line),
            "node_bound" if is_within => {
                self.with_group(&line, |group| group.bound += 1);
            }
            "instance_terminated" if is_within => {
                let reason = line.reason.as_deref().unwrap_or("").to_owned();
                self.with_group(&line, |group| *group.terminated.entry(reason).or_default() += 1);
            }
            "node_up" if is_within => {
                if let Some(millis) = line.boot_ms {
                    self.with_group(&line, |group| group.boots.add(millis));
                }
            }
            _ => {}
        }
        self.wait(at, is_within, &line);
    }

    fn wait(&mut self, at: Timestamp, is_within: bool, line: &Line<'_>) {
        let ended = self.following.add(at, line);
        if !is_within {
            return;
        }
        self.waits_failed += ended.failed;
        for wait in ended.waits {
            self.waits.add(wait.millis);
            let place = self.longest.partition_point(|other| other.millis >= wait.millis);
            if place < LONGEST_MAX {
                self.longest.insert(place, wait);
                self.longest.truncate(LONGEST_MAX);
            }
        }
    }

    /// Closes the books: what stood last stands until the end.
    pub fn end(&mut self) {
        let span = (self.since, self.until);
        for group in self.groups.values_mut() {
            group.hold(span, self.until);
            group.last = None;
        }
    }

    fn with_group(&mut self, line: &Line<'_>, change: impl FnOnce(&mut Group)) {
        let Some(name) = line.group.as_deref() else { return };
        if !self.groups.contains_key(name) {
            let columns = vec![Column::default(); usize::try_from(COLUMNS).unwrap_or(0)];
            self.groups.insert(name.to_owned(), Group { columns, ..Group::default() });
        }
        if let Some(group) = self.groups.get_mut(name) {
            change(group);
        }
    }

    fn state(&mut self, at: Timestamp, line: &Line<'_>) {
        let states = [line.busy, line.idle, line.base, line.booting, line.spare, line.releasing];
        let states = states.map(Option::unwrap_or_default);
        let numbers = Numbers { states, demand: line.demand.unwrap_or_default() };
        let span = (self.since, self.until);
        self.with_group(line, |group| {
            group.hold(span, at);
            group.last = Some((at, numbers));
        });
    }

    fn failure(&mut self, line: &Line<'_>) {
        let Some(code) = failure_code(line) else { return };
        let key = (line.event.clone().into_owned(), code.to_owned());
        let is_known = self.failures.contains_key(&key);
        let full = self.failures.len() >= FAILURES_MAX && !is_known;
        let key = if full { ("others".to_owned(), String::new()) } else { key };
        *self.failures.entry(key).or_default() += 1;
    }
}

/// The code of a failure, empty if it has none; `None` if the event is no failure.
pub fn failure_code<'a>(line: &'a Line<'_>) -> Option<&'a str> {
    match &*line.event {
        "node_down" | "node_drained" | "launches_fail" => {
            let reason = line.reason.as_deref().unwrap_or("");
            let code = reason.split_once("(Code:").and_then(|(_, rest)| rest.split_once(')'));
            let code = code.map_or("", |(code, _)| code);
            // A person wanted it to go.
            (code != "Retired").then_some(code)
        }
        "never_registered"
        | "protected_mode"
        | "group_problem"
        | "problem"
        | "job_dropped"
        | "configuration_refused" => Some(""),
        name if name.ends_with("_failed") => Some(code_of(line.error.as_deref().unwrap_or(""))),
        _ => None,
    }
}

/// `Throttling` of `SetDesiredCapacity: Throttling: Rate exceeded`; empty if there is none.
fn code_of(error: &str) -> &str {
    let code = error.split(": ").nth(1).unwrap_or("");
    let is_code = code.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if is_code { code } else { "" }
}

#[cfg(test)]
impl Tally {
    /// How many things are kept.
    pub fn size(&self) -> usize {
        self.following.size() + self.failures.len()
    }
}
