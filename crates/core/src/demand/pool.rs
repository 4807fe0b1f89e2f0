//! Nodes as runs: neighbours in slurmctld's table that are alike are one entry.
//!
//! Thousands of nodes are a handful of runs, and jobs that are placed one after the other split
//! and mend them. So placing a job costs as much as there are kinds of nodes, not nodes. Runs of
//! one class that follow one another are a stretch: a job passes over those that are no use to it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::Look;
use super::ahead::Hold;
use super::gres::{self, InUse, Stock, stocks};
use super::places::{Places, is_within, joined};
use crate::ids::{GroupName, NodeName};
use crate::node_state::{NodeState, Phase};
use crate::snapshot::{Node, Release};

/// Sets of partitions or reservations, a bit each, by their place in the alphabet.
pub type Bits = Vec<u64>;

/// So many runs are passed over together.
const PART: usize = 64;

/// What is the same for all nodes of a class, whatever jobs are placed.
#[derive(Debug)]
pub struct Class<'a> {
    /// The configuration that it is of, as slurm.conf has it: its nodes may be in several
    /// classes.
    pub config: usize,
    /// CPUs that jobs may have.
    pub cpus: u32,
    /// CPUs that go together.
    pub core: u32,
    /// Sockets, cores of each socket, threads of each core.
    pub layout: [u32; 3],
    /// Memory that jobs may have, MiB.
    pub memory_mib: u64,
    /// Temporary disk, MiB.
    pub disk_mib: u32,
    /// Slurm's weight.
    pub weight: u32,
    /// Features.
    pub features: BTreeSet<&'a str>,
    /// GRES.
    pub gres: Vec<Stock>,
    /// That nothing of it is in use.
    unused: Rc<[InUse]>,
    /// The partitions that its nodes are in.
    pub partitions: Bits,
    /// The reservations that its nodes are in.
    pub reservations: Bits,
    /// The group of asg.toml.
    pub group: Option<&'a GroupName>,
    /// How many of its nodes Slurm would place jobs on.
    pub usable: u64,
}

/// What is left of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// CPUs that are free.
    pub cpus: u32,
    /// Memory that is free, MiB.
    pub memory_mib: u64,
    /// GRES in use, in the order of the class's stock. Shared, because states are copied.
    pub gres_used: Rc<[InUse]>,
    /// No job holds anything of it.
    pub empty: bool,
    /// A job of this count has all of it.
    pub whole: bool,
    /// Something was on it before this count.
    pub worked: bool,
    /// Slurm calls it powered down, which makes it heavier.
    pub asleep: bool,
    /// It was powered up between Slurm's two passes.
    pub woken: bool,
    /// It has no machine, and nobody has asked for one.
    pub off: bool,
    /// It is in service.
    pub up: bool,
    /// A job of this count has it.
    pub claimed: bool,
    /// Slurm would place jobs on it.
    pub usable: bool,
}

/// Which weights of nodes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// Those that they have now, as where a job starts.
    Now,
    /// Those that they had when a job was placed on nodes of their partition last, as where
    /// Slurm only plans: sched_weight is set by _sync_node_weight() in node_scheduler.c.
    Last,
}

/// Neighbours that are alike.
#[derive(Clone, Debug)]
pub struct Run {
    /// The place of the first one.
    pub first: u32,
    /// How many there are.
    pub len: u32,
    /// What is left of each.
    pub state: State,
}

/// Runs of one class that follow one another.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Their class.
    pub class: usize,
    /// In the order of places. Never empty.
    pub runs: Vec<Run>,
    /// Of each run, what [`State::free`] says: most runs of a large cluster are full, and passed
    /// over by this alone.
    free: Vec<u8>,
}

impl Stretch {
    fn of(class: usize, run: Run) -> Self {
        Self { class, free: vec![run.state.free()], runs: vec![run] }
    }

