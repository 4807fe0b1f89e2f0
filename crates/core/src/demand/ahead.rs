//! When and where jobs will start that wait, as the backfill scheduler plans it
//! (src/plugins/sched/backfill/backfill.c and _will_run_test() in cons_common/job_test.c,
//! 22.05.8).
//!
//! A job that cannot start now is given nodes for the time when enough of what runs has ended.
//! Others may have these nodes until then, if they end before. What runs is what this count has
//! placed; what ran before is taken to run on, because a snapshot does not say when it ends.

use std::collections::BTreeMap;

use super::pool::Pool;

/// Slurm plans so far ahead (bf_window's default), seconds.
pub const WINDOW_S: u64 = 24 * 3600;
/// Slurm plans in steps of so long (bf_resolution's default), seconds.
const STEP_S: u64 = 60;
/// Jobs that end so close to one another are taken to end together, seconds; the time doubles
/// from look to look.
const CLOSE_S: u64 = 30;
/// How many runs of nodes are looked at in all to find when jobs will start. It bounds the time
/// that a long queue costs; jobs beyond are kept from nothing but wait.
pub const LOOKS_MAX: usize = 2_000_000;

/// Places, as ranges.
pub type Places = Vec<(u32, u32)>;

/// What one job holds of neighbouring nodes, each of them.
#[derive(Clone, Debug)]
pub struct Hold {
    /// The first node's place.
    pub first: u32,
    /// How many nodes.
    pub len: u32,
    /// CPUs.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// GRES, in the order of the stock.
    pub gres: Vec<u64>,
}

/// What is held until when, seconds since the epoch.
pub type Holds = BTreeMap<u64, Vec<Hold>>;

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
        kept.flat_map(|kept| kept.places.iter().copied()).collect()
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
            .any(|(from, to)| places.iter().any(|(first, last)| from < last && first < to))
    }

    /// Keeps places from `start` to `end`.
    pub fn keep(&mut self, places: Places, start: u64, end: u64) {
        let begin = step(start);
        self.kept.push(Kept { begin, end: step(end).max(begin + STEP_S), places });
    }
}

const fn step(time: u64) -> u64 {
    time - time % STEP_S
}

/// Lets jobs end in groups, as Slurm does: those that end within a time that doubles.
#[derive(Debug)]
pub struct Ends<'h> {
    holds: Vec<(u64, &'h [Hold])>,
    window_s: u64,
    base: Option<u64>,
}

impl<'h> Ends<'h> {
    /// Of the holds on nodes that `matters`.
    pub fn of(holds: &'h Holds, matters: impl Fn(&Hold) -> bool) -> Self {
        let holds = holds.iter().filter(|(_, holds)| holds.iter().any(&matters));
        let mut holds: Vec<_> = holds.map(|(end, holds)| (*end, holds.as_slice())).collect();
        holds.reverse();
        Self { holds, window_s: CLOSE_S, base: None }
    }

    /// Gives back to the pool what the next jobs hold. The time when the last of them ends;
    /// `None` if there are no more.
    pub fn release_next(&mut self, pool: &mut Pool<'_>) -> Option<u64> {
        let mut last = None;
        while let Some((end, holds)) = self.holds.pop() {
            let base = *self.base.get_or_insert(end + CLOSE_S - end % CLOSE_S);
            for hold in holds {
                pool.give_back(hold);
            }
            last = Some(end);
            match self.holds.last() {
                Some((next, _)) if *next > base + self.window_s => {
                    self.window_s *= 2;
                    while *next > base + self.window_s {
                        self.window_s *= 2;
                    }
                    break;
                }
                Some(_) | None => {}
            }
        }
        last
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
