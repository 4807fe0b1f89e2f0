//! What goes wrong: how often, and how often it did.

use std::collections::BTreeMap;

use fastrand::Rng;
use slurm_asg_core::memory::Memory;
use slurm_asg_engine::{FileStore, Store, StoreError};

use crate::clock::{MINUTE, Millis, SECOND, Shared};

/// Faults that strike by themselves, at random times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    InstanceDies,
    AwsTakes,
    ActorTerminates,
    ActorRaises,
    ActorResizes,
    NoCapacity,
    AwsDown,
    EngineDies,
    EngineDiesMidTurn,
    SlurmctldDies,
    SlurmctldForgets,
    ClockIsSet,
}

const ALL: [(Fault, Millis); 12] = [
    (Fault::InstanceDies, 6 * MINUTE),
    (Fault::AwsTakes, 6 * MINUTE),
    (Fault::ActorTerminates, 10 * MINUTE),
    (Fault::ActorRaises, 10 * MINUTE),
    (Fault::ActorResizes, 10 * MINUTE),
    (Fault::NoCapacity, 20 * MINUTE),
    (Fault::AwsDown, 20 * MINUTE),
    (Fault::EngineDies, 5 * MINUTE),
    (Fault::EngineDiesMidTurn, 5 * MINUTE),
    (Fault::SlurmctldDies, 10 * MINUTE),
    (Fault::SlurmctldForgets, 10 * MINUTE),
    (Fault::ClockIsSet, 10 * MINUTE),
];

/// One seed's faults. Each kind is on or off, so that every combination comes up.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// No fault strikes later.
    pub until: Millis,
    pub strikes: Vec<(Fault, Millis)>,
    pub call_fails: f64,
    pub reply_lost: f64,
    pub slurm_fails: f64,
    pub slurm_slow: f64,
    pub save_fails: f64,
    pub tag_fails: f64,
    pub ring_lost: f64,
    pub never_boots: f64,
    pub cancelled: f64,
    /// AWS's reads are at most this old. That is no fault: it does not end.
    pub lag_max: Millis,
    /// Slurm's queue is long: reading it takes at least so long. That is no fault either.
    pub queue_takes: Millis,
    /// The desired capacity may lag too, and not as the list of instances does.
    pub desired_lags: bool,
    pub done: BTreeMap<String, u64>,
    /// A fault that counts as a violation: for the test of the tests.
    pub forbidden: Option<&'static str>,
}

impl Faults {
    pub fn draw(rng: &mut Rng, until: Millis) -> Self {
        let calm = rng.u8(0..10) == 0;
        let mut some = |rate: f64| if !calm && rng.bool() { rate } else { 0.0 };
        Self {
            until,
            call_fails: some(0.1),
            reply_lost: some(0.05),
            slurm_fails: some(0.05),
            slurm_slow: some(0.02),
            save_fails: some(0.1),
            tag_fails: some(0.3),
            ring_lost: some(0.5),
            never_boots: some(0.15),
            cancelled: some(0.3),
            strikes: ALL.into_iter().filter(|_| some(1.0) > 0.0).collect(),
            lag_max: if rng.bool() { rng.u64(0..4 * SECOND) } else { 0 },
            queue_takes: if rng.u8(0..3) == 0 { rng.u64(100..1500) } else { 0 },
            desired_lags: false,
            done: BTreeMap::new(),
            forbidden: None,
        }
    }

    /// Whether nothing keeps the engine from answering in time.
    pub fn are_harmless(&self) -> bool {
        let harmless = |(fault, _): &(Fault, Millis)| {
            matches!(fault, Fault::ActorTerminates | Fault::ActorRaises | Fault::ActorResizes)
        };
        let rates = [self.call_fails, self.reply_lost, self.slurm_fails, self.save_fails];
        self.strikes.iter().all(harmless) && rates == [0.0; 4]
    }

    fn rates(&mut self) -> [(&'static str, &mut f64); 9] {
        [
            ("call_fails", &mut self.call_fails),
            ("reply_lost", &mut self.reply_lost),
            ("slurm_fails", &mut self.slurm_fails),
            ("slurm_slow", &mut self.slurm_slow),
            ("save_fails", &mut self.save_fails),
            ("tag_fails", &mut self.tag_fails),
            ("ring_lost", &mut self.ring_lost),
            ("never_boots", &mut self.never_boots),
            ("cancelled", &mut self.cancelled),
        ]
    }

    /// The kinds of fault that are on.
    pub fn kinds(&mut self) -> Vec<String> {
        let mut kinds: Vec<_> =
            self.strikes.iter().map(|(fault, _)| format!("{fault:?}")).collect();
        let rates = self.rates();
        let on = rates.iter().filter(|(_, rate)| **rate > 0.0);
        kinds.extend(on.map(|(name, _)| (*name).to_owned()));
        kinds
    }

    /// Switches a kind off.
    pub fn switch_off(&mut self, kind: &str) {
        self.strikes.retain(|(fault, _)| format!("{fault:?}") != kind);
        for (name, rate) in self.rates() {
            if name == kind {
                *rate = 0.0;
            }
        }
    }

    pub fn count(&mut self, kind: &str) {
        *self.done.entry(kind.to_owned()).or_default() += 1;
    }
}

/// Memory as the last save left it; a save may fail.
pub struct Disk(pub Shared);

impl Store for Disk {
    fn load(&mut self) -> Result<Memory, StoreError> {
        // What is written as JSON must be read as what it was; of most saves nothing is read.
        let saved = self.0.world().disk.clone().unwrap_or_default();
        let text = serde_json::to_string(&saved).unwrap();
        Ok(serde_json::from_str(&text).unwrap())
    }

    fn save(&mut self, memory: &Memory) -> Result<(), StoreError> {
        let mut world = self.0.world();
        let rate = world.faults.save_fails;
        if world.strikes(rate, "save failed") {
            // Only the real store can make its error: no directory can be there.
            return FileStore::new("/dev/null/none".as_ref()).save(memory);
        }
        world.disk = Some(memory.clone());
        Ok(())
    }
}
