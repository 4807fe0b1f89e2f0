//! An independent look at a plan before it is carried out.
//!
//! Written apart from the planner and from the facts alone: an action that breaks one of the
//! invariants is not carried out, whatever the planner thought.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::memory::{Boot, Boots, Cooldown, Memory};
use crate::node_state::{NodeState, Phase};
use crate::plan::{
    Action, AnswerHook, Bind, GiveBack, HookAnswer, LAUNCH_MAX, Launch, Plan, PowerDownCause,
    Protect, READ_LAG_MAX, SetDesired, SetSizes, Terminate, TerminateCause, is_gone, is_overdue,
    scales,
};
use crate::policy::{self, Api, GroupPolicy, Policy, ScaleIn, ScaleOut};
use crate::snapshot::{Lifecycle, Machine, Member, Node, Seen, Snapshot, Transition};

/// An action that must not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The action.
    pub action: Action,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// Looks at every action of a plan; an empty list is a clean bill.
#[must_use]
pub fn check(policy: &Policy, memory: &Memory, snapshot: &Snapshot, plan: &Plan) -> Vec<Violation> {
    let mut checker = Checker::new(policy, memory, snapshot, plan);
    plan.actions
        .iter()
        .filter_map(|action| {
            let rule = checker.judge(action).err()?;
            Some(Violation { action: action.clone(), rule })
        })
        .collect()
}

/// Nodes of groups that are not off and that the plan says nothing about. Always empty.
#[must_use]
pub fn unexplained(policy: &Policy, snapshot: &Snapshot, plan: &Plan) -> Vec<NodeName> {
    let Some(nodes) = snapshot.nodes.known() else {
        return Vec::new();
    };
    policy
        .groups
        .values()
        .flat_map(|group| &group.nodes)
        .filter(|name| nodes.get(*name).is_some_and(|node| node.state.phase() != Phase::Off))
        .filter(|name| !plan.nodes.contains_key(*name))
        .cloned()
        .collect()
}

type Verdict = Result<(), &'static str>;

struct Checker<'a> {
    policy: &'a Policy,
    snapshot: &'a Snapshot,
    nodes: Option<&'a BTreeMap<NodeName, Node>>,
    memory: &'a Memory,
    /// Who serves whom, from memory and from what the plan adopts.
    serves: BTreeMap<&'a InstanceId, &'a NodeName>,
    /// Addresses of nodes that have work.
    working: BTreeSet<IpAddr>,
    raised: BTreeSet<AsgName>,
    /// Instances that the plan launches by zone.
    launched: BTreeMap<AsgName, u32>,
    decrements: BTreeMap<AsgName, u32>,
    named: BTreeSet<InstanceId>,
    terminated: BTreeSet<InstanceId>,
    given: BTreeSet<NodeName>,
    /// Minimum and maximum that the plan writes, before everything else.
    sizes: BTreeMap<AsgName, (u32, u32)>,
    /// Nodes in use, with those that the plan powers up.
    in_use: BTreeMap<GroupName, u32>,
    /// What is remembered of failed launches, with what the plan adds.
    cooldowns: &'a BTreeMap<AsgName, Cooldown>,
    /// Groups that have had what they begin with, from memory and from what the plan notes.
    begun: BTreeSet<&'a GroupName>,
}

