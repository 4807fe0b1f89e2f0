//! Events in a file, written by a thread of its own: a slow disk stops nobody.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::time::Timestamp;

use super::Journal;
use super::rotate::{Files, Place};

/// How much may wait to be written, bytes.
const WAITING_MAX: usize = 8 << 20;
/// The pause after a write that failed; it doubles up to the maximum.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long the end waits for the last lines.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The event log's writer. Dropping it ends the thread, once what waits is written or cannot be.
#[derive(Debug)]
pub struct FileJournal {
    recorder: Recorder,
}

/// Takes events for a [`FileJournal`], from anywhere.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The thread waits for work.
    work: Condvar,
    /// Whoever closes waits for the thread.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that wait.
    lines: String,
    /// Events that found no room behind them.
    dropped: u64,
    /// When the last of those was to be written.
    dropped_at: Timestamp,
    may_write: bool,
    closing: bool,
    has_ended: bool,
    trouble: Option<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FileJournal {
    /// Starts the thread. It inherits this thread's signal mask.
    ///
    /// # Errors
    /// If there is no thread to be had. A file that cannot be written is told later.
    pub fn start(place: Place) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let recorder = Recorder { shared: Arc::clone(&shared) };
        thread::Builder::new().name("slurm-asg-log".to_owned()).spawn(move || {
            // Also if the thread dies: nobody may wait for it in vain.
            let _end = End(&shared);
            write_all(&shared, place);
        })?;
        Ok(Self { recorder })
    }

    /// For those who have events beside the loop.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        let shared = &self.recorder.shared;
        let mut state = shared.state();
        state.closing = true;
        shared.work.notify_all();
        // A disk that hangs is left to itself; then the state lock is all that keeps another
        // writer away.
        drop(
            shared
                .ended
                .wait_timeout_while(state, CLOSE_LIMIT, |state| !state.has_ended)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}

impl Recorder {
    /// Takes events and has them written.
    pub fn tell(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.take(&event);
        }
        self.release();
    }

    fn take(&self, event: &Event) {
        let Ok(line) = event.line() else { return };
        let mut state = self.shared.state();
        if state.has_ended {
            return;
        }
        if state.dropped > 0 || state.lines.len() + line.len() > WAITING_MAX {
            // What comes after a gap waits until the gap can be named in its place.
            state.dropped += 1;
            state.dropped_at = event.time;
        } else {
            state.lines.push_str(&line);
        }
    }

    fn release(&self) {
        let mut state = self.shared.state();
        state.may_write = true;
        self.shared.work.notify_one();
    }
}

impl Journal for FileJournal {
    fn record(&mut self, event: Event) {
        self.recorder.take(&event);
    }

    fn flush(&mut self) {
        self.recorder.release();
    }

    fn trouble(&self) -> Option<String> {
        self.recorder.shared.state().trouble.clone()
    }
}

struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.has_ended = true;
        if !state.closing {
            state.trouble = Some("the event log's thread has died; please report it".to_owned());
        }
        self.0.ended.notify_all();
    }
}