    /// The runs that have so many CPUs free on each node, or more; also some that have fewer, where
    /// there are that many.
    pub fn with_free(&self, least: u32) -> impl Iterator<Item = &Run> {
        let least = u8::try_from(least).unwrap_or(u8::MAX);
        // The processor finds the most of a part at once.
        let most = |free: &[u8]| free.iter().fold(0, |most: u8, free| most.max(*free));
        let parts = self.runs.chunks(PART).zip(self.free.chunks(PART));
        let runs = parts.filter(move |(_, free)| most(free) >= least);
        let runs = runs.flat_map(|(runs, free)| runs.iter().zip(free));
        runs.filter(move |(_, free)| **free >= least).map(|(run, _)| run)
    }

    fn push(&mut self, run: Run) {
        let at = self.runs.len();
        self.free.push(run.state.free());
        self.runs.push(run);
        self.join(at);
    }

    /// Cuts a run in two before a place that is in it, if it does not begin there. The place of the
    /// run that does then.
    fn cut(&mut self, at: usize, place: u32) -> usize {
        let (Some(run), Some(free)) = (self.runs.get_mut(at), self.free.get(at)) else { return at };
        if place <= run.first || run.end() <= place {
            return at;
        }
        let behind = Run { first: place, len: run.end() - place, state: run.state.clone() };
        run.len = place - run.first;
        self.free.insert(at + 1, *free);
        self.runs.insert(at + 1, behind);
        at + 1
    }

    /// Makes a run and the one before it one, if they are alike.
    fn join(&mut self, at: usize) {
        let Some((before, behind)) = self.runs.split_at_mut_checked(at) else { return };
        if let (Some(run), Some(next)) = (before.last_mut(), behind.first())
            && run.end() == next.first
            && run.state == next.state
        {
            run.len += next.len;
            self.runs.remove(at);
            self.free.remove(at);
        }
    }

    fn first(&self) -> u32 {
        self.runs.first().map_or(0, |run| run.first)
    }

    fn run_at(&self, place: u32) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.first <= place).checked_sub(1)?;
        self.runs.get(at).filter(|run| place < run.end())
    }
}

impl State {
    /// CPUs that jobs may have now, as far as a byte tells; none if Slurm would place no jobs there.
    fn free(&self) -> u8 {
        if self.usable { u8::try_from(self.cpus).unwrap_or(u8::MAX) } else { 0 }
    }
}

impl Run {
    /// The place behind the last one.
    pub const fn end(&self) -> u32 {
        self.first + self.len
    }
}

/// All nodes.
#[derive(Debug)]
pub struct Pool<'a> {
    /// The classes.
    pub classes: Vec<Class<'a>>,
    /// The nodes, in the order of places.
    pub stretches: Vec<Stretch>,
    /// The names, by place.
    names: Vec<&'a NodeName>,
    /// The places, by name.
    places: BTreeMap<&'a NodeName, u32>,
    release: Option<Release>,
    /// Classes whose nodes Slurm still weighs as before it powered some up.
    stale: BTreeSet<usize>,
    /// GPUs near at hand for the last job with GRES that was looked at, by class.
    near: BTreeMap<usize, u64>,
    /// Configurations of which, in a partition, some nodes are powered down and some are not, by
    /// the weights of now and by those that count where Slurm plans.
    torn: [BTreeMap<usize, BTreeSet<usize>>; 2],
}

