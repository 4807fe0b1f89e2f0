//! The queue: which job comes when, and what it means for those behind it.
//!
//! Two passes, as in slurmctld: the first in the order of priority, in which a job that waits for
//! nodes closes its partition (src/slurmctld/job_scheduler.c); the second over what is left is in
//! `backfill`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::ahead::{End, Hold, Holds, Plan, looks};
use super::choose::{Pick, choose, choose_all};
use super::counts::Search;
use super::entry::Entry;
use super::feature::Constraint;
use super::fit::{self, Features, Where, Which, classes_that_suit, offers};
use super::kind::{Asked, Kind, Kinds};
use super::named::Lists;
use super::places::{Places, is_within, joined};
use super::pool::{Bits, Pool, Run, Stretch, Weights, has, overlap, set};
use super::request::Request;
use super::share::{Share, shares};
use super::why::{JobVerdict, JobWhy};
use super::{Demand, Look, PATIENCE, PLACED_MAX, SEARCHED_MAX};
use crate::ids::{GroupName, NodeName};
use crate::snapshot::{Job, License, Partition, Reservation, number, said};

/// Why a job is not placed.
pub enum Refusal {
    /// For a reason that is its own.
    Not(JobWhy),
    /// Nodes that it could have are taken, or others of its partition, as the reason says.
    Busy(JobWhy),
    /// So many nodes are closed that it needs more than are left. Slurm looks no further, also
    /// where the reason is that it can never run.
    Short(JobWhy),
    /// Nodes that it could have are closed, because jobs before it wait for them.
    Shut,
}

/// A job that may be placed, in one partition.
pub struct Ready {
    pub request: Rc<Request>,
    pub scene: Rc<Scene>,
    /// How long it runs, seconds.
    pub limit_s: u64,
}

/// What was placed last, and where.
struct Last {
    request: Rc<Request>,
    scene: Rc<Scene>,
    place: u32,
}

/// Licenses that are free; `None` if that is not known.
type Licenses<'a> = Option<BTreeMap<&'a str, u32>>;

/// What is put back if a heterogeneous job cannot start.
type Saved<'a> = (Vec<Stretch>, Licenses<'a>, Holds);

/// What one job has got.
#[derive(Default)]
struct Got {
    tasks: u32,
    nodes: u32,
    /// How many nodes are launched for it.
    launch: u32,
    /// Why it is not placed.
    why: Option<JobWhy>,
    /// It is part of the demand.
    is_counted: bool,
}

/// Neighbouring nodes that had no job.
struct Fresh {
    /// The place in the queue of the job that gets them.
    at: usize,
    /// The place of the first one.
    first: u32,
    /// How many there are.
    len: u32,
    /// They are launched for it: they are not up.
    launch: bool,
}

pub struct Count<'a> {
    pub look: &'a Look<'a>,
    pub pool: Pool<'a>,
    /// What jobs of this count hold, and until when.
    pub holds: Holds,
    /// What is kept for jobs that wait.
    pub plan: Plan,
    /// For which job something was kept last, and for how many of its tasks.
    pub kept: (usize, u32),
    /// At how much more the second pass looks.
    looks: usize,
    pub partitions: Vec<&'a Partition>,
    reservations: Vec<&'a Reservation>,
    /// What jobs ask for.
    pub kinds: Kinds<'a>,
    /// Licenses that are free.
    licenses: Licenses<'a>,
    /// Tasks that run, by array.
    running: BTreeMap<u32, u32>,
    /// Partitions in which a job waits for nodes.
    closed: Bits,
    /// Places that a job waits for which named them, joined.
    closed_places: Places,
    /// The nodes that jobs name.
    lists: Lists<'a>,
    /// How many passes have ended.
    pass: u8,
    /// How many more jobs are placed.
    budget: usize,
    /// How many runs of nodes have been looked at.
    looked_at: Cell<usize>,
    /// Who was placed last, on a single node; nothing has changed since.
    last: Option<Last>,
    /// What was asked for last that no nodes can serve, whatever runs on them, and why.
    hopeless: Option<(Rc<Request>, Rc<Scene>, JobWhy)>,
    got: Vec<Got>,
    fresh: Vec<Fresh>,
    traced: Vec<NodeName>,
}

