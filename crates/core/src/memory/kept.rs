//! Nodes that a person wants to be kept from suspension until a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Memory;
use crate::ids::NodeName;
use crate::time::{Timestamp, in_minutes};

/// A node that is not to be suspended, by an administrator's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Whose word it is, a user's number.
    pub user: u32,
    /// Why, in the user's words.
    pub reason: Option<String>,
}

impl Kept {
    /// Whose word it is, until when, and why.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { user, until, reason, .. } = self;
        let words = format!("protected by user {user} until {}", in_minutes(*until));
        match reason {
            Some(reason) => format!("{words}: {reason}"),
            None => words,
        }
    }
}

impl Memory {
    /// Whether a node is kept from suspension at a time.
    #[must_use]
    pub fn kept_at(&self, node: &NodeName, at: Timestamp) -> Option<&Kept> {
        self.kept.get(node).filter(|kept| kept.until > at)
    }

    /// Protections whose time was over when this was last looked at, since it was last asked.
    pub fn take_expired(&mut self) -> BTreeMap<NodeName, Kept> {
        std::mem::take(&mut self.expired)
    }

    /// Protections end by themselves.
    pub(super) fn notice_expired(&mut self, now: Timestamp) {
        let is_over = |kept: &Kept| kept.until <= now;
        let over = self.kept.iter().filter(|(_, kept)| is_over(kept));
        self.expired.extend(over.map(|(node, kept)| (node.clone(), kept.clone())));
        self.kept.retain(|_, kept| !is_over(kept));
    }
}
