//! One Auto Scaling group and its instances as a model. Everything that happens to an instance
//! has a time, so that a read that lags is the same question at an earlier time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use slurm_asg_core::advice::Advice;
use slurm_asg_core::ids::{AsgName, InstanceId, NodeName};
use slurm_asg_core::memory::{FailedBoot, Launched};
use slurm_asg_core::node_state::Phase;
use slurm_asg_core::plan::{AnswerHook, HookAnswer, Launch};
use slurm_asg_core::snapshot::{
    Asg, FailureKind, Hook, LaunchFailure, Lifecycle, Machine, MachineFacts, Member, Transition,
};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{
    Cloud, CloudError, CloudErrorKind, Publication, QueuedMessage, ReadConsole, Receipt,
    TerminateRequest,
};

use crate::clock::{MINUTE, Millis, SECOND, Shared};
use crate::world::{Event, World};

pub const ASG: &str = "a";
const NEVER: Millis = Millis::MAX;
/// EC2 knows a terminated instance for this long.
const REMEMBERED: Millis = 10 * MINUTE;

#[derive(Clone, Debug)]
pub struct Slurmd {
    pub node: NodeName,
    pub started: Millis,
    /// slurmctld has heard of it.
    pub heard: bool,
}

#[derive(Clone, Debug)]
pub struct Instance {
    pub address: IpAddr,
    zone: &'static str,
    listed: Millis,
    /// From when on DescribeInstances finds it, and shows its address.
    found: Millis,
    addressed: Millis,
    /// From when on a hook holds it before it is in service; never without one.
    launch_held: Millis,
    in_service: Millis,
    unhealthy: Millis,
    /// From when on the group does not count it. A hook may hold it first.
    pub terminating: Millis,
    /// Since when no hook holds it any more.
    let_go: Millis,
    /// When the hook that holds it gives up waiting.
    hold_until: Millis,
    protected: Millis,
    /// `shutting-down` or worse: nothing runs any more.
    pub dead: Millis,
    gone: Millis,
    tag: Option<(NodeName, Millis)>,
    pub slurmd: Option<Slurmd>,
    /// The node it was given, by address update or tag.
    pub name: Option<NodeName>,
    pub useless_since: Option<Millis>,
}

impl Instance {
    pub const fn is_alive(&self, at: Millis) -> bool {
        at < self.dead
    }

    pub const fn is_capacity(&self, at: Millis) -> bool {
        self.listed <= at && at < self.terminating
    }

    fn member(&self, at: Millis) -> Option<Member> {
        let lifecycle = if at < self.listed || self.gone <= at {
            return None;
        } else if self.terminating <= at && at < self.let_go {
            Lifecycle::TerminatingWait
        } else if self.terminating <= at {
            Lifecycle::Terminating
        } else if self.in_service <= at {
            Lifecycle::InService
        } else if self.launch_held <= at {
            Lifecycle::PendingWait
        } else {
            Lifecycle::Pending
        };
        let healthy = at < self.unhealthy;
        let protected = self.protected <= at;
        Some(Member { lifecycle, healthy, zone: self.zone.to_owned(), protected })
    }

    fn machine(&self, at: Millis) -> Machine {
        if at < self.found || self.gone.saturating_add(REMEMBERED) <= at {
            return Machine::NotFound;
        }
        let tag = self.tag.as_ref().filter(|(_, since)| *since <= at);
        Machine::Known(MachineFacts {
            dead: self.dead <= at,
            address: Some(self.address).filter(|_| self.addressed <= at),
            launched: Some(Timestamp::from_millis(self.listed)),
            node_tag: tag.map(|(node, _)| node.clone()),
        })
    }
}

