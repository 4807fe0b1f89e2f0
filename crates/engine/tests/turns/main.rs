//! Single turns of the loop, between fakes that note every call in one log.
//!
//! What the simulation in `sim/` shows over hours is read here in a line: the order of a turn's
//! calls, and what a failure changes in it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod events;
mod keep;
mod launch;
mod queue;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slurm_asg_core::advice::{Advice, Setting};
use slurm_asg_core::event::Event;
use slurm_asg_core::hostlist;
use slurm_asg_core::ids::{AsgName, GroupName, InstanceId, NodeName};
use slurm_asg_core::memory::{Binding, FailedBoot, Launched, Memory};
use slurm_asg_core::node_state::NodeState;
use slurm_asg_core::plan::{AnswerHook, Launch};
use slurm_asg_core::policy::{self, Policy};
use slurm_asg_core::snapshot::{
    Asg, FailureKind, Hook, LaunchFailure, Lifecycle, Machine, MachineFacts, Member, Node, Queue,
    Transition,
};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{
    AddressUpdate, Clock, Cloud, CloudError, CloudErrorKind, Engine, FileStore, IDLE_PAUSE,
    Journal, Look, Nodes, Publication, QueuedMessage, ReadConsole, Receipt, Scheduler,
    SchedulerError, Store, StoreError, TerminateRequest,
};

const POLICY: &str = "
    [[group]]
    name = 'g'
    nodes = 'n[1-6]'
    asg = ['a', 'b']
";
/// When tests begin, milliseconds.
const START: u64 = 1_000_000;
const BOOTING: u32 = NodeState::ALLOCATED | NodeState::POWERING_UP;
const RELEASED: u32 = NodeState::IDLE | NodeState::POWERING_DOWN;
const OFF: u32 = NodeState::IDLE | NodeState::POWERED_DOWN;

#[derive(Default)]
struct State {
    now: u64,
    /// How far the machine's clock is ahead of that, milliseconds.
    clock_is_ahead: i64,
    log: Vec<String>,
    /// Calls that fail, by their word in the log.
    fail: BTreeSet<&'static str>,
    /// What happens while a call is under way, by its word in the log, once.
    meanwhile: BTreeMap<&'static str, fn(&mut State)>,
    nodes: BTreeMap<NodeName, Node>,
    asgs: BTreeMap<AsgName, Asg>,
    machines: BTreeMap<InstanceId, Machine>,
    failures: BTreeMap<AsgName, LaunchFailure>,
    /// How many instances the next call to terminate has time for.
    terminates: Option<usize>,
    saved: Memory,
    /// How the last publication ended, until that is told.
    published: Option<Result<(), CloudError>>,
    /// Consoles that have been read, until they are told.
    consoles: Vec<ReadConsole>,
    /// Messages of the queue, until they are taken.
    messages: Vec<QueuedMessage>,
    /// How the queue was last read, until that is told.
    listened: Option<Result<(), CloudError>>,
    queue: Arc<Queue>,
    /// How long it takes to read it, milliseconds.
    queue_takes: u64,
    /// Events that were recorded, and those that were also handed on to be written.
    recorded: Vec<Event>,
    flushed: usize,
}

/// All five of the engine's traits, over one state.
#[derive(Clone)]
struct Fake(Rc<RefCell<State>>);

type Turner = Engine<Fake, Fake, Fake, Fake, Fake>;

impl Fake {
    fn new() -> Self {
        let mut state = State { now: START, ..State::default() };
        for (name, min) in [("a", 0), ("b", 1)] {
            let asg = Asg { min, max: 4, desired: min, ..Asg::default() };
            state.asgs.insert(name.into(), asg);
        }
        let fake = Self(Rc::new(RefCell::new(state)));
        for name in ["n1", "n2", "n3", "n4", "n5", "n6"] {
            fake.node(name, OFF);
        }
        fake.launch("b", 9);
        fake
    }

    fn state(&self) -> std::cell::RefMut<'_, State> {
        self.0.borrow_mut()
    }

    fn node(&self, name: &str, state: u32) {
        let node = Node { state: NodeState(state), address: name.into(), ..Node::default() };
        self.state().nodes.insert(name.into(), node);
    }

    /// Instance i-`nth` of a group, with the address 10.0.0.`nth`.
    fn launch(&self, asg: &str, nth: u8) {
        let mut state = self.state();
        let id = InstanceId::new(&format!("i-{nth}"));
        let (lifecycle, zone) = (Lifecycle::InService, "z".to_owned());
        let member = Member { lifecycle, healthy: true, zone, protected: true };
        let asg = state.asgs.get_mut(&AsgName::new(asg)).unwrap();
        asg.instances.insert(id.clone(), member);
        asg.desired = asg.desired.max(u32::try_from(asg.instances.len()).unwrap());
        let facts = MachineFacts {
            dead: false,
            address: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, nth))),
            launched: None,
            node_tag: None,
        };
        state.machines.insert(id, Machine::Known(facts));
    }

    fn bind(&self, node: &str, asg: &str, nth: u8) {
        let mut state = self.state();
        let now = Timestamp::from_millis(state.now);
        let binding = Binding::new(&format!("i-{nth}").as_str().into(), &asg.into(), now);
        state.saved.bindings.insert(node.into(), binding);
    }

    fn engine(&self) -> Turner {
        self.engine_by(POLICY)
    }

    fn engine_by(&self, text: &str) -> Turner {
        let fake = || self.clone();
        Engine::new(policy(text), fake(), fake(), fake(), fake(), fake())
    }

    fn pass(&self, millis: u64) {
        self.state().now += millis;
    }

    /// Notes a call, and lets it take some time. `false` if it is to fail.
    fn call(&self, word: &'static str, line: String) -> bool {
        let mut state = self.state();
        state.log.push(line);
        state.now += 1;
        if let Some(happens) = state.meanwhile.remove(word) {
            happens(&mut state);
        }
        !state.fail.contains(word)
    }

    fn cloud(&self, word: &'static str, line: String) -> Result<(), CloudError> {
        let error = || CloudError {
            operation: word,
            kind: CloudErrorKind::Service,
            message: "injected".to_owned(),
        };
        if self.call(word, line) { Ok(()) } else { Err(error()) }
    }

    fn slurm(&self, word: &'static str, line: String) -> Result<(), SchedulerError> {
        let error = || SchedulerError { call: word, message: "injected".to_owned() };
        if self.call(word, line) { Ok(()) } else { Err(error()) }
    }

    /// The log since it was asked for last, without Slurm's queue, which no test is about.
    fn log(&self) -> Vec<String> {
        let mut log = std::mem::take(&mut self.state().log);
        log.retain(|line| line != "queue");
        log
    }
}