impl<'a> Pool<'a> {
    /// Sorts the nodes of a snapshot into runs.
    pub fn of(look: &Look<'a>) -> Self {
        let mut nodes: Vec<(usize, (&NodeName, &Node))> = look.nodes.iter().enumerate().collect();
        nodes.sort_by_key(|(_, (_, node))| node.index);
        let names: Vec<&NodeName> = nodes.iter().map(|(_, (name, _))| *name).collect();
        // In the order of names again: numbers are sorted faster than texts.
        let mut places: Vec<(usize, u32)> =
            nodes.iter().zip(0..).map(|((nth, _), place)| (*nth, place)).collect();
        places.sort_unstable();
        let places = places.into_iter().map(|(_, place)| place);
        let places: BTreeMap<&NodeName, u32> = look.nodes.keys().zip(places).collect();
        let queue = look.queue;
        let lists = queue.partitions.values().map(|partition| partition.nodes.as_slice());
        let partitions = members(lists, &places, &names);
        let reserved = queue.reservations.iter().flat_map(BTreeMap::values);
        let lists = reserved.map(|reservation| reservation.node_list.as_slice());
        let reservations = members(lists, &places, &names);
        let mut pool = Self {
            classes: Vec::new(),
            stretches: Vec::new(),
            names,
            places,
            release: queue.slurm.version,
            stale: BTreeSet::new(),
            near: BTreeMap::new(),
            torn: [BTreeMap::new(), BTreeMap::new()],
        };
        let mut kinds: Kinds<'a> = Kinds::default();
        for (place, (_, (name, node))) in (0..).zip(nodes) {
            let membership =
                |lists: &[Bits]| lists.get(place as usize).cloned().unwrap_or_default();
            let kind = Kind {
                node,
                partitions: membership(&partitions),
                reservations: membership(&reservations),
                group: look.policy.group_of(name),
            };
            let class = kinds.class_of(kind, &mut pool.classes);
            let state = pool.state_of(name, node, class, look);
            if let Some(class) = pool.classes.get_mut(class) {
                class.usable += u64::from(state.usable);
            }
            pool.push(class, Run { first: place, len: 1, state });
        }
        pool.note_torn(Weights::Now);
        pool.note_torn(Weights::Last);
        pool
    }

    fn state_of(&self, name: &NodeName, node: &Node, class: usize, look: &Look<'a>) -> State {
        let closed_flags = NodeState::DRAIN
            | NodeState::FAIL
            | NodeState::POWER_DOWN
            | NodeState::POWER_DRAIN
            | NodeState::COMPLETING
            | NodeState::REBOOT_ISSUED
            | NodeState::INVALID_REG;
        let phase = node.state.phase();
        let reserved = NodeState::MAINT | NodeState::RES;
        // Which jobs a reservation is for is known if reservations are.
        let reserved = look.queue.reservations.is_none() && node.state.has(reserved);
        let usable =
            matches!(node.state.base(), NodeState::IDLE | NodeState::ALLOCATED | NodeState::MIXED)
                && !node.state.has(closed_flags)
                && phase != Phase::Releasing
                && !reserved
                && !look.broken.contains(name);
        let works = node.state.has_work();
        let class = self.classes.get(class);
        let (cpus, memory) = class.map_or((0, 0), |class| (class.cpus, class.memory_mib));
        let used_cpus = node.alloc_cpus.unwrap_or(if works { cpus } else { 0 });
        let used_memory = node.alloc_memory.unwrap_or(if works && node.alloc_cpus.is_none() {
            memory
        } else {
            0
        });
        let mut gres_used = class.map(|class| Rc::clone(&class.unused)).unwrap_or_default();
        if let (Some(text), Some(class)) = (&node.gres_used, class) {
            note_use(&class.gres, text, Rc::make_mut(&mut gres_used));
        }
        State {
            cpus: cpus.saturating_sub(used_cpus),
            memory_mib: memory.saturating_sub(used_memory),
            gres_used,
            empty: used_cpus == 0 && !works,
            whole: false,
            worked: used_cpus > 0 || works,
            woken: false,
            asleep: node.state.has(NodeState::POWERED_DOWN),
            off: phase == Phase::Off,
            up: phase == Phase::Up,
            claimed: false,
            usable,
        }
    }