#[derive(Default)]
pub struct Aws {
    pub min: u32,
    pub max: u32,
    /// DesiredCapacity since when; the last one holds.
    pub levels: Vec<(Millis, u32)>,
    pub instances: BTreeMap<InstanceId, Instance>,
    pub launched: u32,
    /// Launches fail before this time.
    pub no_capacity_until: Millis,
    /// In this zone only, if it is said.
    pub no_capacity_in: Option<&'static str>,
    /// Zones of the group, if instances are asked for by zone.
    pub zones: &'static [&'static str],
    /// The group cannot be asked so.
    pub refuses_launches: bool,
    /// What was launched for requests, by their tokens.
    pub tokens: BTreeMap<String, Launched>,
    /// The last launch that failed.
    pub failure: Option<LaunchFailure>,
    /// How long an address is not given to another instance.
    pub addresses_rest: Millis,
    /// Every call fails before this time.
    pub down_until: Millis,
    /// Timeout of the group's life-cycle hooks at either end; none has none.
    pub hooks: Option<Millis>,
    /// Another actor has raised last.
    pub raised_by_other: Millis,
    /// Messages of the queue, with the time from which on they are seen.
    pub messages: Vec<(Millis, QueuedMessage)>,
    /// How many there ever were.
    pub sent: u32,
}

impl Aws {
    pub fn desired(&self) -> u32 {
        self.levels.last().map_or(0, |(_, desired)| *desired)
    }

    pub fn set_desired(&mut self, at: Millis, desired: u32) {
        // Reads are never older than this.
        let old = self.levels.iter().filter(|(since, _)| since + MINUTE < at).count();
        self.levels.drain(..old.saturating_sub(1));
        self.levels.push((at, desired));
    }

    fn asg(&self, at: Millis, desired_at: Millis) -> Asg {
        let instances = self.instances.iter();
        let instances = instances.filter_map(|(id, i)| Some((id.clone(), i.member(at)?))).collect();
        let desired = self.levels.iter().rev().find(|(since, _)| *since <= desired_at);
        let desired = desired.or(self.levels.first()).map_or(0, |(_, desired)| *desired);
        let zones = self.zones.iter().map(|zone| (*zone).to_owned()).collect();
        Asg { min: self.min, max: self.max, desired, zones, instances, ..Asg::default() }
    }

    /// Whether a lower number would end no instance that a read could show.
    pub fn is_all_protected(&self, now: Millis) -> bool {
        // A launch that no read shows yet serves nobody.
        let is_old = |i: &&Instance| i.listed + 5 * SECOND < now && i.is_capacity(now);
        self.instances.values().filter(is_old).all(|i| i.protected <= now)
    }

    pub fn capacity(&self, at: Millis) -> u32 {
        let counted = |i: &&Instance| i.is_capacity(at);
        u32::try_from(self.instances.values().filter(counted).count()).unwrap()
    }
}

impl World {
    /// The group brings its capacity to what is desired, some time from now.
    pub fn scale_soon(&mut self) {
        let at = self.now + self.rng.u64(SECOND..5 * SECOND);
        self.timeline.at(at, Event::Scale(false));
    }

