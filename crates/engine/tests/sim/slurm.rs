//! slurmctld as a model: jobs, nodes, and power_save.c of 22.05 as far as the loop depends on it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::{InstanceId, NodeName};
use slurm_asg_core::node_state::{NodeState, Phase};
use slurm_asg_core::snapshot::{
    Job as Record, JobState as RecordState, Node as Seen, Partition, Queue, Reason,
};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{AddressUpdate, Nodes, Scheduler, SchedulerError};

use crate::clock::{MINUTE, Millis, SECOND, Shared};
use crate::world::{Event, World};

pub const SUSPEND_TIME: Millis = 90 * SECOND;
pub const SUSPEND_TIMEOUT: Millis = 30 * SECOND;
pub const RESUME_TIMEOUT: Millis = 300 * SECOND;
const REQUEUE_DELAY: Millis = 121 * SECOND;
/// A node that is silent for this long is set down (SlurmdTimeout).
const SILENT_MAX: Millis = 300 * SECOND;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub state: u32,
    pub address: String,
    pub reason: String,
    /// When the resume program was last called for it.
    pub boot_req: Millis,
    /// When the suspend program was last called for it.
    pub suspend_at: Millis,
    pub last_busy: Millis,
    /// The job that has it, also while that completes.
    pub job: Option<u32>,
    /// Whose slurmd has registered.
    pub registered: Option<InstanceId>,
    pub silent_since: Option<Millis>,
}

impl Node {
    pub const fn has(&self, flags: u32) -> bool {
        NodeState(self.state).has(flags)
    }

    pub const fn phase(&self) -> Phase {
        NodeState(self.state).phase()
    }

    pub const fn is_down(&self) -> bool {
        NodeState(self.state).is_down()
    }

    /// Powered down, and nobody wants anything of it: to power_save.c it is not there.
    const fn sleeps(&self) -> bool {
        let stirs = NodeState::POWERING_DOWN
            | NodeState::POWERING_UP
            | NodeState::POWER_DOWN
            | NodeState::POWER_UP
            | NodeState::COMPLETING;
        self.has(NodeState::POWERED_DOWN) && !self.has(stirs) && self.job.is_none()
    }

    const fn set_base(&mut self, base: u32) {
        self.state = self.state & !0xf | base;
    }

    const fn set(&mut self, flags: u32) {
        self.state |= flags;
    }

    const fn clear(&mut self, flags: u32) {
        self.state &= !flags;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    Pending { from: Millis },
    Configuring,
    Running,
    Completing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub size: usize,
    pub state: JobState,
    pub nodes: Vec<NodeName>,
    /// Counts starts and ends, so that an event of an earlier start is known as such.
    pub turn: u32,
    pub runs: Millis,
    /// When it was given its nodes.
    pub allocated: Millis,
    cancelled: bool,
}

/// What slurmctld writes into StateSaveLocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Saved {
    pub nodes: BTreeMap<NodeName, Node>,
    pub jobs: BTreeMap<u32, Job>,
}

#[derive(Default)]
pub struct Slurm {
    pub now: Saved,
    pub saved: Saved,
    /// What was shown of the nodes last, and what they were.
    pub shown: (BTreeMap<NodeName, Node>, Nodes),
    /// Not serving before this time.
    pub up_from: Millis,
    pub submitted: u32,
    pub finished: u32,
    /// cloud_reg_addrs: a registration sets NodeAddr.
    pub learns_addresses: bool,
    /// A node that is powered down comes up when a young slurmd registers for it.
    pub takes_unasked: bool,
    /// NodeAddr is reset when the suspend program is called, or else when its time is over.
    pub resets_at_once: bool,
    /// SuspendExcNodes: Slurm does not suspend the first so many nodes by itself.
    pub spared: usize,
}

impl Slurm {
    /// The nodes as slurmctld shows them.
    fn show_nodes(&mut self) -> Nodes {
        let (before, shown) = &mut self.shown;
        if *before != self.now.nodes {
            let blank = Seen::default();
            let seen = |node: &Node| Seen {
                state: NodeState(node.state | NodeState::CLOUD),
                address: node.address.clone(),
                reason: node.reason.clone(),
                idle_since: Some(Timestamp::from_millis(node.last_busy)),
                cpus: 1,
                ..blank.clone()
            };
            let nodes = self.now.nodes.iter();
            *shown = Arc::new(nodes.map(|(name, node)| (name.clone(), seen(node))).collect());
            before.clone_from(&self.now.nodes);
        }
        Arc::clone(shown)
    }
}

