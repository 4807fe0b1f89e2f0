//! The second pass: what waits may start on nodes that no job before it needs by then
//! (src/plugins/sched/backfill/backfill.c, 22.05.8).

use std::collections::BTreeMap;

use super::BEHIND_MAX;
use super::ahead::{Ends, Hold, WINDOW_S};
use super::choose::Pick;
use super::entry::Entry;
use super::fit::Which;
use super::places::{Places, joined};
use super::pool::Weights;
use super::queue::{Count, Ready, Refusal};
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
    /// Nodes are kept for it from this time on.
    Kept(u64),
    /// It waits, and nothing is kept for it.
    Waits,
}

/// What is known of a heterogeneous job's components.
#[derive(Default)]
struct Parts<'a> {
    /// Those that could start now.
    ripe: Vec<Entry<'a>>,
    /// When the others could start; `None` is not to be seen.
    others: BTreeMap<usize, Option<u64>>,
}

type Hets<'a> = BTreeMap<u32, Parts<'a>>;

impl<'a> Count<'a> {
    /// What waits, on nodes that no job before it needs by then.
    pub fn second_pass(&mut self, waiting: &[Entry<'a>]) {
        self.open_all();
        if !self.backfills() {
            return;
        }
        self.begin_looks();
        let mut hets = Hets::new();
        let mut behind = waiting.iter();
        let mut held = None;
        for entry in behind.by_ref().take(BEHIND_MAX) {
            if self.left(entry) == 0 {
                continue;
            }
            if !self.may_look() {
                self.note(entry.at, JobWhy::TooFarBehind);
                break;
            }
            // Only a job that starts takes room.
            if held.replace(self.holds.len()) != Some(self.holds.len()) && !self.has_room() {
                break;
            }
            let placed = match self.ready(entry) {
                Ok(ready) if !entry.is_component => self.backfill(entry, &ready),
                Ok(ready) => self.ripen(entry, &ready, &mut hets),
                Err(refusal) => Err(refusal),
            };
            if let Err(Refusal::Not(why)) = placed {
                self.note(entry.at, why);
            }
        }
        for (id, parts) in hets {
            self.start_components(id, parts.ripe);
        }
        for entry in behind {
            self.note(entry.at, JobWhy::TooFarBehind);
        }
    }

    /// Starts what can start of a job and its further tasks, and keeps nodes for the rest.
    fn backfill(&mut self, entry: &Entry<'a>, ready: &Ready) -> Result<(), Refusal> {
        while self.left(entry) > 0 && self.spend() {
            let licenses = self.licenses();
            self.take_licenses(entry.job)?;
            match self.step(entry, ready, self.now_s()) {
                Step::Starts(planned) => {
                    // It starts wherever it fits best now, of what is left for it. It may have
                    // fitted only with the weights that nodes had before.
                    if let Some(picks) = self.find(&ready.request, &ready.scene, Which::Free) {
                        self.take(entry, &ready.request, &picks);
                    } else {
                        self.restore_licenses(licenses);
                        self.pool.weigh(entry.partition);
                        let now = self.now_s();
                        self.plan.keep(places(&planned), now, now.saturating_add(ready.limit_s));
                        break;
                    }
                }
                Step::Kept(_) => {
                    self.restore_licenses(licenses);
                    // Nodes are kept for further tasks of an array, whatever the partition.
                    let kept = if self.kept.0 == entry.at { self.kept.1 + 1 } else { 1 };
                    self.kept = (entry.at, kept);
                    if kept >= KEPT_TASKS_MAX.min(self.unplaced(entry)) {
                        break;
                    }
                }
                Step::Waits => {
                    self.restore_licenses(licenses);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Keeps nodes for a component, not before the time when others may start, and remembers it
    /// if it could start now. Once one of the others has no such time, nothing is kept.
    fn ripen(
        &mut self,
        entry: &Entry<'a>,
        ready: &Ready,
        hets: &mut Hets<'a>,
    ) -> Result<(), Refusal> {
        let licenses = self.licenses();
        self.take_licenses(entry.job)?;
        self.restore_licenses(licenses);
        let parts = hets.entry(entry.job.het_job_id).or_default();
        let now = self.now_s();
        let mut from = now;
        for (at, start) in &parts.others {
            match start {
                _ if *at == entry.at => {}
                Some(start) => from = from.max(*start),
                None => return Ok(()),
            }
        }
        let known = parts.others.get(&entry.at).copied().flatten();
        let start = match self.step(entry, ready, from) {
            Step::Starts(picks) => {
                self.plan.keep(places(&picks), now, now.saturating_add(ready.limit_s));
                if parts.ripe.iter().all(|other| other.at != entry.at) {
                    parts.ripe.push(*entry);
                }
                Some(now)
            }
            Step::Kept(start) => Some(start),
            Step::Waits => None,
        };
        // Of several partitions the earliest start counts.
        let earliest = [known, start].into_iter().flatten().min();
        parts.others.insert(entry.at, earliest);
        Ok(())
    }

    /// All components of a heterogeneous job start, or none; no two of them share a node
    /// (_het_job_start_now()).
    fn start_components(&mut self, id: u32, entries: Vec<Entry<'a>>) {
        if entries.len() < self.count_components(id) {
            // One of them may not start, or not yet.
            entries.iter().for_each(|entry| self.note(entry.at, JobWhy::WaitsForOtherJobs));
            return;
        }
        let before = self.save();
        let mut used = Places::new();
        let placed = entries.iter().all(|entry| {
            self.leave_out(joined(used.clone()));
            let picks = self.start_component(entry);
            used.extend(picks.iter().flatten().map(Pick::range));
            picks.is_some()
        });
        self.open_all();
        if !placed {
            self.restore(before, &entries);
            entries.iter().for_each(|entry| self.note(entry.at, JobWhy::NoFreeNodes));
        }
    }

    fn start_component(&mut self, entry: &Entry<'a>) -> Option<Vec<Pick>> {
        let ready = self.ready(entry).ok()?;
        // Of the others they were looked at when they were planned, and are not any more.
        let licenses = self.take_licenses(entry.job);
        if entry.job.het_job_offset == 0 {
            licenses.ok()?;
        }
        let picks = self.find(&ready.request, &ready.scene, Which::Free)?;
        self.take(entry, &ready.request, &picks);
        Some(picks)
    }

    /// When and where a job can start, around what is kept for others. If that is later, nodes
    /// are kept for it.
    fn step(&mut self, entry: &Entry<'a>, ready: &Ready, from: u64) -> Step {
        let now = self.now_s();
        let mut from = from;
        for _ in 0..TRIES_MAX {
            let end = from.saturating_add(ready.limit_s);
            let taken = self.plan.taken(from, end);
            if !self.spend_looks(taken.len()) {
                return Step::Waits;
            }
            let later = self.plan.next_free(from);
            let Some((start, picks)) = self.will_run(ready, taken) else {
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
            self.note(entry.at, JobWhy::NoFreeNodes);
            return Step::Kept(start);
        }
        Step::Waits
    }

    /// Keeps all free nodes that a job could have, if it waits for what ends nobody knows when.
    /// Of a job that will not fit whatever ends, nothing is kept.
    fn keep_all(&mut self, ready: &Ready) -> Step {
        let usable = self.usable_classes(&ready.request, &ready.scene);
        let unknown = self.pool.stretches.iter().any(|stretch| {
            usable.get(stretch.class) == Some(&true)
                && stretch.runs.iter().any(|run| run.state.worked)
        });
        let fits = self.find(&ready.request, &ready.scene, Which::Usable).is_some();
        if !fits || !unknown {
            return Step::Waits;
        }
        let places = self.free_places(&ready.request, &ready.scene);
        let now = self.now_s();
        self.plan.keep(places, now, now + 2 * WINDOW_S);
        Step::Kept(now + 2 * WINDOW_S)
    }

    /// When and on which nodes the job fits, if nodes that are `taken` are left out.
    fn will_run(&mut self, ready: &Ready, taken: Places) -> Option<(u64, Vec<Pick>)> {
        let (request, scene): (&Request, _) = (&ready.request, &ready.scene);
        self.leave_out(taken);
        self.note_near(request, scene);
        if let Some(picks) = self.find_by(request, scene, Which::Free, Weights::Last) {
            return Some((self.now_s(), picks));
        }
        let possible = |it: &Self| it.find_by(request, scene, Which::Usable, Weights::Last);
        if !self.spend_looks(0) || possible(self).is_none() {
            return None;
        }
        let usable = self.usable_classes(request, scene);
        let holds = std::mem::take(&mut self.holds);
        let excluded = request.excluded.places.as_slice();
        let left_out = joined([self.left_out().as_slice(), excluded].concat());
        let matters =
            |hold: &Hold| usable.get(hold.class) == Some(&true) && !hold.is_within(&left_out);
        let mut ends = Ends::of(&holds);
        if !ends.any_that(matters) {
            self.spend_looks(ends.take_looked_at());
            self.holds = holds;
            return None;
        }
        let stretches = self.pool.stretches.clone();
        let mut found = None;
        while let Some(end) = ends.release_next(&mut self.pool, matters) {
            let picks = self.find_by(request, scene, Which::Free, Weights::Last);
            found = picks.map(|picks| (end, picks));
            if found.is_some() || !self.spend_looks(ends.take_looked_at()) {
                break;
            }
        }
        (self.pool.stretches, self.holds) = (stretches, holds);
        found
    }
}

fn places(picks: &[Pick]) -> Places {
    joined(picks.iter().map(Pick::range).collect())
}