    pub fn scale(&mut self, regularly: bool) {
        let now = self.now;
        if regularly {
            self.timeline.at(now + 15 * SECOND, Event::Scale(true));
            self.aws.instances.retain(|_, i| now < i.gone.saturating_add(2 * REMEMBERED));
        }
        let (capacity, desired) = (self.aws.capacity(now), self.aws.desired());
        let zones: &[&'static str] =
            if self.aws.zones.is_empty() { &["z"] } else { self.aws.zones };
        if let Some(zone) = zones.iter().find(|zone| self.has_capacity(zone)) {
            for _ in capacity..desired {
                self.launch(zone);
            }
        } else if capacity < desired {
            self.faults.count("launch failed");
            self.aws.failure = Some(no_capacity(now, "z"));
        }
        for _ in desired..capacity {
            // No call of ours lets this happen: it would take any instance.
            let is_bare = |i: &Instance| i.is_capacity(now) && now < i.protected;
            let ids = self.aws.instances.iter().filter(|(_, i)| is_bare(i));
            let ids: Vec<_> = ids.map(|(id, _)| id.clone()).collect();
            if ids.is_empty() {
                break;
            }
            let id = ids[self.rng.usize(0..ids.len())].clone();
            self.say(|| format!("{id} taken by the group, to shrink"));
            self.is_terminated(&id);
            self.end_instance(&id);
        }
    }

    /// Whether instances can be launched in a zone.
    fn has_capacity(&self, zone: &str) -> bool {
        let there = self.aws.no_capacity_in.is_none_or(|place| place == zone);
        self.now >= self.aws.no_capacity_until || !there
    }

    /// LaunchInstances: what has the same token launches nothing more.
    fn launch_by_zone(&mut self, request: &Launch) -> Result<Launched, CloudError> {
        const LAUNCH: &str = "LaunchInstances";
        if let Some(earlier) = self.aws.tokens.get(&request.token).cloned() {
            self.faults.count("launch repeated with its token");
            return Ok(earlier);
        }
        if self.aws.refuses_launches {
            self.faults.count("launch by zone refused");
            return Err(error(LAUNCH, CloudErrorKind::Unsupported, "no launch template"));
        }
        let before = self.aws.desired();
        if before + request.count > self.aws.max {
            self.faults.count("launch beyond the maximum refused");
            return Err(error(LAUNCH, CloudErrorKind::Conflict, "above max"));
        }
        let zone = self.aws.zones.iter().find(|zone| **zone == request.zone).unwrap();
        self.say(|| format!("engine: launch {} in {zone}, {}", request.count, request.token));
        let mut launched = Launched::default();
        for _ in 0..request.count {
            if !self.has_capacity(zone) {
                self.faults.count("launch by zone failed");
                launched.failure = Some(no_capacity(self.now, zone));
                break;
            }
            self.faults.count("launched by zone");
            let (now, desired) = (self.now, self.aws.desired());
            self.aws.set_desired(now, desired + 1);
            launched.instances.extend(self.launch(zone));
        }
        self.aws.tokens.insert(request.token.clone(), launched.clone());
        self.scale_soon();
        Ok(launched)
    }

    fn launch(&mut self, zone: &'static str) -> Option<InstanceId> {
        self.aws.launched += 1;
        let id = InstanceId::new(&format!("i-{}", self.aws.launched));
        let now = self.now;
        let mut after = |from: Millis, to: Millis| now + self.rng.u64(from * SECOND..=to * SECOND);
        let (found, in_service) = (after(0, 3), after(5, 30));
        let (addressed, boots) = (found.max(after(0, 4)), after(15, 80));
        // Addresses are few, and are used again after a rest.
        let rest = self.aws.addresses_rest;
        let all = self.aws.instances.values();
        let taken: BTreeSet<IpAddr> =
            all.filter(|i| now < i.gone.saturating_add(rest)).map(|i| i.address).collect();
        let pool = if rest > 0 { 240 } else { 2 * u8::try_from(self.aws.max).unwrap() + 2 };
        let free: Vec<IpAddr> = (10..10 + pool)
            .map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)))
            .filter(|address| !taken.contains(address))
            .collect();
        if free.is_empty() {
            self.aws.launched -= 1;
            return None;
        }
        let address = free[self.rng.usize(0..free.len())];
        let held = self.aws.hooks.is_some();
        let instance = Instance {
            address,
            zone,
            listed: now,
            found,
            addressed,
            launch_held: if held { in_service } else { NEVER },
            in_service: if held { NEVER } else { in_service },
            unhealthy: NEVER,
            terminating: NEVER,
            let_go: NEVER,
            hold_until: NEVER,
            protected: NEVER,
            dead: NEVER,
            gone: NEVER,
            tag: None,
            slurmd: None,
            name: None,
            useless_since: None,
        };
        self.aws.instances.insert(id.clone(), instance);
        self.say(|| format!("{id} launched, {address}"));
        if let Some(timeout) = self.aws.hooks {
            self.hold(&id, in_service + timeout);
        }
        let rate = self.faults.never_boots;
        if !self.strikes(rate, "never boots") {
            self.timeline.at(boots, Event::Bootstrap(id.clone()));
        }
        Some(id)
    }

    /// The instance looks for its name, by tag or by its address in Slurm, until it has one.
    pub fn bootstrap(&mut self, id: &InstanceId) {
        let (now, up) = (self.now, self.slurm_is_up());
        let Some(instance) = self.aws.instances.get(id).filter(|i| i.is_alive(now)) else { return };
        let address = instance.address.to_string();
        let tagged = instance.tag.as_ref().filter(|(_, since)| *since <= now);
        let by_address = || {
            let off = |phase| matches!(phase, Phase::Off | Phase::Wanted | Phase::Releasing);
            let mut nodes = self.slurm.now.nodes.iter();
            let found = nodes.find(|(_, node)| node.address == address && !off(node.phase()));
            found.map(|(name, _)| name.clone()).filter(|_| up)
        };
        let Some(node) = tagged.map(|(node, _)| node.clone()).or_else(by_address) else {
            let at = now + self.rng.u64(200..2000);
            self.timeline.at(at, Event::Bootstrap(id.clone()));
            return;
        };
        self.say(|| format!("{id} starts slurmd -N {node}"));
        self.is_named(id, &node);
        let slurmd = Slurmd { node, started: now, heard: false };
        self.aws.instances.get_mut(id).unwrap().slurmd = Some(slurmd);
        let at = now + self.rng.u64(300..2000);
        self.timeline.at(at, Event::Register(id.clone()));
    }

    fn end_instance(&mut self, id: &InstanceId) {
        let now = self.now;
        let instance = self.aws.instances.get_mut(id).unwrap();
        if instance.terminating <= now {
            return;
        }
        instance.terminating = now;
        match self.aws.hooks {
            // A launch that a hook holds has not got as far as the other hook.
            Some(timeout) if instance.in_service <= now => self.hold(id, now + timeout),
            _ => self.let_go(id),
        }
        self.scale_soon();
    }

    /// A hook holds an instance until then, unless it is told something else.
    fn hold(&mut self, id: &InstanceId, until: Millis) {
        self.aws.instances.get_mut(id).unwrap().hold_until = until;
        self.timeline.at(until, Event::HookEnds(id.clone()));
    }

    /// Nothing holds an instance any more.
    fn let_go(&mut self, id: &InstanceId) {
        let now = self.now;
        let (dead, gone) = (self.rng.u64(0..5 * SECOND), self.rng.u64(10..60) * SECOND);
        let instance = self.aws.instances.get_mut(id).unwrap();
        instance.let_go = instance.let_go.min(now);
        instance.dead = instance.dead.min(now + dead);
        instance.gone = instance.gone.min(now + gone);
        self.scale_soon();
    }

    /// At which transition a hook holds an instance.
    fn held_at(&self, id: &InstanceId) -> Option<Transition> {
        let member = self.aws.instances.get(id)?.member(self.now)?;
        member.lifecycle.held_at()
    }

    /// A hook's time is over: a launch is abandoned, and the rest goes its way.
    pub fn hook_ends(&mut self, id: &InstanceId) {
        let Some(instance) = self.aws.instances.get(id) else { return };
        if self.now < instance.hold_until {
            return;
        }
        match self.held_at(id) {
            Some(Transition::Launching) => {
                self.say(|| format!("{id}: launch abandoned, nobody has completed it"));
                self.faults.count("hook ran out at a launch");
                self.end_instance(id);
            }
            Some(Transition::Terminating) => {
                self.say(|| format!("{id}: hook ran out"));
                self.hook_ran_out(id);
                self.let_go(id);
            }
            None => {}
        }
    }

    fn answer_hook(&mut self, told: &AnswerHook) {
        let (id, now) = (&told.instance, self.now);
        let (Some(at), Some(timeout)) = (self.held_at(id), self.aws.hooks) else { return };
        if told.hook != hook_name(at) {
            // What the engine read was old: that hook holds nothing any more.
            return;
        }
        self.say(|| format!("engine: hook of {id}, {at:?}: {:?}", told.answer));
        match (told.answer, at) {
            (HookAnswer::Wait, _) => {
                if at == Transition::Terminating && self.busy_on(id).is_some() {
                    self.faults.count("hook told to wait for a job");
                }
                self.hold(id, now + timeout);
            }
            (HookAnswer::Continue, Transition::Launching) => {
                self.aws.instances.get_mut(id).unwrap().in_service = now;
            }
            (HookAnswer::Abandon, Transition::Launching) => {
                self.is_terminated(id);
                self.end_instance(id);
            }
            (_, Transition::Terminating) => {
                self.is_terminated(id);
                self.let_go(id);
            }
        }
    }

    fn any_instance(&mut self) -> Option<InstanceId> {
        let now = self.now;
        let alive = |i: &Instance| i.is_capacity(now) && i.is_alive(now);
        let alive: Vec<_> = self.aws.instances.iter().filter(|(_, i)| alive(i)).collect();
        let at = self.rng.usize(0..alive.len().max(1));
        alive.get(at).map(|(id, _)| (*id).clone())
    }

    /// An instance dies. `false` if there is none.
    pub fn instance_dies(&mut self) -> bool {
        let Some(id) = self.any_instance() else { return false };
        self.dies(&id);
        true
    }

    /// AWS says that it takes an instance. It does so two minutes later, or it only might have.
    pub fn aws_takes(&mut self) -> bool {
        let Some(id) = self.any_instance() else { return false };
        let is_spot = self.rng.bool();
        let word = if is_spot {
            "EC2 Spot Instance Interruption Warning"
        } else {
            "EC2 Instance Rebalance Recommendation"
        };
        self.say(|| format!("FAULT {word} for {id}"));
        self.send(word, &id, "");
        if is_spot {
            self.timeline.at(self.now + 2 * MINUTE, Event::Interrupted(id));
        }
        true
    }

    /// The two minutes of a Spot Instance are over, if something else has not ended it.
    pub fn is_interrupted(&mut self, id: &InstanceId) {
        let now = self.now;
        if self.aws.instances.get(id).is_some_and(|it| it.is_capacity(now) && it.is_alive(now)) {
            self.dies(id);
        }
    }

    /// Puts a message about an instance into the queue.
    fn send(&mut self, word: &str, id: &InstanceId, state: &str) {
        let detail = format!(r#"{{"instance-id":"{id}","state":"{state}"}}"#);
        let body = format!(r#"{{"detail-type":"{word}","detail":{detail}}}"#);
        self.aws.sent += 1;
        let receipt = Receipt(self.aws.sent.to_string());
        let delay = self.rng.u64(0..5 * SECOND);
        self.aws.messages.push((self.now + delay, QueuedMessage { body, receipt }));
    }

    /// An instance loses power; its group finds out and replaces it.
    fn dies(&mut self, id: &InstanceId) {
        let id = id.clone();
        self.send("EC2 Instance State-change Notification", &id, "shutting-down");
        let noticed = self.now + self.rng.u64(5..90) * SECOND;
        let instance = self.aws.instances.get_mut(&id).unwrap();
        instance.dead = self.now;
        instance.unhealthy = noticed;
        instance.terminating = instance.terminating.min(noticed + 3 * SECOND);
        instance.let_go = instance.let_go.min(noticed + 3 * SECOND);
        instance.gone = noticed + 20 * SECOND;
        self.timeline.at(noticed + 5 * SECOND, Event::Scale(false));
        self.say(|| format!("FAULT {id} dies"));
    }

    pub fn actor_terminates(&mut self) -> bool {
        let Some(id) = self.any_instance() else { return false };
        self.say(|| format!("FAULT {id} terminated by another actor"));
        self.end_instance(&id);
        true
    }

    pub fn actor_raises(&mut self) -> bool {
        let desired = self.aws.desired();
        if desired >= self.aws.max {
            return false;
        }
        self.say(|| format!("FAULT another actor raises {desired} -> {}", desired + 1));
        self.aws.raised_by_other = self.now;
        self.aws.set_desired(self.now, desired + 1);
        self.scale_soon();
        true
    }

    /// Another actor gives the group more room than asg.toml says, which is taken back.
    pub fn actor_resizes(&mut self) -> bool {
        let given = ["min", "max"].map(|key| self.size_lines.contains(&format!("{key}_size")));
        if given != [true, true] {
            return false;
        }
        let nodes = u32::try_from(self.slurm.now.nodes.len()).unwrap();
        self.aws.min = self.rng.u32(0..=self.sizes.min);
        // Less than what is desired would lower that at once.
        let least = self.sizes.max.max(self.aws.desired());
        self.aws.max = self.rng.u32(least..=nodes.max(least));
        let (min, max) = (self.aws.min, self.aws.max);
        self.say(|| format!("FAULT another actor sets sizes {min} to {max}"));
        true
    }

    pub fn write_tag(&mut self, id: &InstanceId, node: &NodeName) -> Result<(), CloudError> {
        let rate = self.faults.tag_fails;
        let fails = || Err(error("CreateTags", CloudErrorKind::Conflict, "not known yet"));
        if self.strikes(rate, "tag not written") {
            return fails();
        }
        let now = self.now;
        let Some(instance) = self.aws.instances.get_mut(id) else { return fails() };
        instance.tag = Some((node.clone(), now));
        self.is_named(id, node);
        Ok(())
    }

    fn terminate(&mut self, id: &InstanceId, decrement: bool) -> Result<(), CloudError> {
        let now = self.now;
        let counted = |i: &&Instance| i.is_capacity(now);
        if self.aws.instances.get(id).filter(counted).is_none() {
            return Ok(());
        }
        let desired = self.aws.desired();
        if decrement && desired <= self.aws.min {
            let what = "would violate the group's minimum";
            return Err(error("Terminate", CloudErrorKind::Conflict, what));
        }
        self.say(|| format!("engine: terminate {id}, decrement {decrement}"));
        self.is_terminated(id);
        if decrement {
            self.aws.set_desired(now, desired - 1);
        }
        self.end_instance(id);
        Ok(())
    }
}

fn no_capacity(now: Millis, zone: &str) -> LaunchFailure {
    LaunchFailure {
        at: Timestamp::from_millis(now),
        kind: FailureKind::Capacity,
        code: "InsufficientInstanceCapacity".to_owned(),
        zone: zone.to_owned(),
        message: "injected".to_owned(),
    }
}

fn hook_name(transition: Transition) -> String {
    format!("{}-{transition:?}", Hook::PREFIX)
}

fn error(operation: &'static str, kind: CloudErrorKind, message: &str) -> CloudError {
    CloudError { operation, kind, message: message.to_owned() }
}

/// How a call goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Well,
    Refused,
    ReplyLost,
}