fn policy(text: &str) -> Arc<Policy> {
    Arc::new(policy::parse(Path::new("asg.toml"), text).unwrap())
}

fn joined<'a>(names: impl IntoIterator<Item = &'a InstanceId>) -> String {
    names.into_iter().map(InstanceId::as_str).collect::<Vec<_>>().join(",")
}

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        let state = self.state();
        Timestamp::from_millis(state.now).moved(state.clock_is_ahead)
    }

    fn ticks(&self) -> Duration {
        Duration::from_millis(self.state().now - START)
    }
}

impl Store for Fake {
    fn load(&mut self) -> Result<Memory, StoreError> {
        if self.state().fail.contains("load") {
            // Only the real store can make its error: no directory can be there.
            return FileStore::new("/dev/null/none".as_ref()).load();
        }
        Ok(self.state().saved.clone())
    }

    fn save(&mut self, memory: &Memory) -> Result<(), StoreError> {
        if !self.call("save", "save".to_owned()) {
            // Only the real store can make its error: no directory can be there.
            return FileStore::new("/dev/null/none".as_ref()).save(memory);
        }
        self.state().saved = memory.clone();
        Ok(())
    }
}

impl Journal for Fake {
    fn record(&mut self, event: Event) {
        self.state().recorded.push(event);
    }

    fn flush(&mut self) {
        let mut state = self.state();
        state.flushed = state.recorded.len();
    }

    fn trouble(&self) -> Option<String> {
        self.state().fail.contains("journal").then(|| "the disk is full".to_owned())
    }
}

impl Cloud for Fake {
    async fn describe_groups(
        &self,
        names: &[AsgName],
    ) -> Result<BTreeMap<AsgName, Asg>, CloudError> {
        let names: Vec<_> = names.iter().map(AsgName::as_str).collect();
        self.cloud("groups", format!("groups {}", names.join(",")))?;
        Ok(self.state().asgs.clone())
    }

    async fn describe_instances(
        &self,
        ids: &[InstanceId],
    ) -> Result<BTreeMap<InstanceId, Machine>, CloudError> {
        self.cloud("instances", format!("instances {}", joined(ids)))?;
        let known = |id| self.state().machines.get(id).cloned().unwrap_or(Machine::NotFound);
        Ok(ids.iter().map(|id| (id.clone(), known(id))).collect())
    }

    async fn set_desired(&self, asg: &AsgName, desired: u32) -> Result<(), CloudError> {
        self.cloud("desired", format!("desired {asg} {desired}"))?;
        self.state().asgs.get_mut(asg).unwrap().desired = desired;
        Ok(())
    }

    async fn launch(&self, requests: &[Launch]) -> Vec<Result<Launched, CloudError>> {
        let answer = |request: &Launch| {
            let Launch { asg, zone, count, token, .. } = request;
            self.cloud("launch", format!("launch {count} of {asg} in {zone} {token}"))?;
            let ids = (7..7 + *count).map(|nth| InstanceId::new(&format!("i-{nth}")));
            Ok(Launched { instances: ids.collect(), failure: None })
        };
        requests.iter().map(answer).collect()
    }

    async fn set_sizes(&self, asg: &AsgName, min: u32, max: u32) -> Result<(), CloudError> {
        self.cloud("sizes", format!("sizes {asg} {min} {max}"))?;
        let mut state = self.state();
        let asg = state.asgs.get_mut(asg).unwrap();
        (asg.min, asg.max) = (min, max);
        asg.desired = asg.desired.clamp(min, max);
        Ok(())
    }

    async fn terminate(
        &self,
        request: &TerminateRequest,
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        let how = if request.decrement { "terminate" } else { "replace" };
        let line = format!("{how} {} {}", request.asg, joined(&request.instances));
        let result = self.cloud("terminate", line);
        let sent = self.state().terminates.take().unwrap_or(usize::MAX);
        let not_sent = || CloudError {
            operation: "terminate",
            kind: CloudErrorKind::NotSent,
            message: "not yet".to_owned(),
        };
        let of = |nth| if nth < sent { result.clone() } else { Err(not_sent()) };
        request.instances.iter().enumerate().map(|(nth, id)| (id.clone(), of(nth))).collect()
    }

    async fn last_failure(
        &self,
        asg: &AsgName,
        _: Timestamp,
    ) -> Result<Option<LaunchFailure>, CloudError> {
        self.cloud("activities", format!("activities {asg}"))?;
        Ok(self.state().failures.get(asg).cloned())
    }

    async fn protect(
        &self,
        asg: &AsgName,
        instances: &[InstanceId],
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        let result = self.cloud("protect", format!("protect {asg} {}", joined(instances)));
        if result.is_ok() {
            let mut state = self.state();
            let members = &mut state.asgs.get_mut(asg).unwrap().instances;
            for id in instances {
                members.get_mut(id).unwrap().protected = true;
            }
        }
        instances.iter().map(|id| (id.clone(), result.clone())).collect()
    }

    async fn describe_hooks(&self, asg: &AsgName) -> Result<Vec<Hook>, CloudError> {
        self.cloud("hooks", format!("hooks {asg}"))?;
        let timeout = Duration::from_secs(120);
        let hook = |name: &str, transition| Hook { name: name.to_owned(), transition, timeout };
        Ok(vec![
            hook("slurm-asg-terminating", Transition::Terminating),
            hook("logs", Transition::Terminating),
        ])
    }

    async fn answer_hooks(&self, answers: &[AnswerHook]) -> Vec<Result<(), CloudError>> {
        let tell = |told: &AnswerHook| {
            self.cloud("answer", format!("{:?} {} {}", told.answer, told.hook, told.instance))
        };
        answers.iter().map(tell).collect()
    }

