//! What nodes can offer to a job, and what is left of them once it has them
//! (can_job_run_on_node() in cons_tres/job_test.c and _verify_node_state() in
//! cons_common/job_test.c, 22.05.8).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::choose::Offer;
use super::feature::Expression;
use super::gres::{self, InUse};
use super::places::overlapping;
use super::pool::{Bits, Class, Pool, Run, State, Weights, has, overlap};
use super::request::Request;
use crate::snapshot::{JobMemory, SlurmFacts};

/// Rarely more are offered to a job.
const OFFERS_LIKELY: usize = 250;

/// Which nodes may be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Nodes as they are.
    Free,
    /// Nodes that Slurm would use, as if nothing ran on them, but for those that are closed.
    UsableAndOpen,
    /// Nodes that Slurm would use, as if nothing ran on them.
    Usable,
    /// All nodes, as if nothing ran on them and all were up.
    Any,
}

/// Where a job may be placed.
#[derive(Clone, Debug)]
pub struct Where<'w> {
    /// The partition's place in the alphabet.
    pub partition: usize,
    /// Partitions whose nodes are closed, because a job before waits for them.
    pub closed: &'w Bits,
    /// The reservation that the job is in, by its place in the alphabet.
    pub inside: Option<usize>,
    /// Reservations that the job must keep out of.
    pub outside: &'w Bits,
    /// Places that the job must have, joined.
    pub required: &'w [(u32, u32)],
    /// Places that the job must not have, joined.
    pub excluded: &'w [(u32, u32)],
    /// Which nodes.
    pub which: Which,
    /// Which weights they have.
    pub weights: Weights,
    /// Counts the runs that are looked at.
    pub looked_at: &'w Cell<usize>,
}

/// Which features a node must have.
#[derive(Clone, Copy)]
pub enum Features<'f> {
    /// It does not matter.
    Any,
    /// These.
    Each(&'f Expression),
    /// These and those.
    Both(&'f Expression, &'f Expression),
    /// Those of at least one that is counted.
    AnyOf(&'f [(Expression, u32)]),
}

impl Features<'_> {
    fn suit(self, node: &BTreeSet<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Each(features) => features.matches(node),
            Self::Both(some, others) => some.matches(node) && others.matches(node),
            Self::AnyOf(counted) => counted.iter().any(|(some, _)| some.matches(node)),
        }
    }
}

/// What the nodes of a place offer, in their order.
pub fn offers(
    pool: &Pool<'_>,
    request: &Request,
    slurm: &SlurmFacts,
    place: &Where<'_>,
    features: Features<'_>,
) -> Vec<Offer> {
    let mut offers = Vec::with_capacity(OFFERS_LIKELY);
    let torn = pool.torn(place.partition, place.excluded, place.weights);
    let mut verdicts: Vec<Option<bool>> = vec![None; pool.classes.len()];
    let least = request.least_cpus();
    for stretch in &pool.stretches {
        let Some(class) = pool.classes.get(stretch.class) else { continue };
        let Some(verdict) = verdicts.get_mut(stretch.class) else { continue };
        let suits = *verdict
            .get_or_insert_with(|| suits(class, request, place) && features.suit(&class.features));
        if !suits {
            continue;
        }
        place.looked_at.set(place.looked_at.get().saturating_add(stretch.runs.len()));
        if !request.gres.iter().all(|ask| gres::has(&class.gres, ask)) {
            continue;
        }
        let weight_of = |asleep| pool.weight(class, asleep, &torn);
        let (awake, asleep) = (weight_of(false), weight_of(true));
        let free = if place.which == Which::Free { least } else { 0 };
        for run in stretch.with_free(free) {
            let Some(offer) = offer(run, class, request, slurm, place.which, least) else {
                continue;
            };
            let is_asleep = pool.is_asleep(stretch.class, &run.state, place.weights);
            let weight = if is_asleep { asleep } else { awake };
            let near = match place.weights {
                Weights::Last if request.gres.is_empty() => pool.near(stretch.class),
                Weights::Last | Weights::Now => offer.gpus.min(0xff),
            };
            let offer = Offer {
                first: run.first,
                len: run.len,
                cpus: offer.cpus,
                core: offer.core,
                gres: offer.gres,
                // Of nodes that weigh the same, Slurm favours those with more GPUs at hand.
                weight: weight << 8 | (0xff - near),
                required: false,
            };
            let required = overlapping(place.required, run.first, run.end());
            let excluded = overlapping(place.excluded, run.first, run.end());
            if required.is_empty() && excluded.is_empty() {
                offers.push(offer);
            } else {
                cut(&offer, required, excluded, &mut offers);
            }
        }
    }
    offers
}