    /// Notes of which configurations, in a partition, some nodes are powered down and some are
    /// not: Slurm weighs those that are powered down otherwise then.
    fn note_torn(&mut self, weights: Weights) {
        let partitions = self.classes.iter().map(|class| class.partitions.len()).max();
        let partitions = partitions.unwrap_or(0).saturating_mul(64);
        let mut classes = vec![(false, false); self.classes.len()];
        for stretch in &self.stretches {
            let Some((asleep, awake)) = classes.get_mut(stretch.class) else { continue };
            for run in &stretch.runs {
                let is_asleep = self.is_asleep(stretch.class, &run.state, weights);
                *(if is_asleep { &mut *asleep } else { &mut *awake }) = true;
            }
        }
        let mut seen: BTreeMap<(usize, usize), (bool, bool)> = BTreeMap::new();
        for (class, (asleep, awake)) in self.classes.iter().zip(classes) {
            for partition in (0..partitions).filter(|nth| has(&class.partitions, *nth)) {
                let both = seen.entry((partition, class.config)).or_default();
                *both = (both.0 || asleep, both.1 || awake);
            }
        }
        let mut torn: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for ((partition, config), _) in seen.into_iter().filter(|(_, both)| *both == (true, true)) {
            torn.entry(partition).or_default().insert(config);
        }
        let [now, last] = &mut self.torn;
        *(match weights {
            Weights::Now => now,
            Weights::Last => last,
        }) = torn;
    }

    /// The configurations of which, in a partition and without the places that a job must not
    /// have, joined, some nodes are powered down and some are not.
    pub fn torn(
        &self,
        partition: usize,
        excluded: &[(u32, u32)],
        weights: Weights,
    ) -> BTreeSet<usize> {
        let [now, last] = &self.torn;
        let all = match weights {
            Weights::Now => now.get(&partition),
            Weights::Last => last.get(&partition),
        };
        let Some(all) = all else { return BTreeSet::new() };
        if excluded.is_empty() || weights == Weights::Last {
            return all.clone();
        }
        // Without some of their nodes others are not torn, and these may not be either.
        let mut seen: BTreeMap<usize, (bool, bool)> = BTreeMap::new();
        for stretch in &self.stretches {
            let Some(class) = self.classes.get(stretch.class) else { continue };
            if !all.contains(&class.config) || !has(&class.partitions, partition) {
                continue;
            }
            let (asleep, awake) = seen.entry(class.config).or_default();
            for run in &stretch.runs {
                let is_noted = if run.state.asleep { *asleep } else { *awake };
                if !is_noted && !is_within(excluded, run.first, run.end()) {
                    *(if run.state.asleep { &mut *asleep } else { &mut *awake }) = true;
                }
            }
        }
        let torn = seen.into_iter().filter(|(_, both)| *both == (true, true));
        torn.map(|(config, _)| config).collect()
    }

    /// Slurm powers up what jobs were given, which it does between its two passes.
    pub fn wake_claimed(&mut self) {
        for stretch in std::mem::take(&mut self.stretches) {
            for mut run in stretch.runs {
                run.state.woken = run.state.asleep && run.state.claimed;
                run.state.asleep &= !run.state.claimed;
                self.push(stretch.class, run);
            }
        }
        self.stale.extend(0..self.classes.len());
        self.note_torn(Weights::Now);
        self.note_torn(Weights::Last);
    }

    /// Slurm weighs a partition's nodes anew whenever it places a job there.
    pub fn weigh(&mut self, partition: usize) {
        let classes = &self.classes;
        let is_there = |class: &usize| {
            classes.get(*class).is_some_and(|class| has(&class.partitions, partition))
        };
        let before = self.stale.len();
        self.stale.retain(|class| !is_there(class));
        self.near.retain(|class, _| !is_there(class));
        if self.stale.len() < before {
            self.note_torn(Weights::Last);
        }
    }

    /// Slurm forgets how many GPUs a job found near at hand only with the next weighing.
    pub fn note_near(&mut self, place: u32, gpus: u64) {
        let class = self.run_at(place).map(|(class, _)| class);
        self.near.extend(class.map(|class| (class, gpus)));
    }

    /// What it has not forgotten.
    pub fn near(&self, class: usize) -> u64 {
        self.near.get(&class).copied().unwrap_or(0)
    }

