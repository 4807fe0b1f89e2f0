//! What is served: the plugin's status, asked again and again, what the event log goes on to say, and
//! what follows from both over time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use slurm_asg_core::event::Event;
use slurm_asg_core::hostlist;
use slurm_asg_core::policy::Price;
use slurm_asg_core::time::Timestamp;
use slurm_asg_wire::Status;

use super::histogram::Histogram;
use crate::asking;
use crate::events::reader::Reader;
use crate::output::now_ms;
use crate::report::line::Line;
use crate::report::tally::{Tally, failure_code};
use crate::report::waits::Waits;
use crate::status::text::parts;

/// The events that the page shows.
const EVENTS_SHOWN: usize = 50;
/// Different events, groups and codes that are counted; more are left out.
const COUNTED_MAX: usize = 2000;
/// Events that are counted from zero on, whether they happen or not.
const COUNTED_FROM_ZERO: [&str; 4] =
    ["capacity_raised_failed", "instance_terminated", "node_down", "node_up"];
/// Nodes that are waited for at once; more are not followed.
const RESUMED_MAX: usize = 100_000;
/// The charts show so much.
const DAY: Duration = Duration::from_secs(86_400);
/// Charts are drawn so often, or less often where reading the log takes long: one part in a hundred
/// of a core at most.
const CHART_PAUSE: Duration = Duration::from_secs(60);
const CHART_COST: u32 = 100;

/// What is served, and how often it is renewed.
#[derive(Debug)]
pub struct Shared {
    /// How often the plugin is asked.
    pub interval: Duration,
    world: Mutex<World>,
}

impl Shared {
    /// Of nothing yet.
    pub fn new(interval: Duration) -> Self {
        Self { interval, world: Mutex::default() }
    }

    /// What is known now.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The last status.
    pub status: Option<Status>,
    /// Why there is no newer one.
    pub problem: Option<String>,
    /// When that was asked, milliseconds since the Unix epoch.
    pub asked_at_ms: u64,
    /// What nodes did since this program began, milliseconds by group and state.
    pub node_ms: BTreeMap<(String, &'static str), u64>,
    /// What instances cost since then, millionths of the currency by group.
    pub cost_micros: BTreeMap<String, u64>,
    /// The last events, the newest first.
    pub events: VecDeque<Event>,
    /// Why there are none.
    pub events_problem: Option<String>,
    /// Events since this program began, by name and group.
    pub event_counts: BTreeMap<(String, String), u64>,
    /// Failures, by event and code.
    pub failures: BTreeMap<(String, String), u64>,
    /// From Slurm's asking for a node to its instance's having its name, by group.
    pub launches: BTreeMap<String, Histogram>,
    /// From there to the registration, by group.
    pub boots: BTreeMap<String, Histogram>,
    /// From a job's count to the last of its nodes.
    pub waits: Histogram,
    /// The last day, for charts.
    pub day: Option<Tally>,
    waiting: Waits,
    resumed: HashMap<String, Timestamp>,
}

impl World {
    /// A new answer of the plugin, so long after the last one.
    pub fn note_status(&mut self, status: Status, since_last: Duration) {
        let millis = u64::try_from(since_last.as_millis()).unwrap_or(0);
        for group in &status.groups {
            let parts = parts(group, &status.nodes);
            let states = [
                ("busy", parts.busy),
                ("idle", parts.idle),
                ("booting", parts.booting),
                ("failed", parts.failed),
            ];
            for (state, count) in states {
                *self.node_ms.entry((group.name.clone(), state)).or_default() +=
                    millis * u64::from(count);
            }
            if let Some(price) = group.price_micros.map(Price::from_micros) {
                let instances = u64::from(group.in_service + group.pending + group.releasing);
                *self.cost_micros.entry(group.name.clone()).or_default() +=
                    price.of_millis(millis * instances);
            }
        }
        self.begin_counters(&status);
        self.status = Some(status);
        self.problem = None;
    }

    /// Counters that alerts are made of are there before anything happens: the first increase of a
    /// counter that was not there is none for Prometheus.
    fn begin_counters(&mut self, status: &Status) {
        for group in &status.groups {
            for event in COUNTED_FROM_ZERO {
                self.event_counts.entry((event.to_owned(), group.name.clone())).or_default();
            }
            self.launches.entry(group.name.clone()).or_default();
            self.boots.entry(group.name.clone()).or_default();
        }
        self.event_counts.entry(("events_dropped".to_owned(), String::new())).or_default();
    }

    /// A line of the event log. What was there before this program began is shown, and not
    /// counted: counters begin at zero.
    pub fn note_event(&mut self, text: &str, is_new: bool) {
        let Some((at, line)) = Line::read(text) else { return };
        if let Ok(event) = serde_json::from_str(text) {
            self.events.push_front(event);
            self.events.truncate(EVENTS_SHOWN);
        }
        let ended = self.waiting.add(at, &line);
        let launched = self.follow_launch(at, &line);
        if !is_new {
            return;
        }
        let group = line.group.as_deref().unwrap_or("").to_owned();
        count(&mut self.event_counts, (line.event.clone().into_owned(), group.clone()));
        if let Some(code) = failure_code(&line) {
            count(&mut self.failures, (line.event.clone().into_owned(), code.to_owned()));
        }
        for wait in ended.waits {
            self.waits.add(wait.millis);
        }
        if let Some(millis) = launched {
            self.launches.entry(group.clone()).or_default().add(millis);
        }
        if let (Some(millis), "node_up") = (line.boot_ms, &*line.event) {
            self.boots.entry(group).or_default().add(millis);
        }
    }