/// The engine's way to AWS.
pub struct Ec2(pub Shared);

impl Ec2 {
    async fn begin(&self, operation: &'static str) -> Result<Way, CloudError> {
        let travels = self.0.world().rng.u64(20..100);
        self.0.sleep(travels).await;
        let (way, kind) = {
            let mut world = self.0.world();
            world.is_called();
            world.way()
        };
        if way == Way::Refused {
            // The SDK has tried again meanwhile; without an answer until its own limit.
            let limit = if kind == CloudErrorKind::NoAnswer { 10 * SECOND } else { 500 };
            self.0.sleep(limit).await;
            return Err(error(operation, kind, "injected"));
        }
        Ok(way)
    }

    async fn end(&self, operation: &'static str, way: Way) -> Result<(), CloudError> {
        self.0.world().act();
        let lost = way == Way::ReplyLost;
        let travels = if lost { 10 * SECOND } else { self.0.world().rng.u64(20..100) };
        self.0.sleep(travels).await;
        if lost { Err(error(operation, CloudErrorKind::NoAnswer, "no answer")) } else { Ok(()) }
    }
}

impl World {
    fn way(&mut self) -> (Way, CloudErrorKind) {
        let kinds = [CloudErrorKind::Throttled, CloudErrorKind::Service, CloudErrorKind::NoAnswer];
        let kind = kinds[self.rng.usize(0..kinds.len())];
        let (fails, lost) = (self.faults.call_fails, self.faults.reply_lost);
        if self.now < self.aws.down_until {
            return (Way::Refused, kind);
        }
        if self.strikes(fails, "AWS call fails") {
            return (Way::Refused, kind);
        }
        let lost = self.strikes(lost, "AWS reply lost");
        (if lost { Way::ReplyLost } else { Way::Well }, kind)
    }

