//! The nodes that a group keeps up without any job, and those that it begins with.
//!
//! slurmctld ignores a registration that is older than its resume request, so an instance cannot
//! be given a node by itself: Slurm is asked to power the node up, calls the resume program, and
//! the node is served as every other. A node that Slurm is powering down cannot be had before it
//! is down: it is waited for rather than another one taken in its place, or short SuspendTimes
//! would send nodes round in circles.

use std::collections::BTreeSet;

use super::group::{OWN_REASON, Pass, Scene};
use super::kept::keeps_instance;
use super::sizes::SizesProblem;
use super::{Action, PowerUp, PowerUpCause};
use super::{departure, is_gone};
use crate::hostlist;
use crate::ids::NodeName;
use crate::node_state::{NodeState, Phase};
use crate::snapshot::Node;
use crate::time::Timestamp;

/// What a group keeps, and what is to be done for it.
#[derive(Default)]
pub struct Base<'a> {
    /// Nodes that are up or come up and make up the group's minimum.
    pub members: BTreeSet<&'a NodeName>,
    /// Nodes that Slurm is to power up.
    power_up: Vec<(&'a NodeName, PowerUpCause)>,
    /// A node that is powered up, but not before.
    wait_until: Option<Timestamp>,
    /// Slurm has powered a node down that the group keeps.
    suspended: bool,
    /// The group has what it begins with, or cannot have more.
    has_begun: bool,
    /// Nodes that are up or come up.
    up: u32,
    keep: u32,
    problem: Option<SizesProblem>,
}

impl Base<'_> {
    /// Whether an idle node stays: as one of the minimum, or because the group has not yet had
    /// what it begins with.
    pub fn keeps(&self, name: &NodeName) -> bool {
        self.members.contains(name) || !self.has_begun
    }

    /// How many of the nodes that are up or come up the group does not keep.
    pub const fn spared(&self) -> u32 {
        if self.has_begun { self.up.saturating_sub(self.keep) } else { 0 }
    }
}

/// How many nodes there should be.
#[derive(Clone, Copy)]
pub struct Target {
    /// Always.
    pub keep: u32,
    /// At most.
    pub max: u32,
}

/// Looks which nodes are part of the base and which are missing. `given_up` are nodes that this
/// plan has powered down, as they have no machine any more.
pub fn base<'a>(
    scene: &Scene<'a>,
    given_up: &dyn Fn(&NodeName, &Node) -> bool,
    target: Target,
) -> Base<'a> {
    let mut base = Base { keep: target.keep, ..Base::default() };
    let mut up = 0;
    let mut others = Vec::new();
    for (name, node) in nodes(scene) {
        match node.state.phase() {
            Phase::Up if node.state.is_given_up() || given_up(name, node) => {}
            Phase::Up | Phase::Booting | Phase::Wanted => {
                up += 1;
                if up <= target.keep {
                    base.members.insert(name);
                }
            }
            Phase::Off | Phase::Releasing => others.push((name, node)),
        }
    }
    let initial = scene.group.sizes.initial.filter(|_| !scene.memory.begun.contains(scene.name));
    let total = target.keep.max(initial.unwrap_or(0)).min(target.max);
    base.problem = initial
        .filter(|initial| *initial > target.max)
        .map(|initial| SizesProblem::InitialAboveMaxSize { initial, max: target.max });
    let mut coming = up;
    for (name, node) in others {
        if coming >= total {
            break;
        }
        if !is_usable(node) || keeps_instance(scene, name) {
            continue;
        }
        coming += 1;
        if node.state.phase() == Phase::Releasing {
            base.suspended |= coming <= target.keep && was_suspended(scene, name, node);
            continue;
        }
        let rest = scene.memory.powered_up.get(name).map(|retry| retry.not_before);
        if let Some(at) = rest.filter(|at| *at > scene.snapshot.now) {
            base.wait_until = Some(base.wait_until.map_or(at, |earlier| earlier.min(at)));
            continue;
        }
        let cause = if coming <= target.keep { PowerUpCause::Base } else { PowerUpCause::Initial };
        base.power_up.push((name, cause));
    }
    // What is on its way is seen as wanted with the next look.
    base.has_begun = coming == up;
    base.up = up;
    base
}

