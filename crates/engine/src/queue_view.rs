//! Slurm's queue as it was last read, and when it is read again.
//!
//! To answer with a long queue costs slurmctld far more than to answer with its nodes: a second for
//! 100,000 jobs, in which no job can be placed. So the nodes are read with each look, and the queue at a
//! pace of its own. Plans in between rest on what was counted from it, less what Slurm has given jobs
//! since.

use std::sync::Arc;
use std::time::Duration;

use slurm_asg_core::demand::Counted;
use slurm_asg_core::plan::Plan;
use slurm_asg_core::snapshot::{Queue, Seen};
use slurm_asg_core::time::Timestamp;

use crate::scheduler::SchedulerError;

/// Reading Slurm may cost slurmctld one part in this many of a core.
const COST_SHARE: u32 = 50;
/// The longest time between two readings of the queue for that reason. Slurm itself says when it wants
/// a node: what waits is capacity that is asked for ahead of it.
const REST_MAX: Duration = Duration::from_secs(60);
/// The same after a reading that failed.
const REST_MAX_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What was last read of the queue.
#[derive(Debug)]
pub struct QueueView {
    seen: Seen<Arc<Queue>>,
    /// What was counted from it.
    counted: Option<Counted>,
    /// The nodes have been read since.
    is_earlier: bool,
    /// What the last two answers cost that brought something new. One that took long may have been
    /// slurmctld waiting for its own locks.
    costs: [Option<Duration>; 2],
    due: Timestamp,
    /// Somebody wants to know how it is now.
    wanted: bool,
    /// That was so in this turn, and it was read.
    was_wanted: bool,
    /// It was read in this turn.
    is_of_this_turn: bool,
}

impl QueueView {
    /// Nothing has been read yet.
    pub fn new() -> Self {
        Self {
            seen: Seen::Unknown { why: "Slurm has not been looked at yet".to_owned() },
            counted: None,
            is_earlier: false,
            costs: [None; 2],
            due: Timestamp::default(),
            wanted: false,
            was_wanted: false,
            is_of_this_turn: false,
        }
    }

    /// The queue as it was last read.
    pub const fn seen(&self) -> &Seen<Arc<Queue>> {
        &self.seen
    }

    /// What was counted from it, if it is older than the nodes.
    pub fn counted(&self) -> Option<Counted> {
        self.counted.clone().filter(|_| self.is_earlier)
    }

    /// It is to be read with the next look, whatever that costs.
    pub const fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether that was said.
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// A turn begins.
    pub const fn begin_turn(&mut self) {
        (self.was_wanted, self.is_of_this_turn) = (false, false);
    }

    /// Whether the next plan is to rest on it and on the nodes of the same moment: no plan has been made
    /// of it yet, or somebody has wanted it.
    pub fn holds(&self) -> bool {
        self.is_of_this_turn && !self.wanted && (self.was_wanted || self.awaits_count())
    }

    /// Whether it is to be read with a look that is made now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.wanted || self.awaits_count() || self.due <= now
    }

    /// Whether no plan has been made of it yet.
    fn awaits_count(&self) -> bool {
        self.counted.is_none() && self.seen.known().is_some()
    }

    /// If it is older than the nodes, in which time it will be read again.
    pub fn due_in(&self, now: Timestamp) -> Option<Duration> {
        self.is_earlier.then(|| self.rest(now))
    }

    /// For how long it need not be read.
    pub fn rest(&self, now: Timestamp) -> Duration {
        self.due.since(now)
    }

    /// The nodes are read without it.
    pub const fn grow_old(&mut self) {
        self.is_earlier = true;
    }

    /// The clock was set: times from before it mean nothing.
    pub fn clock_was_set(&mut self) {
        self.due = Timestamp::default();
    }

    /// It was read, which began and ended then.
    pub fn read(
        &mut self,
        read: Result<Arc<Queue>, SchedulerError>,
        began: Timestamp,
        ended: Timestamp,
    ) {
        let cost = ended.since(began);
        (self.counted, self.is_earlier, self.is_of_this_turn) = (None, false, true);
        self.was_wanted |= std::mem::take(&mut self.wanted);
        let rest = match read {
            Ok(queue) => {
                let is_new = !self.seen.known().is_some_and(|old| Arc::ptr_eq(old, &queue));
                self.seen = Seen::Known(queue);
                if is_new {
                    let [last, _] = self.costs;
                    self.costs = [Some(cost), last];
                }
                let usual = self.costs.into_iter().flatten().fold(cost, Duration::min);
                fair(usual).min(REST_MAX)
            }
            Err(error) => {
                self.seen = Seen::Unknown { why: error.to_string() };
                fair(cost).min(REST_MAX_AFTER_FAILURE)
            }
        };
        self.due = ended.after(rest);
    }

    /// A plan was made, of nodes that are known.
    pub fn was_counted(&mut self, plan: &Plan) {
        if !self.is_earlier && self.seen.known().is_some() {
            self.counted = Some(plan.count.clone());
        }
    }
}

/// For how long slurmctld is left alone after something that cost it so much.
pub const fn fair(cost: Duration) -> Duration {
    cost.saturating_mul(COST_SHARE)
}