impl<'a> Count<'a> {
    pub fn of(look: &'a Look<'a>) -> Self {
        let queue = look.queue;
        let free = |license: &License| {
            license.total.saturating_sub(license.in_use).saturating_sub(license.reserved)
        };
        let licenses = queue.licenses.as_ref();
        let mut running: BTreeMap<u32, u32> = BTreeMap::new();
        for task in queue.jobs.iter().filter(|job| job.is_running_task()) {
            *running.entry(task.array_job_id).or_insert(0) += 1;
        }
        let pool = Pool::of(look);
        Self {
            look,
            lists: Lists::of(queue, &pool),
            pool,
            holds: Holds::default(),
            plan: Plan::default(),
            kept: (usize::MAX, 0),
            looks: 0,
            partitions: queue.partitions.values().collect(),
            reservations: queue.reservations.iter().flat_map(BTreeMap::values).collect(),
            kinds: Kinds::default(),
            licenses: licenses
                .map(|all| all.iter().map(|(name, it)| (&**name, free(it))).collect()),
            running,
            closed: Bits::new(),
            closed_places: Places::new(),
            pass: 0,
            budget: PLACED_MAX,
            looked_at: Cell::new(0),
            last: None,
            hopeless: None,
            got: queue.jobs.iter().map(|_| Got::default()).collect(),
            fresh: Vec::new(),
            traced: Vec::new(),
        }
    }

    /// Goes through the queue and sums up.
    pub fn finish(mut self) -> Demand {
        let entries = self.entries();
        let waiting = self.first_pass(&entries);
        drop(entries);
        if !waiting.is_empty() {
            self.holds.sort();
            self.pool.wake_claimed();
            // It looks again at those that it tried, before the second pass comes.
            waiting.iter().filter(|entry| entry.tried).for_each(|it| self.pool.weigh(it.partition));
            self.pass += 1;
            self.second_pass(&waiting);
            self.pass += 1;
            self.open_all();
            if self.has_room() {
                // What the second pass keeps nodes for does not bind the first one.
                self.pool.wake_claimed();
                self.first_pass(&waiting);
            }
        }
        drop(waiting);
        self.sum_up()
    }