impl<'a> Checker<'a> {
    fn new(policy: &'a Policy, memory: &'a Memory, snapshot: &'a Snapshot, plan: &'a Plan) -> Self {
        let nodes = snapshot.nodes.known().map(|nodes| &**nodes);
        let bindings = memory.bindings.iter().chain(&plan.adopted);
        let working = nodes
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|node| node.state.phase() == Phase::Up && node.state.has_work())
            .filter_map(Node::ip)
            .collect();
        Self {
            policy,
            snapshot,
            nodes,
            memory,
            serves: bindings.map(|(node, binding)| (&binding.instance, node)).collect(),
            working,
            raised: BTreeSet::new(),
            launched: BTreeMap::new(),
            decrements: BTreeMap::new(),
            named: BTreeSet::new(),
            terminated: BTreeSet::new(),
            given: BTreeSet::new(),
            sizes: BTreeMap::new(),
            in_use: BTreeMap::new(),
            cooldowns: &plan.cooldowns,
            begun: memory.begun.union(&plan.begun).collect(),
        }
    }

    fn judge(&mut self, action: &Action) -> Verdict {
        if self.nodes.is_none() {
            return Err("nothing is done while Slurm's nodes are unknown");
        }
        if scales(action) && self.group_of(action).is_some_and(|it| self.is_paused(it)) {
            return Err("the group is paused");
        }
        if self.takes_what_is_protected(action) {
            return Err("the node is protected");
        }
        match action {
            Action::SetSizes(sizes) => self.judge_sizes(sizes),
            Action::PowerUp(up) => self.judge_power_up(&up.node),
            Action::Drain(drain) => self.judge_drain(&drain.node),
            Action::GiveBack(back) => self.judge_give_back(back),
            Action::CloseNodes(close) => {
                close.nodes.iter().try_for_each(|name| self.judge_close(name))
            }
            Action::OpenNodes(open) => open.nodes.iter().try_for_each(|name| self.judge_open(name)),
            Action::Protect(protect) => self.judge_protect(protect),
            Action::AnswerHook(answer) => self.judge_answer(answer),
            Action::SetDesired(raise) => self.judge_raise(raise),
            Action::Launch(launch) => self.judge_launch(launch),
            Action::Terminate(terminate) => self.judge_terminate(terminate),
            Action::Bind(bind) => self.judge_bind(bind),
            Action::MarkDown(down) => {
                self.judge_given_up(&down.node).or_else(|_| self.judge_gone(&down.node))
            }
            Action::PowerDown(down) if down.cause == PowerDownCause::BillingHour => {
                self.judge_billing_hour(&down.node)
            }
            Action::PowerDown(down) if down.cause == PowerDownCause::MakeRoom => {
                self.judge_make_room(&down.node)
            }
            Action::PowerDown(down) => {
                let node = self.node(&down.node)?;
                if node.state.is_down() && node.state.phase() == Phase::Off {
                    return Ok(());
                }
                if node.state.is_down() && self.is_nowhere(&down.node, node) {
                    return Ok(());
                }
                self.judge_given_up(&down.node).or_else(|_| self.judge_gone(&down.node))
            }
        }
    }

    /// Whether an action ends or suspends what a person has protected. An instance that Slurm
    /// would ignore may make room for the one that a job waits for.
    fn takes_what_is_protected(&self, action: &Action) -> bool {
        let node = if let Action::Terminate(it) = action {
            let serves = self.serves.get(&it.instance).copied();
            serves.filter(|_| it.cause != TerminateCause::Outdated)
        } else if let Action::PowerDown(it) = action {
            (it.cause != PowerDownCause::Recover).then_some(&it.node)
        } else {
            None
        };
        node.is_some_and(|node| self.memory.kept_at(node, self.snapshot.now).is_some())
    }

    fn is_paused(&self, group: &GroupName) -> bool {
        self.memory.paused.contains_key(group)
    }

    /// The group that an action scales.
    fn group_of(&self, action: &Action) -> Option<&'a GroupName> {
        let of_asg = |asg: &AsgName| self.policy.group_of_asg(asg).map(|(name, _)| name);
        match action {
            Action::SetSizes(sizes) => of_asg(&sizes.asg),
            Action::SetDesired(raise) => of_asg(&raise.asg),
            Action::Launch(launch) => of_asg(&launch.asg),
            Action::GiveBack(back) => of_asg(&back.asg),
            Action::Terminate(terminate) => of_asg(&terminate.asg),
            Action::AnswerHook(told) => of_asg(&told.asg),
            Action::PowerUp(up) => self.policy.group_of(&up.node),
            Action::PowerDown(down) => self.policy.group_of(&down.node),
            Action::MarkDown(_)
            | Action::CloseNodes(_)
            | Action::OpenNodes(_)
            | Action::Drain(_)
            | Action::Bind(_)
            | Action::Protect(_) => None,
        }
    }

    /// A lower number ends no instance only if all that live are protected.
    fn judge_give_back(&mut self, back: &GiveBack) -> Verdict {
        let asg = self.snapshot.asg(&back.asg).ok_or("the Auto Scaling group is unknown")?;
        if self.cooldown(&back.asg).is_none() {
            return Err("only what certainly does not come is given back");
        }
        let living = asg.instances.values().filter(|member| member.lifecycle.is_capacity());
        if living.clone().any(|member| !member.protected) {
            return Err("a lower number would end an instance that is not protected");
        }
        if (back.to as usize) < living.count() || back.to < asg.min || back.to >= asg.desired {
            return Err("only what was never launched is given back");
        }
        if self.memory.unlisted(&back.asg, asg) > 0 || self.launched.contains_key(&back.asg) {
            return Err("instances that are on their way are not given back");
        }
        if !self.raised.insert(back.asg.clone()) {
            return Err("one change of each Auto Scaling group's capacity");
        }
        Ok(())
    }

    /// What is known of failed launches, if that is in force.
    fn cooldown(&self, asg: &AsgName) -> Option<&Cooldown> {
        let cooldown = self.cooldowns.get(asg)?;
        cooldown.is_in_force(self.snapshot.now).then_some(cooldown)
    }

    /// Whether an Auto Scaling group is asked for nothing: launches or boots fail.
    fn is_shut(&self, group: &GroupPolicy, asg: &AsgName) -> bool {
        let boots = self.memory.boots.get(asg);
        let max = group.boot_failures_max;
        let too_many = |it: &Boots| it.protected_since.is_some() || it.failures >= max;
        self.cooldown(asg).is_some() || max > 0 && boots.is_some_and(too_many)
    }

    /// Whether nothing can be launched for a group's nodes.
    fn has_no_capacity(&self, name: &NodeName) -> Verdict {
        let group = self.policy.group_of(name).and_then(|group| self.policy.groups.get(group));
        let group = group.ok_or("only nodes of groups are touched")?;
        if group.asgs.iter().all(|asg| self.is_shut(group, asg)) {
            Ok(())
        } else {
            Err("instances can be launched for it")
        }
    }

    fn judge_close(&self, name: &NodeName) -> Verdict {
        let node = self.node(name)?;
        if node.state.phase() != Phase::Off || node.state.has_work() {
            return Err("only nodes that are powered down are closed");
        }
        self.has_no_capacity(name)
    }

    fn judge_open(&self, name: &NodeName) -> Verdict {
        let node = self.node(name)?;
        let is_ours = node.reason.starts_with("(Code:");
        let is_quiet = matches!(node.state.phase(), Phase::Off | Phase::Up);
        if is_quiet && node.state.has(NodeState::DRAIN) && is_ours {
            Ok(())
        } else {
            Err("only nodes that were closed by slurm-asg are opened")
        }
    }

    /// A node that waits for an instance, has none, and gets none.
    fn judge_given_up(&self, name: &NodeName) -> Verdict {
        let node = self.node(name)?;
        if node.state.phase() != Phase::Booting {
            return Err("only a node that waits for its instance is given up");
        }
        let binding = self.memory.bindings.get(name);
        if binding.is_some_and(|it| !it.outdated && !is_gone(it, self.snapshot)) {
            return Err("the node has an instance");
        }
        let group = self.policy.group_of(name).and_then(|group| self.policy.groups.get(group));
        if group.is_some_and(|group| is_overdue(group, self.memory, self.snapshot, name)) {
            return Ok(());
        }
        self.has_no_capacity(name)
    }

    fn node(&self, name: &NodeName) -> Result<&'a Node, &'static str> {
        if self.policy.group_of(name).is_none() {
            return Err("only nodes of groups are touched");
        }
        self.nodes.and_then(|nodes| nodes.get(name)).ok_or("the node is unknown to Slurm")
    }

    fn judge_sizes(&mut self, sizes: &SetSizes) -> Verdict {
        let asg = self.snapshot.asg(&sizes.asg).ok_or("the Auto Scaling group is unknown")?;
        let wanted = |group: &&GroupPolicy| group.asgs == [sizes.asg.clone()];
        let group = self.policy.groups.values().find(wanted);
        let wanted = group.ok_or("only sizes of asg.toml are written")?.sizes;
        let as_wanted = |size, wanted, own| size == own || Some(size) == wanted;
        if !as_wanted(sizes.min, wanted.min, asg.min) || !as_wanted(sizes.max, wanted.max, asg.max)
        {
            return Err("only sizes of asg.toml are written");
        }
        if sizes.min > sizes.max {
            return Err("the minimum is not above the maximum");
        }
        let now = self.snapshot.now;
        let asked = self.memory.levels.get(&sizes.asg);
        let asked = asked.filter(|level| now.since(level.at) < READ_LAG_MAX);
        let desired = asked.map_or(0, |level| level.to).max(asg.desired);
        if sizes.max < asg.max && sizes.max < desired {
            return Err("a maximum below the desired capacity would lower that");
        }
        if self.sizes.insert(sizes.asg.clone(), (sizes.min, sizes.max)).is_some() {
            return Err("one write of sizes for each Auto Scaling group");
        }
        Ok(())
    }

    fn judge_power_up(&mut self, name: &NodeName) -> Verdict {
        let node = self.node(name)?;
        let closed = NodeState::DRAIN | NodeState::FAIL | NodeState::POWER_DOWN;
        let idle = node.state.base() == NodeState::IDLE && !node.state.has(closed);
        if node.state.phase() != Phase::Off || !idle {
            return Err("only nodes that are powered down and idle are powered up");
        }
        let name = self.policy.group_of(name).ok_or("only nodes of groups are touched")?;
        let group = self.policy.groups.get(name).ok_or("only nodes of groups are touched")?;
        let wanted = self.nodes_wanted(name, group).ok_or("the Auto Scaling group is unknown")?;
        let before = match self.in_use.get(name) {
            Some(count) => *count,
            None => self.nodes_in_use(group),
        };
        self.in_use.insert(name.clone(), before + 1);
        if before >= wanted {
            return Err("no more nodes are powered up than the group keeps or begins with");
        }
        Ok(())
    }

    /// How many nodes a group has without any job; `None` if not all of it can be seen.
    fn nodes_wanted(&self, name: &GroupName, group: &GroupPolicy) -> Option<u32> {
        let (mut min, mut max) = (0_u32, 0_u32);
        for asg in &group.asgs {
            let own = self.snapshot.asg(asg)?;
            let written = self.sizes.get(asg).copied().unwrap_or((own.min, own.max));
            // A minimum that does not fit is named to the administrator and not kept.
            let fits = |min: &u32| *min <= group.sizes.max.unwrap_or(own.max);
            let kept = group.sizes.min.filter(fits).unwrap_or(0);
            min = min.saturating_add(own.min.max(written.0).max(kept));
            max = max.saturating_add(own.max.min(written.1));
        }
        let begun = self.begun.contains(name);
        let initial = group.sizes.initial.filter(|_| !begun).unwrap_or(0);
        Some(min.max(initial).min(max))
    }

    /// A node that is DOWN, and whose instance someone else ends.
    fn goes_with_its_instance(&self, name: &NodeName, node: &Node) -> bool {
        let mut instances = self.serves.iter().filter(|(_, served)| **served == name);
        let is_going = |id: &InstanceId| {
            let member = self.member(id);
            member.is_some_and(|member| member.lifecycle == Lifecycle::TerminatingWait)
                || self.memory.notices.contains_key(id)
        };
        node.state.is_down() && !node.state.has_work() && instances.any(|(id, _)| is_going(id))
    }

    fn nodes_in_use(&self, group: &GroupPolicy) -> u32 {
        let lives = |name: &NodeName| {
            let binding = self.memory.bindings.get(name);
            binding.is_none_or(|binding| !is_gone(binding, self.snapshot))
        };
        let in_use = |name: &&NodeName| {
            let node = self.nodes.and_then(|nodes| nodes.get(*name));
            node.is_some_and(|node| match node.state.phase() {
                Phase::Off | Phase::Releasing => false,
                Phase::Up
                    if node.state.is_given_up() || self.goes_with_its_instance(name, node) =>
                {
                    false
                }
                Phase::Up => lives(name) && !(node.state.is_down() && self.is_nowhere(name, node)),
                Phase::Wanted | Phase::Booting => true,
            })
        };
        u32::try_from(group.nodes.iter().filter(in_use).count()).unwrap_or(u32::MAX)
    }

    /// Only an idle node whose instance is at the end of an hour, and that the group can spare.
    fn judge_billing_hour(&mut self, name: &NodeName) -> Verdict {
        let node = self.node(name)?;
        let group_name = self.policy.group_of(name).ok_or("only nodes of groups are touched")?;
        let group = self.policy.groups.get(group_name).ok_or("only nodes of groups are touched")?;
        let ScaleIn::BillingHour(hour) = group.scale_in else {
            return Err("Slurm alone lets idle nodes of this group go");
        };
        let idle = node.state.base() == NodeState::IDLE
            && !node.state.has_work()
            && node.state.phase() == Phase::Up;
        let since = node.idle_since.filter(|_| idle).ok_or("only idle nodes are let go")?;
        let instance = self.serves.iter().find(|(_, served)| **served == name);
        let machine = instance.and_then(|(id, _)| self.snapshot.machines.get(*id));
        let facts = machine.and_then(Machine::facts);
        let launched = facts.and_then(|facts| facts.launched).ok_or("its hour is not known")?;
        if hour.next(launched, since, self.snapshot.now) > self.snapshot.now {
            return Err("its instance is paid for");
        }
        self.judge_spared(group_name, group)
    }

    /// Only a node that the group can spare, while another one waits: an idle one, or one of a job
    /// that is given up.
    fn judge_make_room(&mut self, name: &NodeName) -> Verdict {
        let node = self.node(name)?;
        let group_name = self.policy.group_of(name).ok_or("only nodes of groups are touched")?;
        let group = self.policy.groups.get(group_name).ok_or("only nodes of groups are touched")?;
        let idle = node.state.base() == NodeState::IDLE
            && !node.state.has_work()
            && node.state.phase() == Phase::Up;
        if !idle && !is_overdue(group, self.memory, self.snapshot, name) {
            return Err("only idle nodes are let go");
        }
        let waits = |name: &NodeName| {
            self.node(name).is_ok_and(|node| {
                matches!(node.state.phase(), Phase::Wanted | Phase::Booting)
                    && node.state.has_work()
            })
        };
        if group.launch != policy::Launch::AllOrNothing || !group.nodes.iter().any(waits) {
            return Err("no job waits for room");
        }
        self.judge_spared(group_name, group)
    }

    /// Whether the group has more nodes than it keeps; one fewer from now on.
    fn judge_spared(&mut self, name: &GroupName, group: &GroupPolicy) -> Verdict {
        let wanted = self.nodes_wanted(name, group).ok_or("the group is unknown")?;
        let before = match self.in_use.get(name) {
            Some(count) => *count,
            None => self.nodes_in_use(group),
        };
        self.in_use.insert(name.clone(), before.saturating_sub(1));
        if before <= wanted { Err("the group keeps it") } else { Ok(()) }
    }

    fn judge_raise(&mut self, raise: &SetDesired) -> Verdict {
        let asg = self.snapshot.asg(&raise.asg).ok_or("the Auto Scaling group is unknown")?;
        let group = self.policy.group_of_asg(&raise.asg);
        if group.is_some_and(|(_, group)| group.scale_out == ScaleOut::Alarm) {
            return Err("only CloudWatch alarms raise the capacity of this group");
        }
        if group.is_some_and(|(_, group)| self.is_shut(group, &raise.asg)) {
            return Err("nothing is asked of a group whose launches or boots fail");
        }
        if raise.to < asg.desired || raise.to <= raise.from {
            return Err("desired capacity is only raised by number");
        }
        // Whether or not the write succeeds.
        let written = self.sizes.get(&raise.asg).map_or(asg.max, |(_, max)| *max);
        if raise.to > asg.max.min(written) || raise.to < asg.min {
            return Err("desired capacity stays between minimum and maximum");
        }
        if self.launched.contains_key(&raise.asg) || !self.raised.insert(raise.asg.clone()) {
            return Err("one raise for each Auto Scaling group");
        }
        Ok(())
    }

    /// Instances in one of the group's zones, no more than it may have. A request that has not been
    /// answered may be made again, as it was.
    fn judge_launch(&mut self, launch: &Launch) -> Verdict {
        let asg = self.snapshot.asg(&launch.asg).ok_or("the Auto Scaling group is unknown")?;
        let (_, group) = self.policy.group_of_asg(&launch.asg).ok_or("only groups are scaled")?;
        if group.api != Api::LaunchInstances || group.scale_out == ScaleOut::Alarm {
            return Err("this group's capacity is not raised by zone");
        }
        if self.is_shut(group, &launch.asg) {
            return Err("nothing is asked of a group whose launches or boots fail");
        }
        if self.raised.contains(&launch.asg) {
            return Err("one raise for each Auto Scaling group");
        }
        if let Some(known) = self.memory.launches.get(&launch.token) {
            let same = known.asg == launch.asg
                && known.zone == launch.zone
                && known.count == launch.count
                && known.launched.is_none();
            return if same { Ok(()) } else { Err("a token stands for one request") };
        }
        if !asg.zones.contains(&launch.zone) || !(1..=LAUNCH_MAX).contains(&launch.count) {
            return Err("instances are launched in the group's zones, up to 100 at once");
        }
        // What has been taken out already, though this read still shows it.
        let accepted = |id: &InstanceId| {
            let release = self.memory.releases.get(id).and_then(|release| release.accepted);
            release.is_some_and(|accepted| accepted.decrement)
        };
        let members = asg.instances.iter().filter(|(_, member)| member.lifecycle.is_capacity());
        let gone = members.filter(|(id, _)| accepted(id)).count();
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        let there = asg.desired.saturating_sub(gone);
        let coming = self.memory.unlisted(&launch.asg, asg);
        let before = self.launched.get(&launch.asg).copied().unwrap_or(0);
        let sum = [there, coming, before, launch.count].into_iter().fold(0, u32::saturating_add);
        let written = self.sizes.get(&launch.asg).map_or(asg.max, |(_, max)| *max);
        if sum > asg.max.min(written) {
            return Err("desired capacity stays between minimum and maximum");
        }
        self.launched.insert(launch.asg.clone(), before.saturating_add(launch.count));
        Ok(())
    }

    fn judge_terminate(&mut self, terminate: &Terminate) -> Verdict {
        let asg = self.snapshot.asg(&terminate.asg).ok_or("the Auto Scaling group is unknown")?;
        let Some((_, group)) = self.policy.group_of_asg(&terminate.asg) else {
            return Err("only instances of groups are terminated");
        };
        let serves = self.serves.get(&terminate.instance);
        if let Some(name) = serves {
            let node = self.node(name)?;
            // While Slurm waits for a younger slurmd, nothing can run on this one.
            let replaced =
                node.state.phase() == Phase::Booting
                    && self.memory.bindings.get(*name).is_some_and(|binding| {
                        binding.outdated && binding.boot == Boot::Registered
                    });
            if node.state.has_work() && !replaced {
                return Err("the node has work");
            }
            if !replaced && !matches!(node.state.phase(), Phase::Off | Phase::Releasing) {
                return Err("Slurm has not released the node");
            }
        }
        self.nobody_works_at_its_address(&terminate.instance, serves.is_some())?;
        if self.named.contains(&terminate.instance) {
            return Err("an instance is not named and terminated at once");
        }
        if terminate.decrement && group.scale_in == ScaleIn::Never {
            return Err("the capacity of this group never comes down");
        }
        if terminate.decrement {
            let spent = self.decrements.entry(terminate.asg.clone()).or_insert(0);
            *spent += 1;
            let written = self.sizes.get(&terminate.asg).map_or(asg.min, |(min, _)| *min);
            let min = asg.min.max(written);
            if asg.desired.max(min) < min.saturating_add(*spent) {
                return Err("desired capacity stays at or above the minimum");
            }
        }
        if !self.terminated.insert(terminate.instance.clone()) {
            return Err("an instance is terminated once");
        }
        Ok(())
    }

    /// A node may be closed to jobs while someone else is about to end its instance.
    fn judge_drain(&self, name: &NodeName) -> Verdict {
        self.node(name)?;
        let mut instances = self.serves.iter().filter(|(_, served)| **served == name);
        let is_going = |id: &InstanceId| {
            let member = self.member(id);
            member.is_some_and(|member| member.lifecycle == Lifecycle::TerminatingWait)
                || self.memory.notices.contains_key(id)
        };
        if instances.any(|(id, _)| is_going(id)) {
            Ok(())
        } else {
            Err("only nodes whose instance is about to be terminated are drained")
        }
    }

    fn judge_protect(&self, protect: &Protect) -> Verdict {
        let member = self.member(&protect.instance).ok_or("the instance is unknown")?;
        if member.lifecycle != Lifecycle::InService {
            return Err("only instances in service are protected");
        }
        if !self.serves.contains_key(&protect.instance) {
            return Err("only instances that serve a node are protected");
        }
        Ok(())
    }

    /// A hook may hold an instance for longer whatever there is; it is told to let go only if no
    /// job can be harmed.
    fn judge_answer(&self, told: &AnswerHook) -> Verdict {
        let member = self.member(&told.instance).ok_or("the instance is unknown")?;
        let at = member.lifecycle.held_at().ok_or("no hook holds the instance")?;
        let node = match self.serves.get(&told.instance) {
            Some(name) => Some(self.node(name)?),
            None => None,
        };
        let leaves = self.memory.releases.contains_key(&told.instance)
            || self.terminated.contains(&told.instance);
        match (told.answer, at) {
            (HookAnswer::Wait, _) => Ok(()),
            (HookAnswer::Continue, Transition::Launching) => match node {
                Some(node) if node.state.phase() == Phase::Up && !node.state.is_down() => Ok(()),
                _ => Err("a launch is completed when its node is up"),
            },
            (HookAnswer::Abandon, Transition::Launching) if leaves => {
                self.nobody_works_at_its_address(&told.instance, node.is_some())
            }
            (HookAnswer::Abandon, _) => Err("only what is terminated anyway is abandoned"),
            (HookAnswer::Continue, Transition::Terminating) => {
                let waits =
                    |node: &Node| matches!(node.state.phase(), Phase::Wanted | Phase::Booting);
                if node.is_some_and(|node| node.state.has_work() && !waits(node)) {
                    return Err("the node has work");
                }
                let open = NodeState::DRAIN | NodeState::POWER_DOWN;
                let is_open = |node: &Node| {
                    node.state.phase() == Phase::Up
                        && !node.state.is_down()
                        && !node.state.has(open)
                };
                if node.is_some_and(is_open) {
                    return Err("Slurm may give the node a job");
                }
                self.nobody_works_at_its_address(&told.instance, node.is_some())
            }
        }
    }

    /// `bound`: which node the instance serves is known, and its state has been judged.
    fn nobody_works_at_its_address(&self, instance: &InstanceId, bound: bool) -> Verdict {
        match self.snapshot.address(instance) {
            Some(address) if self.working.contains(&address) => {
                Err("a node with work has the instance's address")
            }
            None if !bound && !self.snapshot.is_dead(instance) => {
                Err("a node with work may have the instance's address, which is not known")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The instance in the list of its group.
    fn member(&self, id: &InstanceId) -> Option<&'a Member> {
        let mut asgs = self.snapshot.asgs.values().filter_map(Seen::known);
        asgs.find_map(|asg| asg.instances.get(id))
    }

    fn judge_bind(&mut self, bind: &Bind) -> Verdict {
        let node = self.node(&bind.node)?;
        let is_its_own = self.serves.get(&bind.instance) == Some(&&bind.node);
        let is_lost = node.state.is_down() || node.state.has(NodeState::NO_RESPOND);
        let again = is_its_own && is_lost && node.state.phase() == Phase::Up;
        if node.state.phase() != Phase::Booting && !again {
            return Err("only nodes that Slurm has asked for are given an instance");
        }
        if self.serves.get(&bind.instance).is_some_and(|node| **node != bind.node) {
            return Err("an instance serves one node");
        }
        if let Some(old) = self.memory.bindings.get(&bind.node)
            && old.instance != bind.instance
            && !old.outdated
            && !is_gone(old, self.snapshot)
        {
            return Err("a node has one instance");
        }
        let goes = self.memory.releases.contains_key(&bind.instance)
            || self.memory.notices.contains_key(&bind.instance);
        if goes && !is_its_own || self.terminated.contains(&bind.instance) {
            return Err("an instance that goes is not given a node");
        }
        if !self.given.insert(bind.node.clone()) || !self.named.insert(bind.instance.clone()) {
            return Err("node and instance are bound one to one");
        }
        Ok(())
    }

    /// Whether no instance of the node's group can be the node's.
    fn is_nowhere(&self, name: &NodeName, node: &Node) -> bool {
        let group = self.policy.group_of(name).and_then(|group| self.policy.groups.get(group));
        let elsewhere = |id: &InstanceId| {
            let address = self.snapshot.address(id);
            address.is_some_and(|address| !node.is_at(address))
                || self.serves.contains_key(id)
                || self.memory.releases.contains_key(id)
        };
        let bound = self.serves.values().any(|served| *served == name);
        let seen = group.is_some_and(|group| {
            group.asgs.iter().all(|asg| {
                let asg = self.snapshot.asg(asg);
                asg.is_some_and(|asg| asg.instances.keys().all(elsewhere))
            })
        });
        seen && !bound && !node.state.has_work()
    }

    fn judge_gone(&self, name: &NodeName) -> Verdict {
        self.node(name)?;
        match self.memory.bindings.get(name) {
            Some(binding) if is_gone(binding, self.snapshot) => Ok(()),
            Some(_) => Err("the node's instance is not gone"),
            None => Err("it is not known that the node's instance is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Level;
    use crate::plan::{PowerUp, PowerUpCause};
    use crate::testing::{World, policy_with};

    /// The rule that an action breaks in this world.
    fn broken(world: &World, actions: Vec<Action>) -> Option<&'static str> {
        let plan = Plan { actions, ..Plan::default() };
        let broken = check(&world.policy, &world.memory, &world.snapshot, &plan);
        broken.first().map(|violation| violation.rule)
    }

    fn sizes(min: u32, max: u32) -> Action {
        Action::SetSizes(SetSizes { asg: "a".into(), from: (0, 8), min, max, desired: 0 })
    }

    fn power_up(node: &str) -> Action {
        Action::PowerUp(PowerUp { node: node.into(), cause: PowerUpCause::Base })
    }

    #[test]
    fn a_maximum_below_the_capacity_in_use_is_refused() {
        let mut world = World::new(0, 8, &["n1 alloc on=i-1", "n2 alloc on=i-2"]);
        world.policy = policy_with("max_size = 1");
        let rule = Some("a maximum below the desired capacity would lower that");
        assert_eq!(broken(&world, vec![sizes(0, 1)]), rule);
        // Also if a read does not show the last raise.
        world.asg_mut().desired = 1;
        assert_eq!(broken(&world, vec![sizes(0, 1)]), None);
        world.memory.levels.insert("a".into(), Level { to: 2, at: world.snapshot.now });
        assert_eq!(broken(&world, vec![sizes(0, 1)]), rule);
    }

    #[test]
    fn only_sizes_of_the_file_are_written_and_once() {
        let mut world = World::new(0, 8, &[]);
        world.policy = policy_with("min_size = 1\nmax_size = 4");
        let rule = Some("only sizes of asg.toml are written");
        assert_eq!(broken(&world, vec![sizes(1, 4)]), None);
        assert_eq!(broken(&world, vec![sizes(1, 5)]), rule);
        assert_eq!(broken(&world, vec![sizes(2, 4)]), rule);
        let twice = Some("one write of sizes for each Auto Scaling group");
        assert_eq!(broken(&world, vec![sizes(1, 4), sizes(1, 4)]), twice);
        // What is raised with it must fit the maximum before and after.
        let raise = |to| Action::SetDesired(SetDesired { asg: "a".into(), from: 1, to });
        assert_eq!(broken(&world, vec![sizes(1, 4), raise(4)]), None);
        let between = Some("desired capacity stays between minimum and maximum");
        assert_eq!(broken(&world, vec![sizes(1, 4), raise(5)]), between);
    }

    #[test]
    fn only_nodes_that_are_off_and_usable_are_powered_up_and_no_more_than_are_kept() {
        let nodes = ["n1 off", "n2 off", "n3 drain_off", "n4 powering_down", "n5 idle on=i-5"];
        let mut world = World::new(2, 8, &nodes);
        assert_eq!(broken(&world, vec![power_up("n1")]), None);
        let more = Some("no more nodes are powered up than the group keeps or begins with");
        assert_eq!(broken(&world, vec![power_up("n1"), power_up("n2")]), more);
        let closed = Some("only nodes that are powered down and idle are powered up");
        for node in ["n3", "n4", "n5"] {
            assert_eq!(broken(&world, vec![power_up(node)]), closed, "{node}");
        }
        world.policy = policy_with("initial_size = 3");
        assert_eq!(broken(&world, vec![power_up("n1"), power_up("n2")]), None);
        world.memory.begun.insert("g".into());
        assert_eq!(broken(&world, vec![power_up("n1"), power_up("n2")]), more);
    }
}