    /// How many of several paced calls begin before it has taken too long.
    fn sent_in_time(&mut self, calls: usize) -> usize {
        if calls < 2 || self.rng.u8(0..8) > 0 {
            return calls;
        }
        self.faults.count("calls left for the next turn");
        self.rng.usize(1..calls)
    }

    /// The time of which a read tells.
    fn read_time(&mut self) -> Millis {
        let lag = self.rng.u64(0..=self.faults.lag_max);
        self.now - if self.rng.u8(0..3) == 0 { lag } else { 0 }
    }
}

impl Cloud for Ec2 {
    async fn describe_groups(
        &self,
        names: &[AsgName],
    ) -> Result<BTreeMap<AsgName, Asg>, CloudError> {
        assert_eq!(names, [AsgName::new(ASG)]);
        let way = self.begin("DescribeAutoScalingGroups").await?;
        let asg = {
            let mut world = self.0.world();
            let (at, now) = (world.read_time(), world.now);
            let desired_at = if world.faults.desired_lags { world.read_time() } else { now };
            world.aws.asg(at, desired_at)
        };
        self.end("DescribeAutoScalingGroups", way).await?;
        Ok([(AsgName::new(ASG), asg)].into())
    }

    async fn describe_instances(
        &self,
        ids: &[InstanceId],
    ) -> Result<BTreeMap<InstanceId, Machine>, CloudError> {
        let way = self.begin("DescribeInstances").await?;
        let machines = {
            let mut world = self.0.world();
            let at = world.read_time();
            let machine = |id: &InstanceId| {
                world.aws.instances.get(id).map_or(Machine::NotFound, |i| i.machine(at))
            };
            ids.iter().map(|id| (id.clone(), machine(id))).collect()
        };
        self.end("DescribeInstances", way).await?;
        Ok(machines)
    }