    async fn follow(&self, advice: &Advice) -> Result<(), CloudError> {
        let (asg, setting) = (&advice.asg, advice.setting);
        self.cloud("follow", format!("follow {asg} {}", setting.word()))?;
        let mut state = self.state();
        let asg = state.asgs.get_mut(asg).unwrap();
        match setting {
            Setting::ProtectNew => asg.protects_new = true,
            Setting::SuspendAzRebalance => asg.suspends_az_rebalance = true,
        }
        Ok(())
    }

    fn publish_later(&self, publication: Publication) {
        let figures = publication.figures.iter().map(|figure| {
            let group = figure.group.as_ref().map_or("*", GroupName::as_str);
            format!("{group} {} {}", figure.metric.name(), figure.value)
        });
        let figures = figures.collect::<Vec<_>>().join(", ");
        let Publication { namespace, cluster, at, .. } = publication;
        let line = format!("publish {namespace} {cluster} {at}: {figures}");
        let result = self.cloud("publish", line);
        self.state().published = Some(result);
    }

    fn published(&self) -> Option<Result<(), CloudError>> {
        self.state().published.take()
    }

    fn messages(&self) -> Vec<QueuedMessage> {
        std::mem::take(&mut self.state().messages)
    }

    fn delete_later(&self, receipts: Vec<Receipt>) {
        self.state().log.extend(receipts.into_iter().map(|it| format!("delete {}", it.0)));
    }

    fn listened(&self) -> Option<Result<(), CloudError>> {
        self.state().listened.take()
    }

    fn read_consoles_later(&self, boots: Vec<FailedBoot>) {
        for boot in boots {
            let console = self.cloud("console", format!("console {}", boot.instance));
            let console = console.map(|()| Some("cannot mount /home".to_owned()));
            self.state().consoles.push(ReadConsole { boot, console });
        }
    }

    fn consoles(&self) -> Vec<ReadConsole> {
        std::mem::take(&mut self.state().consoles)
    }

    async fn tag(
        &self,
        names: &[(InstanceId, NodeName)],
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        let write = |(id, node): &(InstanceId, NodeName)| {
            (id.clone(), self.cloud("tag", format!("tag {id} {node} first")))
        };
        names.iter().map(write).collect()
    }

    fn tag_later(&self, names: Vec<(InstanceId, NodeName)>) {
        for (id, node) in names {
            self.call("tag", format!("tag {id} {node}"));
        }
    }
}

impl Scheduler for Fake {
    fn cluster(&self) -> &str {
        "hpc"
    }

    async fn nodes(&mut self) -> Result<Nodes, SchedulerError> {
        self.slurm("nodes", "nodes".to_owned())?;
        Ok(Arc::new(self.state().nodes.clone()))
    }

    async fn queue(&mut self) -> Result<Arc<Queue>, SchedulerError> {
        let read = self.slurm("queue", "queue".to_owned());
        let mut state = self.state();
        state.now += state.queue_takes;
        read.map(|()| Arc::clone(&state.queue))
    }

    async fn set_addresses(&mut self, updates: &[AddressUpdate]) -> Result<(), SchedulerError> {
        let told = |update: &AddressUpdate| format!("{} {}", update.node, update.address);
        let told: Vec<_> = updates.iter().map(told).collect();
        self.slurm("address", format!("address {}", told.join(", ")))?;
        for update in updates {
            let mut state = self.state();
            state.nodes.get_mut(&update.node).unwrap().address = update.address.to_string();
        }
        Ok(())
    }

    async fn mark_down(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.slurm("down", format!("down {} {reason}", nodes[0]))
    }

    async fn power_down(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        let nodes: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
        self.slurm("power_down", format!("power_down {}", nodes.join(",")))
    }

    async fn drain(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.slurm("drain", format!("drain {} {reason}", nodes[0]))?;
        let closed = NodeState::DRAIN | NodeState::POWER_DOWN;
        for node in nodes {
            self.state().nodes.get_mut(node).unwrap().state.0 |= closed;
        }
        Ok(())
    }

    async fn close(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.slurm("close", format!("close {} {reason}", hostlist::compress(nodes)))?;
        for node in nodes {
            let mut state = self.state();
            let node = state.nodes.get_mut(node).unwrap();
            node.state.0 |= NodeState::DRAIN;
            node.reason = reason.to_owned();
        }
        Ok(())
    }

    async fn open(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.slurm("open", format!("open {}", hostlist::compress(nodes)))?;
        for node in nodes {
            self.state().nodes.get_mut(node).unwrap().state.0 &= !NodeState::DRAIN;
        }
        Ok(())
    }

    async fn power_up(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        let names: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
        self.slurm("power_up", format!("power_up {}", names.join(",")))?;
        for node in nodes {
            self.state().nodes.get_mut(node).unwrap().state.0 |= NodeState::POWER_UP;
        }
        Ok(())
    }

    fn note_jobs_later(&mut self, notices: Vec<(u32, String)>) {
        for (job, text) in notices {
            self.state().log.push(format!("note {job} {text}"));
        }
    }

    async fn refresh_idle(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.slurm("refresh", format!("refresh {}", hostlist::compress(nodes)))?;
        let now = Timestamp::from_millis(self.state().now);
        for node in nodes {
            self.state().nodes.get_mut(node).unwrap().idle_since = Some(now);
        }
        Ok(())
    }
}

fn turn(engine: &mut Turner) -> Look {
    ready(engine.turn())
}

/// The fakes never wait.
fn ready<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a fake has kept the loop waiting"),
    }
}

#[test]
fn a_turn_looks_then_saves_then_acts() {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    fake.node("n2", BOOTING);
    turn(&mut fake.engine());
    assert_eq!(
        fake.log(),
        [
            "groups a,b",
            "nodes",
            "instances i-9",
            "save",
            "desired a 1",
            "address n1 10.0.0.9",
            "tag i-9 n1",
        ]
    );
}

#[test]
fn what_is_about_to_be_done_is_saved_before() {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    fake.state().fail.insert("address");
    turn(&mut fake.engine());
    assert_eq!(fake.state().saved.bindings[&NodeName::new("n1")].instance, "i-9".into());
    // Slurm was not told: the next look tells it again, and of the same instance.
    fake.log();
    fake.state().fail.clear();
    turn(&mut fake.engine());
    assert_eq!(
        fake.log(),
        ["groups a,b", "nodes", "instances i-9", "address n1 10.0.0.9", "tag i-9 n1"]
    );
}

