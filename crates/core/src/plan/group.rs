//! One group's part of the plan.
//!
//! Order of the pass: look at every node, in `base` power up what the
//! group keeps, then, in `supply`, give spares to nodes that wait, raise capacity for what is
//! missing, let go of what nobody wants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::base::Base;
use super::capacity::{Book, open_all};
use super::hooks::being_terminated;
use super::sizes::SizesProblem;
use super::whole::Incomplete;
use super::{
    Action, Bind, Departure, GroupReport, MarkDown, NodeReport, Plan, PowerDown, PowerDownCause,
    TERMINATE_REPEAT, Terminate, TerminateCause, Why, departure, is_gone,
};
use crate::demand::JobVerdict;
use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::memory::{Binding, Memory};
use crate::node_state::{NodeState, Phase};
use crate::policy::{BillingHour, GroupPolicy, ScaleIn};
use crate::snapshot::{Lifecycle, Machine, Node, Seen, Snapshot};
use crate::time::Timestamp;

/// Slurm's own words when a node did not register in time (power_save.c, 22.05 to 26.05).
pub(crate) const RESUME_TIMEOUT: &str = "ResumeTimeout reached";
/// Slurm's own words when a node has been silent for SlurmdTimeout (ping_nodes.c, 22.05 to 26.05).
const NOT_RESPONDING: &str = "Not responding";
/// How reasons begin that slurm-asg has given.
pub(super) const OWN_REASON: &str = "(Code:";

/// What one group's pass reads.
pub struct Scene<'a> {
    pub name: &'a GroupName,
    pub group: &'a GroupPolicy,
    pub memory: &'a Memory,
    pub snapshot: &'a Snapshot,
    pub nodes: &'a BTreeMap<NodeName, Node>,
    /// Which node an instance serves, over all groups.
    pub bound: &'a BTreeMap<&'a InstanceId, &'a NodeName>,
    /// Nodes that pending jobs will be given and that Slurm has not asked for yet.
    pub ahead: u32,
    /// Which nodes these are, of all groups.
    pub launched: &'a BTreeSet<NodeName>,
    /// Pending jobs, by id.
    pub pending: &'a BTreeMap<u32, JobVerdict>,
    /// Nodes without work that pending jobs will be given.
    pub reuse: u32,
}

/// Adds one group's actions and reports to the plan.
pub fn plan_group<'a>(scene: &Scene<'a>, plan: &mut Plan) {
    let mut pass = Pass {
        scene,
        books: open_all(scene.name, scene.group, scene.memory, scene.snapshot, scene.bound),
        report: GroupReport::default(),
        base: Base::default(),
        booting: Vec::new(),
        wanted: Vec::new(),
        jobs: Vec::new(),
        ahead: scene.ahead,
        spares_wanted: 0,
        unserved: 0,
        first_action: plan.actions.len(),
        plan,
    };
    pass.report_asgs();
    pass.note_cooldowns();
    pass.write_sizes();
    pass.look_up_newcomers();
    pass.base = pass.look_at_base();
    pass.judge_nodes();
    pass.bring_up();
    pass.retry_releases();
    pass.sort_by_jobs();
    pass.bind_spares();
    pass.judge_jobs();
    pass.raise();
    pass.let_orphans_go();
    pass.replace_for_unserved();
    pass.give_back();
    pass.close_or_open();
    let leaving = pass.leaving();
    pass.protect(&leaving);
    pass.answer_hooks(&leaving);
    pass.pause();
    pass.finish();
}

pub(super) struct Pass<'a, 'p> {
    pub(super) scene: &'p Scene<'a>,
    pub(super) books: Vec<Book<'a>>,
    pub(super) report: GroupReport,
    pub(super) base: Base<'a>,
    /// Nodes that wait for an instance to register and have none.
    pub(super) booting: Vec<&'a NodeName>,
    /// Nodes that Slurm will ask for soon and that have none. An instance that got their name
    /// now would start before Slurm's request, and Slurm would ignore it.
    pub(super) wanted: Vec<&'a NodeName>,
    /// Jobs that these nodes belong to.
    pub(super) jobs: Vec<Incomplete<'a>>,
    /// Nodes that pending jobs will be given and that nobody has asked for yet.
    pub(super) ahead: u32,
    /// How many spares nodes and jobs still wait for.
    pub(super) spares_wanted: u32,
    /// Instances for nodes and jobs that wait and that nothing is on its way for.
    pub(super) unserved: u32,
    /// Where this group's actions begin.
    pub(super) first_action: usize,
    pub(super) plan: &'p mut Plan,
}

