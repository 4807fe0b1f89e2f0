//! Nodes that jobs name: each list is read once, however many jobs have it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::places::Places;
use super::pool::Pool;
use crate::hostlist;
use crate::snapshot::{Queue, Text, said};

/// How many names are read with one look, of all lists together. Jobs whose lists come after that
/// are left to Slurm.
const NAMES_MAX: usize = 2_000_000;

/// A list of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// How many nodes it names.
    pub count: u32,
    /// Those that Slurm has.
    pub places: Arc<Places>,
}

impl Named {
    /// Whether Slurm has all of them.
    pub fn is_known(&self) -> bool {
        let known: u64 = self.places.iter().map(|(from, to)| u64::from(to - from)).sum();
        known >= u64::from(self.count)
    }
}

/// All lists of a queue, by their text; `None` if one is not understood.
#[derive(Debug, Default)]
pub struct Lists<'a>(BTreeMap<&'a str, Option<Named>>);

impl<'a> Lists<'a> {
    /// Reads the lists of all pending jobs.
    pub fn of(queue: &'a Queue, pool: &Pool<'_>) -> Self {
        let mut lists = BTreeMap::new();
        let mut names_left = NAMES_MAX;
        for job in queue.jobs.iter().filter(|job| job.is_pending()) {
            for text in [&job.req_nodes, &job.exc_nodes].into_iter().filter_map(said) {
                lists.entry(text).or_insert_with(|| {
                    let names = hostlist::expand(text).ok()?;
                    names_left = names_left.checked_sub(names.len())?;
                    let places = Arc::new(pool.ranges(&names));
                    let count = names.iter().collect::<BTreeSet<_>>().len();
                    Some(Named { count: u32::try_from(count).unwrap_or(u32::MAX), places })
                });
            }
        }
        Self(lists)
    }

    /// The list of a job.
    ///
    /// # Errors
    /// If it is not understood.
    pub fn get(&self, text: &Text) -> Result<Named, ()> {
        let Some(text) = said(text) else { return Ok(Named::default()) };
        self.0.get(text).cloned().flatten().ok_or(())
    }
}

#[cfg(test)]
impl<'a> Lists<'a> {
    /// The lists of one job, of nodes that are nowhere.
    pub fn of_job(job: &'a crate::snapshot::Job) -> Self {
        let texts = [&job.req_nodes, &job.exc_nodes].into_iter().filter_map(said);
        let read = |text| {
            let names = hostlist::expand(text).ok()?;
            Some(Named { count: u32::try_from(names.len()).unwrap(), ..Named::default() })
        };
        Self(texts.map(|text| (text, read(text))).collect())
    }
}