/// A job that has its nodes and waits for them.
fn configuring(id: u32, job: &Job) -> Record {
    let nodes = hostlist::compress(&job.nodes);
    Record {
        job_id: id,
        job_state: RecordState(RecordState::RUNNING.0 | RecordState::CONFIGURING),
        partition: "p".into(),
        nodes: Some(nodes.into()),
        start_time: Some(Timestamp::from_millis(job.allocated)),
        ..Record::default()
    }
}

impl World {
    pub fn node(&mut self, name: &NodeName) -> &mut Node {
        self.slurm.now.nodes.get_mut(name).unwrap()
    }

    fn names(&self) -> Vec<NodeName> {
        self.slurm.now.nodes.keys().cloned().collect()
    }

    pub fn slurm_is_up(&self) -> bool {
        self.now >= self.slurm.up_from
    }

    pub fn submit(&mut self) {
        let id = self.slurm.submitted + 1;
        self.slurm.submitted = id;
        let most = self.slurm.now.nodes.len().min(self.sizes.max as usize).min(4);
        let size = self.rng.usize(1..=most);
        let runs = if self.rng.bool() {
            self.rng.u64(SECOND..MINUTE)
        } else {
            self.rng.u64(MINUTE..8 * MINUTE)
        };
        let state = JobState::Pending { from: self.now };
        let (nodes, turn, allocated, cancelled) = (Vec::new(), 0, 0, false);
        let job = Job { size, state, nodes, turn, allocated, runs, cancelled };
        self.slurm.now.jobs.insert(id, job);
        self.say(|| format!("job {id} submitted, {size} nodes, {} s", runs / SECOND));
        self.hook_rings();
        let rate = self.faults.cancelled;
        if self.strikes(rate, "job cancelled") {
            let at = self.now + self.rng.u64(0..5 * MINUTE);
            self.timeline.at(at, Event::Cancel(id));
        }
    }

    pub fn cancel(&mut self, id: u32) {
        if !self.slurm_up_or_put_off(Event::Cancel(id)) {
            return;
        }
        let Some(job) = self.slurm.now.jobs.get_mut(&id) else { return };
        job.cancelled = true;
        self.say(|| format!("job {id} cancelled"));
        self.hook_rings();
        self.end_job(id, None);
    }

    /// With fewer instances than nodes, jobs of several nodes may each hold a part of what is
    /// there until ResumeTimeout, again and again: slurm.conf promises what the group has not.
    /// Unless it launches all or nothing.
    pub fn jobs_may_starve(&self) -> bool {
        (self.sizes.max as usize) < self.slurm.now.nodes.len() && !self.all_or_nothing
    }

    /// Somebody cancels what is left.
    pub fn give_up_jobs(&mut self) {
        let ids: Vec<_> = self.slurm.now.jobs.keys().copied().collect();
        for id in ids {
            self.faults.count("job starved, fewer instances than nodes");
            self.cancel(id);
        }
    }

    fn slurm_up_or_put_off(&mut self, event: Event) -> bool {
        let up = self.slurm_is_up();
        if !up {
            self.timeline.at(self.slurm.up_from + SECOND, event);
        }
        up
    }

    /// Gives pending jobs their nodes: nodes in service first, then booting ones, then any.
    pub fn schedule(&mut self) {
        let next = self.now + self.rng.u64(200..2000);
        self.timeline.at(next, Event::Schedule);
        if !self.slurm_is_up() {
            return;
        }
        let now = self.now;
        let pending = |job: &Job| matches!(job.state, JobState::Pending { from } if from <= now);
        let waiting: Vec<_> =
            self.slurm.now.jobs.iter().filter(|(_, job)| pending(job)).map(|(id, _)| *id).collect();
        if waiting.is_empty() {
            return;
        }
        for id in waiting {
            let closed = NodeState::POWERING_DOWN
                | NodeState::POWER_DOWN
                | NodeState::COMPLETING
                | NodeState::DRAIN;
            let mut free: Vec<(Phase, NodeName)> = Vec::new();
            for (name, node) in &self.slurm.now.nodes {
                let idle = NodeState(node.state).base() == NodeState::IDLE;
                let silent = node.has(NodeState::NO_RESPOND) && node.phase() == Phase::Up;
                if idle && node.job.is_none() && !node.has(closed) && !silent {
                    free.push((node.phase(), name.clone()));
                }
            }
            let order = [Phase::Up, Phase::Booting, Phase::Wanted, Phase::Off];
            free.sort_by_key(|(phase, _)| order.iter().position(|known| known == phase));
            let job = self.slurm.now.jobs.get_mut(&id).unwrap();
            if free.len() < job.size {
                continue;
            }
            job.nodes = free.into_iter().take(job.size).map(|(_, name)| name).collect();
            job.state = JobState::Configuring;
            job.allocated = now;
            job.turn += 1;
            for name in job.nodes.clone() {
                let node = self.node(&name);
                node.job = Some(id);
                node.set_base(NodeState::ALLOCATED);
            }
            self.say_of_job(id, "allocated");
            self.start_if_ready(id);
        }
    }