/// What the node at a place offers as it is, if its kind is known to suit the job.
pub fn offer_of(
    pool: &Pool<'_>,
    request: &Request,
    slurm: &SlurmFacts,
    place: u32,
) -> Option<Offer> {
    let (class, run) = pool.run_at(place)?;
    let class = pool.classes.get(class)?;
    let NodeOffer { cpus, core, gres, .. } =
        offer(run, class, request, slurm, Which::Free, request.least_cpus())?;
    Some(Offer { first: place, len: 1, cpus, core, gres, weight: 0, required: false })
}

/// Cuts an offer where its nodes are required or excluded.
fn cut(offer: &Offer, required: &[(u32, u32)], excluded: &[(u32, u32)], out: &mut Vec<Offer>) {
    let end = offer.first + offer.len;
    let ranges = required.iter().chain(excluded);
    let mut marks: Vec<u32> = ranges.flat_map(|(from, to)| [*from, *to]).collect();
    marks.retain(|mark| offer.first < *mark && *mark < end);
    marks.extend([offer.first, end]);
    marks.sort_unstable();
    marks.dedup();
    let inside = |ranges, at: u32| !overlapping(ranges, at, at + 1).is_empty();
    for pair in marks.windows(2) {
        let [from, to] = *pair else { continue };
        if !inside(excluded, from) {
            let required = inside(required, from);
            out.push(Offer { first: from, len: to - from, required, ..offer.clone() });
        }
    }
}

/// The classes whose nodes could be offered, whatever runs there.
pub fn classes_that_suit(
    pool: &Pool<'_>,
    request: &Request,
    place: &Where<'_>,
    features: Features<'_>,
) -> Vec<bool> {
    let suit = |class: &Class<'_>| suits(class, request, place) && features.suit(&class.features);
    pool.classes.iter().map(suit).collect()
}

/// What does not depend on what runs there.
fn suits(class: &Class<'_>, request: &Request, place: &Where<'_>) -> bool {
    let memory = match request.memory {
        JobMemory::Unsaid => 0,
        JobMemory::PerNode(mib) | JobMemory::PerCpu(mib) => mib,
    };
    has(&class.partitions, place.partition)
        && !overlap(&class.partitions, place.closed)
        && place.inside.is_none_or(|inside| has(&class.reservations, inside))
        && !overlap(&class.reservations, place.outside)
        && class.cpus >= request.node_cpus_min
        && class.memory_mib >= memory
        && class.disk_mib >= request.disk_mib
        && class.layout.iter().zip(&request.layout).all(|(there, asked)| there >= asked)
}

struct NodeOffer {
    cpus: u32,
    core: u32,
    gres: Vec<u64>,
    gpus: u64,
}

/// Whether a look at all the rest is worth while: most nodes of a large cluster are full.
#[inline]
fn may_offer(state: &State, class: &Class<'_>, whole: bool, which: Which, least: u32) -> bool {
    match which {
        Which::Free => state.usable && state.cpus >= least && (!whole || state.empty),
        Which::UsableAndOpen | Which::Usable => state.usable && class.cpus >= least,
        Which::Any => class.cpus >= least,
    }
}