    /// Whether nodes of a class are weighed as powered down.
    pub fn is_asleep(&self, class: usize, state: &State, weights: Weights) -> bool {
        let before = weights == Weights::Last && state.woken && self.stale.contains(&class);
        state.asleep || before
    }

    /// All runs, with their classes.
    pub fn runs(&self) -> impl Iterator<Item = (&Class<'a>, &Run)> {
        self.stretches.iter().flat_map(|stretch| {
            let class = self.classes.get(stretch.class);
            class.into_iter().flat_map(|class| stretch.runs.iter().map(move |run| (class, run)))
        })
    }

    /// How many runs there are.
    pub fn count_runs(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.runs.len()).sum()
    }

    /// In which order Slurm takes nodes, lower ones first (_build_node_list() and
    /// _set_sched_weight() in src/slurmctld/node_scheduler.c): powered-down ones come last.
    /// 22.05 forgets the weight of those of which the whole configuration is powered down, and
    /// up to 23.11 the others have none.
    pub fn weight(&self, class: &Class<'_>, asleep: bool, torn: &BTreeSet<usize>) -> u64 {
        const POWERED_DOWN: u64 = 1 << 33;
        const FORGOTTEN: u64 = 1 << 32;
        let weight = u64::from(class.weight);
        if !asleep {
            return weight;
        }
        let torn = torn.contains(&class.config);
        match self.release {
            Some(release) if release < Release::V23_02 => {
                if torn {
                    POWERED_DOWN | FORGOTTEN
                } else {
                    FORGOTTEN
                }
            }
            Some(release) if release < Release::V24_05 && torn => POWERED_DOWN,
            _ => POWERED_DOWN | weight,
        }
    }

    /// The places of nodes, joined; names that are not there are passed over.
    pub fn ranges<'n>(&self, names: impl IntoIterator<Item = &'n NodeName>) -> Places {
        let places = names.into_iter().filter_map(|name| self.places.get(name).copied());
        joined(places.map(|place| (place, place + 1)).collect())
    }

    /// The name at a place.
    pub fn name(&self, place: u32) -> Option<&'a NodeName> {
        self.names.get(place as usize).copied()
    }

    /// The run that a place is in, and its class.
    pub fn run_at(&self, place: u32) -> Option<(usize, &Run)> {
        let stretch = self.stretches.get(self.stretch_at(place)?)?;
        Some((stretch.class, stretch.run_at(place)?))
    }

    /// The class of the node at a place.
    pub fn class_at(&self, place: u32) -> Option<&Class<'a>> {
        self.classes.get(self.stretches.get(self.stretch_at(place)?)?.class)
    }

    fn stretch_at(&self, place: u32) -> Option<usize> {
        self.stretches.partition_point(|stretch| stretch.first() <= place).checked_sub(1)
    }

    /// Changes what is left of `len` nodes from `first` on, which are of one run.
    pub fn change(&mut self, first: u32, len: u32, change: impl FnOnce(&mut State)) {
        let Some(stretch) = self.stretch_at(first).and_then(|at| self.stretches.get_mut(at)) else {
            return;
        };
        let Some(at) = stretch.runs.partition_point(|run| run.first <= first).checked_sub(1) else {
            return;
        };
        let at = stretch.cut(at, first);
        stretch.cut(at, first.saturating_add(len));
        if let (Some(run), Some(free)) = (stretch.runs.get_mut(at), stretch.free.get_mut(at)) {
            change(&mut run.state);
            *free = run.state.free();
        }
        // They may now be like the run before them or behind them.
        stretch.join(at + 1);
        stretch.join(at);
    }

    /// A job ends that held something of some nodes.
    pub fn give_back(&mut self, hold: &Hold) {
        let (mut place, end) = (hold.first, hold.first + hold.len);
        let Some(class) = self.classes.get(hold.class) else { return };
        let (cpus, memory_mib) = (class.cpus, class.memory_mib);
        while place < end {
            let Some((_, run)) = self.run_at(place) else { return };
            let len = run.end().min(end) - place;
            self.change(place, len, |state| {
                state.cpus = state.cpus.saturating_add(hold.cpus).min(cpus);
                let memory = state.memory_mib.saturating_add(hold.memory_mib);
                state.memory_mib = memory.min(memory_mib);
                if !hold.gres.is_empty() {
                    let used = Rc::make_mut(&mut state.gres_used).iter_mut();
                    used.zip(&hold.gres).for_each(|(used, held)| *used = used.without(*held));
                }
                state.empty = state.cpus == cpus;
                state.whole = false;
            });
            place += len;
        }
    }

    fn push(&mut self, class: usize, run: Run) {
        match self.stretches.last_mut() {
            Some(stretch) if stretch.class == class => stretch.push(run),
            _ => self.stretches.push(Stretch::of(class, run)),
        }
    }
}