    async fn set_desired(&self, _: &AsgName, desired: u32) -> Result<(), CloudError> {
        let way = self.begin("SetDesiredCapacity").await?;
        {
            let mut world = self.0.world();
            let (now, before) = (world.now, world.aws.desired());
            world.say(|| format!("engine: desired {before} -> {desired}"));
            world.is_set(before, desired);
            world.aws.set_desired(now, desired);
            world.scale_soon();
        }
        self.end("SetDesiredCapacity", way).await
    }

    async fn launch(&self, requests: &[Launch]) -> Vec<Result<Launched, CloudError>> {
        let mut answers = Vec::new();
        for request in requests {
            let answer = match self.begin("LaunchInstances").await {
                Ok(way) => {
                    let launched = self.0.world().launch_by_zone(request);
                    let takes = self.0.world().rng.u64(500..3 * SECOND);
                    self.0.sleep(takes).await;
                    self.end("LaunchInstances", way).await.and(launched)
                }
                Err(error) => Err(error),
            };
            answers.push(answer);
        }
        answers
    }

    async fn set_sizes(&self, _: &AsgName, min: u32, max: u32) -> Result<(), CloudError> {
        let way = self.begin("UpdateAutoScalingGroup").await?;
        {
            let mut world = self.0.world();
            world.say(|| format!("engine: sizes {min} to {max}"));
            world.is_sized(min, max);
            (world.aws.min, world.aws.max) = (min, max);
            let (now, desired) = (world.now, world.aws.desired());
            world.aws.set_desired(now, desired.clamp(min, max));
            world.scale_soon();
        }
        self.end("UpdateAutoScalingGroup", way).await
    }

