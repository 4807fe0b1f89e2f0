//! Nodes, instances and groups in a few words, and a world that carries plans out.
//!
//! A line is a node, its state, and what serves it: `n1 idle on=i-1`, `n2 powering_up`,
//! `n3 alloc on=i-3`. `i-7 spare` is an instance of the group without a node, `job 2` a pending
//! job that wants two whole nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use crate::check;
use crate::hostlist;
use crate::ids::{AsgName, InstanceId, NodeName};
use crate::memory::{Binding, Launched, Memory, Outcome};
use crate::node_state::NodeState;
use crate::plan::{
    Action, AnswerHook, HookAnswer, Launch, Plan, PowerDownCause, plan, surely_watches_cloud,
};
use crate::policy::{self, Policy};
use crate::snapshot::{
    Asg, FailureKind, Hook, Job, JobState, LaunchFailure, Lifecycle, Machine, MachineFacts, Member,
    Node, Partition, Seen, Snapshot, Transition,
};
use crate::time::Timestamp;

pub struct World {
    pub policy: Policy,
    pub memory: Memory,
    pub snapshot: Snapshot,
    /// EC2 does not show what is launched by zone yet.
    pub addresses_later: bool,
    /// Zones in which nothing can be launched.
    pub empty_zones: BTreeSet<String>,
}

pub fn address(id: &str) -> IpAddr {
    let number: u32 = id.trim_start_matches("i-").parse().unwrap();
    IpAddr::V4(Ipv4Addr::from(0x7f4d_0000 + number))
}

pub fn state(word: &str) -> u32 {
    match word {
        "idle" => NodeState::IDLE,
        "alloc" => NodeState::ALLOCATED,
        "mixed" => NodeState::MIXED,
        "completing" => NodeState::IDLE | NodeState::COMPLETING,
        "down" => NodeState::DOWN,
        "off" => NodeState::IDLE | NodeState::POWERED_DOWN,
        "down_off" => NodeState::DOWN | NodeState::POWERED_DOWN,
        "drain_off" => NodeState::IDLE | NodeState::DRAIN | NodeState::POWERED_DOWN,
        "alloc_off" => NodeState::ALLOCATED | NodeState::POWERED_DOWN,
        "powering_up" => NodeState::IDLE | NodeState::POWERING_UP,
        "alloc_powering_up" => NodeState::ALLOCATED | NodeState::POWERING_UP,
        "powering_down" => NodeState::IDLE | NodeState::POWERING_DOWN,
        "alloc_powering_down" => NodeState::ALLOCATED | NodeState::POWERING_DOWN,
        "power_down" => NodeState::IDLE | NodeState::POWER_DOWN,
        other => panic!("no state {other}"),
    }
}

pub const STATES: [&str; 14] = [
    "idle",
    "alloc",
    "mixed",
    "completing",
    "down",
    "off",
    "down_off",
    "drain_off",
    "alloc_off",
    "powering_up",
    "alloc_powering_up",
    "powering_down",
    "alloc_powering_down",
    "power_down",
];

/// One group of nodes n1…n64 in one Auto Scaling group `a`, with further lines.
pub fn policy_with(lines: &str) -> Policy {
    let text = format!("[[group]]\nname = 'g'\nnodes = 'n[1-64]'\nasg = 'a'\n{lines}");
    policy::parse(Path::new("asg.toml"), &text).unwrap()
}

impl World {
    /// One group of nodes n1…n64 in one Auto Scaling group `a`, with `min`, `max`, and desired
    /// as many as instances are there.
    pub fn new(min: u32, max: u32, lines: &[&str]) -> Self {
        let mut world = Self {
            policy: policy_with(""),
            memory: Memory::default(),
            snapshot: Snapshot {
                now: Timestamp::from_secs(1_000_000),
                nodes: Seen::Known(Arc::default()),
                queue: Seen::Known(Arc::default()),
                counted: None,
                asgs: BTreeMap::new(),
                machines: BTreeMap::new(),
            },
            addresses_later: false,
            empty_zones: BTreeSet::new(),
        };
        world.snapshot.asgs.insert("a".into(), Seen::Known(Asg { min, max, ..Asg::default() }));
        for line in lines {
            world.add(line);
        }
        let asg = world.asg_mut();
        asg.desired = u32::try_from(asg.instances.len()).unwrap().max(min);
        world
    }