#[inline(always)]
fn offer(
    run: &Run,
    class: &Class<'_>,
    request: &Request,
    slurm: &SlurmFacts,
    which: Which,
    least: u32,
) -> Option<NodeOffer> {
    let state = &run.state;
    if !may_offer(state, class, request.whole, which, least) {
        return None;
    }
    let as_if_empty = which != Which::Free;
    let free = if as_if_empty { class.cpus } else { state.cpus };
    let memory_mib = if as_if_empty { class.memory_mib } else { state.memory_mib };
    if slurm.unsaid_is_all_memory()
        && request.memory == JobMemory::Unsaid
        && memory_of_gres(request) == 0
        && memory_mib < class.memory_mib
    {
        return None;
    }
    // Whatever SelectTypeParameters says, no core is shared by jobs (_allocate_sc() in
    // cons_common/cons_common.c has a bit for each core, not for each thread).
    let core = request.threads_of(class.core);
    let mut cpus = (free / class.core.max(1)).saturating_mul(core);
    if let Some(most) = request.node_cpus_max {
        // Other jobs of the partition count too; that they are of it is assumed.
        let held = class.cpus.saturating_sub(free);
        if request.whole && class.cpus > most {
            return None;
        }
        cpus = cpus.min(most.saturating_sub(held));
    }
    let (mut gres, mut gpus) = (Vec::new(), 0);
    if !request.gres.is_empty() {
        (gres, gpus) = available_gres(class, state, request, as_if_empty, cpus, memory_mib)?;
        cpus = limit_by_gres(cpus, request, &gres)?;
    }
    let step = if slurm.splits_cores() { 1 } else { core };
    cpus = limit_by_memory(cpus, step, memory_mib, request, slurm)?;
    if !request.gres.is_empty() && !request.whole {
        cpus = cpus.min(cpus_with_gres(request, cpus, core, &gres));
    }
    (cpus >= least).then_some(NodeOffer { cpus, core, gres, gpus })
}

fn limit_by_gres(cpus: u32, request: &Request, gres: &[u64]) -> Option<u32> {
    let Some(tasks) = tasks_by_gres(request, gres) else { return Some(cpus) };
    let least = request.node_tasks_cpus_min / request.cpus_per_task;
    if tasks < u64::from(least.max(1)) {
        return None;
    }
    if request.gres.iter().any(|ask| ask.cpus_each > 0) {
        return Some(cpus);
    }
    let most = tasks.saturating_mul(u64::from(request.cpus_per_task));
    Some(cpus.min(u32::try_from(most).unwrap_or(u32::MAX)))
}

/// How many tasks GRES for each task let run on a node.
fn tasks_by_gres(request: &Request, gres: &[u64]) -> Option<u64> {
    let limits = request.gres.iter().zip(gres).filter(|(ask, _)| ask.per_task > 0);
    limits.map(|(ask, there)| there / ask.per_task).min()
}

/// With GRES a job is offered no more than its tasks and its GRES need
/// (gres_select_filter_sock_core() in cons_common/gres_select_filter.c).
fn cpus_with_gres(request: &Request, cpus: u32, core: u32, gres: &[u64]) -> u32 {
    let tasks = request.tasks_each.unwrap_or(cpus / request.cpus_per_task).max(1);
    let for_tasks = tasks.saturating_mul(request.cpus_per_task);
    let for_gres = request
        .gres
        .iter()
        .zip(gres)
        .map(|(ask, there)| ask.cpus_for(ask.on_node(u64::from(tasks)).unwrap_or(*there)));
    let least = for_gres.fold(for_tasks, u32::max);
    least.div_ceil(core.max(1)).saturating_mul(core.max(1))
}

fn memory_of_gres(request: &Request) -> u64 {
    request.gres.iter().map(|ask| ask.memory_each).max().unwrap_or(0)
}

/// What of each GRES the job may have on the node, and how many GPUs; `None` if too few.
fn available_gres(
    class: &Class<'_>,
    state: &State,
    request: &Request,
    as_if_empty: bool,
    cpus: u32,
    memory_mib: u64,
) -> Option<(Vec<u64>, u64)> {
    let mut gpus: u64 = 0;
    let mut all = Vec::new();
    for ask in &request.gres {
        // Of types that have no place on the node each must be enough by itself
        // (_build_sock_gres_by_type() in cons_tres/gres_sched.c).
        let enough = ask.per_node.max(ask.per_task).max(1);
        let used = if as_if_empty { &[] } else { &*state.gres_used };
        let mut there: u64 = gres::left(&class.gres, used, ask)
            .filter(|(line, left)| line.kind.is_none() || line.located || *left >= enough)
            .map(|(_, left)| left)
            .sum();
        if let Some(fit) = cpus.checked_div(ask.cpus_each) {
            there = there.min(u64::from(fit));
        }
        if let Some(fit) = memory_mib.checked_div(ask.memory_each) {
            there = there.min(fit);
        }
        let tasks = u64::from(request.tasks_per_node.unwrap_or(1));
        let least = ask.per_node.max(ask.per_task.saturating_mul(tasks)).max(1);
        if there < least {
            return None;
        }
        if ask.name == "gpu" {
            let asked = [ask.per_node, ask.per_job].into_iter().find(|most| *most > 0);
            let most = asked.filter(|_| !request.whole);
            gpus = gpus.saturating_add(there.min(most.unwrap_or(u64::MAX)));
        }
        all.push(there);
    }
    Some((all, gpus))
}