    async fn terminate(
        &self,
        request: &TerminateRequest,
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        let all = |result: Result<(), CloudError>| {
            request.instances.iter().map(|id| (id.clone(), result.clone())).collect()
        };
        let way = match self.begin("Terminate").await {
            Ok(way) => way,
            Err(error) => return all(Err(error)),
        };
        let mut results = BTreeMap::new();
        let sent = self.0.world().sent_in_time(request.instances.len());
        for id in request.instances.iter().take(sent) {
            let result = self.0.world().terminate(id, request.decrement);
            results.insert(id.clone(), result);
        }
        if let Err(error) = self.end("Terminate", way).await {
            results.values_mut().for_each(|result| *result = Err(error.clone()));
        }
        let late = || Err(error("Terminate", CloudErrorKind::NotSent, "not sent yet"));
        request.instances.iter().for_each(|id| {
            results.entry(id.clone()).or_insert_with(late);
        });
        results
    }

    async fn last_failure(
        &self,
        _: &AsgName,
        since: Timestamp,
    ) -> Result<Option<LaunchFailure>, CloudError> {
        let way = self.begin("DescribeScalingActivities").await?;
        let failure = self.0.world().aws.failure.clone();
        self.end("DescribeScalingActivities", way).await?;
        Ok(failure.filter(|failure| failure.at >= since))
    }