    fn say_of_job(&mut self, id: u32, what: &str) {
        let nodes = self.slurm.now.jobs.get(&id).map(|job| job.nodes.clone()).unwrap_or_default();
        let nodes: Vec<_> = nodes.iter().map(|node| node.to_string()).collect();
        self.say(|| format!("job {id} {what}, on {}", nodes.join(",")));
    }

    fn start_if_ready(&mut self, id: u32) {
        let Some(job) = self.slurm.now.jobs.get(&id) else { return };
        let ready = job.nodes.iter().all(|name| self.slurm.now.nodes[name].phase() == Phase::Up);
        if job.state != JobState::Configuring || !ready {
            return;
        }
        let job = self.slurm.now.jobs.get_mut(&id).unwrap();
        job.state = JobState::Running;
        job.turn += 1;
        let (turn, ends) = (job.turn, self.now + job.runs);
        self.timeline.at(ends, Event::JobEnds(id, turn));
        self.say_of_job(id, "runs");
    }

    pub fn job_ends(&mut self, id: u32, turn: u32) {
        let running = |job: &&Job| job.turn == turn && job.state == JobState::Running;
        if self.slurm.now.jobs.get(&id).filter(running).is_none() {
            return;
        }
        if self.slurm_up_or_put_off(Event::JobEnds(id, turn)) {
            self.say_of_job(id, "ends");
            self.end_job(id, None);
        }
    }

    /// Ends a job, or puts it back into the queue until `again`.
    fn end_job(&mut self, id: u32, again: Option<Millis>) {
        let Some(job) = self.slurm.now.jobs.get_mut(&id) else { return };
        job.turn += 1;
        let turn = job.turn;
        let nodes = std::mem::take(&mut job.nodes);
        let started = matches!(job.state, JobState::Running | JobState::Completing);
        job.state = match again {
            Some(from) if !job.cancelled => JobState::Pending { from },
            _ => JobState::Completing,
        };
        let gone = job.state == JobState::Completing;
        if gone {
            if !job.cancelled {
                self.slurm.finished += 1;
            }
            self.slurm.now.jobs.remove(&id);
        }
        let completes = self.now + self.rng.u64(0..2000);
        for name in nodes {
            let now = self.now;
            let node = self.node(&name);
            node.last_busy = now;
            if !node.is_down() {
                node.set_base(NodeState::IDLE);
            }
            if started && node.phase() == Phase::Up && !node.is_down() {
                node.set(NodeState::COMPLETING);
                self.timeline.at(completes, Event::Completed(name, id, turn));
            } else {
                node.job = None;
            }
        }
    }

    pub fn completed(&mut self, name: &NodeName, id: u32, turn: u32) {
        if !self.slurm_up_or_put_off(Event::Completed(name.clone(), id, turn)) {
            return;
        }
        let now = self.now;
        let node = self.node(name);
        if node.job == Some(id) && node.has(NodeState::COMPLETING) {
            node.clear(NodeState::COMPLETING);
            node.job = None;
            node.last_busy = now;
        }
    }

    fn set_down(&mut self, name: &NodeName, reason: &str) {
        let now = self.now;
        let node = self.node(name);
        node.set_base(NodeState::DOWN);
        node.clear(NodeState::COMPLETING);
        reason.clone_into(&mut node.reason);
        let job = node.job.take();
        if let Some(id) = job {
            self.say(|| format!("job {id} requeued: {name} is down"));
            self.end_job(id, Some(now + REQUEUE_DELAY));
        }
    }

