//! An independent look at a plan before it is carried out.
//!
//! Written apart from the planner and from the facts alone: an action that breaks one of the
//! invariants is not carried out, whatever the planner thought.

mod capacity;
mod instances;
mod nodes;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::memory::{Cooldown, Memory};
use crate::node_state::Phase;
use crate::plan::{Action, Plan, PowerDownCause, TerminateCause, scales};
use crate::policy::Policy;
use crate::snapshot::{Member, Node, Seen, Snapshot};

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
    if plan.actions.is_empty() {
        return Vec::new();
    }
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

    fn node(&self, name: &NodeName) -> Result<&'a Node, &'static str> {
        if self.policy.group_of(name).is_none() {
            return Err("only nodes of groups are touched");
        }
        self.nodes.and_then(|nodes| nodes.get(name)).ok_or("the node is unknown to Slurm")
    }

    /// The instance in the list of its group.
    fn member(&self, id: &InstanceId) -> Option<&'a Member> {
        let mut asgs = self.snapshot.asgs.values().filter_map(Seen::known);
        asgs.find_map(|asg| asg.instances.get(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Level;
    use crate::plan::{PowerUp, PowerUpCause, SetDesired, SetSizes};
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
