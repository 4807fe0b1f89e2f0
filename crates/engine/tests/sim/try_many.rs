//! Many worlds, one after the other on each processor, and what came of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::clock::{MINUTE, Millis};
use crate::shrink::{Broken, shrink, world_of};
use crate::simulate;
use crate::world::World;

/// After so many seeds that break a rule no more are tried.
const BROKEN_MAX: usize = 5;

/// What came of all seeds so far.
#[derive(Default)]
struct Tally {
    seeds: u64,
    time: Millis,
    jobs: u32,
    finished: u32,
    launched: u32,
    calls: u64,
    most_calls: usize,
    most_looks: usize,
    faults: BTreeMap<String, u64>,
    broken: Vec<Broken>,
}

impl Tally {
    fn add(&mut self, world: &World) {
        self.time += world.lasted();
        self.jobs += world.slurm.submitted;
        self.finished += world.slurm.finished;
        self.launched += world.aws.launched;
        self.calls += world.calls.total;
        self.most_calls = self.most_calls.max(world.calls.most);
        self.most_looks = self.most_looks.max(world.looks.most);
        for (kind, times) in &world.faults.done {
            *self.faults.entry(kind.clone()).or_default() += times;
        }
    }

    fn print(&self, name: &str) {
        let (hours, broken) = (self.time / MINUTE / 60, self.broken.len());
        println!("{name}: {} seeds, {hours} simulated hours, {broken} violations", self.seeds);
        println!(
            "{} jobs submitted, {} finished; {} instances",
            self.jobs, self.finished, self.launched
        );
        println!(
            "{} AWS calls, at most {} in a minute; at most {} looks at Slurm",
            self.calls, self.most_calls, self.most_looks
        );
        for (kind, times) in &self.faults {
            println!("{times:>8} {kind}");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Simulates so many hours, and fails with the first seed's story. `name` is the test's. Says how
/// often which fault struck.
pub fn try_hours(
    name: &str,
    hours: u64,
    change: impl Fn(&mut World) + Sync,
) -> BTreeMap<String, u64> {
    let first = number("SLURM_ASG_SIM_FIRST").unwrap_or(1);
    let limit = number("SLURM_ASG_SIM_HOURS").unwrap_or(hours) * 60 * MINUTE;
    let tally = Mutex::new(Tally::default());
    let lock = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || {
        let mut tally = lock();
        let more = tally.seeds == 0 || tally.time < limit && tally.broken.len() < BROKEN_MAX;
        more.then(|| {
            tally.seeds += 1;
            first + tally.seeds - 1
        })
    };
    let work = || {
        while let Some(seed) = next() {
            let world = simulate(world_of(seed, &change));
            lock().add(&world.world());
            if !world.world().violations.is_empty() {
                let broken = shrink(name, seed, &change);
                lock().broken.push(broken);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let tally = lock();
    tally.print(name);
    if let Some(broken) = tally.broken.first() {
        let list: Vec<_> = tally.broken.iter().map(|it| it.summary.as_str()).collect();
        panic!("\n{}\n{}", broken.story, list.join("\n"));
    }
    tally.faults.clone()
}