    async fn protect(
        &self,
        _: &AsgName,
        instances: &[InstanceId],
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        let all = |result: Result<(), CloudError>| {
            instances.iter().map(|id| (id.clone(), result.clone())).collect()
        };
        let way = match self.begin("SetInstanceProtection").await {
            Ok(way) => way,
            Err(error) => return all(Err(error)),
        };
        {
            let mut world = self.0.world();
            let now = world.now;
            for id in instances {
                if let Some(instance) = world.aws.instances.get_mut(id) {
                    instance.protected = instance.protected.min(now);
                }
            }
        }
        all(self.end("SetInstanceProtection", way).await)
    }

    async fn describe_hooks(&self, _: &AsgName) -> Result<Vec<Hook>, CloudError> {
        let way = self.begin("DescribeLifecycleHooks").await?;
        let timeout = self.0.world().aws.hooks;
        self.end("DescribeLifecycleHooks", way).await?;
        let hook = |timeout, transition| Hook {
            name: hook_name(transition),
            transition,
            timeout: std::time::Duration::from_millis(timeout),
        };
        let ends = [Transition::Launching, Transition::Terminating];
        Ok(timeout.iter().flat_map(|ms| ends.map(|end| hook(*ms, end))).collect())
    }

    async fn answer_hooks(&self, answers: &[AnswerHook]) -> Vec<Result<(), CloudError>> {
        let mut results = Vec::new();
        let sent = self.0.world().sent_in_time(answers.len());
        for (nth, told) in answers.iter().enumerate() {
            if nth >= sent {
                results.push(Err(error(
                    "LifecycleAction",
                    CloudErrorKind::NotSent,
                    "not sent yet",
                )));
                continue;
            }
            let result = match self.begin("LifecycleAction").await {
                Ok(way) => {
                    self.0.world().answer_hook(told);
                    self.end("LifecycleAction", way).await
                }
                Err(error) => Err(error),
            };
            results.push(result);
        }
        results
    }

    // Nobody asks for it.
    async fn follow(&self, advice: &Advice) -> Result<(), CloudError> {
        panic!("followed unasked: {advice:?}");
    }

    // No group of the simulation has alarms, and nothing is to be published.
    fn publish_later(&self, publication: Publication) {
        panic!("published unasked: {publication:?}");
    }

    fn published(&self) -> Option<Result<(), CloudError>> {
        None
    }

    fn messages(&self) -> Vec<QueuedMessage> {
        let mut world = self.0.world();
        let now = world.now;
        let ready = world.aws.messages.iter_mut().filter(|(from, _)| *from <= now);
        let ready = ready.map(|(from, message)| {
            *from = now + MINUTE;
            message.clone()
        });
        ready.collect()
    }

    fn delete_later(&self, receipts: Vec<Receipt>) {
        let mut world = self.0.world();
        for receipt in receipts {
            let rate = world.faults.call_fails;
            // It comes again then.
            if !world.strikes(rate, "a message was not deleted") {
                world.aws.messages.retain(|(_, message)| message.receipt != receipt);
            }
        }
    }

    fn listened(&self) -> Option<Result<(), CloudError>> {
        None
    }

    // Consoles are the business of whoever reads the event log.
    fn read_consoles_later(&self, _: Vec<FailedBoot>) {}

    fn consoles(&self) -> Vec<ReadConsole> {
        Vec::new()
    }

    async fn tag(
        &self,
        names: &[(InstanceId, NodeName)],
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        let mut results = BTreeMap::new();
        for (id, node) in names {
            let result = match self.begin("CreateTags").await {
                Ok(way) => {
                    let written = self.0.world().write_tag(id, node);
                    self.end("CreateTags", way).await.and(written)
                }
                Err(error) => Err(error),
            };
            results.insert(id.clone(), result);
        }
        results
    }

    fn tag_later(&self, names: Vec<(InstanceId, NodeName)>) {
        let mut world = self.0.world();
        let (at, life) = (world.now + world.rng.u64(50..2000), world.engine_life);
        for (id, node) in names {
            world.timeline.at(at, Event::Tag(id, node, life));
        }
    }
}