impl<'a> Pass<'a, '_> {
    /// Instances that this plan terminates.
    fn leaving(&self) -> BTreeSet<InstanceId> {
        let terminated = self.plan.actions.iter().filter_map(Action::terminate);
        terminated.map(|terminate| terminate.instance.clone()).collect()
    }

    fn report_asgs(&mut self) {
        for name in &self.scene.group.asgs {
            match self.scene.snapshot.asgs.get(name) {
                Some(Seen::Known(asg)) => {
                    self.report.min += asg.min;
                    self.report.max += asg.max;
                    self.report.desired += asg.desired;
                    for member in asg.instances.values() {
                        match member.lifecycle {
                            Lifecycle::Pending | Lifecycle::PendingWait => {
                                self.report.pending += 1;
                            }
                            Lifecycle::InService => self.report.in_service += 1,
                            Lifecycle::Terminating | Lifecycle::TerminatingWait => {
                                self.report.releasing += 1;
                            }
                            Lifecycle::Other(_) => {}
                        }
                    }
                }
                Some(Seen::Unknown { why }) => self.report.problem = Some(why.clone()),
                None => {
                    let why = format!("Auto Scaling group {name} has not been looked at yet");
                    self.report.problem.get_or_insert(why);
                }
            }
        }
    }

    /// Has the sizes written that asg.toml gives, and says what is in the way.
    fn write_sizes(&mut self) {
        let mut problem = None;
        for book in &self.books {
            problem = problem.or(book.sizes.problem.clone());
            if let Some(at) = book.sizes.retry_at {
                self.plan.wake(at);
            }
            self.plan.actions.extend(book.sizes.write.clone().map(Action::SetSizes));
        }
        self.note_sizes_problem(problem);
    }

    pub(super) fn note_sizes_problem(&mut self, problem: Option<SizesProblem>) {
        let Some(problem) = problem else { return };
        self.report.problem.get_or_insert_with(|| problem.to_string());
        self.report.sizes_problem.get_or_insert(problem);
    }

    /// An instance without a known address cannot be given a node: ask for it.
    fn look_up_newcomers(&mut self) {
        for book in &self.books {
            for (id, member) in &book.asg.instances {
                let known = self.scene.snapshot.address(id).is_some();
                if member.lifecycle.is_capacity() && !known {
                    self.plan.look_up.insert(id.clone());
                }
            }
        }
    }

    fn judge_nodes(&mut self) {
        let group: &'a GroupPolicy = self.scene.group;
        for name in &group.nodes {
            let Some(node) = self.scene.nodes.get(name) else {
                continue;
            };
            let phase = node.state.phase();
            let binding = self.scene.memory.bindings.get(name).cloned();
            let why = match (phase, &binding) {
                (Phase::Off, None) => {
                    self.recover(name, node);
                    continue;
                }
                (Phase::Off | Phase::Releasing, Some(binding)) => {
                    let kept = self.keep_instance(name, node, binding);
                    kept.or_else(|| self.judge_released(name, node, binding))
                }
                (Phase::Releasing, None) => {
                    self.plan.watch_slurm = true;
                    Some(Why::PoweringDown)
                }
                (Phase::Booting, Some(binding)) => self.judge_booting(name, node, binding),
                (Phase::Booting, None) => {
                    self.booting.push(name);
                    None
                }
                (Phase::Wanted, Some(_)) => {
                    // It keeps its instance until it is clear whether that registers.
                    self.report.booting += 1;
                    self.plan.watch_slurm = true;
                    Some(Why::WaitsForResume)
                }
                (Phase::Wanted, None) => {
                    self.wanted.push(name);
                    None
                }
                (Phase::Up, Some(binding)) => Some(self.judge_up(name, node, binding)),
                (Phase::Up, None) if self.has_no_machine(name, node) => {
                    self.plan.watch_slurm = true;
                    self.plan.actions.push(Action::PowerDown(PowerDown::recover(name)));
                    Some(Why::NoMachine)
                }
                (Phase::Up, None) => Some(self.in_service(node).unwrap_or(Why::NoInstanceKnown)),
            };
            let instance = binding.map(|binding| binding.instance);
            if let Some(why) = why {
                self.say(name, node, instance, why);
            }
        }
    }

    pub(super) fn say(
        &mut self,
        name: &NodeName,
        node: &Node,
        instance: Option<InstanceId>,
        why: Why,
    ) {
        let report = NodeReport { phase: node.state.phase(), state: node.state, instance, why };
        self.plan.nodes.insert(name.clone(), report);
    }

    /// A node that Slurm has closed: its instance goes.
    fn judge_released(&mut self, name: &NodeName, node: &Node, binding: &Binding) -> Option<Why> {
        self.plan.watch_slurm = true;
        if node.state.has_work() {
            return Some(Why::ReleasedWithWork);
        }
        if self.recover(name, node) {
            // Its slurmd may come late, and a job with it. Slurm closes the node first.
            return Some(Why::NeverRegistered);
        }
        if is_gone(binding, self.scene.snapshot) {
            return Some(Why::PoweringDown);
        }
        if self.scene.snapshot.asg(&binding.asg).is_none() {
            return Some(Why::CloudUnknown);
        }
        let lifecycle = self.lifecycle(binding);
        if !lifecycle.is_some_and(Lifecycle::is_capacity) {
            // Not in this read of the list, or in a state in which the group does not count it:
            // a terminate call would do something other than this read lets expect.
            self.ask_if_missing(binding);
            return Some(match lifecycle {
                Some(Lifecycle::TerminatingWait) => Why::HeldByHook,
                _ => Why::NotInGroup,
            });
        }
        if self.scene.group.scale_in == ScaleIn::Never {
            self.plan.advice.insert(format!(
                "group={}: Slurm powers nodes down though scale_in = \"never\"; write \
                 SuspendTime=INFINITE for their partitions in slurm.conf",
                self.scene.name
            ));
        }
        self.terminate(&binding.asg, &binding.instance, Some(name), TerminateCause::NodeReleased);
        Some(Why::Released)
    }

    /// A node that Slurm gave up because it never registered, or that this plugin set down, is
    /// made available again by powering it down. What an administrator set down stays so.
    pub(super) fn recover(&mut self, name: &NodeName, node: &Node) -> bool {
        let ours = node.reason.starts_with(RESUME_TIMEOUT) || node.reason.starts_with(OWN_REASON);
        let stuck = node.state.is_down()
            && node.state.phase() == Phase::Off
            && !node.state.has(NodeState::POWER_DOWN | NodeState::COMPLETING);
        if stuck && ours {
            self.plan.watch_slurm = true;
            self.plan.actions.push(Action::PowerDown(PowerDown::recover(name)));
        }
        stuck && ours
    }

    /// A node that Slurm has set down because it is silent, or that this plugin has set down before
    /// slurmctld forgot that it was to be powered down, and that certainly has no instance:
    /// all that serve no other node can be seen, with addresses that are not the node's. Slurm
    /// never suspends it by itself if it is one of SuspendExcNodes.
    pub(super) fn has_no_machine(&self, name: &NodeName, node: &Node) -> bool {
        let reason = &node.reason;
        let silent = node.state.is_down()
            && (reason.starts_with(NOT_RESPONDING) || reason.starts_with(OWN_REASON))
            && !node.state.has_work()
            && !node.state.has(NodeState::POWER_DOWN);
        let memory = self.scene.memory;
        let bound = memory.bindings.contains_key(name);
        let is_another = |id: &InstanceId| {
            let address = self.scene.snapshot.address(id);
            address.is_some_and(|address| !node.is_at(address))
                || self.scene.bound.contains_key(id)
                || memory.releases.contains_key(id)
        };
        silent
            && !bound
            && self.books.len() == self.scene.group.asgs.len()
            && self.books.iter().flat_map(|book| book.asg.instances.keys()).all(is_another)
    }

    /// A node that waits for its instance to register.
    fn judge_booting(&mut self, name: &'a NodeName, node: &Node, binding: &Binding) -> Option<Why> {
        self.plan.watch_cloud = true;
        if is_gone(binding, self.scene.snapshot) {
            // Nothing has run on it: another instance takes the node over.
            self.booting.push(name);
            return None;
        }
        if binding.outdated {
            self.booting.push(name);
            if self.lifecycle(binding).is_some_and(Lifecycle::is_capacity) {
                let cause = TerminateCause::Outdated;
                self.terminate(&binding.asg, &binding.instance, Some(name), cause);
            }
            return None;
        }
        self.report.booting += 1;
        self.ask_if_missing(binding);
        match self.scene.snapshot.address(&binding.instance) {
            None => {
                self.plan.look_up.insert(binding.instance.clone());
                Some(Why::WaitsForAddress)
            }
            Some(address) if !node.is_at(address) => {
                self.tell_address(name, binding, address);
                Some(Why::Bound)
            }
            Some(_) => Some(Why::Booting { since: binding.bound_at }),
        }
    }

    /// A node in service.
    fn judge_up(&mut self, name: &NodeName, node: &Node, binding: &Binding) -> Why {
        if is_gone(binding, self.scene.snapshot) {
            self.plan.watch_slurm = true;
            let is_asked = node.state.has(NodeState::POWER_DOWN);
            // A node that drains waits for its jobs, and these will never end.
            let waits = node.state.has_work() && !node.state.is_down();
            if is_asked && !waits {
                return Why::PowerDownAsked;
            }
            if !(node.state.is_down() && node.reason.starts_with(OWN_REASON)) {
                let reason = format!("(Code:InstanceGone) {} is gone", binding.instance);
                self.plan.actions.push(Action::MarkDown(MarkDown { node: name.clone(), reason }));
            }
            if !is_asked {
                self.plan.actions.push(Action::PowerDown(PowerDown::recover(name)));
            }
            return Why::InstanceGone;
        }
        self.ask_if_missing(binding);
        if node.state.has(NodeState::NO_RESPOND) || node.state.is_down() {
            self.plan.look_up.insert(binding.instance.clone());
            self.tell_address_again(name, node, binding);
        }
        if let Some(why) = departure(binding, self.scene.memory, self.scene.snapshot) {
            let (why, reason) = match why {
                Departure::Held => (Why::HeldByHook, being_terminated(&binding.instance)),
                Departure::Noticed(notice) => (Why::TakenByAws, notice.reason(&binding.instance)),
            };
            self.drain(name, node, reason);
            // Its numbers count; the reason is another.
            self.in_service(node);
            return why;
        }
        let idle = if self.base.keeps(name) {
            Why::Base { since: node.idle_since }
        } else {
            Why::Idle { since: node.idle_since }
        };
        let idle_now = matches!(idle, Why::Idle { .. });
        let why = self.in_service(node).unwrap_or(idle);
        if why == Why::Busy {
            self.watch_kept(name);
        }
        if matches!(why, Why::Idle { .. } | Why::Base { .. })
            && let Some(kept) = self.keep_idle(name, node)
        {
            return kept;
        }
        if let (true, Why::Idle { since: Some(since) }, ScaleIn::BillingHour(hour)) =
            (idle_now, &why, self.scene.group.scale_in)
        {
            return self.judge_by_billing_hour(name, node, binding, hour, *since);
        }
        why
    }

    /// A slurmctld that came back with an old state may not know where a node is any more, and would
    /// wait for it in vain.
    fn tell_address_again(&mut self, name: &NodeName, node: &Node, binding: &Binding) {
        let Some(address) = self.scene.snapshot.address(&binding.instance) else { return };
        let is_there = self.lifecycle(binding).is_some_and(Lifecycle::is_capacity);
        if is_there && !node.is_at(address) {
            self.plan.watch_slurm = true;
            self.tell_address(name, binding, address);
        }
    }

    fn tell_address(&mut self, name: &NodeName, binding: &Binding, address: IpAddr) {
        self.plan.actions.push(Action::Bind(Bind {
            node: name.clone(),
            instance: binding.instance.clone(),
            asg: binding.asg.clone(),
            address,
        }));
    }

    /// An idle node in a group that is billed by the hour: it goes when the next hour is about to
    /// be billed, unless a pending job could use it.
    fn judge_by_billing_hour(
        &mut self,
        name: &NodeName,
        node: &Node,
        binding: &Binding,
        hour: BillingHour,
        since: Timestamp,
    ) -> Why {
        let now = self.scene.snapshot.now;
        let closed = NodeState::DRAIN | NodeState::FAIL | NodeState::MAINT;
        let machine = self.scene.snapshot.machines.get(&binding.instance);
        let launched = machine.and_then(Machine::facts).and_then(|facts| facts.launched);
        let Some(launched) = launched else {
            self.plan.look_up.insert(binding.instance.clone());
            return Why::Idle { since: Some(since) };
        };
        if node.state.base() != NodeState::IDLE || node.state.has(closed) {
            return Why::Idle { since: Some(since) };
        }
        let at = hour.next(launched, since, now);
        if at > now || self.scene.reuse > 0 {
            self.plan.wake(at);
            return Why::WaitsForBillingHour { since, at };
        }
        self.plan.watch_slurm = true;
        let cause = PowerDownCause::BillingHour;
        self.plan.actions.push(Action::PowerDown(PowerDown { node: name.clone(), cause }));
        Why::BillingHourEnds { since }
    }

    /// Counts a node in service. `None` if it is idle and nothing is asked of it.
    fn in_service(&mut self, node: &Node) -> Option<Why> {
        if node.state.has_work() {
            self.report.busy += 1;
            return Some(Why::Busy);
        }
        self.report.idle += 1;
        let asked = node.state.has(NodeState::POWER_DOWN);
        self.plan.watch_slurm |= asked;
        asked.then_some(Why::PowerDownAsked)
    }

    /// Whether a node may run on an instance without memory's knowing: a binding that was not saved,
    /// or a slurmctld with an old state. Only the address tells, and it is not known.
    pub(super) fn may_serve(&self, id: &InstanceId) -> bool {
        let snapshot = self.scene.snapshot;
        snapshot.address(id).is_none() && !snapshot.is_dead(id)
    }

    fn lifecycle(&self, binding: &Binding) -> Option<&'a Lifecycle> {
        let member = self.scene.snapshot.member(&binding.asg, &binding.instance);
        member.map(|member| &member.lifecycle)
    }

    fn ask_if_missing(&mut self, binding: &Binding) {
        if self.scene.memory.stirred.contains_key(&binding.instance) {
            self.plan.watch_cloud = true;
            self.plan.look_up.insert(binding.instance.clone());
        }
        if let Some(since) = binding.missing_since {
            self.plan.watch_cloud = true;
            self.plan.look_up.insert(binding.instance.clone());
            let end = since.after(super::MISSING_GRACE);
            if end > self.scene.snapshot.now {
                self.plan.wake(end);
            }
        }
    }

    /// Terminate calls that failed, or that were taken and show no effect.
    fn retry_releases(&mut self) {
        let now = self.scene.snapshot.now;
        for (id, release) in &self.scene.memory.releases {
            let Some(book) = self.books.iter().position(|book| *book.name == release.asg) else {
                continue;
            };
            let listed = self.books.get(book).and_then(|book| book.asg.instances.get(id));
            // The list may lag behind: an instance that is released and not listed may come yet.
            let Some(member) = listed else {
                if release.accepted.is_none() {
                    // Only EC2 can say that it is gone; nothing else would ask.
                    self.plan.look_up.insert(id.clone());
                }
                continue;
            };
            self.plan.watch_cloud = true;
            if !member.lifecycle.is_capacity() {
                continue;
            }
            let due = match (release.accepted, release.retry) {
                (Some(accepted), _) => accepted.at.after(TERMINATE_REPEAT),
                (None, Some(retry)) => retry.not_before,
                (None, None) => now,
            };
            if due > now {
                self.plan.wake(due);
                continue;
            }
            if self.may_serve(id) {
                self.plan.look_up.insert(id.clone());
                continue;
            }
            self.terminate(&release.asg, id, release.node.as_ref(), release.cause);
        }
    }

    /// Terminates an instance. At the group's minimum it is replaced instead: the newcomer is
    /// fresh, while this one has had its name.
    pub(super) fn terminate(
        &mut self,
        asg: &AsgName,
        id: &InstanceId,
        node: Option<&NodeName>,
        cause: TerminateCause,
    ) {
        self.plan.watch_cloud = true;
        let book = self.books.iter_mut().find(|book| book.name == asg);
        let decrement = book.is_some_and(|book| book.terminate(id));
        self.push_terminate(asg, id, node, decrement, cause);
    }

    pub(super) fn push_terminate(
        &mut self,
        asg: &AsgName,
        id: &InstanceId,
        node: Option<&NodeName>,
        decrement: bool,
        cause: TerminateCause,
    ) {
        self.plan.actions.push(Action::Terminate(Terminate {
            instance: id.clone(),
            asg: asg.clone(),
            node: node.cloned(),
            decrement,
            cause,
        }));
    }

    fn finish(self) {
        let pending_instances = self.pending_instances();
        let mut report = self.report;
        let used = report.busy.saturating_add(self.scene.reuse);
        report.demand = used.saturating_add(report.booting).saturating_add(report.ahead);
        report.pending_instances = pending_instances;
        let incoming: u32 = self.books.iter().map(|book| book.incoming()).sum();
        self.plan.watch_cloud |= incoming > 0;
        let lagging = self.books.iter().filter(|book| book.lags());
        self.plan.look_up_launches.extend(lagging.map(|book| book.name.clone()));
        // Asking again about instances that EC2 has just described would be a busy loop.
        self.plan.look_up.retain(|id| {
            self.scene
                .snapshot
                .machines
                .get(id)
                .and_then(Machine::facts)
                .is_none_or(|facts| !facts.dead)
        });
        self.plan.groups.insert(self.scene.name.clone(), report);
    }
}