    /// In the order of priority. Returns what waits for nodes.
    fn first_pass(&mut self, entries: &[Entry<'a>]) -> Vec<Entry<'a>> {
        let mut waiting = Vec::new();
        self.last = None;
        for entry in entries {
            if self.is_placed(entry.at) && self.left(entry) == 0 {
                continue;
            }
            if has(&self.closed, entry.partition) {
                let why = if entry.over { JobWhy::Impossible } else { JobWhy::BehindOthers };
                self.note(entry.at, why);
                waiting.push(*entry);
            } else if entry.is_component {
                // Slurm starts these with the second pass only, and keeps their partition, unless
                // it lets them in no queue.
                match self.ready(entry) {
                    Err(Refusal::Not(why)) if why.keeps_out_of_queue() => self.note(entry.at, why),
                    Ok(_) | Err(_) => {
                        set(&mut self.closed, entry.partition);
                        self.note(entry.at, JobWhy::BehindOthers);
                        waiting.push(*entry);
                    }
                }
            } else if let Err(refusal) = self.place_tasks(entry) {
                match refusal {
                    Refusal::Not(why) => {
                        // Slurm looked for nodes in vain, and keeps those that were named.
                        if matches!(why, JobWhy::NodesUnavailable | JobWhy::Impossible) {
                            self.keep_named(entry);
                        }
                        self.note(entry.at, why);
                    }
                    Refusal::Busy(why) => {
                        self.close(entry);
                        self.note(entry.at, why);
                        waiting.push(Entry { tried: true, ..*entry });
                    }
                    Refusal::Short(why) => {
                        self.close(entry);
                        self.note(entry.at, why);
                        waiting.push(*entry);
                    }
                    Refusal::Shut => {
                        self.keep_named(entry);
                        self.note(entry.at, JobWhy::BehindOthers);
                        waiting.push(Entry { tried: true, ..*entry });
                    }
                }
            }
        }
        waiting
    }

    /// What a job needs to know before it is placed.
    pub fn ready(&self, entry: &Entry<'a>) -> Result<Ready, Refusal> {
        let Some(kind) = self.kinds.get(entry.kind) else {
            return Err(Refusal::Not(JobWhy::NoSuchPartition));
        };
        let asked = kind.asked.get_or_init(|| self.read(kind)).clone();
        let (request, scene) = asked.map_err(Refusal::Not)?;
        if entry.tasks == 0
            && let Some(max) = entry.job.tasks_at_once_max()
        {
            return Err(Refusal::Not(JobWhy::ArrayLimit { max }));
        }
        Ok(Ready { request, scene, limit_s: entry.limit_s })
    }

    /// What jobs of a kind ask for, and where they may go.
    fn read(&self, kind: &Kind<'a>) -> Asked {
        let Kind { job, partition: at, .. } = *kind;
        let partition = self.partitions.get(at).copied().ok_or(JobWhy::NoSuchPartition)?;
        let inside = self.admit(job, partition)?;
        let request = Request::read(job, partition, &self.look.queue.slurm, &self.lists)?;
        let outside = self.reservations_in_the_way(job, partition);
        Ok((Rc::new(request), Rc::new(Scene { partition: at, inside, outside })))
    }

    /// Places a job, or as many tasks of an array as find a place.
    fn place_tasks(&mut self, entry: &Entry<'a>) -> Result<(), Refusal> {
        // Whatever comes of this job, it may close the node of the one before.
        let before = self.last.take();
        let ready = self.ready(entry)?;
        if self.is_short_of_nodes(entry, &ready.request) {
            let possible = self.is_possible(&ready.request, &ready.scene);
            let why = if possible { JobWhy::NoFreeNodes } else { JobWhy::Impossible };
            return Err(Refusal::Short(why));
        }
        let same = before.filter(|it| it.request == ready.request && it.scene == ready.scene);
        let mut last = same.map(|it| it.place);
        while self.left(entry) > 0 {
            if self.looked_at.get() >= SEARCHED_MAX || !self.spend() {
                return Err(Refusal::Not(JobWhy::TooFarBehind));
            }
            // The job of the kind has the same ones, and its record is at hand.
            let job = self.kinds.get(entry.kind).map_or(entry.job, |kind| kind.job);
            let before = said(&job.licenses).map(|_| self.licenses());
            self.take_licenses(job)?;
            last = match self.place(entry, &ready, last) {
                Ok(last) => last,
                Err(refusal) => {
                    before.into_iter().for_each(|it| self.restore_licenses(it));
                    return Err(refusal);
                }
            };
        }
        let Ready { request, scene, .. } = ready;
        self.last = last.map(|place| Last { request, scene, place });
        Ok(())
    }

    /// Whether so many nodes of the partition are closed that the job needs more than are left.
    fn is_short_of_nodes(&self, entry: &Entry<'a>, request: &Request) -> bool {
        if self.closed.is_empty() && self.closed_places.is_empty() {
            return false;
        }
        let open = self.pool.classes.iter().filter(|class| {
            has(&class.partitions, entry.partition) && !overlap(&class.partitions, &self.closed)
        });
        let open: u64 = open.map(|class| class.usable).sum();
        open < u64::from(request.nodes_min)
    }

    /// How many tasks of a job may start now, if it were the first one.
    pub fn tasks_now(&self, job: &Job) -> u32 {
        let running = self.running.get(&job.array_job_id).copied().unwrap_or(0);
        let most = job.tasks_at_once_max().map_or(u32::MAX, |max| max.saturating_sub(running));
        job.tasks().min(most)
    }

    /// How many tasks of a job are still to be placed.
    pub fn left(&self, entry: &Entry<'a>) -> u32 {
        let placed = self.got.get(entry.at).map_or(0, |got| got.tasks);
        entry.tasks.saturating_sub(placed)
    }

    /// How many tasks of a job are not placed, whether they may start or not.
    pub fn unplaced(&self, entry: &Entry<'a>) -> u32 {
        let placed = self.got.get(entry.at).map_or(0, |got| got.tasks);
        entry.job.tasks().saturating_sub(placed)
    }

    /// Whether one more task may be placed with this look.
    pub const fn spend(&mut self) -> bool {
        let may = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        may
    }

    /// Whether the second pass may look at anything more.
    pub const fn may_look(&self) -> bool {
        self.looks > 0
    }

    /// Whether there is a core that nobody has.
    pub fn has_room(&self) -> bool {
        self.pool.runs().any(|(class, run)| run.state.usable && run.state.cpus >= class.core.max(1))
    }

    /// Whether all runs may be looked at once more, after so many other things.
    pub fn spend_looks(&mut self, others: usize) -> bool {
        let runs = self.pool.count_runs().saturating_add(others);
        let may = self.looks >= runs;
        self.looks = self.looks.saturating_sub(runs);
        may
    }

    pub fn backfills(&self) -> bool {
        self.look.queue.slurm.backfills()
    }

    /// Now, seconds since the epoch.
    pub const fn now_s(&self) -> u64 {
        self.look.now.millis() / 1000
    }

    /// The second pass begins.
    pub fn begin_looks(&mut self) {
        self.looks = looks(self.pool.count_runs(), self.look.nodes.len());
    }

    /// Nothing is closed any more.
    pub fn open_all(&mut self) {
        self.closed = Bits::new();
        self.closed_places.clear();
    }

    /// Jobs must keep out of these places, and of no others.
    pub fn leave_out(&mut self, places: Places) {
        self.closed_places = places;
    }

    /// The places that jobs must keep out of.
    pub const fn left_out(&self) -> &Places {
        &self.closed_places
    }

    pub fn licenses(&self) -> Licenses<'a> {
        self.licenses.clone()
    }

    pub fn restore_licenses(&mut self, licenses: Licenses<'a>) {
        self.licenses = licenses;
    }

    /// How many components of a heterogeneous job are pending.
    pub fn count_components(&self, id: u32) -> usize {
        let is_component = |job: &&Job| job.is_pending() && job.het_job_id == id;
        self.look.queue.jobs.iter().filter(is_component).count()
    }

    pub fn save(&self) -> Saved<'a> {
        (self.pool.stretches.clone(), self.licenses.clone(), self.holds.clone())
    }

