//! When and where jobs will start that wait, as the backfill scheduler plans it
//! (src/plugins/sched/backfill/backfill.c and _will_run_test() in cons_common/job_test.c,
//! 22.05.8).
//!
//! A job that cannot start now is given nodes for the time when enough of what runs has ended.
//! Others may have these nodes until then, if they end before. What runs is what this count has
//! placed; what ran before is taken to run on, because a snapshot does not say when it ends.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;
use std::ops::Range;

use super::gres::InUse;
use super::places::{Places, is_within, joined, overlapping};
use super::pool::Pool;

/// Slurm plans so far ahead (bf_window's default), seconds.
pub const WINDOW_S: u64 = 24 * 3600;
/// Slurm plans in steps of so long (bf_resolution's default), seconds.
const STEP_S: u64 = 60;
/// Jobs that end so close to one another are taken to end together, seconds; the time doubles
/// from look to look.
const CLOSE_S: u64 = 30;
/// How often the second pass may look at all runs of nodes, holds and places that are kept counted
/// with them.
const LOOKS_PER_RUN: usize = 300;
/// At how many of them it may look at least, in all, and for each node.
const LOOKS_MIN: usize = 30_000;
/// See [`LOOKS_MIN`].
const LOOKS_PER_NODE_MIN: usize = 50;
/// And at most. It bounds the time that a long queue costs.
const LOOKS_MAX: usize = 2_000_000;

/// At how much the second pass looks where there are so many runs and nodes. What comes behind is
/// not counted, until Slurm has placed what is before it.
pub fn looks(runs: usize, nodes: usize) -> usize {
    let least = LOOKS_MIN.saturating_add(nodes.saturating_mul(LOOKS_PER_NODE_MIN));
    runs.saturating_mul(LOOKS_PER_RUN).max(least).min(LOOKS_MAX)
}

/// What one job holds of neighbouring nodes, each of them.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The first node's place.
    pub first: u32,
    /// How many nodes.
    pub len: u32,
    /// Their class.
    pub class: usize,
    /// CPUs.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// GRES, in the order of the stock.
    pub gres: Vec<InUse>,
}

/// When a job ends, and where it stands among those that end at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// Seconds since the epoch.
    pub at: u64,
    /// The pass that started it: the second one comes some seconds later.
    pub pass: u8,
    /// Its place in slurmctld's list of jobs.
    pub place: usize,
}

/// What each job holds, by its end.
///
/// Of a long queue most jobs are placed by the first pass and hold one thing each, which nobody
/// looks at before the second pass: only then they are put in order.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    all: Vec<Hold>,
    /// Where in `all` that is which a job holds.
    sorted: BTreeMap<End, Range<usize>>,
    /// The same of those of the first pass, until it has ended.
    unsorted: Vec<(End, Range<usize>)>,
}

impl Holds {
    /// Where that begins which the next job holds.
    pub const fn next(&self) -> usize {
        self.all.len()
    }

    /// The next job holds one thing more.
    pub fn push(&mut self, hold: Hold) {
        self.all.push(hold);
    }

    /// A job holds all that was pushed from `begin` on.
    pub fn insert(&mut self, end: End, begin: usize) {
        let held = begin..self.all.len();
        if end.pass == 0 {
            self.unsorted.push((end, held));
        } else {
            self.sorted.insert(end, held);
        }
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.sorted.len() + self.unsorted.len()
    }

    /// The first pass has ended.
    pub fn sort(&mut self) {
        let mut jobs = std::mem::take(&mut self.unsorted);
        jobs.sort_unstable_by_key(|(end, _)| u128::from(end.at) << 64 | end.place as u128);
        self.sorted = jobs.into_iter().collect();
    }

    /// What is held at a place.
    fn at(&self, held: &Range<usize>) -> &[Hold] {
        self.all.get(held.clone()).unwrap_or_default()
    }
}

impl Hold {
    /// Whether all of it is within joined places.
    pub fn is_within(&self, places: &Places) -> bool {
        is_within(places, self.first, self.first + self.len)
    }
}

/// Nodes that are kept for a job that waits.
#[derive(Debug)]
struct Kept {
    /// From when on, seconds since the epoch.
    begin: u64,
    /// Until when.
    end: u64,
    places: Places,
}

/// The nodes that are kept for jobs, in time.
#[derive(Debug, Default)]
pub struct Plan {
    kept: Vec<Kept>,
}