#[test]
fn a_save_that_fails_stops_nothing_and_is_tried_again() {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    fake.state().fail.insert("save");
    let mut engine = fake.engine();
    let troubles = turn(&mut engine).troubles;
    let log = fake.log();
    assert_eq!(log[3..], ["save", "tag i-9 n1 first", "address n1 10.0.0.9", "tag i-9 n1", "save"]);
    assert!(troubles[0].starts_with("state cannot be saved: "), "{troubles:?}");
    assert_eq!(troubles.len(), 1);
    fake.state().fail.clear();
    fake.pass(1000);
    assert_eq!(turn(&mut engine).troubles, [""; 0]);
    assert!(fake.log().contains(&"save".to_owned()));
    assert_eq!(fake.state().saved, *engine.memory());
}

#[test]
fn a_name_that_neither_disk_nor_aws_takes_down_is_not_told() {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    fake.state().fail.extend(["save", "tag"]);
    let mut engine = fake.engine();
    let mut tried = 0;
    for _ in 0..20 {
        turn(&mut engine);
        fake.pass(1000);
        let log = fake.log();
        tried += log.iter().filter(|line| **line == "tag i-9 n1 first").count();
        assert!(!log.iter().any(|line| line.starts_with("address")), "{log:?}");
    }
    // After 1, 2, 4 and 8 seconds.
    assert_eq!(tried, 5);
    let told = fake.state().recorded.iter().map(ToString::to_string).collect::<Vec<_>>();
    let why = "state cannot be saved, and nor can its tag be written";
    assert!(told.iter().any(|line| line.contains(why)), "{told:#?}");
    // Once it is saved there is no more need of the tag.
    fake.state().fail.remove("save");
    turn(&mut engine);
    let log = fake.log();
    assert!(log.contains(&"address n1 10.0.0.9".to_owned()), "{log:?}");
    assert!(!log.contains(&"tag i-9 n1 first".to_owned()), "{log:?}");
}

#[test]
fn what_a_loop_before_may_have_named_gets_no_name_before_its_tag_must_show() {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    let now = Timestamp::from_millis(fake.state().now);
    if let Some(Machine::Known(facts)) = fake.state().machines.get_mut(&"i-9".into()) {
        facts.launched = Some(now);
    }
    let mut engine = fake.engine();
    for _ in 0..4 {
        turn(&mut engine);
        fake.pass(1000);
    }
    let told = |fake: &Fake| fake.log().iter().any(|line| line.starts_with("address"));
    assert!(!told(&fake));
    // It shows at last, and is another node's.
    if let Some(Machine::Known(facts)) = fake.state().machines.get_mut(&"i-9".into()) {
        facts.node_tag = Some("n2".into());
    }
    fake.pass(1000);
    turn(&mut engine);
    assert!(!told(&fake));
    if let Some(Machine::Known(facts)) = fake.state().machines.get_mut(&"i-9".into()) {
        facts.node_tag = None;
    }
    let mut engine = fake.engine();
    fake.pass(5000);
    turn(&mut engine);
    assert!(told(&fake), "there is none");
}

#[test]
fn a_turn_without_change_saves_nothing() {
    let fake = Fake::new();
    fake.node("n1", NodeState::IDLE);
    fake.bind("n1", "b", 9);
    let mut engine = fake.engine();
    turn(&mut engine);
    fake.log();
    fake.pass(1000);
    turn(&mut engine);
    assert_eq!(fake.log(), ["nodes"]);
}

#[test]
fn nothing_is_done_on_an_old_look() {
    let fake = Fake::new();
    let mut engine = fake.engine();
    turn(&mut engine);
    fake.log();
    // A second later AWS is not asked again for its own sake, but before something is done.
    fake.pass(1000);
    fake.node("n1", BOOTING);
    turn(&mut engine);
    assert_eq!(fake.log()[..3], ["nodes", "groups a,b", "save"]);
}

#[test]
fn an_address_that_is_missing_is_asked_for_within_the_turn() {
    let fake = Fake::new();
    let mut engine = fake.engine();
    turn(&mut engine);
    fake.node("n1", BOOTING);
    fake.launch("a", 3);
    fake.pass(30_000);
    fake.log();
    turn(&mut engine);
    assert_eq!(
        fake.log(),
        ["groups a,b", "nodes", "instances i-3", "save", "address n1 10.0.0.3", "tag i-3 n1"]
    );
}

#[test]
fn tags_are_written_only_once_slurm_has_the_address() {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    fake.state().fail.insert("address");
    turn(&mut fake.engine());
    let log = fake.log();
    assert!(log.contains(&"address n1 10.0.0.9".to_owned()), "{log:?}");
    assert!(!log.iter().any(|line| line.starts_with("tag")), "{log:?}");
}

#[test]
fn terminations_go_in_one_call_per_group_and_keep_the_minimum() {
    let fake = Fake::new();
    for (node, asg, nth) in [("n1", "a", 1), ("n2", "a", 2), ("n3", "b", 3), ("n4", "b", 4)] {
        fake.node(node, RELEASED);
        fake.launch(asg, nth);
        fake.bind(node, asg, nth);
    }
    fake.state().asgs.get_mut(&AsgName::new("b")).unwrap().min = 2;
    turn(&mut fake.engine());
    let mut log = fake.log();
    log.retain(|line| line.starts_with("terminate") || line.starts_with("replace"));
    // b has i-3, i-4 and i-9, and keeps two.
    assert_eq!(log, ["terminate a i-1,i-2", "replace b i-4", "terminate b i-3"]);
}

#[test]
fn what_there_was_no_time_to_terminate_goes_with_the_next_turn() {
    let fake = Fake::new();
    for (node, nth) in [("n1", 1), ("n2", 2), ("n3", 3)] {
        fake.node(node, RELEASED);
        fake.launch("a", nth);
        fake.bind(node, "a", nth);
    }
    fake.state().terminates = Some(1);
    let mut engine = fake.engine();
    let mut looks = Vec::new();
    for _ in 0..3 {
        let look = turn(&mut engine);
        let mut log = fake.log();
        log.retain(|line| line.starts_with("terminate"));
        looks.push(log);
        fake.pass(u64::try_from(look.pause.as_millis()).unwrap());
    }
    assert_eq!(looks, [vec!["terminate a i-1,i-2,i-3"], vec!["terminate a i-2,i-3"], vec![]]);
    assert!(fake.state().now < 1_003_000, "it waits for nothing");
    let state = fake.state();
    let events: Vec<_> = state.recorded.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(events, ["instance_terminated"; 3], "what is not sent is no failure");
}

