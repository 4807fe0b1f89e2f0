//! A simulation of the loop: the real engine between a modelled slurmctld and a modelled Auto
//! Scaling group, in virtual time, with faults on both sides.
//!
//! Everything follows from one seed. A seed that breaks a rule is tried again without one kind of
//! fault after the other; what is left is told with what happened last and with the command that
//! repeats it. With `SLURM_ASG_STORY=1` that command tells everything. `SLURM_ASG_SIM_HOURS` says
//! for how many hours in all clusters are simulated, `SLURM_ASG_SIM_FIRST` from which seed on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test fails by panicking, and tells the story"
)]

mod aws;
mod clock;
mod faults;
mod notebook;
mod oracle;
mod shrink;
mod slurm;
mod try_many;
mod world;

use std::cell::RefCell;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use slurm_asg_core::policy::{self, Policy};
use slurm_asg_engine::{Command, Engine, Look, What};

use crate::aws::{ASG, Ec2};
use crate::clock::{MINUTE, Millis, SECOND, Shared};
use crate::faults::{Disk, Fault, Faults};
use crate::notebook::Notebook;
use crate::slurm::{RESUME_TIMEOUT, SUSPEND_TIME, SUSPEND_TIMEOUT, Slurmctld};
use crate::try_many::try_hours;
use crate::world::{ORPHAN_GRACE, World};

/// After the last fault every job must be done within this time.
const JOBS_MAX: Millis = 180 * MINUTE;
/// After the last job: a node may still boot, idle, power down, and its instance be an orphan.
const QUIET: Millis =
    RESUME_TIMEOUT + SUSPEND_TIME + 3 * SUSPEND_TIMEOUT + ORPHAN_GRACE + 5 * MINUTE;

type Loop = Engine<Ec2, Slurmctld, Shared, Disk, Notebook>;

/// So soon after an event the loop sees whether it rings.
const STEP: Millis = 100;

struct Simulation {
    world: Shared,
    engine: Option<Loop>,
    policy: Arc<Policy>,
}

impl Simulation {
    fn new(world: World) -> Self {
        let text = format!(
            "[[group]]\nname = \"g\"\nnodes = \"n[1-{}]\"\nasg = \"{ASG}\"\n\
             orphan_grace = {}\nprelaunch = {}\ncapacity_cooldown = 120\n{}",
            world.slurm.now.nodes.len(),
            ORPHAN_GRACE / SECOND,
            world.prelaunch,
            world.size_lines,
        );
        let text = if world.all_or_nothing {
            text + "launch = \"all-or-nothing\"\nlaunch_limit = 90\n"
        } else {
            text
        };
        let text =
            if world.aws.zones.is_empty() { text } else { text + "api = \"launch-instances\"\n" };
        let policy = Arc::new(policy::parse(Path::new("asg.toml"), &text).unwrap());
        Self { world: Shared(Rc::new(RefCell::new(world))), engine: None, policy }
    }

    /// Starts the engine, from what was saved last, as soon as slurmctld serves.
    fn start_engine(&mut self) {
        let from = {
            let mut world = self.world.world();
            let after = world.rng.u64(SECOND..3 * SECOND);
            (world.now + after).max(world.slurm.up_from)
        };
        // It may be struck again before it is up.
        self.run_to(from);
        let mut world = self.world.world();
        world.engine_life += 1;
        world.engine_is_dead = false;
        world.sleepers.clear();
        let life = world.engine_life;
        world.say(|| format!("engine starts, {life}"));
        drop(world);
        let world = || self.world.clone();
        let (cloud, slurm, disk) = (Ec2(world()), Slurmctld(world()), Disk(world()));
        let (policy, notebook) = (Arc::clone(&self.policy), Notebook::new(world()));
        self.engine = Some(Engine::new(policy, cloud, slurm, world(), disk, notebook));
    }

    fn run_to(&self, limit: Millis) {
        while self.world.world().now < limit {
            self.world.world().run_to(limit);
            if self.engine.is_some() {
                return;
            }
            self.world.world().engine_is_dead = false;
        }
    }