/// The thread: writes what waits until the journal is closed.
fn write_all(shared: &Shared, place: Place) {
    let path = place.path.clone();
    let mut files = Files::new(place);
    while let Some(lines) = next_lines(shared) {
        let mut rest = lines.as_str();
        let mut pause = RETRY_FIRST;
        while let Err((done, error)) = files.append(rest) {
            rest = rest.get(done..).unwrap_or_default();
            shared.state().trouble = Some(trouble(&path, &error));
            if is_closed_within(shared, pause) {
                return;
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
        shared.state().trouble = None;
    }
}

fn trouble(path: &Path, error: &io::Error) -> String {
    format!(
        "events cannot be written to {}: {error}; make room and let SlurmUser write there, or set \
         `path` or `enabled` in [events] of asg.toml",
        path.display()
    )
}

/// Waits for lines. `None` at the end.
fn next_lines(shared: &Shared) -> Option<String> {
    let mut state = shared
        .work
        .wait_while(shared.state(), |state| !state.closing && !state.may_write)
        .unwrap_or_else(PoisonError::into_inner);
    state.may_write = false;
    let mut lines = std::mem::take(&mut state.lines);
    if state.dropped > 0 {
        let dropped = Some(state.dropped);
        let gap = Event { dropped, ..Event::new(state.dropped_at, EventName::EventsDropped) };
        lines.push_str(&gap.line().unwrap_or_default());
        state.dropped = 0;
    }
    if lines.is_empty() && state.closing { None } else { Some(lines) }
}

fn is_closed_within(shared: &Shared, pause: Duration) -> bool {
    let (state, _) = shared
        .work
        .wait_timeout_while(shared.state(), pause, |state| !state.closing)
        .unwrap_or_else(PoisonError::into_inner);
    state.closing
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Instant;

    fn event(nth: u32) -> Event {
        let time = Timestamp::from_secs(i64::from(nth));
        Event { job: Some(nth), ..Event::new(time, EventName::JobCounted) }
    }

    fn jobs(text: &str) -> Vec<u32> {
        let event = |line| serde_json::from_str::<Event>(line).unwrap().job.unwrap();
        text.lines().map(event).collect()
    }

    fn place(path: &Path) -> Place {
        Place { path: path.to_owned(), size_max: 1000, keep: 3, for_all: true }
    }

    fn until(holds: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds() {
            assert!(Instant::now() < end, "never");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_is_recorded_is_written_in_its_order_by_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut journal = FileJournal::start(place(&path)).unwrap();
        let recorder = journal.recorder();
        journal.record(event(1));
        recorder.tell([event(2)]);
        journal.record(event(3));
        journal.flush();
        until(|| fs::read_to_string(&path).is_ok_and(|text| jobs(&text) == [1, 2, 3]));
        assert_eq!(journal.trouble(), None);
        journal.record(event(4));
        drop(journal);
        recorder.tell([event(5)]);
        assert_eq!(jobs(&fs::read_to_string(&path).unwrap()), [1, 2, 3, 4]);
    }

    #[test]
    fn nothing_is_lost_over_many_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let keep = 100;
        let mut journal = FileJournal::start(Place { keep, ..place(&path) }).unwrap();
        for nth in 0..300 {
            journal.record(event(nth));
            journal.flush();
        }
        drop(journal);
        let files = (1..=keep).rev().map(|nth| slurm_asg_core::event::rotated(&path, nth));
        let all = files.chain([path.clone()]).filter_map(|path| fs::read_to_string(path).ok());
        let all: Vec<_> = all.collect();
        assert!(
            all.len() > 10 && all.iter().all(|text| text.len() <= 1000 && text.ends_with('\n'))
        );
        assert_eq!(jobs(&all.concat()), (0..300).collect::<Vec<_>>());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_and_once_it_can_nothing_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        fs::create_dir(&path).unwrap();
        let mut journal = FileJournal::start(place(&path)).unwrap();
        journal.record(event(1));
        journal.flush();
        until(|| journal.trouble().is_some());
        let trouble = journal.trouble().unwrap();
        assert!(trouble.contains("events.jsonl: ") && trouble.contains("asg.toml"), "{trouble}");
        journal.record(event(2));
        journal.flush();
        fs::remove_dir(&path).unwrap();
        until(|| journal.trouble().is_none());
        drop(journal);
        assert_eq!(jobs(&fs::read_to_string(&path).unwrap()), [1, 2]);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_named_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let keep = 1;
        let place = Place { path: path.clone(), size_max: 1 << 30, keep, for_all: true };
        let mut journal = FileJournal::start(place).unwrap();
        // Nothing is written before it may be.
        let reason = "x".repeat(1 << 20);
        for nth in 1..=10 {
            journal.record(Event { reason: Some(reason.clone()), ..event(nth) });
        }
        journal.flush();
        until(|| fs::metadata(&path).is_ok_and(|data| data.len() > 0));
        until(|| journal.recorder.shared.state().lines.is_empty());
        journal.record(event(11));
        drop(journal);
        let text = fs::read_to_string(&path).unwrap();
        let events: Vec<Event> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = events.iter().map(|event| (event.job, event.dropped)).collect();
        let jobs = |jobs: std::ops::RangeInclusive<u32>| jobs.map(|job| (Some(job), None));
        let expected: Vec<_> = jobs(1..=7).chain([(None, Some(3))]).chain(jobs(11..=11)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_journal_that_cannot_write_ends_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = FileJournal::start(place(dir.path())).unwrap();
        journal.record(event(1));
        journal.flush();
        until(|| journal.trouble().is_some());
        let shared = Arc::clone(&journal.recorder.shared);
        drop(journal);
        until(|| shared.state().has_ended);
    }
}