#[test]
fn capacity_is_raised_before_it_is_given_back() {
    let fake = Fake::new();
    fake.node("n1", RELEASED);
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    for name in ["n2", "n3", "n4"] {
        fake.node(name, BOOTING);
    }
    turn(&mut fake.engine());
    let mut log = fake.log();
    log.retain(|line| line.starts_with("terminate") || line.starts_with("desired"));
    // Two more than the one that is there, then one less: the other way round leaves three.
    assert_eq!(log, ["desired a 3", "terminate a i-1"]);
}

const SIZED: &str = "
    [[group]]
    name = 'g'
    nodes = 'n[1-6]'
    asg = 'a'
    min_size = 2
    max_size = 5
";

/// The log's lines that change something.
fn deeds(fake: &Fake) -> Vec<String> {
    let mut log = fake.log();
    log.retain(|line| {
        !["groups", "nodes", "save", "activities"].iter().any(|word| line.starts_with(word))
    });
    log
}

#[test]
fn room_that_is_written_is_used_once_it_is_there() {
    let fake = Fake::new();
    for name in ["n1", "n2", "n3", "n4", "n5"] {
        fake.node(name, BOOTING);
    }
    let mut engine = fake.engine_by(SIZED);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["sizes a 2 5", "desired a 4"]);
    fake.pass(300);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["desired a 5"]);
}

#[test]
fn base_nodes_come_up_from_the_start_without_any_job() {
    let fake = Fake::new();
    let mut engine = fake.engine_by(SIZED);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["sizes a 2 5", "power_up n1,n2"]);
    // The minimum has the instances launched; they get their names when Slurm resumes the nodes.
    fake.launch("a", 1);
    fake.launch("a", 2);
    fake.pass(1000);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["instances i-1,i-2"]);
    for name in ["n1", "n2"] {
        fake.node(name, NodeState::IDLE | NodeState::POWERING_UP);
    }
    fake.pass(1000);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["address n1 10.0.0.1, n2 10.0.0.2", "tag i-1 n1", "tag i-2 n2"]);
}

#[test]
fn sizes_changed_in_the_file_or_in_the_group_are_followed_within_a_minute() {
    let fake = Fake::new();
    let mut engine = fake.engine_by(SIZED);
    turn(&mut engine);
    deeds(&fake);
    let live_until = |word: &str, engine: &mut Turner| {
        let began = fake.state().now;
        while fake.state().now < began + 60_000 {
            let look = turn(engine);
            if deeds(&fake).iter().any(|line| line.starts_with(word)) {
                return;
            }
            fake.pass(u64::try_from(look.pause.max(look.rest).as_millis()).unwrap());
        }
        panic!("no {word} within a minute");
    };
    let asg = AsgName::new("a");
    fake.state().asgs.get_mut(&asg).unwrap().min = 0;
    live_until("sizes a 2 5", &mut engine);
    engine.set_policy(policy(&SIZED.replace("min_size = 2", "min_size = 3")));
    live_until("sizes a 3 5", &mut engine);
    // Where the file says nothing, the group's own minimum counts.
    let own: String =
        SIZED.lines().filter(|line| !line.contains("_size")).collect::<Vec<_>>().join("\n");
    engine.set_policy(policy(&own));
    fake.state().asgs.get_mut(&asg).unwrap().min = 4;
    live_until("power_up n4", &mut engine);
}

#[test]
fn an_initial_size_is_not_repeated_after_a_restart_or_a_reload() {
    let fake = Fake::new();
    let once = SIZED.replace("min_size = 2", "initial_size = 2");
    let mut engine = fake.engine_by(&once);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["sizes a 0 5", "desired a 2", "power_up n1,n2"]);
    fake.pass(1000);
    turn(&mut engine);
    for name in ["n1", "n2"] {
        fake.node(name, OFF);
    }
    fake.pass(600_000);
    engine.set_policy(policy(&once));
    turn(&mut engine);
    turn(&mut fake.engine_by(&once));
    assert_eq!(deeds(&fake), Vec::<String>::new());
}

/// Auto Scaling's list of instances may lag behind its numbers. (The simulation, seed 31 of an
/// earlier draw: the group ended a busy instance.)
#[test]
fn a_list_that_lags_behind_a_decrement_lowers_nothing() {
    let fake = Fake::new();
    for (name, state, nth) in [
        ("n1", RELEASED, 1),
        ("n2", RELEASED, 2),
        ("n3", NodeState::ALLOCATED, 3),
        ("n4", NodeState::ALLOCATED, 4),
    ] {
        fake.node(name, state);
        fake.launch("a", nth);
        fake.bind(name, "a", nth);
    }
    let mut engine = fake.engine();
    turn(&mut engine);
    assert!(fake.log().contains(&"terminate a i-1,i-2".to_owned()));
    // i-1 and i-2 are listed still, and the capacity shows that they are not counted.
    fake.state().asgs.get_mut(&AsgName::new("a")).unwrap().desired = 2;
    fake.node("n5", BOOTING);
    fake.node("n6", BOOTING);
    fake.pass(1000);
    turn(&mut engine);
    let mut log = fake.log();
    log.retain(|line| line.starts_with("desired"));
    assert_eq!(log, ["desired a 2"]);
}

#[test]
fn a_termination_without_an_answer_is_forgotten_once_ec2_says_so() {
    let fake = Fake::new();
    fake.node("n1", RELEASED);
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    fake.state().fail.insert("terminate");
    let mut engine = fake.engine();
    turn(&mut engine);
    assert_eq!(engine.memory().releases.len(), 1);
    // It was carried out all the same.
    fake.node("n1", OFF);
    let (asg, id) = (AsgName::new("a"), InstanceId::new("i-1"));
    fake.state().asgs.get_mut(&asg).unwrap().instances.clear();
    if let Some(Machine::Known(facts)) = fake.state().machines.get_mut(&id) {
        facts.dead = true;
    }
    for _ in 0..4 {
        fake.pass(30_000);
        turn(&mut engine);
    }
    assert!(engine.memory().releases.is_empty(), "{:?}", engine.memory().releases);
}