/// For each place, which of the lists it is in. Most lists are in the order of places.
fn members<'n>(
    lists: impl Iterator<Item = &'n [NodeName]>,
    places: &BTreeMap<&NodeName, u32>,
    names: &[&NodeName],
) -> Vec<Bits> {
    let mut members: Vec<Bits> = vec![Bits::new(); names.len()];
    for (nth, list) in lists.enumerate() {
        let mut next = 0_usize;
        for name in list {
            let is_next = names.get(next) == Some(&name);
            let place = || places.get(name).map(|place| *place as usize);
            let Some(place) = Some(next).filter(|_| is_next).or_else(place) else { continue };
            if let Some(bits) = members.get_mut(place) {
                set(bits, nth);
            }
            next = place + 1;
        }
    }
    members
}

/// Sets a bit.
pub fn set(bits: &mut Bits, nth: usize) {
    let (word, bit) = (nth / 64, nth % 64);
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    if let Some(word) = bits.get_mut(word) {
        *word |= 1 << bit;
    }
}

/// Whether a bit is set.
pub fn has(bits: &Bits, nth: usize) -> bool {
    bits.get(nth / 64).is_some_and(|word| word >> (nth % 64) & 1 == 1)
}

/// Whether two sets have a bit in common.
pub fn overlap(one: &Bits, other: &Bits) -> bool {
    one.iter().zip(other).any(|(one, other)| one & other != 0)
}

/// What makes a node's class.
struct Kind<'a> {
    node: &'a Node,
    partitions: Bits,
    reservations: Bits,
    group: Option<&'a GroupName>,
}

/// What of a kind is compared, in this order.
type Key<'a> = (Config<'a>, Bits, Bits, Option<&'a GroupName>);

/// What slurm.conf says of nodes.
type Config<'a> = ([u32; 7], [u64; 2], Option<&'a Arc<str>>, Option<&'a Arc<str>>);

#[derive(Default)]
struct Kinds<'a> {
    known: BTreeMap<Key<'a>, usize>,
    configs: BTreeMap<Config<'a>, usize>,
    /// Neighbours are mostly alike.
    last: Option<(Key<'a>, usize)>,
}

impl<'a> Kinds<'a> {
    fn class_of(&mut self, kind: Kind<'a>, classes: &mut Vec<Class<'a>>) -> usize {
        let key = kind.key();
        if let Some((last, class)) = &self.last
            && *last == key
        {
            return *class;
        }
        let class = match self.known.get(&key) {
            Some(class) => *class,
            None => {
                let configs = self.configs.len();
                let config = *self.configs.entry(key.0).or_insert(configs);
                classes.push(kind.class(config));
                self.known.insert(key.clone(), classes.len() - 1);
                classes.len() - 1
            }
        };
        self.last = Some((key, class));
        class
    }
}