    pub fn restore(&mut self, saved: Saved<'a>, entries: &[Entry<'a>]) {
        (self.pool.stretches, self.licenses, self.holds) = saved;
        for entry in entries {
            if let Some(got) = self.got.get_mut(entry.at) {
                *got = Got { why: got.why.take(), ..Got::default() };
            }
            self.fresh.retain(|nodes| nodes.at != entry.at);
        }
    }

    /// Whether partition and reservation let the job in; the reservation that it is in.
    fn admit(&self, job: &Job, partition: &Partition) -> Result<Option<usize>, JobWhy> {
        if !partition.state_up.starts_jobs() {
            return Err(JobWhy::PartitionClosed { state: partition.state_up });
        }
        let limit = number(partition.max_time);
        if let (Some(max), Some(minutes)) = (limit, number(job.time_limit))
            && minutes > max
        {
            return Err(JobWhy::OverTimeLimit { max });
        }
        let Some(names) = said(&job.resv_name) else {
            let refused = partition.needs_reservation();
            return if refused { Err(JobWhy::NeedsReservation) } else { Ok(None) };
        };
        if self.look.queue.reservations.is_none() {
            return Err(JobWhy::LeftToSlurm { what: "--reservation".to_owned() });
        }
        let now = self.look.now;
        let is_active = |reservation: &Reservation| {
            names.split(',').any(|name| *name == *reservation.name)
                && reservation.start_time.is_none_or(|start| start <= now)
                && reservation.end_time.is_none_or(|end| end > now)
        };
        let at = self.reservations.iter().position(|reservation| is_active(reservation));
        at.map(Some).ok_or(JobWhy::ReservationNotActive)
    }

    /// Reservations that begin before the job would end, and that are not its own.
    fn reservations_in_the_way(&self, job: &Job, partition: &Partition) -> Bits {
        let mut bits = Bits::new();
        if said(&job.resv_name).is_some() {
            return bits;
        }
        let now = self.look.now;
        let minutes = partition.minutes_of(job.time_limit);
        let end = minutes.map(|minutes| now.after(Duration::from_secs(u64::from(minutes) * 60)));
        for (at, reservation) in self.reservations.iter().enumerate() {
            let begun = match (reservation.start_time, end) {
                (Some(start), Some(end)) => start < end,
                (Some(_) | None, None) | (None, Some(_)) => true,
            };
            if begun && reservation.end_time.is_none_or(|end| end > now) {
                set(&mut bits, at);
            }
        }
        bits
    }

    /// Takes the job's licenses, if they are known and free.
    pub fn take_licenses(&mut self, job: &Job) -> Result<(), Refusal> {
        let (Some(text), Some(free)) = (said(&job.licenses), &mut self.licenses) else {
            return Ok(());
        };
        if text.contains('|') {
            let what = "licenses of several kinds, one of which is enough".to_owned();
            return Err(Refusal::Not(JobWhy::LeftToSlurm { what }));
        }
        let wants: Vec<(&str, u32)> = text
            .split([',', ';'])
            .map(|part| {
                part.rsplit_once(':')
                    .map_or((part, 1), |(name, count)| (name, count.parse().unwrap_or(u32::MAX)))
            })
            .collect();
        let short =
            wants.iter().any(|(name, count)| free.get(name).is_none_or(|free| free < count));
        if short {
            return Err(Refusal::Not(JobWhy::WaitsForLicenses));
        }
        for (name, count) in wants {
            if let Some(free) = free.get_mut(name) {
                *free = free.saturating_sub(count);
            }
        }
        Ok(())
    }

    /// Places one job or task, and takes what it needs. `last` is the node of one that was placed
    /// just before and asked for the same, if it is worth a look; so is the one that is returned.
    fn place(
        &mut self,
        entry: &Entry<'a>,
        ready: &Ready,
        last: Option<u32>,
    ) -> Result<Option<u32>, Refusal> {
        let Ready { request, scene, .. } = ready;
        if !request.required.is_known() {
            return Err(Refusal::Not(JobWhy::Impossible));
        }
        if let Some((asked, there, why)) = &self.hopeless
            && asked == request
            && there == scene
        {
            return Err(Refusal::Not(why.clone()));
        }
        if let Some(picks) = last.and_then(|place| self.find_again(request, place)) {
            #[cfg(test)]
            assert_eq!(Some(&picks), self.find(request, scene, Which::Free).as_ref());
            self.take(entry, request, &picks);
            return Ok(last);
        }
        let Some(picks) = self.find(request, scene, Which::Free) else {
            let refusal = self.refusal(request, scene);
            if let Refusal::Not(why) = &refusal {
                self.hopeless = Some((request.clone(), scene.clone(), why.clone()));
            }
            return Err(refusal);
        };
        self.take(entry, request, &picks);
        Ok(match picks.as_slice() {
            [Pick { first, len: 1, .. }] if request.is_content_with_one() => Some(*first),
            _ => None,
        })
    }

    /// The node of the task or job before, for one that asks for the same. Of the lightest blocks
    /// that are enough it was in the tightest, and was the tightest there; now it is tighter still.
    /// So as long as it is enough, the whole search would end there.
    fn find_again(&self, request: &Request, place: u32) -> Option<Vec<Pick>> {
        let offer = fit::offer_of(&self.pool, request, &self.look.queue.slurm, place)?;
        choose(request, vec![offer])
    }

    /// Why nothing was found. Only a job whose nodes are busy makes others wait, be it that others
    /// than those are that would be enough: else Slurm says of nodes that are closed, reserved or
    /// down that they are not available (_pick_best_nodes() in node_scheduler.c, 22.05.8).
    fn refusal(&self, request: &Request, scene: &Scene) -> Refusal {
        if self.find(request, scene, Which::UsableAndOpen).is_some() {
            return Refusal::Busy(JobWhy::NoFreeNodes);
        }
        if self.find(request, scene, Which::Usable).is_some() {
            let busy = self.is_any_busy(request, scene);
            return if busy { Refusal::Busy(JobWhy::NoFreeNodes) } else { Refusal::Shut };
        }
        if !self.is_possible(request, scene) {
            return Refusal::Not(JobWhy::Impossible);
        }
        // The nodes of a counted feature are looked for apart from all others.
        let busy = !request.constraint.counts() && self.is_any_busy(request, scene);
        let why = JobWhy::NodesUnavailable;
        if busy { Refusal::Busy(why) } else { Refusal::Not(why) }
    }

    /// Whether there are nodes that could ever run it, in whatever state they are.
    fn is_possible(&self, request: &Request, scene: &Scene) -> bool {
        let anywhere = Scene { outside: Bits::new(), ..scene.clone() };
        request.required.is_known() && self.find(request, &anywhere, Which::Any).is_some()
    }

    /// Whether a node that the job could have is taken by others: all of it, or anything of it if
    /// the job wants whole nodes. Of a job that cannot have a node that it named Slurm does not
    /// look at the others.
    fn is_any_busy(&self, request: &Request, scene: &Scene) -> bool {
        let suits = self.usable_classes(request, scene);
        let is_open = |class: usize| {
            suits.get(class) == Some(&true)
                && self
                    .pool
                    .classes
                    .get(class)
                    .is_some_and(|it| !overlap(&it.partitions, &self.closed))
        };
        let is_within = |run: &Run, places: &Places| is_within(places, run.first, run.end());
        let mut named = request.required.places.iter().flat_map(|(from, to)| *from..*to);
        let has_named = named.all(|place| {
            self.pool.run_at(place).is_some_and(|(class, run)| {
                run.state.usable && is_open(class) && !is_within(run, &self.closed_places)
            })
        });
        let is_taken = |run: &Run| {
            let state = &run.state;
            state.usable
                && (state.whole || request.whole && !state.empty)
                && !is_within(run, &request.excluded.places)
                && !is_within(run, &self.closed_places)
        };
        let mut open = self.pool.stretches.iter().filter(|stretch| is_open(stretch.class));
        has_named && open.any(|stretch| stretch.runs.iter().any(is_taken))
    }

    /// The nodes that Slurm would take.
    pub fn find(&self, request: &Request, scene: &Scene, which: Which) -> Option<Vec<Pick>> {
        self.find_by(request, scene, which, Weights::Now)
    }

    /// The nodes that Slurm would take or plan with.
    pub fn find_by(
        &self,
        request: &Request,
        scene: &Scene,
        which: Which,
        weights: Weights,
    ) -> Option<Vec<Pick>> {
        let nothing = Bits::new();
        let free_only = matches!(which, Which::Free | Which::UsableAndOpen);
        let named = &request.excluded.places;
        let both: Places;
        let excluded = match (free_only && !self.closed_places.is_empty(), named.is_empty()) {
            (false, _) => named.as_slice(),
            (true, true) => self.closed_places.as_slice(),
            (true, false) => {
                both = joined([named.as_slice(), &self.closed_places].concat());
                both.as_slice()
            }
        };
        let place = Where {
            partition: scene.partition,
            closed: if free_only { &self.closed } else { &nothing },
            inside: scene.inside,
            outside: &scene.outside,
            required: &request.required.places,
            excluded,
            which,
            weights,
            looked_at: &self.looked_at,
        };
        let slurm = &self.look.queue.slurm;
        let of =
            |features| choose_all(request, offers(&self.pool, request, slurm, &place, features));
        match &request.constraint {
            Constraint::None => of(Features::Any),
            Constraint::Each(features) => of(Features::Each(features)),
            Constraint::OneOf(all) => all.iter().find_map(|features| of(Features::Each(features))),
            Constraint::Counts(counts) | Constraint::Apart(counts) => {
                let search = Search { pool: &self.pool, slurm, request, place: &place };
                match weights {
                    Weights::Last => search.plan(counts),
                    Weights::Now => {
                        search.find(counts, matches!(request.constraint, Constraint::Apart(_)))
                    }
                }
            }
        }
    }

    /// All places that are free for a job, enough or not.
    pub fn free_places(&self, request: &Request, scene: &Scene) -> Places {
        self.anywhere(request, scene, |place, features| {
            let offers = offers(&self.pool, request, &self.look.queue.slurm, place, features);
            offers.iter().map(|offer| (offer.first, offer.end())).collect()
        })
    }

    /// Remembers how many GPUs were near at hand for a job that asks for some.
    pub fn note_near(&mut self, request: &Request, scene: &Scene) {
        if request.gres.is_empty() {
            return;
        }
        let offers = self.anywhere(request, scene, |place, features| {
            offers(&self.pool, request, &self.look.queue.slurm, place, features)
        });
        for offer in offers {
            self.pool.note_near(offer.first, 0xff - (offer.weight & 0xff));
        }
    }

    /// The classes of nodes that a job could use, whatever runs there.
    pub fn usable_classes(&self, request: &Request, scene: &Scene) -> Vec<bool> {
        self.anywhere(request, scene, |place, features| {
            classes_that_suit(&self.pool, request, place, features)
        })
    }

    /// All places that a job may go to, with all its features that each node must have.
    fn anywhere<T>(
        &self,
        request: &Request,
        scene: &Scene,
        of: impl FnOnce(&Where<'_>, Features<'_>) -> T,
    ) -> T {
        let place = Where {
            partition: scene.partition,
            closed: &Bits::new(),
            inside: scene.inside,
            outside: &scene.outside,
            required: &[],
            excluded: &request.excluded.places,
            which: Which::Free,
            weights: Weights::Now,
            looked_at: &self.looked_at,
        };
        let features = match &request.constraint {
            Constraint::Each(features) => Features::Each(features),
            Constraint::None
            | Constraint::OneOf(_)
            | Constraint::Counts(_)
            | Constraint::Apart(_) => Features::Any,
        };
        of(&place, features)
    }

    pub fn take(&mut self, entry: &Entry<'a>, request: &Request, picks: &[Pick]) {
        let mut gres_left: Vec<u64> = request.gres.iter().map(|ask| ask.per_job).collect();
        let shares = shares(request, picks);
        let slurm = self.look.queue.slurm;
        let traced = self.look.trace.is_some_and(|id| id == entry.job.job_id);
        let end = self.now_s().saturating_add(entry.limit_s);
        let held = self.holds.next();
        let mut rest = shares.as_slice();
        while let Some((&Share { place, cpus, .. }, _)) = rest.split_first() {
            let Some((kind, run)) = self.pool.run_at(place) else { break };
            let (behind_run, state) = (run.end(), run.state.clone());
            // Neighbours of one run that give the same are taken at once.
            let alike = (place..behind_run)
                .zip(rest)
                .take_while(|(at, share)| (share.place, share.cpus) == (*at, cpus));
            let len = if request.asks_in_all() { 1 } else { alike.count().max(1) };
            let (_, behind) = rest.split_at(len.min(rest.len()));
            let nodes_behind = behind.len() as u64;
            let count = u32::try_from(len).unwrap_or(u32::MAX);
            let Some(class) = self.pool.classes.get(kind) else { break };
            let mut left = state.clone();
            fit::take(&mut left, class, request, &slurm, cpus, &mut gres_left, nodes_behind);
            // Of what is not empty Slurm has asked for it already, or other jobs are on it.
            let is_fresh = state.empty && !state.claimed && class.group.is_some();
            if is_fresh && (state.off || state.up) {
                let (at, first, launch) = (entry.at, place, state.off);
                self.fresh.push(Fresh { at, first, len: count, launch });
            }
            if traced {
                let names = (place..place + count).filter_map(|place| self.pool.name(place));
                self.traced.extend(names.cloned());
            }
            self.holds.push(Hold {
                first: place,
                len: count,
                class: kind,
                cpus: state.cpus.saturating_sub(left.cpus),
                memory_mib: state.memory_mib.saturating_sub(left.memory_mib),
                gres: fit::given_back(&state, &left, class, request),
            });
            self.pool.change(place, count, |state| *state = left);
            rest = behind;
        }
        // Of an array slurmctld appends what is left whenever a task starts.
        let is_first = self.got.get(entry.at).is_none_or(|got| got.tasks == 0);
        let appended = self.got.len().saturating_add(self.holds.len());
        let place = if is_first { entry.at } else { appended };
        self.holds.insert(End { at: end, pass: self.pass, place }, held);
        self.pool.weigh(entry.partition);
        if let Some(got) = self.got.get_mut(entry.at) {
            got.tasks += 1;
            got.nodes = got.nodes.saturating_add(u32::try_from(shares.len()).unwrap_or(u32::MAX));
            got.why = None;
        }
    }

    /// A job waits for nodes: in the first pass nobody behind it gets nodes of its partition; or,
    /// if it named all its nodes, of those.
    fn close(&mut self, entry: &Entry<'a>) {
        if !self.keep_named(entry) && said(&entry.job.resv_name).is_none() {
            set(&mut self.closed, entry.partition);
        }
    }

    /// Nobody behind a job gets the nodes that it named, if those are all that it needs.
    fn keep_named(&mut self, entry: &Entry<'a>) -> bool {
        let Ok(named) = self.lists.get(&entry.job.req_nodes) else { return false };
        if named.count == 0 || named.count < entry.job.nodes_min() {
            return false;
        }
        let closed = std::mem::take(&mut self.closed_places);
        self.looked_at.set(self.looked_at.get().saturating_add(closed.len()));
        self.closed_places = joined([closed.as_slice(), &named.places].concat());
        true
    }

    fn is_placed(&self, at: usize) -> bool {
        self.got.get(at).is_some_and(|got| got.nodes > 0)
    }

    /// Notes why a job is not placed. Of several partitions the first reason stands, unless a
    /// later one gives more hope; in a single one nothing is said against that it can never run.
    pub fn note(&mut self, at: usize, why: JobWhy) {
        let jobs = &self.look.queue.jobs;
        let Some(got) = self.got.get_mut(at).filter(|got| got.nodes == 0) else { return };
        let is_single = || jobs.get(at).is_some_and(|job| !job.partition.contains(','));
        let hope = |why: &JobWhy| {
            let waits = matches!(why, JobWhy::BehindOthers | JobWhy::TooFarBehind);
            let last = *why == JobWhy::Impossible && is_single();
            if last {
                3
            } else if *why == JobWhy::NoFreeNodes {
                2
            } else {
                u8::from(waits)
            }
        };
        if got.why.as_ref().is_none_or(|old| hope(&why) > hope(old)) {
            got.why = Some(why);
        }
    }

    fn sum_up(mut self) -> Demand {
        let Look { queue, earlier, now, .. } = self.look;
        let traced = std::mem::take(&mut self.traced);
        let mut demand = Demand { traced, ..Demand::default() };
        let mut verdicts = Vec::with_capacity(queue.jobs.len());
        for nodes in self.fresh.iter().filter(|nodes| nodes.launch) {
            if let Some(got) = self.got.get_mut(nodes.at) {
                got.launch = got.launch.saturating_add(nodes.len);
            }
        }
        for (job, got) in queue.jobs.iter().zip(&mut self.got) {
            if !job.is_pending() {
                continue;
            }
            let launch = got.launch;
            let since = || earlier.get(&job.job_id).copied().unwrap_or(*now);
            let why = match got.why.take() {
                Some(why) => why,
                None if launch == 0 => JobWhy::FitsOnNodesThatAreUp,
                // Its nodes stay taken: what comes behind it must not count on them either.
                None if now.since(since()) > PATIENCE => JobWhy::NotTaken,
                None => JobWhy::Counted,
            };
            if launch > 0 {
                demand.counted.insert(job.job_id, since());
            }
            if let JobWhy::NotYet { at } = why {
                demand.next_start = Some(demand.next_start.map_or(at, |earlier| earlier.min(at)));
            }
            got.is_counted = why.is_counted();
            let (nodes, launch) = if got.is_counted { (got.nodes, launch) } else { (0, 0) };
            verdicts.push((job.job_id, JobVerdict { nodes, launch, why }));
        }
        demand.jobs = verdicts.into_iter().collect();
        let is_counted = |at: usize| self.got.get(at).is_some_and(|got| got.is_counted);
        let counted = || self.fresh.iter().filter(|nodes| is_counted(nodes.at));
        for Fresh { first, len, launch, .. } in counted() {
            let sums = if *launch { &mut demand.launch } else { &mut demand.reuse };
            let group = self.pool.class_at(*first).and_then(|class| class.group);
            group.into_iter().for_each(|group| add(sums, group, *len));
        }
        let launched = counted().filter(|nodes| nodes.launch);
        let places = launched.flat_map(|nodes| nodes.first..nodes.first + nodes.len);
        demand.launched = places.filter_map(|place| self.pool.name(place)).cloned().collect();
        demand
    }
}

fn add(sums: &mut BTreeMap<GroupName, u32>, group: &GroupName, count: u32) {
    let sum = sums.entry(group.clone()).or_insert(0);
    *sum = sum.saturating_add(count);
}

/// Where in the cluster a job may go.
#[derive(Clone, PartialEq, Eq)]
pub struct Scene {
    partition: usize,
    inside: Option<usize>,
    outside: Bits,
}
