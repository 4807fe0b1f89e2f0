//! What the plan does to nodes: up, down, closed, opened, drained.

use super::{Checker, Verdict};
use crate::ids::{GroupName, InstanceId, NodeName};
use crate::node_state::{NodeState, Phase};
use crate::plan::{is_gone, is_overdue};
use crate::policy::{GroupPolicy, Launch, ScaleIn};
use crate::snapshot::{Lifecycle, Machine, Node};

impl Checker<'_> {
    /// Whether nothing can be launched for a group's nodes.
    pub(super) fn has_no_capacity(&self, name: &NodeName) -> Verdict {
        let group = self.policy.group_of(name).and_then(|group| self.policy.groups.get(group));
        let group = group.ok_or("only nodes of groups are touched")?;
        if group.asgs.iter().all(|asg| self.is_shut(group, asg)) {
            Ok(())
        } else {
            Err("instances can be launched for it")
        }
    }

    pub(super) fn judge_close(&self, name: &NodeName) -> Verdict {
        let node = self.node(name)?;
        if node.state.phase() != Phase::Off || node.state.has_work() {
            return Err("only nodes that are powered down are closed");
        }
        self.has_no_capacity(name)
    }

    pub(super) fn judge_open(&self, name: &NodeName) -> Verdict {
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
    pub(super) fn judge_given_up(&self, name: &NodeName) -> Verdict {
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

    pub(super) fn judge_power_up(&mut self, name: &NodeName) -> Verdict {
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
    pub(super) fn nodes_wanted(&self, name: &GroupName, group: &GroupPolicy) -> Option<u32> {
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

    /// Whether someone else is about to end an instance.
    fn is_going(&self, id: &InstanceId) -> bool {
        let member = self.member(id);
        member.is_some_and(|member| member.lifecycle == Lifecycle::TerminatingWait)
            || self.memory.notices.contains_key(id)
    }

    /// A node that is DOWN, and whose instance someone else ends.
    pub(super) fn goes_with_its_instance(&self, name: &NodeName, node: &Node) -> bool {
        let mut instances = self.serves.iter().filter(|(_, served)| **served == name);
        node.state.is_down() && !node.state.has_work() && instances.any(|(id, _)| self.is_going(id))
    }

    pub(super) fn nodes_in_use(&self, group: &GroupPolicy) -> u32 {
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
    pub(super) fn judge_billing_hour(&mut self, name: &NodeName) -> Verdict {
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
    pub(super) fn judge_make_room(&mut self, name: &NodeName) -> Verdict {
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
        if group.launch != Launch::AllOrNothing || !group.nodes.iter().any(waits) {
            return Err("no job waits for room");
        }
        self.judge_spared(group_name, group)
    }

    /// Whether the group has more nodes than it keeps; one fewer from now on.
    pub(super) fn judge_spared(&mut self, name: &GroupName, group: &GroupPolicy) -> Verdict {
        let wanted = self.nodes_wanted(name, group).ok_or("the group is unknown")?;
        let before = match self.in_use.get(name) {
            Some(count) => *count,
            None => self.nodes_in_use(group),
        };
        self.in_use.insert(name.clone(), before.saturating_sub(1));
        if before <= wanted { Err("the group keeps it") } else { Ok(()) }
    }

    /// A node may be closed to jobs while someone else is about to end its instance.
    pub(super) fn judge_drain(&self, name: &NodeName) -> Verdict {
        self.node(name)?;
        let mut instances = self.serves.iter().filter(|(_, served)| **served == name);
        if instances.any(|(id, _)| self.is_going(id)) {
            Ok(())
        } else {
            Err("only nodes whose instance is about to be terminated are drained")
        }
    }

    /// Whether no instance of the node's group can be the node's.
    pub(super) fn is_nowhere(&self, name: &NodeName, node: &Node) -> bool {
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

    pub(super) fn judge_gone(&self, name: &NodeName) -> Verdict {
        self.node(name)?;
        match self.memory.bindings.get(name) {
            Some(binding) if is_gone(binding, self.snapshot) => Ok(()),
            Some(_) => Err("the node's instance is not gone"),
            None => Err("it is not known that the node's instance is gone"),
        }
    }
}
