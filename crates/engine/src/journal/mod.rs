//! Where events go.

mod file;
mod rotate;

use slurm_asg_core::event::Event;

pub use file::{FileJournal, Recorder};
pub use rotate::Place;

/// The event log, as far as the loop needs it. Nothing here may wait for a disk.
pub trait Journal {
    /// Takes an event. What is recorded first is written first.
    fn record(&mut self, event: Event);

    /// What was recorded may be written now.
    fn flush(&mut self);

    /// Why events cannot be written at present; `None` while all is well.
    fn trouble(&self) -> Option<String>;
}

/// Without a journal nothing is recorded.
impl<J: Journal> Journal for Option<J> {
    fn record(&mut self, event: Event) {
        if let Some(journal) = self {
            journal.record(event);
        }
    }

    fn flush(&mut self) {
        if let Some(journal) = self {
            journal.flush();
        }
    }

    fn trouble(&self) -> Option<String> {
        self.as_ref().and_then(Journal::trouble)
    }
}