/// When capacity is asked for that cannot be had, in turns a second apart, of which the clock is set by
/// so many seconds after the first.
fn tries_after_clock_is_set(secs: i64) -> (Fake, Vec<(u32, String)>) {
    let fake = Fake::new();
    for name in ["n1", "n2"] {
        fake.node(name, BOOTING);
    }
    fake.state().fail.insert("desired");
    let mut engine = fake.engine();
    let mut tries = Vec::new();
    for nth in 0..30 {
        turn(&mut engine);
        let log = fake.log().into_iter().filter(|line| line.starts_with("desired"));
        tries.extend(log.map(|line| (nth, line)));
        fake.pass(1000);
        if nth == 0 {
            fake.state().clock_is_ahead = secs * 1000;
        }
    }
    (fake, tries)
}

#[test]
fn a_clock_that_is_set_keeps_nobody_waiting_and_ends_no_pause() {
    for secs in [-600, 600] {
        // AWS is asked all the same, and a new instance is found.
        let fake = Fake::new();
        let mut engine = fake.engine();
        turn(&mut engine);
        fake.state().clock_is_ahead = secs * 1000;
        fake.node("n1", BOOTING);
        fake.pass(1000);
        turn(&mut engine);
        let log = fake.log();
        assert!(log.contains(&"address n1 10.0.0.9".to_owned()), "{secs}: {log:?}");
        // A call that has failed rests as long as it would have, and no longer.
        let [(_, tries), (fake, tries_set)] = [0, secs].map(tries_after_clock_is_set);
        assert_eq!(tries, tries_set, "{secs}");
        assert!((4..20).contains(&tries.len()), "{tries:?}");
        let events: Vec<_> = fake.state().recorded.iter().map(ToString::to_string).collect();
        let way = if secs < 0 { "back" } else { "forward" };
        let told = format!("the machine's clock was set {way} by 600 s");
        assert_eq!(events.iter().filter(|line| line.starts_with(&told)).count(), 1, "{events:?}");
    }
}

#[test]
fn what_was_saved_by_a_clock_ahead_of_this_one_holds() {
    let fake = Fake::new();
    fake.node("n1", RELEASED);
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    fake.state().fail.insert("terminate");
    turn(&mut fake.engine());
    fake.log();
    fake.state().fail.clear();
    fake.state().clock_is_ahead = -600_000;
    let mut engine = fake.engine();
    let seconds = seconds_with(&mut engine, &fake, "terminate a i-1", 10);
    assert_eq!(seconds.len(), 1, "{seconds:?}");
}

/// Turns the loop at its own pace; the seconds of the calls that begin with `word`.
fn seconds_of(fake: &Fake, word: &str, secs: u64) -> Vec<u64> {
    seconds_with(&mut fake.engine(), fake, word, secs)
}

/// The same with an engine that is there.
fn seconds_with(engine: &mut Turner, fake: &Fake, word: &str, secs: u64) -> Vec<u64> {
    let mut seconds = Vec::new();
    let began = fake.state().now;
    while fake.state().now < began + secs * 1000 {
        fake.log();
        let look = turn(engine);
        let second = (fake.state().now - began) / 1000;
        let calls = fake.log().iter().filter(|line| line.starts_with(word)).count();
        seconds.extend(std::iter::repeat_n(second, calls));
        fake.pass(u64::try_from(look.pause.max(look.rest).as_millis()).unwrap());
    }
    seconds
}

#[test]
fn after_failures_aws_is_asked_less_and_less_often() {
    let fake = Fake::new();
    fake.state().fail.insert("groups");
    let asked = seconds_of(&fake, "groups", 600);
    let pauses: Vec<_> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..4], [1, 2, 4, 8], "{asked:?}");
    assert!(pauses.iter().all(|pause| *pause <= 61) && pauses.contains(&60), "{asked:?}");
}

#[test]
fn failures_of_aws_do_not_make_the_loop_ask_slurm_more_often() {
    let fake = Fake::new();
    fake.state().fail.insert("groups");
    let asked = seconds_of(&fake, "nodes", 600);
    assert!(asked.len() < 60, "{} looks in ten minutes", asked.len());
}

#[test]
fn an_instance_that_was_detached_does_not_keep_the_loop_awake() {
    let fake = Fake::new();
    fake.node("n1", NodeState::ALLOCATED);
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    fake.state().asgs.get_mut(&AsgName::new("a")).unwrap().instances.clear();
    let asked = seconds_of(&fake, "nodes", 600);
    assert!(asked.len() < 700, "{} looks in ten minutes", asked.len());
}

#[test]
fn without_work_the_loop_rests() {
    let fake = Fake::new();
    for name in ["n1", "n2", "n3", "n4", "n5", "n6"] {
        fake.node(name, OFF | NodeState::DRAIN);
    }
    let mut engine = fake.engine();
    // The instance that the group keeps has an orphan's age, and is not taken.
    turn(&mut engine);
    fake.pass(600_000);
    let look = turn(&mut engine);
    assert_eq!(look.plan.actions, []);
    assert_eq!(look.pause, IDLE_PAUSE);
    // One part in fifty of a core: the nodes took 1 ms.
    assert_eq!(look.rest, Duration::from_millis(1) * 50);
}

#[test]
fn while_slurm_is_silent_nothing_is_done() {
    let fake = Fake::new();
    fake.node("n1", RELEASED);
    fake.launch("a", 1);
    fake.bind("n1", "a", 1);
    fake.state().fail.insert("nodes");
    let look = turn(&mut fake.engine());
    assert_eq!(look.plan.actions, []);
    assert_eq!(fake.log(), ["groups a,b", "nodes"]);
}

const ALARM: &str = "
    [[group]]
    name = 'g'
    nodes = 'n[1-6]'
    asg = 'a'
    scale_out = 'alarm'
";

#[test]
fn figures_are_published_after_what_was_done_and_capacity_is_left_to_alarms() {
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    fake.node("n2", BOOTING);
    fake.launch("a", 1);
    turn(&mut fake.engine_by(ALARM));
    assert_eq!(
        fake.log(),
        [
            "groups a",
            "nodes",
            "instances i-1",
            "save",
            "address n1 10.0.0.1",
            "tag i-1 n1",
            "publish SlurmAsg hpc 1000.004: * pending 1, g pending 1",
        ]
    );
}

