//! Numbers of the loop itself, for whoever watches over it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The upper ends of the ranges in which looks are counted, milliseconds.
const LOOK_RANGES_MS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// What the loop did since the plugin was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Looks, each with its plan and what was done.
    pub looks: u64,
    /// How long they took together, milliseconds.
    pub look_ms: u64,
    /// How many of them took no longer than so many milliseconds: `[5, 12]` is 12 looks within 5 ms.
    pub looks_within: Vec<(u64, u64)>,
    /// How much later than planned the last look began, milliseconds.
    pub lag_ms: u64,
    /// Calls to AWS: each attempt counts.
    pub api_calls: Vec<ApiCalls>,
    /// Messages of AWS that have come over the queue: `notice` is about an instance of the groups,
    /// `unknown` about another, `other` about nothing that matters here, `malformed` not to be read.
    #[serde(default)]
    pub messages: BTreeMap<String, u64>,
}

/// Calls of one operation that ended alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiCalls {
    /// The operation, by AWS's name.
    pub operation: String,
    /// `ok`, `throttled`, `no_answer`, `service`, `denied`, `conflict` or `other`.
    pub outcome: String,
    /// How many.
    pub count: u64,
}

impl Figures {
    /// A look has ended that took so long, and began so late.
    pub fn looked(&mut self, took: Duration, lag: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if self.looks_within.is_empty() {
            self.looks_within = LOOK_RANGES_MS.map(|end| (end, 0)).to_vec();
        }
        for (_, count) in self.looks_within.iter_mut().filter(|(end, _)| *end >= millis) {
            *count += 1;
        }
        self.looks += 1;
        self.look_ms = self.look_ms.saturating_add(millis);
        self.lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_counted_in_ranges_that_include_the_smaller_ones() {
        let mut figures = Figures::default();
        for millis in [3, 5, 6, 20_000] {
            figures.looked(Duration::from_millis(millis), Duration::from_millis(7));
        }
        assert_eq!((figures.looks, figures.look_ms, figures.lag_ms), (4, 20_014, 7));
        assert_eq!(figures.looks_within[..2], [(5, 2), (10, 3)]);
        assert_eq!(figures.looks_within.last(), Some(&(10_000, 3)));
    }
}
