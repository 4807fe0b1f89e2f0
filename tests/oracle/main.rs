//! Slurm is the oracle: random mixes of jobs are submitted to a real slurmctld whose nodes are
//! all powered down. What the count says before Slurm has scheduled anything is compared with
//! the nodes that Slurm then powers up.
//!
//! SLURM_ASG_MIXES is how many mixes are played, SLURM_ASG_SEED plays one and tells its story,
//! SLURM_ASG_RECORD is a directory for snapshots and outcomes.
#![expect(clippy::print_stdout, reason = "the test prints its figures")]
#![expect(clippy::indexing_slicing, clippy::expect_used, reason = "a test may fail")]

mod mix;
mod run;

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, ensure};

use mix::Class;
use run::{Outcome, play};

/// Mixes in a test run.
const MIXES: u64 = 30;
/// Clusters at once: mostly they wait for Slurm.
const CLUSTERS: u64 = 5;
/// So many mixes of a hundred must be equal.
const EQUAL_PERCENT_MIN: usize = 98;

fn number(name: &str) -> Result<Option<u64>> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("{name} is no number: {text}"))
}

#[test]
fn what_is_counted_is_what_slurm_then_powers_up() -> Result<()> {
    let one = number("SLURM_ASG_SEED")?;
    let first = one.or(number("SLURM_ASG_FIRST_SEED")?).unwrap_or(1);
    let mixes = if one.is_some() { 1 } else { number("SLURM_ASG_MIXES")?.unwrap_or(MIXES) };
    let clusters = number("SLURM_ASG_CLUSTERS")?.unwrap_or(CLUSTERS);
    let record = env::var_os("SLURM_ASG_RECORD").map(PathBuf::from);
    let seeds = Mutex::new(first..first + mixes);
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..clusters {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().expect("no panic").next() else { return };
                    let outcome = play(seed, record.as_deref());
                    println!("seed {seed}: {}", outcome.as_ref().map_or("failed", verdict));
                    outcomes.lock().expect("no panic").insert(seed, outcome);
                }
            });
        }
    });
    judge(outcomes.into_inner().expect("no panic"), one.is_some())
}

fn verdict(outcome: &Outcome) -> &'static str {
    match (outcome.is_equal(), outcome.is_short()) {
        (true, _) => "equal",
        (false, true) => "too few",
        (false, false) => "too many, or others",
    }
}

/// Prints the figures and the stories of those that differ, and says whether that is enough.
fn judge(outcomes: BTreeMap<u64, Result<Outcome>>, tell_all: bool) -> Result<()> {
    let mut figures: BTreeMap<Class, (usize, usize)> = BTreeMap::new();
    let mut short = Vec::new();
    for (seed, outcome) in outcomes {
        let outcome = outcome.with_context(|| format!("seed {seed}"))?;
        let (equal, all) = figures.entry(outcome.class).or_default();
        *equal += usize::from(outcome.is_equal());
        *all += 1;
        if outcome.class == Class::Plain && outcome.is_short() {
            short.push(seed);
        }
        if tell_all || !outcome.is_equal() {
            let Outcome { class, counted, taken, story } = &outcome;
            println!("\nseed {seed} ({class:?}), {}:", verdict(&outcome));
            println!("  counted {counted:?}\n  Slurm   {taken:?}\n{story}");
        }
    }
    let (equal, all) = figures.values().fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    for (class, (equal, all)) in &figures {
        println!("{class:?}: {equal} of {all} mixes equal");
    }
    println!("all: {equal} of {all} mixes equal");
    ensure!(short.is_empty(), "fewer nodes than Slurm needs for plain jobs: seeds {short:?}");
    let enough = equal * 100 >= all * EQUAL_PERCENT_MIN;
    ensure!(enough, "{equal} of {all} mixes are equal, which is less than {EQUAL_PERCENT_MIN} %");
    Ok(())
}