    /// How long a node waited for its instance, if that has come now.
    fn follow_launch(&mut self, at: Timestamp, line: &Line<'_>) -> Option<u64> {
        match &*line.event {
            "nodes_resumed" => {
                let nodes = line.nodes.as_deref().and_then(|nodes| hostlist::expand(nodes).ok());
                for node in nodes.into_iter().flatten() {
                    if self.resumed.len() < RESUMED_MAX {
                        self.resumed.insert(node.to_string(), at);
                    }
                }
                None
            }
            "node_bound" => {
                let since = self.resumed.remove(line.node.as_deref()?)?;
                u64::try_from(at.since(since).as_millis()).ok()
            }
            "node_down" => {
                self.resumed.remove(line.node.as_deref()?);
                None
            }
            _ => None,
        }
    }
}

fn count(counts: &mut BTreeMap<(String, String), u64>, key: (String, String)) {
    if counts.len() < COUNTED_MAX || counts.contains_key(&key) {
        *counts.entry(key).or_default() += 1;
    }
}

/// Asks and reads, again and again.
#[derive(Debug)]
pub struct Collector {
    socket: PathBuf,
    /// The event log, if it was named.
    named_events: Option<PathBuf>,
    shared: Arc<Shared>,
    log: Option<(PathBuf, Reader)>,
    last_status: Option<Instant>,
    chart_due: Instant,
}

impl Collector {
    /// For a plugin's socket.
    pub fn new(socket: PathBuf, named_events: Option<PathBuf>, shared: Arc<Shared>) -> Self {
        let chart_due = Instant::now();
        Self { socket, named_events, shared, log: None, last_status: None, chart_due }
    }

    /// Goes on until the process ends.
    pub fn run(mut self) {
        loop {
            self.look();
            thread::sleep(self.shared.interval);
        }
    }

    fn look(&mut self) {
        self.ask();
        if let Err(error) = self.read_events() {
            let mut world = self.shared.world();
            world.events_problem = Some(format!("{error:#}"));
            world.day = None;
            self.log = None;
            self.chart_due = Instant::now();
        }
        self.draw();
    }

    fn ask(&mut self) {
        let asked = asking::glance(&self.socket);
        let now = Instant::now();
        let since_last = self.last_status.map_or(Duration::ZERO, |last| now - last);
        let mut world = self.shared.world();
        world.asked_at_ms = now_ms();
        match asked {
            Ok(status) => {
                // While nobody answered, nobody knows what nodes did.
                let is_known = since_last <= self.shared.interval * 3;
                world.note_status(status, if is_known { since_last } else { Duration::ZERO });
                self.last_status = Some(now);
            }
            Err(error) => world.problem = Some(format!("{error:#}")),
        }
    }

    fn read_events(&mut self) -> anyhow::Result<()> {
        let told = self.shared.world().status.as_ref().map(|status| status.events.clone());
        let path = match (self.named_events.clone(), told) {
            (Some(path), _) => path,
            (None, Some(Some(path))) => path.into(),
            (None, Some(None)) => anyhow::bail!("the plugin writes no event log"),
            (None, None) => {
                anyhow::bail!(
                    "the plugin has not said yet where the event log is; --events names it"
                )
            }
        };
        if self.log.as_ref().is_none_or(|(known, _)| *known != path) {
            let since = Timestamp::from_millis(now_ms().saturating_sub(day_ms()));
            let mut reader = open(&path, since)?;
            self.read(&mut reader, false)?;
            self.log = Some((path, reader));
        } else if let Some((path, mut reader)) = self.log.take() {
            self.read(&mut reader, true)?;
            self.log = Some((path, reader));
        }
        self.shared.world().events_problem = None;
        Ok(())
    }

    fn read(&self, reader: &mut Reader, is_new: bool) -> anyhow::Result<()> {
        reader.read(&mut |line| -> anyhow::Result<bool> {
            self.shared.world().note_event(line, is_new);
            Ok(true)
        })?;
        Ok(())
    }

    /// Adds the last day up anew, for the charts.
    fn draw(&mut self) {
        let began = Instant::now();
        let Some((path, _)) = &self.log else { return };
        if began < self.chart_due {
            return;
        }
        let now = now_ms();
        let since = Timestamp::from_millis(now.saturating_sub(day_ms()));
        let tally = Tally::new(since, Timestamp::from_millis(now), None);
        let mut pause = CHART_PAUSE;
        if let Ok(tally) = crate::report::read(path, tally) {
            if tally.groups.is_empty() {
                // The first numbers are about to be written.
                pause = Duration::ZERO;
            }
            self.shared.world().day = Some(tally);
        }
        self.chart_due = began + pause.max(began.elapsed() * CHART_COST);
    }
}

fn open(path: &Path, since: Timestamp) -> anyhow::Result<Reader> {
    Reader::open(path, Some(since)).map_err(|error| {
        anyhow::anyhow!(
            "the event log {} cannot be read: {error}; make it readable for this user, or name another \
             place with `path` of [events] in asg.toml",
            path.display()
        )
    })
}

fn day_ms() -> u64 {
    u64::try_from(DAY.as_millis()).unwrap_or(u64::MAX)
}