    pub fn asg_mut(&mut self) -> &mut Asg {
        match self.snapshot.asgs.get_mut(&AsgName::new("a")) {
            Some(Seen::Known(asg)) => asg,
            _ => panic!("the group is not known"),
        }
    }

    pub fn node_mut(&mut self, name: &str) -> &mut Node {
        let Seen::Known(nodes) = &mut self.snapshot.nodes else { panic!("nodes are not known") };
        Arc::make_mut(nodes).entry(name.into()).or_default()
    }

    fn add(&mut self, line: &str) {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let word = words.next().unwrap();
        if name == "job" {
            self.submit(word.parse().unwrap());
            return;
        }
        if word == "spare" {
            self.launch(name, Lifecycle::InService);
            return;
        }
        self.node_mut(name).state = NodeState(state(word));
        self.node_mut(name).address = name.to_owned();
        self.node_mut(name).cpus = 2;
        for word in words {
            if let Some(id) = word.strip_prefix("on=") {
                self.launch(id, Lifecycle::InService);
                self.bind(name, id);
            } else if let Some(reason) = word.strip_prefix("reason=") {
                self.node_mut(name).reason = reason.replace('_', " ");
            } else {
                panic!("no word {word}");
            }
        }
    }

    pub fn launch(&mut self, id: &str, lifecycle: Lifecycle) {
        let member = Member { lifecycle, healthy: true, zone: "z".into(), protected: true };
        self.asg_mut().instances.insert(id.into(), member);
        let facts = MachineFacts {
            dead: false,
            address: Some(address(id)),
            launched: Some(self.snapshot.now),
            node_tag: None,
        };
        self.snapshot.machines.insert(id.into(), Machine::Known(facts));
    }

    pub fn bind(&mut self, node: &str, id: &str) {
        self.node_mut(node).address = address(id).to_string();
        let binding = Binding::new(&id.into(), &"a".into(), self.snapshot.now);
        self.memory.bindings.insert(node.into(), binding);
    }

    /// A job is pending that wants whole nodes.
    pub fn submit(&mut self, nodes: u32) {
        let names = self.policy.groups.values().flat_map(|group| group.nodes.clone()).collect();
        let Seen::Known(queue) = &mut self.snapshot.queue else { panic!("no queue") };
        let queue = Arc::make_mut(queue);
        let name = "p".into();
        let partition = Partition { name, nodes: names, max_share: 0, ..Partition::default() };
        queue.partitions.insert("p".into(), partition);
        let job_id = u32::try_from(queue.jobs.len()).unwrap() + 1;
        queue.jobs.push(Job { job_id, partition: "p".into(), num_nodes: nodes, ..Job::default() });
    }

    /// A job has got nodes at `start`, in seconds, and waits for them to boot.
    pub fn configure(&mut self, job_id: u32, nodes: &str, start: i64) {
        let Seen::Known(queue) = &mut self.snapshot.queue else { panic!("no queue") };
        Arc::make_mut(queue).jobs.push(Job {
            job_id,
            job_state: JobState(JobState::RUNNING.0 | JobState::CONFIGURING),
            nodes: Some(nodes.into()),
            start_time: Some(Timestamp::from_secs(start)),
            ..Job::default()
        });
    }

    /// A launch of the group fails now.
    pub fn fail_launch(&mut self) {
        let failure = self.failure("z");
        self.asg_mut().failure = Some(failure);
    }

    pub fn failure(&self, zone: &str) -> LaunchFailure {
        LaunchFailure {
            at: self.snapshot.now,
            kind: FailureKind::Capacity,
            code: "InsufficientInstanceCapacity".to_owned(),
            zone: zone.to_owned(),
            message: "no capacity".to_owned(),
        }
    }

    /// The group does not protect its instances from scale-in.
    pub fn unprotect(&mut self) {
        for member in self.asg_mut().instances.values_mut() {
            member.protected = false;
        }
    }

    /// The group has a hook of ours at each transition.
    pub fn hook(&mut self, timeout_s: u64) {
        let timeout = std::time::Duration::from_secs(timeout_s);
        let hooks = [Transition::Launching, Transition::Terminating].map(|transition| Hook {
            name: format!("{}-{transition:?}", Hook::PREFIX).to_lowercase(),
            transition,
            timeout,
        });
        self.asg_mut().hooks = Some(hooks.into());
    }