#[test]
fn figures_go_out_at_the_start_and_then_once_in_the_middle_of_each_minute_without_any_event() {
    let fake = Fake::new();
    // The virtual clock shows 00:16:40 at the start.
    let published = seconds_with(&mut fake.engine_by(ALARM), &fake, "publish", 300);
    assert_eq!(published, [0, 50, 110, 170, 230, 290]);
    // The same while Slurm is at work and the loop looks every second.
    let fake = Fake::new();
    fake.node("n1", BOOTING);
    let published = seconds_with(&mut fake.engine_by(ALARM), &fake, "publish", 300);
    assert_eq!(published, [0, 50, 110, 170, 230, 290]);
}

#[test]
fn without_metrics_and_alarms_nothing_is_published_and_nothing_wakes_the_loop_for_it() {
    let fake = Fake::new();
    assert_eq!(seconds_of(&fake, "publish", 300), Vec::<u64>::new());
    let metrics = "[metrics]\npublish = true\nperiod = 20\n";
    let mut engine = fake.engine_by(&format!("{metrics}{POLICY}"));
    assert_eq!(seconds_with(&mut engine, &fake, "publish", 60).len(), 4);
}

#[test]
fn a_publication_that_fails_changes_nothing_and_is_not_repeated_before_its_time() {
    let (well, ill) = (Fake::new(), Fake::new());
    ill.state().fail.insert("publish");
    for fake in [&well, &ill] {
        fake.node("n1", BOOTING);
    }
    let [well, ill] = [well, ill].map(|fake| {
        let calls = seconds_with(&mut fake.engine_by(ALARM), &fake, "", 200);
        (calls, fake.state().saved.clone())
    });
    assert_eq!(well, ill);
}

#[test]
fn what_cannot_be_seen_is_not_published_until_it_can() {
    for word in ["groups", "nodes", "queue"] {
        let fake = Fake::new();
        fake.node("n1", BOOTING);
        fake.state().fail.insert(word);
        let mut engine = fake.engine_by(ALARM);
        let mut publishes = || {
            turn(&mut engine);
            fake.log().iter().any(|line| line.starts_with("publish"))
        };
        assert!(!publishes(), "{word}");
        fake.state().fail.clear();
        fake.pass(2000);
        assert!(publishes(), "{word}");
    }
}

#[test]
fn an_instance_that_someone_else_ends_drains_its_node_and_is_let_go_after_the_job() {
    let fake = Fake::new();
    fake.launch("a", 1);
    fake.node("n1", NodeState::ALLOCATED);
    fake.bind("n1", "a", 1);
    fake.state().asgs.get_mut(&AsgName::new("a")).unwrap().desired = 1;
    let comes_to = |lifecycle: Lifecycle| {
        let mut state = fake.state();
        let members = &mut state.asgs.get_mut(&AsgName::new("a")).unwrap().instances;
        members.get_mut(&InstanceId::new("i-1")).unwrap().lifecycle = lifecycle;
    };
    comes_to(Lifecycle::TerminatingWait);
    let mut engine = fake.engine();
    turn(&mut engine);
    let log = deeds(&fake);
    let told = log.iter().filter(|line| {
        ["hooks", "drain", "Wait", "Continue"].iter().any(|word| line.starts_with(word))
    });
    let told: Vec<_> = told.map(String::as_str).collect();
    let drained = "drain n1 (Code:InstanceTerminating) i-1 is being terminated, not by slurm-asg";
    assert_eq!(told, ["hooks a", "Wait slurm-asg-terminating i-1", drained]);
    // The hook's timeout is 120 s, and the loop comes back by itself before that.
    let look = turn(&mut engine);
    assert!(look.pause <= Duration::from_secs(60), "{:?}", look.pause);
    fake.log();
    fake.pass(60_000);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["Wait slurm-asg-terminating i-1"], "hooks are not asked for again");
    fake.state().nodes.get_mut(&NodeName::new("n1")).unwrap().state = NodeState(RELEASED);
    fake.pass(10_000);
    turn(&mut engine);
    assert_eq!(deeds(&fake), ["Continue slurm-asg-terminating i-1"]);
}

#[test]
fn hooks_that_cannot_be_read_are_asked_for_again_and_stop_nothing() {
    let fake = Fake::new();
    fake.launch("a", 1);
    fake.state().fail.insert("hooks");
    let asg = |state: &mut State, lifecycle| {
        let members = &mut state.asgs.get_mut(&AsgName::new("a")).unwrap().instances;
        members.get_mut(&InstanceId::new("i-1")).unwrap().lifecycle = lifecycle;
    };
    asg(&mut fake.state(), Lifecycle::TerminatingWait);
    fake.node("n1", BOOTING);
    let mut engine = fake.engine();
    turn(&mut engine);
    let log = fake.log();
    assert!(log.iter().any(|line| line.starts_with("address n1")), "{log:?}");
    assert_eq!(log.iter().filter(|line| *line == "hooks a").count(), 1, "{log:?}");
    fake.state().fail.clear();
    fake.pass(10_000);
    turn(&mut engine);
    let log = fake.log();
    assert!(log.iter().any(|line| line == "Continue slurm-asg-terminating i-1"), "{log:?}");
}

#[test]
fn what_serves_a_node_is_protected_in_one_call_per_group() {
    let fake = Fake::new();
    for nth in [1, 2] {
        fake.launch("a", nth);
        let node = format!("n{nth}");
        fake.node(&node, NodeState::ALLOCATED);
        fake.bind(&node, "a", nth);
    }
    for member in fake.state().asgs.get_mut(&AsgName::new("a")).unwrap().instances.values_mut() {
        member.protected = false;
    }
    let mut engine = fake.engine();
    turn(&mut engine);
    let protects = |fake: &Fake| -> Vec<String> {
        fake.log().into_iter().filter(|line| line.starts_with("protect")).collect()
    };
    assert_eq!(protects(&fake), ["protect a i-1,i-2"]);
    fake.pass(60_000);
    turn(&mut engine);
    assert_eq!(protects(&fake), Vec::<String>::new());
}