impl Plan {
    /// The places that are kept for others at some time between `start` and `end`.
    pub fn taken(&self, start: u64, end: u64) -> Places {
        let kept = self.kept.iter().filter(|kept| kept.end > start && kept.begin <= end);
        joined(kept.flat_map(|kept| kept.places.iter().copied()).collect())
    }

    /// The next time after `start` at which nodes are free again that were kept for others.
    pub fn next_free(&self, start: u64) -> Option<u64> {
        self.kept.iter().map(|kept| kept.end).filter(|end| *end > start).min()
    }

    /// Whether one of the places is kept for others between `start` and `end`.
    pub fn overlaps(&self, places: &Places, start: u64, end: u64) -> bool {
        let (start, end) = (step(start), step(end));
        let kept = self.kept.iter().filter(|kept| kept.begin < end && kept.end > start);
        kept.flat_map(|kept| &kept.places)
            .any(|(from, to)| !overlapping(places, *from, *to).is_empty())
    }

    /// Keeps places from `start` to `end`.
    pub fn keep(&mut self, places: Places, start: u64, end: u64) {
        let begin = step(start);
        let places = joined(places);
        self.kept.push(Kept { begin, end: step(end).max(begin + STEP_S), places });
    }
}

const fn step(time: u64) -> u64 {
    time - time % STEP_S
}

/// Lets jobs end in groups, as Slurm does: those that end within a time that doubles.
#[derive(Debug)]
pub struct Ends<'h> {
    holds: &'h Holds,
    /// The jobs in the order of their ends.
    jobs: Peekable<btree_map::Iter<'h, End, Range<usize>>>,
    window_s: u64,
    base: Option<u64>,
    looked_at: usize,
}

impl<'h> Ends<'h> {
    /// Of all that is held.
    pub fn of(holds: &'h Holds) -> Self {
        let jobs = holds.sorted.iter().peekable();
        Self { holds, jobs, window_s: CLOSE_S, base: None, looked_at: 0 }
    }

    /// Gives back to the pool what the next jobs hold that have nodes which `matters`. The time
    /// when the last of them ends; `None` if there are no more.
    pub fn release_next(
        &mut self,
        pool: &mut Pool<'_>,
        matters: impl Fn(&Hold) -> bool,
    ) -> Option<u64> {
        let mut last = None;
        while let Some((End { at: end, .. }, held)) = self.jobs.next() {
            let holds = self.holds.at(held);
            self.looked_at = self.looked_at.saturating_add(holds.len());
            if !holds.iter().any(&matters) {
                // Slurm does not look how far it has come before the next one is gone too.
                continue;
            }
            let base = *self.base.get_or_insert(end + CLOSE_S - end % CLOSE_S);
            holds.iter().for_each(|hold| pool.give_back(hold));
            last = Some(*end);
            if self.next_end().is_some_and(|next| next > base + self.window_s) {
                break;
            }
        }
        self.widen();
        last
    }

    /// The next look lets jobs of a longer time end.
    fn widen(&mut self) {
        let next = self.next_end();
        self.window_s *= 2;
        while let (Some(next), Some(base)) = (next, self.base)
            && next > base + self.window_s
        {
            self.window_s *= 2;
        }
    }

    fn next_end(&mut self) -> Option<u64> {
        self.jobs.peek().map(|(end, _)| end.at)
    }

    /// Whether there is a job that has nodes which `matters`; those before it are passed over.
    pub fn any_that(&mut self, matters: impl Fn(&Hold) -> bool) -> bool {
        while let Some((_, held)) = self.jobs.peek() {
            let holds = self.holds.at(held);
            if holds.iter().any(&matters) {
                return true;
            }
            self.looked_at = self.looked_at.saturating_add(holds.len());
            self.jobs.next();
        }
        false
    }

    /// How many holds have been looked at since this was asked last.
    pub const fn take_looked_at(&mut self) -> usize {
        std::mem::replace(&mut self.looked_at, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_kept_from_jobs_that_would_still_run_and_free_before_and_after() {
        let mut plan = Plan::default();
        plan.keep(vec![(2, 4)], 6_030, 9_000);
        assert!(plan.taken(0, 5_999).is_empty());
        assert_eq!(plan.taken(0, 6_000), [(2, 4)], "in steps of a minute");
        assert!(plan.taken(9_000, 9_999).is_empty());
        assert_eq!((plan.next_free(0), plan.next_free(9_000)), (Some(9_000), None));
        assert!(plan.overlaps(&vec![(3, 9)], 8_000, 9_999));
        assert!(!plan.overlaps(&vec![(4, 9)], 8_000, 9_999));
    }
}
