//! The second pass: what waits may start on nodes that no job before it needs by then
//! (src/plugins/sched/backfill/backfill.c, 22.05.8).

use std::collections::BTreeMap;

use super::BEHIND_MAX;
use super::ahead::{Ends, Hold, WINDOW_S};
use super::choose::Pick;
use super::fit::Which;
use super::places::{Places, joined};
use super::pool::{Pool, has};
use super::queue::{Count, Entry, Ready, Refusal};
use super::request::Request;
use super::why::JobWhy;

/// For so many tasks of an array that wait nodes are kept (bf_max_job_array_resv's default).
const KEPT_TASKS_MAX: u32 = 20;
/// How often a later start is tried for one job.
const TRIES_MAX: u32 = 50;

/// What comes of a job.
enum Step {
    /// It starts now, on these nodes.
    Starts(Vec<Pick>),
    /// Nodes are kept for it.
    Kept,
    /// It waits, and nothing is kept for it.
    Waits,
}

/// A heterogeneous job: its components that could start now.
type Ripe<'a> = BTreeMap<u32, Vec<Entry<'a>>>;

impl<'a> Count<'a> {
    /// What waits, on nodes that no job before it needs by then.
    pub fn second_pass(&mut self, waiting: &[Entry<'a>]) {
        self.open_all();
        if !self.backfills() {
            return;
        }
        self.begin_looks();
        let mut ripe = Ripe::new();
        for entry in waiting.iter().take(BEHIND_MAX) {
            if self.left(entry) == 0 {
                continue;
            }
            if !self.may_look() {
                self.note(entry.at, JobWhy::TooFarBehind);
                continue;
            }
            let placed = match self.ready(entry) {
                Ok(ready) if entry.job.het_job_id == 0 => self.backfill(entry, &ready),
                Ok(ready) => self.ripen(entry, &ready, &mut ripe),
                Err(refusal) => Err(refusal),
            };
            if let Err(Refusal::Not(why)) = placed {
                self.note(entry.at, why);
            }
        }
        for (id, entries) in ripe {
            self.start_components(id, entries);
        }
        for entry in waiting.iter().skip(BEHIND_MAX) {
            self.note(entry.at, JobWhy::TooFarBehind);
        }
    }

    /// Starts what can start of a job and its further tasks, and keeps nodes for the rest.
    fn backfill(&mut self, entry: &Entry<'a>, ready: &Ready) -> Result<(), Refusal> {
        let mut kept = 0;
        while kept < KEPT_TASKS_MAX && self.left(entry) > kept && self.spend() {
            let licenses = self.licenses();
            self.take_licenses(entry.job)?;
            match self.step(entry, ready, false) {
                Step::Starts(picks) => self.take(entry, &ready.request, &picks),
                Step::Kept => {
                    self.restore_licenses(licenses);
                    kept += 1;
                }
                Step::Waits => {
                    self.restore_licenses(licenses);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Keeps nodes for a component, and remembers it if it could start now.
    fn ripen(
        &mut self,
        entry: &Entry<'a>,
        ready: &Ready,
        ripe: &mut Ripe<'a>,
    ) -> Result<(), Refusal> {
        if let Step::Starts(picks) = self.step(entry, ready, true) {
            let now = self.now_s();
            self.plan.keep(places(&picks), now, now.saturating_add(ready.limit_s));
            let components = ripe.entry(entry.job.het_job_id).or_default();
            if components.iter().all(|other| other.at != entry.at) {
                components.push(*entry);
            }
        }
        Ok(())
    }

    /// All components of a heterogeneous job start, or none.
    fn start_components(&mut self, id: u32, mut entries: Vec<Entry<'a>>) {
        if entries.len() < self.count_components(id) {
            // One of them may not start, or not yet.
            entries.iter().for_each(|entry| self.note(entry.at, JobWhy::WaitsForOtherJobs));
            return;
        }
        entries.sort_by_key(|entry| entry.job.het_job_offset);
        self.open_all();
        let before = self.save();
        let placed = entries.iter().all(|entry| {
            let ready = self.ready(entry);
            ready.is_ok_and(|ready| {
                self.take_licenses(entry.job).is_ok()
                    && self.place(entry, &ready, Which::Free).is_ok()
            })
        });
        if !placed {
            self.restore(before, &entries);
            entries.iter().for_each(|entry| self.note(entry.at, JobWhy::NoFreeNodes));
        }
    }

    /// When and where a job can start, around what is kept for others. If that is later, nodes
    /// are kept for it.
    fn step(&mut self, entry: &Entry<'a>, ready: &Ready, component: bool) -> Step {
        let now = self.now_s();
        let mut from = now;
        for _ in 0..TRIES_MAX {
            let end = from.saturating_add(ready.limit_s);
            let taken = self.plan.taken(from, end);
            if !self.spend_looks(taken.len()) {
                return Step::Waits;
            }
            let later = self.plan.next_free(from);
            let Some((start, picks)) = self.will_run(entry, ready, taken) else {
                match later {
                    Some(later) => from = later,
                    None => return self.keep_all(ready),
                }
                continue;
            };
            let start = start.max(from);
            if start <= now {
                return Step::Starts(picks);
            }
            if let Some(later) = later.filter(|later| start > *later) {
                from = later;
                continue;
            }
            if start > now + WINDOW_S {
                return Step::Waits;
            }
            let (places, end) = (places(&picks), start.saturating_add(ready.limit_s));
            if self.plan.overlaps(&places, start, end) {
                if start <= from {
                    return Step::Waits;
                }
                from = start;
                continue;
            }
            self.plan.keep(places, start, end);
            if !component {
                self.note(entry.at, JobWhy::NoFreeNodes);
            }
            return Step::Kept;
        }
        Step::Waits
    }

    /// Keeps all free nodes that a job could have: it waits for what ends nobody knows when.
    fn keep_all(&mut self, ready: &Ready) -> Step {
        if self.find(&ready.request, &ready.scene, Which::Usable).is_none() {
            return Step::Waits;
        }
        let places = self.free_places(&ready.request, &ready.scene);
        let now = self.now_s();
        self.plan.keep(places, now, now + 2 * WINDOW_S);
        Step::Kept
    }

    /// When and on which nodes the job fits, if nodes that are `taken` are left out.
    fn will_run(
        &mut self,
        entry: &Entry<'a>,
        ready: &Ready,
        taken: Places,
    ) -> Option<(u64, Vec<Pick>)> {
        let (request, scene): (&Request, _) = (&ready.request, &ready.scene);
        self.leave_out(taken);
        if let Some(picks) = self.find(request, scene, Which::Free) {
            return Some((self.now_s(), picks));
        }
        if !self.spend_looks(0) || self.find(request, scene, Which::Usable).is_none() {
            return None;
        }
        let holds = std::mem::take(&mut self.holds);
        let left_out = self.left_out().clone();
        let matters = |pool: &Pool<'_>, hold: &Hold| {
            let class = pool.classes.get(hold.class);
            class.is_some_and(|class| has(&class.partitions, entry.partition))
                && !hold.is_within(&left_out)
        };
        let mut ends = Ends::of(&holds);
        if ends.next_end(|hold| matters(&self.pool, hold)).is_none() {
            self.spend_looks(ends.take_looked_at());
            self.holds = holds;
            return None;
        }
        let stretches = self.pool.stretches.clone();
        let mut found = None;
        while let Some(end) = ends.release_next(&mut self.pool, matters) {
            found = self.find(request, scene, Which::Free).map(|picks| (end, picks));
            if found.is_some() || !self.spend_looks(ends.take_looked_at()) {
                break;
            }
        }
        (self.pool.stretches, self.holds) = (stretches, holds);
        found
    }
}

fn places(picks: &[Pick]) -> Places {
    joined(picks.iter().map(|pick| (pick.first, pick.first + pick.len)).collect())
}