    /// power_save.c's pass, once a second, and the pings.
    pub fn power_pass(&mut self) {
        self.timeline.at(self.now + SECOND, Event::Power);
        if !self.slurm_is_up() {
            return;
        }
        let (mut resumed, mut suspended) = (Vec::new(), Vec::new());
        let nodes = self.slurm.now.nodes.iter().filter(|(_, node)| !node.sleeps());
        let names: Vec<_> = nodes.map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return;
        }
        let answering = self.answering();
        for name in names {
            self.ping(&name, answering.contains(&name));
            let (now, resets) = (self.now, self.slurm.resets_at_once);
            let nth: usize = name.as_str().trim_start_matches('n').parse().unwrap();
            let spared = nth <= self.slurm.spared;
            let node = self.node(&name);
            let busy = node.job.is_some() || node.has(NodeState::COMPLETING);
            let off = node.has(NodeState::POWERED_DOWN);
            let booting = node.has(NodeState::POWERING_UP);
            if node.has(NodeState::POWERING_DOWN) {
                if now >= node.suspend_at + SUSPEND_TIMEOUT {
                    node.clear(NodeState::POWERING_DOWN);
                    node.set(NodeState::POWERED_DOWN);
                    name.as_str().clone_into(&mut node.address);
                }
            } else if off && (busy || node.has(NodeState::POWER_UP)) && !node.is_down() {
                node.clear(NodeState::POWERED_DOWN | NodeState::POWER_UP);
                node.set(NodeState::POWERING_UP | NodeState::NO_RESPOND);
                node.boot_req = now;
                node.registered = None;
                resumed.push(name.to_string());
            } else if booting && now > node.boot_req + RESUME_TIMEOUT {
                node.clear(NodeState::POWERING_UP);
                node.set(NodeState::POWERED_DOWN);
                self.say(|| format!("{name} ResumeTimeout reached"));
                self.set_down(&name, "ResumeTimeout reached [slurm@sim]");
            } else {
                let idle = !busy && !booting && !off && now >= node.last_busy + SUSPEND_TIME;
                let idle = idle && !spared;
                let asked = !busy && node.has(NodeState::POWER_DOWN);
                if idle || asked {
                    // idle_on_node_suspend
                    node.set_base(NodeState::IDLE);
                    let over = NodeState::POWER_DOWN
                        | NodeState::DRAIN
                        | NodeState::POWERED_DOWN
                        | NodeState::POWERING_UP;
                    node.clear(over);
                    node.set(NodeState::POWERING_DOWN | NodeState::NO_RESPOND);
                    node.suspend_at = now;
                    node.registered = None;
                    if resets {
                        name.as_str().clone_into(&mut node.address);
                    }
                    suspended.push(name.to_string());
                }
            }
        }
        for (what, names) in [("resume", resumed), ("suspend", suspended)] {
            if !names.is_empty() {
                self.say(|| format!("{what} program: {}", names.join(",")));
                self.program_rings();
            }
        }
    }

    /// Nodes for which a slurmd answers at their address.
    fn answering(&self) -> Vec<NodeName> {
        let alive = self.aws.instances.values().filter(|instance| instance.is_alive(self.now));
        let slurmds = alive.filter_map(|it| Some((&it.slurmd.as_ref()?.node, it.address)));
        let is_there = |(name, address): &(&NodeName, IpAddr)| {
            self.slurm.now.nodes[*name].address.parse() == Ok(*address)
        };
        slurmds.filter(is_there).map(|(name, _)| name.clone()).collect()
    }

    fn ping(&mut self, name: &NodeName, answers: bool) {
        let now = self.now;
        let node = self.node(name);
        if node.phase() != Phase::Up {
            return;
        }
        if answers {
            // node_did_resp
            node.clear(NodeState::NO_RESPOND);
            node.silent_since = None;
            return;
        }
        let since = *node.silent_since.get_or_insert(now);
        if now >= since + MINUTE {
            node.set(NodeState::NO_RESPOND);
        }
        if now >= since + SILENT_MAX && !node.is_down() {
            self.say(|| format!("{name} does not answer, set down"));
            self.set_down(name, "Not responding [slurm@sim]");
        }
    }

    /// A slurmd of `instance` asks to register, and does so again as long as it lives.
    pub fn register(&mut self, id: &InstanceId) {
        let now = self.now;
        let (learns, unasked) = (self.slurm.learns_addresses, self.slurm.takes_unasked);
        let Some(instance) = self.aws.instances.get(id) else { return };
        let Some(slurmd) = instance.slurmd.clone().filter(|_| instance.is_alive(now)) else {
            return;
        };
        let address = instance.address.to_string();
        let next = if self.slurm_is_up() { self.rng.u64(30..60) } else { self.rng.u64(1..5) };
        self.timeline.at(now + next * SECOND, Event::Register(id.clone()));
        if !self.slurm_is_up() {
            return;
        }
        // The first time it speaks for itself, then it is asked, at the node's address.
        let not_asked = slurmd.heard && self.node(&slurmd.node).address != address;
        self.aws.instances.get_mut(id).unwrap().slurmd.as_mut().unwrap().heard = true;
        if not_asked {
            return;
        }
        // Slurm compares whole seconds.
        let started = slurmd.started / SECOND;
        let node = self.node(&slurmd.node);
        let ignored = if node.has(NodeState::POWERING_UP) {
            started < node.boot_req / SECOND
        } else if node.has(NodeState::POWERING_DOWN) {
            true
        } else {
            node.has(NodeState::POWERED_DOWN)
                && !(unasked && slurmd.started >= node.suspend_at + SUSPEND_TIMEOUT)
        };
        if ignored {
            let name = slurmd.node;
            self.say(|| format!("{name} registration of {id} ignored"));
            return;
        }
        let news = node.registered.as_ref() != Some(id)
            || node.has(NodeState::POWERING_UP | NodeState::POWERED_DOWN)
            || node.is_down();
        if !news {
            return;
        }
        node.clear(NodeState::POWERING_UP | NodeState::POWERED_DOWN | NodeState::NO_RESPOND);
        node.registered = Some(id.clone());
        node.silent_since = None;
        node.last_busy = now;
        if learns {
            node.address = address;
        }
        if node.is_down() {
            // ReturnToService=2
            node.set_base(NodeState::IDLE);
        }
        let job = node.job;
        let name = slurmd.node;
        self.say(|| format!("{name} is up: {id} registered"));
        if let Some(job) = job {
            self.start_if_ready(job);
        }
    }

    /// slurmctld dies and comes back with what it had saved, or has saved at the last moment.
    pub fn restart_slurmctld(&mut self, forgets: bool) {
        self.slurm.up_from = self.now + self.rng.u64(SECOND..30 * SECOND);
        if forgets {
            self.slurm.now = self.slurm.saved.clone();
        }
        let jobs: Vec<_> = self.slurm.now.jobs.iter().map(|(id, job)| (*id, job.state)).collect();
        for (id, state) in jobs {
            let ends = self.slurm.up_from + self.rng.u64(SECOND..MINUTE);
            let job = self.slurm.now.jobs.get_mut(&id).unwrap();
            if state == JobState::Running {
                job.turn += 1;
                self.timeline.at(ends, Event::JobEnds(id, job.turn));
            }
        }
        for name in self.names() {
            let at = self.slurm.up_from + SECOND;
            let node = self.node(&name);
            node.silent_since = None;
            if node.has(NodeState::COMPLETING)
                && let Some(id) = node.job
            {
                self.timeline.at(at, Event::Completed(name, id, 0));
            }
        }
    }

    /// The pending jobs and the partitions, as slurmctld tells them.
    fn queue(&self) -> Queue {
        let now = self.now;
        let pending = |(id, job): (&u32, &Job)| {
            let JobState::Pending { from } = job.state else {
                return (job.state == JobState::Configuring).then(|| configuring(*id, job));
            };
            let nodes = u32::try_from(job.size).unwrap();
            let start_time = Some(Timestamp::from_millis(from)).filter(|_| now < from);
            let waits = if id % 2 == 0 { Reason::NONE } else { Reason::RESOURCES };
            Some(Record {
                job_id: *id,
                state_reason: if start_time.is_some() { Reason::BEGIN_TIME } else { waits },
                partition: "p".into(),
                num_nodes: nodes,
                max_nodes: nodes,
                shared: 0,
                start_time,
                ..Record::default()
            })
        };
        let jobs = self.slurm.now.jobs.iter().filter_map(pending).collect();
        let nodes = self.slurm.now.nodes.keys().cloned().collect();
        let partition = Partition { name: "p".into(), nodes, max_share: 0, ..Partition::default() };
        let partitions = [("p".into(), partition)].into();
        Queue { jobs, partitions, ..Queue::default() }
    }

    fn update(&mut self, call: &'static str) -> Result<(), SchedulerError> {
        let rate = self.faults.slurm_fails;
        if !self.slurm_is_up() || self.strikes(rate, "Slurm call refused") {
            self.say(|| format!("{call} refused"));
            return Err(failed(call));
        }
        Ok(())
    }

    /// The update was made; its answer may still be lost.
    fn answer(&mut self, call: &'static str) -> Result<(), SchedulerError> {
        let rate = self.faults.slurm_fails;
        if self.strikes(rate, "Slurm reply lost") { Err(failed(call)) } else { Ok(()) }
    }
}