    /// One turn; the engine may die in it, wherever it waits.
    fn turn(&mut self) -> Option<Look> {
        let engine = self.engine.as_mut()?;
        let mut turn = pin!(engine.turn());
        loop {
            if let Poll::Ready(look) = turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Some(look);
            }
            let mut world = self.world.world();
            if world.engine_is_dead {
                return None;
            }
            let next = std::mem::take(&mut world.sleepers).into_iter().min().expect("stuck");
            world.run_to(next);
            if world.engine_is_dead {
                return None;
            }
        }
    }

    /// Turns the loop until `until`, at its own pace. `false` after a violation.
    fn live(&mut self, until: impl Fn(&World) -> bool) -> bool {
        loop {
            {
                let world = self.world.world();
                if !world.violations.is_empty() {
                    return false;
                }
                if until(&world) {
                    return true;
                }
            }
            if self.engine.is_none() {
                self.start_engine();
            }
            let Some(look) = self.turn() else {
                self.engine = None;
                continue;
            };
            let mut world = self.world.world();
            let millis = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap();
            let now = world.now;
            world.pace.looked(now, millis(look.pause), millis(look.rest));
            loop {
                let next = world.pace.next();
                if world.engine_is_dead || next <= world.now {
                    break;
                }
                // An event may ring: no further than to the next one, in steps.
                let event = world.timeline.next().unwrap_or(next);
                let steps = event.saturating_sub(world.now).div_ceil(STEP).max(1);
                let step = next.min(world.now + steps * STEP);
                world.run_to(step);
            }
            if world.engine_is_dead {
                drop(world);
                self.engine = None;
            }
        }
    }

    /// Instances boot again, and an administrator says so.
    fn lift_protected_mode(&mut self) {
        if self.engine.is_none() {
            self.start_engine();
        }
        let clear = Command { what: What::Clear, groups: Vec::new(), user: 0, reason: None };
        if let Some(engine) = &mut self.engine {
            engine.command(&clear).unwrap();
        }
    }

    fn run(&mut self) -> bool {
        let end = self.world.world().faults.until;
        if !self.live(|world| world.now >= end) {
            return false;
        }
        self.lift_protected_mode();
        if !self.live(|world| world.no_jobs() || world.now >= end + JOBS_MAX) {
            return false;
        }
        if self.world.world().jobs_may_starve() {
            self.world.world().give_up_jobs();
        }
        if !self.world.world().no_jobs() {
            let mut world = self.world.world();
            let now = &world.slurm.now;
            let left = format!("4: left over: {:?} on {:?}", now.jobs, now.nodes);
            world.violation(left);
            drop(world);
            return false;
        }
        let rest = self.world.world().now + QUIET;
        if !self.live(|world| world.now >= rest) {
            return false;
        }
        self.world.world().is_at_rest();
        if self.world.world().base_is_suspended() {
            return self.world.world().violations.is_empty();
        }
        if let Some(engine) = &self.engine {
            let memory = engine.memory();
            let kept = self.world.world().sizes.min as usize;
            if memory.bindings.len() != kept || !memory.releases.is_empty() {
                let what = format!("7: remembered at rest: {memory:?}");
                self.world.world().violation(what);
            }
        }
        // A minute's calls from before the quiet ones do not count as such.
        let settled = self.world.world().now + MINUTE;
        if !self.live(|world| world.now >= settled) {
            return false;
        }
        self.world.world().quiet = true;
        let end = settled + 5 * MINUTE;
        self.live(|world| world.now >= end)
    }
}

/// Runs one world to its end.
fn simulate(world: World) -> Shared {
    let mut simulation = Simulation::new(world);
    let fine = simulation.run();
    let world = simulation.world.clone();
    assert_eq!(fine, world.world().violations.is_empty());
    world
}

#[test]
fn no_seed_breaks_a_rule() {
    try_hours("no_seed_breaks_a_rule", 10_000, |_| ());
}

/// Auto Scaling may tell a desired capacity of some seconds ago. A raise that rests on it must
/// not lower what was asked for meanwhile.
#[test]
fn a_stale_read_never_lowers_the_capacity() {
    let change = |world: &mut World| world.faults.desired_lags = true;
    try_hours("a_stale_read_never_lowers_the_capacity", 200, change);
}

/// EC2 may give a dead instance's address to the next one before Slurm has noticed.
#[test]
fn an_address_used_again_at_once_does_no_harm() {
    let change = |world: &mut World| world.aws.addresses_rest = 0;
    try_hours("an_address_used_again_at_once_does_no_harm", 200, change);
}

/// A job that runs on an instance that someone else ends is waited for, as long as nothing keeps
/// the loop from telling the hook so.
#[test]
fn a_hook_waits_for_every_job_of_what_others_end() {
    let change = |world: &mut World| {
        world.suffers_only(Fault::ActorTerminates, 3 * MINUTE);
        world.aws.hooks = Some(world.aws.hooks.unwrap_or(2 * MINUTE));
    };
    let done = try_hours("a_hook_waits_for_every_job_of_what_others_end", 100, change);
    assert!(done["ActorTerminates"] > 100, "{done:?}");
    assert!(done["hook told to wait for a job"] > 50, "{done:?}");
}

/// The rate of calls stays bounded when there is nothing but failure.
#[test]
fn failing_calls_are_not_repeated_in_a_hurry() {
    for kind in ["down", "no capacity"] {
        let mut world = World::new(1);
        let until = world.now + 40 * MINUTE;
        world.faults = Faults { until, ..Faults::default() };
        if kind == "down" {
            world.aws.down_until = until;
        } else {
            world.aws.no_capacity_until = until;
        }
        let world = simulate(world);
        let world = world.world();
        assert_eq!(world.violations, Vec::<String>::new(), "{kind}");
        let most = world.calls.most;
        println!("{kind}: at most {most} calls a minute");
        assert!(most <= 90, "{kind}: {most} calls in a minute");
    }
}

/// The same seed gives the same story: else nothing could be replayed.
#[test]
fn a_seed_tells_one_story() {
    let story = |seed| simulate(World::new(seed)).world().story.clone();
    assert_eq!(story(7), story(7));
}