    /// An instance comes to where a hook holds it, or further.
    pub fn comes_to(&mut self, id: &str, lifecycle: Lifecycle) {
        self.asg_mut().instances.get_mut(&InstanceId::new(id)).unwrap().lifecycle = lifecycle;
    }

    fn answer_hook(&mut self, told: &AnswerHook) {
        let Some(member) = self.asg_mut().instances.get_mut(&told.instance) else { return };
        member.lifecycle = match (told.answer, member.lifecycle.held_at()) {
            (HookAnswer::Continue, Some(Transition::Launching)) => Lifecycle::InService,
            (HookAnswer::Wait, _) | (_, None) => return,
            _ => Lifecycle::Terminating,
        };
    }

    /// AWS launches what it is asked for, unless the zone is one of those without capacity.
    fn launch_in_zone(&mut self, launch: &Launch) -> Outcome {
        if self.empty_zones.contains(&launch.zone) {
            let failure = Some(self.failure(&launch.zone));
            return Outcome::Launched(Launched { failure, ..Launched::default() });
        }
        let mut launched = Launched::default();
        for _ in 0..launch.count {
            let id = format!("i-{}", 100 + self.asg_mut().instances.len());
            self.launch(&id, Lifecycle::Pending);
            let member = self.asg_mut().instances.get_mut(&InstanceId::new(&id));
            member.unwrap().zone.clone_from(&launch.zone);
            if self.addresses_later {
                self.snapshot.machines.remove(&InstanceId::new(&id));
            }
            launched.instances.insert(InstanceId::new(&id));
        }
        self.asg_mut().desired += launch.count;
        Outcome::Launched(launched)
    }

    /// The instance loses power, and EC2 knows.
    pub fn die(&mut self, id: &str) {
        if let Some(Machine::Known(facts)) = self.snapshot.machines.get_mut(&InstanceId::new(id)) {
            facts.dead = true;
        }
    }

    pub fn pass(&mut self, secs: u64) {
        self.snapshot.now = self.snapshot.now.after(std::time::Duration::from_secs(secs));
    }

    /// Looks, plans, and has the plan checked.
    pub fn plan(&mut self) -> Plan {
        self.memory.notice(&self.snapshot);
        let made = plan(&self.policy, &self.memory, &self.snapshot);
        let again = plan(&self.policy, &self.memory, &self.snapshot);
        assert_eq!(
            serde_json::to_string(&made).unwrap(),
            serde_json::to_string(&again).unwrap(),
            "the same input gave two plans"
        );
        let broken = check::check(&self.policy, &self.memory, &self.snapshot, &made);
        assert_eq!(broken, [], "the plan breaks its rules");
        let silent = check::unexplained(&self.policy, &self.snapshot, &made);
        assert_eq!(silent, Vec::<NodeName>::new(), "nodes without a word");
        let watches = surely_watches_cloud(&self.policy, &self.memory, &self.snapshot);
        assert!(made.watch_cloud || !watches, "the plan was to watch AWS");
        made
    }

