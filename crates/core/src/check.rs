//! An independent look at a plan before it is carried out.
//!
//! Written apart from the planner and from the facts alone: an action that breaks one of the
//! invariants is not carried out, whatever the planner thought.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{AsgName, InstanceId, NodeName};
use crate::memory::Memory;
use crate::node_state::Phase;
use crate::plan::{Action, Bind, Plan, SetDesired, Terminate, is_gone};
use crate::policy::{GroupPolicy, Policy, ScaleOut};
use crate::snapshot::{Node, Snapshot};

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
    working: BTreeSet<&'a str>,
    raised: BTreeSet<AsgName>,
    decrements: BTreeMap<AsgName, u32>,
    named: BTreeSet<InstanceId>,
    terminated: BTreeSet<InstanceId>,
    given: BTreeSet<NodeName>,
}

impl<'a> Checker<'a> {
    fn new(policy: &'a Policy, memory: &'a Memory, snapshot: &'a Snapshot, plan: &'a Plan) -> Self {
        let nodes = snapshot.nodes.known().map(|nodes| &**nodes);
        let bindings = memory.bindings.iter().chain(&plan.adopted);
        let working = nodes
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|node| node.state.phase() == Phase::Up && node.state.has_work())
            .map(|node| node.address.as_str())
            .collect();
        Self {
            policy,
            snapshot,
            nodes,
            memory,
            serves: bindings.map(|(node, binding)| (&binding.instance, node)).collect(),
            working,
            raised: BTreeSet::new(),
            decrements: BTreeMap::new(),
            named: BTreeSet::new(),
            terminated: BTreeSet::new(),
            given: BTreeSet::new(),
        }
    }

    fn judge(&mut self, action: &Action) -> Verdict {
        if self.nodes.is_none() {
            return Err("nothing is done while Slurm's nodes are unknown");
        }
        match action {
            Action::SetDesired(raise) => self.judge_raise(raise),
            Action::Terminate(terminate) => self.judge_terminate(terminate),
            Action::Bind(bind) => self.judge_bind(bind),
            Action::MarkDown(down) => self.judge_gone(&down.node),
            Action::PowerDown(down) => {
                let node = self.node(&down.node)?;
                if node.state.is_down() && node.state.phase() == Phase::Off {
                    return Ok(());
                }
                self.judge_gone(&down.node)
            }
        }
    }

    fn node(&self, name: &NodeName) -> Result<&'a Node, &'static str> {
        if self.policy.group_of(name).is_none() {
            return Err("only nodes of groups are touched");
        }
        self.nodes.and_then(|nodes| nodes.get(name)).ok_or("the node is unknown to Slurm")
    }

    fn judge_raise(&mut self, raise: &SetDesired) -> Verdict {
        let asg = self.snapshot.asg(&raise.asg).ok_or("the Auto Scaling group is unknown")?;
        let by_alarm = |group: &GroupPolicy| {
            group.scale_out == ScaleOut::Alarm && group.asgs.contains(&raise.asg)
        };
        if self.policy.groups.values().any(by_alarm) {
            return Err("only CloudWatch alarms raise the capacity of this group");
        }
        if raise.to < asg.desired || raise.to <= raise.from {
            return Err("desired capacity is only raised by number");
        }
        if raise.to > asg.max || raise.to < asg.min {
            return Err("desired capacity stays between minimum and maximum");
        }
        if !self.raised.insert(raise.asg.clone()) {
            return Err("one raise for each Auto Scaling group");
        }
        Ok(())
    }

    fn judge_terminate(&mut self, terminate: &Terminate) -> Verdict {
        let asg = self.snapshot.asg(&terminate.asg).ok_or("the Auto Scaling group is unknown")?;
        if !self.policy.groups.values().any(|group| group.asgs.contains(&terminate.asg)) {
            return Err("only instances of groups are terminated");
        }
        if let Some(name) = self.serves.get(&terminate.instance) {
            let node = self.node(name)?;
            // While Slurm waits for a younger slurmd, nothing can run on this one.
            let replaced = node.state.phase() == Phase::Booting
                && self.memory.bindings.get(*name).is_some_and(|binding| binding.outdated);
            if node.state.has_work() && !replaced {
                return Err("the node has work");
            }
            if !replaced && !matches!(node.state.phase(), Phase::Off | Phase::Releasing) {
                return Err("Slurm has not released the node");
            }
        }
        let address = self.snapshot.address(&terminate.instance).map(|address| address.to_string());
        if address.is_some_and(|address| self.working.contains(address.as_str())) {
            return Err("a node with work has the instance's address");
        }
        if self.named.contains(&terminate.instance) {
            return Err("an instance is not named and terminated at once");
        }
        if terminate.decrement {
            let spent = self.decrements.entry(terminate.asg.clone()).or_insert(0);
            *spent += 1;
            if asg.desired < asg.min.saturating_add(*spent) {
                return Err("desired capacity stays at or above the minimum");
            }
        }
        if !self.terminated.insert(terminate.instance.clone()) {
            return Err("an instance is terminated once");
        }
        Ok(())
    }

    fn judge_bind(&mut self, bind: &Bind) -> Verdict {
        let node = self.node(&bind.node)?;
        if node.state.phase() != Phase::Booting {
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
        if self.memory.releases.contains_key(&bind.instance)
            || self.terminated.contains(&bind.instance)
        {
            return Err("an instance that goes is not given a node");
        }
        if !self.given.insert(bind.node.clone()) || !self.named.insert(bind.instance.clone()) {
            return Err("node and instance are bound one to one");
        }
        Ok(())
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
