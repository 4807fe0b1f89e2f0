//! The world in which the engine runs: Slurm, AWS, time, faults, and the story of it all.

use std::collections::VecDeque;

use fastrand::Rng;
use slurm_asg_core::ids::{InstanceId, NodeName};
use slurm_asg_core::memory::Memory;
use slurm_asg_core::node_state::NodeState;

use crate::aws::Aws;
use crate::clock::{MINUTE, Millis, Pace, SECOND, Timeline};
use crate::faults::{Fault, Faults};
use crate::oracle::Rate;
use crate::slurm::{Node, Slurm};

pub const ORPHAN_GRACE: Millis = MINUTE;
pub const START: Millis = 1_000_000_000;
/// Lines of the story that are kept for the reader.
const STORY_MAX: usize = 60;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Submit,
    Cancel(u32),
    Schedule,
    JobEnds(u32, u32),
    Completed(NodeName, u32, u32),
    Power,
    SlurmSaves,
    Register(InstanceId),
    Scale(bool),
    HookEnds(InstanceId),
    Interrupted(InstanceId),
    Bootstrap(InstanceId),
    Tag(InstanceId, NodeName, u32),
    Strike(Fault, Millis),
}

/// The sizes that the group is to have in the end, by asg.toml or its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub min: u32,
    pub max: u32,
}

pub struct World {
    pub now: Millis,
    /// How far the controller's clock is ahead of that, milliseconds.
    pub clock_is_ahead: i64,
    pub rng: Rng,
    pub timeline: Timeline,
    pub sleepers: Vec<Millis>,
    pub pace: Pace,
    pub slurm: Slurm,
    pub aws: Aws,
    /// Capacity is raised for pending jobs already.
    pub prelaunch: bool,
    /// A job gets all of its nodes or none.
    pub all_or_nothing: bool,
    pub sizes: Sizes,
    /// What asg.toml says of them.
    pub size_lines: String,
    pub faults: Faults,
    pub disk: Option<Memory>,
    /// Counts the engine's starts.
    pub engine_life: u32,
    /// The engine's process is dead from now on.
    pub engine_is_dead: bool,
    /// It dies after so many effects of its calls.
    dies_after: Option<u32>,
    /// Calls to AWS, and looks at Slurm's nodes.
    pub calls: Rate,
    pub looks: Rate,
    pub quiet: bool,
    pub violations: Vec<String>,
    pub story: VecDeque<String>,
    tells_all: bool,
}