impl<'a> Kind<'a> {
    fn key(&self) -> Key<'a> {
        let node = self.node;
        let config = (
            [
                node.cpus(),
                node.cpus_of_a_core(),
                node.sockets,
                node.cores,
                node.threads,
                node.tmp_disk,
                node.weight,
            ],
            [node.memory_for_jobs(), u64::from(node.core_spec_cnt)],
            node.active_features(),
            node.gres.as_ref(),
        );
        (config, self.partitions.clone(), self.reservations.clone(), self.group)
    }

    fn class(self, config: usize) -> Class<'a> {
        let node = self.node;
        let core = node.cpus_of_a_core();
        let features = node.active_features().map_or("", |text| text);
        let gres = node.gres.as_deref().map(stocks).unwrap_or_default();
        Class {
            config,
            cpus: node.cpus().saturating_sub(node.core_spec_cnt.saturating_mul(core)),
            core,
            layout: [node.sockets.max(1), node.cores.max(1), node.threads.max(1)],
            memory_mib: node.memory_for_jobs(),
            disk_mib: node.tmp_disk,
            weight: node.weight,
            features: features.split(',').filter(|name| !name.is_empty()).collect(),
            unused: Rc::from(vec![InUse::default(); gres.len()]),
            gres,
            partitions: self.partitions,
            reservations: self.reservations,
            group: self.group,
            usable: 0,
        }
    }
}

/// Notes what of a stock is in use. What is used of no known type is taken from the first ones.
fn note_use(stock: &[Stock], text: &str, used: &mut [InUse]) {
    for in_use in stocks(text) {
        let more = InUse { of_type: in_use.count, in_all: in_use.count };
        gres::note(stock, used, (&in_use.name, in_use.kind.as_deref()), more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(cpus: u32) -> State {
        State {
            cpus,
            memory_mib: 0,
            gres_used: Rc::default(),
            empty: true,
            woken: false,
            worked: false,
            whole: false,
            asleep: false,
            off: false,
            up: true,
            claimed: false,
            usable: true,
        }
    }

    fn pool(lens: &[(u32, u32)]) -> Pool<'static> {
        let mut pool = Pool {
            classes: Vec::new(),
            stretches: Vec::new(),
            names: Vec::new(),
            places: BTreeMap::new(),
            near: BTreeMap::new(),
            stale: BTreeSet::new(),
            release: None,
            torn: [BTreeMap::new(), BTreeMap::new()],
        };
        let mut first = 0;
        for (len, cpus) in lens {
            pool.push(0, Run { first, len: *len, state: state(*cpus) });
            first += len;
        }
        pool
    }

    fn shape(pool: &Pool<'_>) -> Vec<(u32, u32)> {
        let runs = pool.stretches.iter().flat_map(|stretch| &stretch.runs);
        runs.map(|run| (run.len, run.state.cpus)).collect()
    }

    #[test]
    fn runs_are_split_by_a_change_and_mended_by_its_like() {
        let mut pool = pool(&[(10, 4)]);
        pool.change(0, 1, |state| state.cpus = 2);
        assert_eq!(shape(&pool), [(1, 2), (9, 4)]);
        pool.change(1, 1, |state| state.cpus = 2);
        assert_eq!(shape(&pool), [(2, 2), (8, 4)]);
        pool.change(5, 2, |state| state.cpus = 0);
        assert_eq!(shape(&pool), [(2, 2), (3, 4), (2, 0), (3, 4)]);
        pool.change(5, 2, |state| state.cpus = 4);
        assert_eq!(shape(&pool), [(2, 2), (8, 4)]);
        pool.change(0, 2, |state| state.cpus = 4);
        assert_eq!(shape(&pool), [(10, 4)]);
        assert_eq!(pool.stretches.len(), 1);
    }

    #[test]
    fn gres_in_use_are_taken_off_their_type() {
        let stock = stocks("gpu:a:2,gpu:b:2");
        let mut used = vec![InUse::default(); 2];
        note_use(&stock, "gpu:b:1(IDX:0)", &mut used);
        let of_types = |used: &[InUse]| used.iter().map(|used| used.of_type).collect::<Vec<_>>();
        assert_eq!(of_types(&used), [0, 1]);
        note_use(&stock, "gpu:3", &mut used);
        assert_eq!((of_types(&used), used[0].in_all), (vec![2, 2], 4));
    }
}