fn limit_by_memory(
    cpus: u32,
    core: u32,
    memory_mib: u64,
    request: &Request,
    slurm: &SlurmFacts,
) -> Option<u32> {
    if !slurm.shares_memory() {
        return Some(cpus);
    }
    match request.memory {
        JobMemory::Unsaid => Some(cpus),
        JobMemory::PerNode(mib) => (mib <= memory_mib).then_some(cpus),
        JobMemory::PerCpu(mib) => {
            let fit = u32::try_from(memory_mib.checked_div(mib)?).unwrap_or(u32::MAX);
            if request.whole && cpus > fit {
                return None;
            }
            // Core by core, until there is memory for what is left.
            let core = core.max(1);
            let gone = cpus.saturating_sub(fit).div_ceil(core).saturating_mul(core);
            let cpus = cpus.saturating_sub(gone);
            let cpus = cpus - cpus % request.cpus_per_task;
            (cpus >= request.tasks_per_node.unwrap_or(1).max(1)).then_some(cpus)
        }
    }
}

/// What GRES of a node are free again once a job ends that has changed it so.
pub fn given_back(
    before: &State,
    after: &State,
    class: &Class<'_>,
    request: &Request,
) -> Vec<InUse> {
    if request.gres.is_empty() && !request.whole {
        return Vec::new();
    }
    let booked = after.gres_used.iter().zip(before.gres_used.iter());
    let booked = booked.map(|(after, before)| after.without(*before));
    if request.whole {
        // Slurm makes it ask for each type that is there (_handle_exclusive_gres()).
        return booked.collect();
    }
    let lines = class.gres.iter().zip(booked);
    lines.map(|(line, booked)| gres::given_back(line, booked, &request.gres)).collect()
}

/// Takes a job's share of a node off what is left of it.
pub fn take(
    state: &mut State,
    class: &Class<'_>,
    request: &Request,
    slurm: &SlurmFacts,
    cpus: u32,
    gres_left: &mut [u64],
    nodes_behind: u64,
) {
    let threads = request.threads_of(class.core);
    let cores = cpus.div_ceil(threads);
    let held = cores.saturating_mul(class.core.max(1));
    let tasks = u64::from((cpus / request.cpus_per_task).max(1));
    let before = Rc::clone(&state.gres_used);
    for (ask, left) in request.gres.iter().zip(gres_left) {
        let there: u64 = gres::left(&class.gres, &before, ask).map(|(_, left)| left).sum();
        let count = ask.on_node(tasks).unwrap_or_else(|| {
            // Each node that is still to come gets at least one.
            there.min(left.saturating_sub(nodes_behind).max(1)).min(*left)
        });
        *left = left.saturating_sub(count);
        if ask.memory_each > 0 && request.memory == JobMemory::Unsaid {
            let mib = ask.memory_each.saturating_mul(count);
            state.memory_mib = state.memory_mib.saturating_sub(mib);
        }
        gres::book(&class.gres, Rc::make_mut(&mut state.gres_used), ask, count);
    }
    let memory = match request.memory {
        JobMemory::PerNode(mib) => mib,
        JobMemory::PerCpu(mib) => {
            // dist_tasks() gives the rest of a core too, and memory with it.
            let given = if slurm.splits_cores() { cpus } else { cores.saturating_mul(threads) };
            mib.saturating_mul(u64::from(given))
        }
        JobMemory::Unsaid if memory_of_gres(request) > 0 => 0,
        JobMemory::Unsaid if slurm.unsaid_is_all_memory() => state.memory_mib,
        JobMemory::Unsaid => 0,
    };
    state.memory_mib = state.memory_mib.saturating_sub(memory);
    state.whole |= request.whole;
    state.cpus = if request.whole { 0 } else { state.cpus.saturating_sub(held) };
    if request.whole {
        state.memory_mib = 0;
        for (line, used) in class.gres.iter().zip(Rc::make_mut(&mut state.gres_used)) {
            *used = InUse { of_type: line.count, in_all: line.in_all };
        }
    }
    state.empty = false;
    state.claimed = true;
}
