//! Says what is wrong once, not with every turn.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use slurm_asg_core::time::Timestamp;

/// The same trouble is said again after this time.
const SAY_AGAIN: Duration = Duration::from_secs(600);

/// Troubles that last, by what they are about.
#[derive(Debug, Default)]
pub struct Troubles {
    said: BTreeMap<String, (String, Timestamp)>,
    advised: BTreeSet<String>,
}

impl Troubles {
    /// Logs `error` if it is new; without one, the trouble is over, which is logged too.
    pub fn note<E: Display>(&mut self, about: &str, now: Timestamp, error: Option<&E>) {
        match error {
            Some(error) => self.report(about, now, &error.to_string()),
            None => self.over(about),
        }
    }

    /// Logs a trouble unless it was said already.
    pub fn report(&mut self, about: &str, now: Timestamp, message: &str) {
        let said = self.said.get(about);
        if said.is_some_and(|(text, at)| text == message && now.since(*at) < SAY_AGAIN) {
            return;
        }
        tracing::error!("{message}");
        self.said.insert(about.to_owned(), (message.to_owned(), now));
    }

    /// Logs what would be better written elsewhere, once.
    pub fn advise(&mut self, line: &str) {
        if self.advised.insert(line.to_owned()) {
            tracing::warn!("{line}");
        }
    }

    /// The trouble is over.
    pub fn over(&mut self, about: &str) {
        if let Some((message, _)) = self.said.remove(about) {
            tracing::info!("over: {message}");
        }
    }
}