/// Draws what asg.toml says, and what follows from it for a group that has `own` sizes.
fn draw_sizes(rng: &mut Rng, nodes: u32, own: Sizes) -> (Sizes, String) {
    if rng.bool() {
        return (own, String::new());
    }
    let min = rng.u32(0..=nodes.min(3));
    let max = rng.u32(min.max(1)..=nodes);
    let (mut sizes, mut lines) = (Sizes { min, max }, format!("max_size = {max}\n"));
    match rng.u8(0..4) {
        0 => lines += &format!("min_size = {min}\n"),
        1 => lines += &format!("initial_size = {min}\nmaintain_initial_size = true\n"),
        2 => {
            let initial = rng.u32(min..=max);
            lines += &format!("min_size = {min}\ninitial_size = {initial}\n");
        }
        _ => {
            // The group's own minimum must fit.
            sizes = Sizes { min: own.min, max: max.max(own.min).max(1) };
            lines = format!("max_size = {}\n", sizes.max);
        }
    }
    (sizes, lines)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let until = START + rng.u64(20..60) * MINUTE;
        let faults = Faults::draw(&mut rng, until);
        let count = rng.u32(2..=10);
        let max = if rng.u8(0..4) == 0 { count.div_ceil(2) } else { count };
        let min = if rng.bool() { 0 } else { rng.u32(0..=max.min(2)) };
        let mut aws = Aws { min, max, addresses_rest: 15 * MINUTE, ..Aws::default() };
        let desired = if rng.u8(0..4) == 0 { rng.u32(min..=max) } else { min };
        aws.set_desired(START, desired);
        let (sizes, size_lines) = draw_sizes(&mut rng, count, Sizes { min, max });
        let mut slurm = Slurm {
            learns_addresses: rng.bool(),
            takes_unasked: rng.bool(),
            resets_at_once: rng.bool(),
            spared: if rng.u8(0..4) == 0 { 0 } else { sizes.min as usize },
            ..Slurm::default()
        };
        for nth in 1..=count {
            let name = NodeName::new(&format!("n{nth}"));
            let state = NodeState::IDLE | NodeState::POWERED_DOWN;
            let node = Node { state, address: name.to_string(), ..Node::default() };
            slurm.now.nodes.insert(name, node);
        }
        slurm.saved = slurm.now.clone();
        let (prelaunch, all_or_nothing) = (rng.bool(), rng.bool());
        aws.hooks = (rng.u8(0..3) == 0).then(|| rng.u64(60..600) * SECOND);
        // From a source of its own: what else is drawn does not depend on it.
        let mut other = Rng::with_seed(!seed);
        if other.u8(0..3) == 0 {
            aws.zones = &["x", "y", "z"];
            aws.refuses_launches = other.u8(0..6) == 0;
        }
        let mut world = Self {
            now: START,
            clock_is_ahead: 0,
            rng,
            timeline: Timeline::default(),
            sleepers: Vec::new(),
            pace: Pace::default(),
            slurm,
            aws,
            prelaunch,
            all_or_nothing,
            sizes,
            size_lines,
            faults,
            disk: None,
            engine_life: 0,
            engine_is_dead: false,
            dies_after: None,
            calls: Rate::default(),
            looks: Rate::default(),
            quiet: false,
            violations: Vec::new(),
            story: VecDeque::new(),
            tells_all: std::env::var_os("SLURM_ASG_STORY").is_some(),
        };
        for event in
            [Event::Submit, Event::Schedule, Event::Power, Event::SlurmSaves, Event::Scale(true)]
        {
            world.timeline.at(START, event);
        }
        for (fault, every) in world.faults.strikes.clone() {
            world.strike_later(fault, every);
        }
        world
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        let at = self.now - START;
        let line = format!("{:>8}.{:03} {}", at / SECOND, at % SECOND, line());
        if self.tells_all {
            eprintln!("{line}");
        }
        self.story.push_back(line);
        if self.story.len() > STORY_MAX {
            self.story.pop_front();
        }
    }

    pub fn faults_are_over(&self) -> bool {
        self.now >= self.faults.until
    }

    /// Whether a fault of this rate strikes now; counted if it does.
    pub fn strikes(&mut self, rate: f64, kind: &str) -> bool {
        let strikes = rate > 0.0 && !self.faults_are_over() && self.rng.f64() < rate;
        if strikes {
            self.faults.count(kind);
            self.say(|| format!("FAULT {kind}"));
        }
        strikes
    }

    pub fn hook_rings(&mut self) {
        self.pace.ring(self.now);
    }

    pub fn program_rings(&mut self) {
        let rate = self.faults.ring_lost;
        if !self.strikes(rate, "program's message lost") {
            self.pace.look_now(self.now);
        }
    }

    /// A call of the engine has taken effect: a good moment to die.
    pub fn act(&mut self) {
        if let Some(left) = self.dies_after {
            self.dies_after = left.checked_sub(1);
            self.engine_is_dead |= left == 0;
        }
    }

    /// Lets everything happen up to `limit`, or until the engine dies.
    pub fn run_to(&mut self, limit: Millis) {
        while let Some((at, event)) = self.timeline.due(limit) {
            self.now = self.now.max(at);
            self.handle(event);
            if self.engine_is_dead {
                return;
            }
        }
        self.now = self.now.max(limit);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Submit => {
                if !self.faults_are_over() {
                    if self.slurm_is_up() {
                        self.submit();
                    }
                    let burst = self.rng.u8(0..3) == 0;
                    let most = if burst { 5 * SECOND } else { 8 * MINUTE };
                    let next = self.now + self.rng.u64(100..most);
                    self.timeline.at(next, Event::Submit);
                }
            }
            Event::Cancel(id) => self.cancel(id),
            Event::Schedule => self.schedule(),
            Event::JobEnds(id, turn) => self.job_ends(id, turn),
            Event::Completed(node, id, turn) => self.completed(&node, id, turn),
            Event::Power => {
                self.power_pass();
                if self.faults_are_over() {
                    self.look_for_orphans();
                }
            }
            Event::SlurmSaves => {
                if self.slurm_is_up() && self.slurm.saved != self.slurm.now {
                    self.slurm.saved = self.slurm.now.clone();
                }
                self.timeline.at(self.now + 5 * SECOND, Event::SlurmSaves);
            }
            Event::Register(id) => self.register(&id),
            Event::Scale(regularly) => self.scale(regularly),
            Event::HookEnds(id) => self.hook_ends(&id),
            Event::Interrupted(id) => self.is_interrupted(&id),
            Event::Bootstrap(id) => self.bootstrap(&id),
            // The queue of names dies with the process.
            Event::Tag(id, node, life) if life == self.engine_life => {
                // Nobody waits for it, and a failure is only told.
                drop(self.write_tag(&id, &node));
            }
            Event::Tag(..) => {}
            Event::Strike(fault, every) => self.strike(fault, every),
        }
    }

    /// Nothing goes wrong but this, about so often.
    pub fn suffers_only(&mut self, fault: Fault, every: Millis) {
        let until = self.faults.until;
        self.faults = Faults { until, strikes: vec![(fault, every)], ..Faults::default() };
        self.strike_later(fault, every);
    }

    fn strike_later(&mut self, fault: Fault, every: Millis) {
        let at = self.now + self.rng.u64(0..2 * every);
        self.timeline.at(at, Event::Strike(fault, every));
    }

    fn strike(&mut self, fault: Fault, every: Millis) {
        if self.faults_are_over() || !self.faults.strikes.contains(&(fault, every)) {
            return;
        }
        self.strike_later(fault, every);
        let end = self.faults.until.min(self.now + self.rng.u64(SECOND..5 * MINUTE));
        let struck = match fault {
            Fault::InstanceDies => self.instance_dies(),
            Fault::AwsTakes => self.aws_takes(),
            Fault::ActorTerminates => self.actor_terminates(),
            Fault::ActorRaises => self.actor_raises(),
            Fault::ActorResizes => self.actor_resizes(),
            Fault::NoCapacity => {
                self.aws.no_capacity_until = end;
                let zones = self.aws.zones;
                // In one of them, or in all.
                let at = if zones.is_empty() { 0 } else { self.rng.usize(0..=zones.len()) };
                self.aws.no_capacity_in = zones.get(at).copied();
                true
            }
            Fault::AwsDown => {
                self.aws.down_until = end;
                true
            }
            Fault::EngineDies => {
                self.engine_is_dead = true;
                true
            }
            Fault::EngineDiesMidTurn => {
                self.dies_after = Some(self.rng.u32(0..20));
                true
            }
            Fault::SlurmctldDies | Fault::SlurmctldForgets => {
                self.engine_is_dead = true;
                self.restart_slurmctld(fault == Fault::SlurmctldForgets);
                true
            }
            Fault::ClockIsSet => {
                // Farther from AWS's own, nothing would work: requests are signed with the time.
                self.clock_is_ahead = self.rng.i64(-20_000..=20_000);
                true
            }
        };
        if struck {
            let kind = format!("{fault:?}");
            self.faults.count(&kind);
            if self.faults.forbidden == Some(&kind) {
                self.violation(format!("0: {kind}"));
            }
            self.say(|| format!("FAULT {fault:?}"));
        }
    }

    pub fn no_jobs(&self) -> bool {
        self.slurm.now.jobs.is_empty()
    }

    pub const fn lasted(&self) -> Millis {
        self.now - START
    }
}