    /// Carries a plan out as Slurm and AWS would, without fault or delay.
    pub fn carry_out(&mut self, made: &Plan) {
        let now = self.snapshot.now;
        self.memory.intend(made, now);
        let mut outcomes = Vec::new();
        for action in &made.actions {
            match action {
                Action::SetSizes(sizes) => {
                    let asg = self.asg_mut();
                    (asg.min, asg.max) = (sizes.min, sizes.max);
                    asg.desired = asg.desired.max(asg.min);
                    assert!(asg.desired <= asg.max, "AWS would end instances of its choice");
                }
                Action::SetDesired(raise) => self.asg_mut().desired = raise.to,
                Action::Launch(launch) => {
                    outcomes.push((action.clone(), self.launch_in_zone(launch)));
                    continue;
                }
                Action::PowerUp(up) => {
                    let node = self.node_mut(up.node.as_str());
                    node.state = NodeState(node.state.0 | NodeState::POWER_UP);
                }
                Action::GiveBack(back) => self.asg_mut().desired = back.to,
                Action::CloseNodes(close) => {
                    for name in &close.nodes {
                        let node = self.node_mut(name.as_str());
                        node.state = NodeState(node.state.0 | NodeState::DRAIN);
                        node.reason.clone_from(&close.reason);
                    }
                }
                Action::OpenNodes(open) => {
                    for name in &open.nodes {
                        let node = self.node_mut(name.as_str());
                        node.state = NodeState(node.state.0 & !NodeState::DRAIN);
                        node.reason.clear();
                    }
                }
                Action::Drain(drain) => {
                    let node = self.node_mut(drain.node.as_str());
                    let closed = NodeState::DRAIN | NodeState::POWER_DOWN;
                    node.state = NodeState(node.state.0 | closed);
                    node.reason.clone_from(&drain.reason);
                }
                Action::Protect(protect) => {
                    let member = self.asg_mut().instances.get_mut(&protect.instance);
                    member.unwrap().protected = true;
                }
                Action::AnswerHook(told) => self.answer_hook(told),
                Action::Bind(bind) => {
                    self.node_mut(bind.node.as_str()).address = bind.address.to_string();
                }
                Action::MarkDown(down) => {
                    let node = self.node_mut(down.node.as_str());
                    node.state = NodeState(NodeState::DOWN);
                    node.reason.clone_from(&down.reason);
                }
                Action::PowerDown(down) => {
                    let node = self.node_mut(down.node.as_str());
                    // It is marked, and Slurm's next pass calls the suspend program.
                    let base = match down.cause {
                        PowerDownCause::BillingHour | PowerDownCause::MakeRoom => NodeState::IDLE,
                        PowerDownCause::Recover => NodeState::DOWN,
                    };
                    node.state = NodeState(base | NodeState::POWER_DOWN);
                }
                Action::Terminate(terminate) => {
                    let asg = self.asg_mut();
                    asg.instances.remove(&terminate.instance);
                    asg.desired -= u32::from(terminate.decrement);
                    self.die(terminate.instance.as_str());
                }
            }
            outcomes.push((action.clone(), Outcome::Done));
        }
        self.memory.settle(&outcomes, now);
    }
}

/// All actions of a plan fail again and again, and there are no others.
pub fn is_repeated_with_growing_pauses(mut world: World, actions: &[&str], why: &str) {
    for pause in [1, 2, 4] {
        let plan = world.plan();
        assert_eq!(told(&plan), actions);
        let failed = || Outcome::Failed { why: why.to_owned() };
        let outcomes: Vec<_> =
            plan.actions.iter().map(|action| (action.clone(), failed())).collect();
        world.memory.settle(&outcomes, world.snapshot.now);
        assert_eq!(told(&world.plan()), Vec::<String>::new());
        world.pass(pause - 1);
        assert_eq!(told(&world.plan()), Vec::<String>::new());
        world.pass(1);
    }
}

/// An action in the language of the tables.
pub fn tell(action: &Action) -> String {
    match action {
        Action::SetSizes(sizes) => format!("sizes {} {}", sizes.min, sizes.max),
        Action::PowerUp(up) => format!("power_up {}", up.node),
        Action::Launch(launch) => format!("launch {} in {}", launch.count, launch.zone),
        Action::SetDesired(raise) => format!("desired {} -> {}", raise.from, raise.to),
        Action::Bind(bind) => format!("bind {} {}", bind.node, bind.instance),
        Action::MarkDown(down) => format!("down {}", down.node),
        Action::PowerDown(down) => format!("power_down {}", down.node),
        Action::Drain(drain) => format!("drain {}", drain.node),
        Action::GiveBack(back) => format!("back {} -> {}", back.from, back.to),
        Action::CloseNodes(close) => format!("close {}", hostlist::compress(&close.nodes)),
        Action::OpenNodes(open) => format!("open {}", hostlist::compress(&open.nodes)),
        Action::Protect(protect) => format!("protect {}", protect.instance),
        Action::AnswerHook(told) => format!("{:?} {}", told.answer, told.instance).to_lowercase(),
        Action::Terminate(terminate) if terminate.decrement => {
            format!("terminate {}", terminate.instance)
        }
        Action::Terminate(terminate) => format!("replace {}", terminate.instance),
    }
}

/// The actions of a plan in the language of the tables.
pub fn told(plan: &Plan) -> Vec<String> {
    plan.actions.iter().map(tell).collect()
}