fn failed(call: &'static str) -> SchedulerError {
    SchedulerError { call, message: "Unable to contact slurm controller".to_owned() }
}

/// The engine's way to slurmctld.
pub struct Slurmctld(pub Shared);

impl Slurmctld {
    async fn call(
        &self,
        call: &'static str,
        work: impl FnOnce(&mut World),
    ) -> Result<(), SchedulerError> {
        self.0.sleep(1).await;
        self.0.world().update(call)?;
        work(&mut self.0.world());
        self.0.world().act();
        self.0.sleep(2).await;
        self.0.world().answer(call)
    }
}

impl Scheduler for Slurmctld {
    fn cluster(&self) -> &str {
        "sim"
    }

    async fn nodes(&mut self) -> Result<Nodes, SchedulerError> {
        self.0.sleep(1).await;
        let (nodes, took) = {
            let mut world = self.0.world();
            world.slurm_is_looked_at();
            world.update("slurm_load_node")?;
            let rate = world.faults.slurm_slow;
            let slow = world.strikes(rate, "slurmctld slow");
            let took = if slow { world.rng.u64(50..500) } else { world.rng.u64(0..3) };
            (world.slurm.show_nodes(), took)
        };
        self.0.sleep(took).await;
        Ok(nodes)
    }

    async fn queue(&mut self) -> Result<Arc<Queue>, SchedulerError> {
        self.0.sleep(1).await;
        let (queue, takes) = {
            let mut world = self.0.world();
            world.update("slurm_load_jobs")?;
            (world.queue(), world.faults.queue_takes)
        };
        self.0.sleep(takes).await;
        Ok(Arc::new(queue))
    }