#[test]
fn a_job_that_lands_while_aws_takes_its_time_keeps_its_node() {
    let fake = Fake::new();
    for nth in [1, 2] {
        fake.launch("a", nth);
        let node = format!("n{nth}");
        fake.node(&node, RELEASED);
        fake.bind(&node, "a", nth);
    }
    // Another instance has no address yet: EC2 is asked, and does not answer for ten seconds.
    fake.launch("a", 3);
    fake.state().machines.remove(&InstanceId::new("i-3"));
    fake.state().fail.insert("instances");
    fake.state().meanwhile.insert("instances", |state| {
        state.now += 10_000;
        let node = state.nodes.get_mut(&NodeName::new("n1")).unwrap();
        node.state = NodeState(NodeState::ALLOCATED);
    });
    turn(&mut fake.engine());
    let log = fake.log();
    let ends: Vec<_> = log.iter().filter(|line| line.starts_with("terminate")).collect();
    assert_eq!(ends, ["terminate a i-2"], "{log:?}");
    assert!(log.iter().filter(|line| *line == "nodes").count() >= 2, "{log:?}");
}

#[test]
fn a_group_that_launches_nothing_is_asked_why_within_five_seconds_and_then_less_often() {
    let fake = Fake::new();
    // One gets the instance that the other group of the list has, which has no room for more.
    fake.node("n1", BOOTING);
    fake.node("n2", BOOTING);
    fake.state().asgs.get_mut(&AsgName::new("b")).unwrap().max = 1;
    let failure = LaunchFailure {
        at: Timestamp::from_millis(1_003_000),
        kind: FailureKind::Capacity,
        code: "InsufficientInstanceCapacity".to_owned(),
        zone: "z".to_owned(),
        message: "injected".to_owned(),
    };
    let mut engine = fake.engine();
    let asked = seconds_with(&mut engine, &fake, "activities a", 60);
    assert!(asked[0] <= 5, "{asked:?}");
    assert!(asked.len() < 15, "{asked:?}");
    fake.log();
    fake.state().failures.insert("a".into(), failure);
    fake.pass(20_000);
    turn(&mut engine);
    fake.pass(3_000);
    turn(&mut engine);
    let log = fake.log();
    assert!(log.iter().any(|line| line == "desired a 0"), "given back: {log:?}");
    let names: Vec<_> = fake.state().recorded.iter().map(|event| event.event.as_str()).collect();
    assert!(names.contains(&"launches_fail"), "{names:?}");
}

/// A message of AWS over the queue, deleted by the receipt `nth`.
fn message(nth: u32, id: &str) -> QueuedMessage {
    let body = format!(
        "{{\"detail-type\":\"EC2 Spot Instance Interruption Warning\",\
        \"time\":\"1970-01-01T00:16:00Z\",\"detail\":{{\"instance-id\":\"{id}\"}}}}"
    );
    QueuedMessage { body, receipt: Receipt(nth.to_string()) }
}

#[test]
fn a_notice_is_saved_before_its_message_is_deleted_and_its_node_drains_once() {
    let fake = Fake::new();
    fake.launch("a", 1);
    fake.node("n1", NodeState::ALLOCATED);
    fake.bind("n1", "a", 1);
    fake.state().asgs.get_mut(&AsgName::new("a")).unwrap().desired = 1;
    let mut engine = fake.engine();
    turn(&mut engine);
    fake.log();
    // One is another's, one nobody can read, and the last comes twice.
    let other = message(1, "i-0123");
    let odd = QueuedMessage { body: "odd".to_owned(), receipt: Receipt("2".to_owned()) };
    fake.state().messages = vec![other.clone(), odd, message(3, "i-1"), message(4, "i-1")];
    assert!(engine.take_messages(), "a look follows");
    assert_eq!(fake.log(), ["save", "delete 1", "delete 2", "delete 3", "delete 4"]);
    turn(&mut engine);
    let drained = "drain n1 (Code:SpotInterruption) i-1 goes at 00:18 UTC";
    assert!(fake.log().iter().any(|line| line == drained));
    let messages = engine.messages();
    assert_eq!((messages.notices, messages.unknown, messages.malformed), (2, 1, 1));
    let told = fake.state().recorded.iter().map(ToString::to_string).collect::<Vec<_>>();
    let notice = "group=g asg=a node=n1 instance=i-1 (Code:SpotInterruption) i-1 goes at";
    assert_eq!(told.iter().filter(|line| line.starts_with(notice)).count(), 1, "{told:#?}");
    fake.state().messages = vec![other];
    assert!(!engine.take_messages(), "no look for others' instances");
}

#[test]
fn a_message_whose_notice_cannot_be_saved_is_not_deleted() {
    let fake = Fake::new();
    fake.launch("a", 1);
    fake.node("n1", NodeState::ALLOCATED);
    fake.bind("n1", "a", 1);
    let mut engine = fake.engine();
    turn(&mut engine);
    fake.log();
    fake.state().fail.insert("save");
    fake.state().messages = vec![message(1, "i-1")];
    assert!(engine.take_messages());
    assert_eq!(fake.log(), ["save"]);
    // It is acted on all the same, and deleted when it comes again.
    turn(&mut engine);
    assert!(fake.log().iter().any(|line| line.starts_with("drain n1 ")));
    fake.state().fail.clear();
    fake.state().messages = vec![message(2, "i-1")];
    assert!(engine.take_messages());
    assert_eq!(fake.log(), ["save", "delete 2"]);
}

#[test]
fn a_queue_that_cannot_be_read_is_told_until_it_can() {
    let fake = Fake::new();
    let mut engine = fake.engine();
    turn(&mut engine);
    let error = fake.cloud("ReceiveMessage", String::new());
    assert_eq!(error, Ok(()));
    fake.state().fail.insert("ReceiveMessage");
    let error = fake.cloud("ReceiveMessage", String::new());
    fake.state().listened = Some(error);
    assert!(turn(&mut engine).troubles.iter().any(|line| line.contains("ReceiveMessage")));
    assert!(turn(&mut engine).troubles.iter().any(|line| line.contains("ReceiveMessage")));
    fake.state().listened = Some(Ok(()));
    assert_eq!(turn(&mut engine).troubles, Vec::<String>::new());
}
