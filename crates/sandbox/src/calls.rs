//! The record of API calls: what was asked when, and how it ended.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Older calls are forgotten beyond this many.
pub const CALLS_MAX: usize = 100_000;

/// One API call.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Call {
    /// Arrival, in milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// The `Action` parameter.
    pub action: String,
    /// All parameters as sent, flat.
    pub params: BTreeMap<String, String>,
    /// HTTP status answered; 0 as long as, or because, no answer was given.
    pub status: u16,
    /// AWS's error code; `hang` and `lost_reply` where a fault kept the answer back.
    pub error_code: Option<String>,
}

impl Call {
    /// How many instances it names.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.params.keys().filter(|key| key.starts_with("InstanceId")).count()
    }
}

/// Names a call in the record, also after older ones were forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallId(u64);

/// The bounded record.
#[derive(Debug, Default)]
pub struct Calls {
    ring: VecDeque<Call>,
    first: u64,
}

impl Calls {
    /// Notes a call's arrival.
    pub fn arrived(
        &mut self,
        at_ms: u64,
        action: &str,
        params: &BTreeMap<String, String>,
    ) -> CallId {
        if self.ring.len() >= CALLS_MAX && self.ring.pop_front().is_some() {
            self.first += 1;
        }
        let id = self.first + u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        self.ring.push_back(Call {
            at_ms,
            action: action.into(),
            params: params.clone(),
            status: 0,
            error_code: None,
        });
        CallId(id)
    }

    /// Notes how a call ended.
    pub fn ended(&mut self, id: CallId, status: u16, error_code: Option<&str>) {
        let index = id.0.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(call) = index.and_then(|index| self.ring.get_mut(index)) {
            call.status = status;
            call.error_code = error_code.map(str::to_owned);
        }
    }

    /// All calls on record, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Call> {
        self.ring.iter()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.first += u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        self.ring.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_bounded_and_an_ending_finds_its_call() {
        let mut calls = Calls::default();
        let params = BTreeMap::new();
        let old = calls.arrived(0, "Old", &params);
        for n in 0..CALLS_MAX {
            calls.arrived(n as u64, "A", &params);
        }
        let last = calls.arrived(9, "Last", &params);
        calls.ended(old, 500, None);
        calls.ended(last, 200, None);
        assert_eq!(calls.iter().count(), CALLS_MAX);
        assert_eq!(
            calls
                .iter()
                .filter(|call| call.status != 0)
                .map(|call| call.action.as_str())
                .collect::<Vec<_>>(),
            ["Last"]
        );
        calls.clear();
        calls.ended(last, 500, None);
        assert_eq!(calls.iter().count(), 0);
    }
}