    async fn set_addresses(&mut self, updates: &[AddressUpdate]) -> Result<(), SchedulerError> {
        self.call("set_addresses", |world| {
            for update in updates {
                let (node, id) = (&update.node, &update.instance);
                world.say(|| format!("engine: {node} has its address from {id}"));
                world.is_named(id, node);
                world.node(node).address = update.address.to_string();
            }
        })
        .await
    }

    async fn mark_down(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.call("mark_down", |world| {
            for node in nodes {
                world.say(|| format!("engine: {node} down, {reason}"));
                world.is_set_down(node);
                world.set_down(node, reason);
            }
        })
        .await
    }

    async fn power_down(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.call("power_down", |world| {
            for node in nodes {
                world.say(|| format!("engine: {node} power down"));
                world.node(node).set(NodeState::POWER_DOWN);
            }
        })
        .await
    }

    async fn drain(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.call("drain", |world| {
            for name in nodes {
                world.say(|| format!("engine: {name} drains, {reason}"));
                world.node(name).set(NodeState::POWER_DOWN | NodeState::DRAIN);
            }
        })
        .await
    }

    async fn close(&mut self, nodes: &[NodeName], reason: &str) -> Result<(), SchedulerError> {
        self.call("close", |world| {
            for name in nodes {
                world.say(|| format!("engine: {name} closed, {reason}"));
                let node = world.node(name);
                node.set(NodeState::DRAIN);
                reason.clone_into(&mut node.reason);
            }
        })
        .await
    }

    async fn open(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.call("open", |world| {
            for name in nodes {
                world.say(|| format!("engine: {name} open"));
                let node = world.node(name);
                node.clear(NodeState::DRAIN);
                node.reason.clear();
            }
        })
        .await
    }

    async fn power_up(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.call("power_up", |world| {
            for name in nodes {
                world.say(|| format!("engine: {name} power up"));
                let node = world.node(name);
                // It has no effect on a node that is not down yet, or is up.
                if node.has(NodeState::POWERED_DOWN) && !node.has(NodeState::POWERING_DOWN) {
                    node.set(NodeState::POWER_UP);
                }
            }
        })
        .await
    }

    fn note_jobs_later(&mut self, _notices: Vec<(u32, String)>) {}

    async fn refresh_idle(&mut self, nodes: &[NodeName]) -> Result<(), SchedulerError> {
        self.call("refresh_idle", |world| {
            let now = world.now;
            for name in nodes {
                let node = world.node(name);
                if NodeState(node.state).base() == NodeState::IDLE {
                    node.last_busy = now;
                }
            }
        })
        .await
    }
}