fn nodes<'a>(scene: &Scene<'a>) -> impl Iterator<Item = (&'a NodeName, &'a Node)> {
    let (names, nodes) = (&scene.group.nodes, scene.nodes);
    names.iter().filter_map(|name| nodes.get(name).map(|node| (name, node)))
}

/// Whether Slurm would power it up and give it jobs.
fn is_usable(node: &Node) -> bool {
    let closed = NodeState::DRAIN | NodeState::FAIL | NodeState::POWER_DOWN;
    node.state.base() == NodeState::IDLE && !node.state.has(closed)
}

fn is_lost(scene: &Scene<'_>, name: &NodeName) -> bool {
    let binding = scene.memory.bindings.get(name);
    binding.is_some_and(|binding| is_gone(binding, scene.snapshot))
}

/// Slurm lets a machine go that lives and that this plugin has not given up.
fn was_suspended(scene: &Scene<'_>, name: &NodeName, node: &Node) -> bool {
    scene.memory.bindings.contains_key(name)
        && !is_lost(scene, name)
        && !node.reason.starts_with(OWN_REASON)
}

impl<'a> Pass<'a, '_> {
    /// The nodes that the group keeps. Nothing is powered up for an Auto Scaling group that cannot
    /// be seen: it might not come.
    pub(super) fn look_at_base(&mut self) -> Base<'a> {
        if self.books.len() < self.scene.group.asgs.len() || self.without_capacity().is_some() {
            return Base::default();
        }
        let sum = |size: &dyn Fn(&super::sizes::Settled) -> u32| {
            self.books.iter().fold(0_u32, |sum, book| sum.saturating_add(size(&book.sizes)))
        };
        let target = Target { keep: sum(&|sizes| sizes.keep), max: sum(&|sizes| sizes.max) };
        let is_ended = |name: &NodeName| {
            let binding = self.scene.memory.bindings.get(name);
            binding.is_some_and(|binding| {
                departure(binding, self.scene.memory, self.scene.snapshot).is_some()
            })
        };
        let given_up = |name: &NodeName, node: &Node| {
            let idles = node.state.is_down() && !node.state.has_work();
            is_lost(self.scene, name) || self.has_no_machine(name, node) || idles && is_ended(name)
        };
        base(self.scene, &given_up, target)
    }

    /// Has the nodes powered up that are missing.
    pub(super) fn bring_up(&mut self) {
        let base = std::mem::take(&mut self.base);
        if base.has_begun {
            self.plan.begun.insert(self.scene.name.clone());
        }
        if let Some(at) = base.wait_until {
            self.plan.wake(at);
        }
        self.note_sizes_problem(base.problem.clone());
        if base.suspended {
            self.plan.advice.insert(self.advice(base.keep));
        }
        for (name, cause) in &base.power_up {
            let node = (*name).clone();
            self.plan.actions.push(Action::PowerUp(PowerUp { node, cause: *cause }));
            self.wanted.push(name);
            // A job will be given it: it is not counted twice.
            if self.scene.launched.contains(*name) {
                self.ahead = self.ahead.saturating_sub(1);
            }
        }
        self.base = base;
    }

    /// What to write in slurm.conf, so that Slurm leaves the base alone.
    fn advice(&self, keep: u32) -> String {
        let nodes = self.scene.group.nodes.iter().take(keep as usize).cloned();
        format!(
            "group={}: Slurm powers nodes down that the group keeps, and they are brought back \
             each time; write SuspendExcNodes={} in slurm.conf",
            self.scene.name,
            hostlist::compress(&nodes.collect::<Vec<_>>())
        )
    }
}
