//! Nodes that have been given another instance than memory says: by a binding that was not saved, or
//! by an address used again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Binding, Memory, Release, note_gone};
use crate::ids::{AsgName, InstanceId, NodeName};
use crate::node_state::Phase;
use crate::plan::{TerminateCause, is_gone};
use crate::snapshot::{Asg, Machine, Node, Snapshot};

/// A node in service or about to be, with what memory says of it.
struct Place<'a> {
    name: &'a NodeName,
    node: &'a Node,
    binding: &'a Binding,
    free: &'a Free<'a>,
    snapshot: &'a Snapshot,
    /// Its instance is gone: nothing runs at its address.
    gone: bool,
    /// That, or Slurm would not take it any more.
    is_over: bool,
}

/// The instances of an Auto Scaling group that count as capacity and that no node is known to have.
struct Free<'a> {
    all: Vec<&'a InstanceId>,
    by_tag: BTreeMap<&'a NodeName, Vec<&'a InstanceId>>,
}

impl<'a> Free<'a> {
    fn of(asg: &'a Asg, bound: &BTreeSet<&InstanceId>, snapshot: &'a Snapshot) -> Self {
        let members = asg.instances.iter().filter(|(_, member)| member.lifecycle.is_capacity());
        let all: Vec<_> = members.map(|(id, _)| id).filter(|id| !bound.contains(*id)).collect();
        let mut by_tag: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for id in &all {
            let facts = snapshot.machines.get(*id).and_then(Machine::facts);
            if let Some(tag) = facts.and_then(|facts| facts.node_tag.as_ref()) {
                by_tag.entry(tag).or_default().push(*id);
            }
        }
        Self { all, by_tag }
    }
}

impl Memory {
    /// Of all groups that have any. Looked up once for all nodes: with thousands of both, each looking
    /// at each takes minutes.
    fn free<'a>(&self, snapshot: &'a Snapshot) -> BTreeMap<&'a AsgName, Free<'a>> {
        let bound: BTreeSet<&InstanceId> =
            self.bindings.values().map(|binding| &binding.instance).collect();
        let known = snapshot.asgs.iter().filter_map(|(name, seen)| Some((name, seen.known()?)));
        known
            .map(|(name, asg)| (name, Free::of(asg, &bound, snapshot)))
            .filter(|(_, free)| !free.all.is_empty())
            .collect()
    }

    /// Takes the instances that have come after those that memory knows.
    pub(super) fn notice_successors(&mut self, snapshot: &Snapshot) {
        let Some(nodes) = snapshot.nodes.known() else { return };
        let free = self.free(snapshot);
        for (name, binding) in &mut self.bindings {
            let Some(free) = free.get(&binding.asg) else { continue };
            let in_use = |node: &&Node| matches!(node.state.phase(), Phase::Up | Phase::Booting);
            let Some(node) = nodes.get(name).filter(in_use) else { continue };
            let gone = is_gone(binding, snapshot);
            let is_over = gone || binding.outdated;
            let place = Place { name, node, binding, free, snapshot, gone, is_over };
            let Some(successor) = place.successor(&self.releases).cloned() else {
                continue;
            };
            let new = Binding::new(&successor, &binding.asg, snapshot.now);
            let old = std::mem::replace(binding, new);
            if gone {
                note_gone(&mut self.releases, name, &old, snapshot.now);
            } else {
                self.releases.entry(old.instance).or_insert_with(|| Release {
                    asg: old.asg,
                    node: Some(name.clone()),
                    cause: TerminateCause::Outdated,
                    decided_at: snapshot.now,
                    accepted: None,
                    retry: None,
                    boot: old.boot,
                });
            }
        }
    }
}

impl<'a> Place<'a> {
    /// The instance that the node has been given since. Slurm reaches the node there; or it has the
    /// node's tag, and Slurm does not reach the node at the one that memory says.
    fn successor(&self, releases: &BTreeMap<InstanceId, Release>) -> Option<&'a InstanceId> {
        let all = if self.is_over { self.free.all.as_slice() } else { &[] };
        let by_address = all.iter().find(|id| self.is_reached_at(id)).copied();
        let tagged = self.free.by_tag.get(self.name).map_or(&[][..], Vec::as_slice);
        let given = |id: &&&InstanceId| !releases.contains_key(**id) && self.has_been_given(id);
        let by_tag = || tagged.iter().find(given).copied();
        let serves = || !self.gone && self.is_reached_at(&self.binding.instance);
        by_address.or_else(|| by_tag().filter(|_| !serves()))
    }

    fn is_reached_at(&self, id: &InstanceId) -> bool {
        self.snapshot.address(id).is_some_and(|address| self.node.is_at(address))
    }

    /// The tag is the node's, and was written after the binding was made: that one is over, or the
    /// instance is younger.
    fn has_been_given(&self, id: &InstanceId) -> bool {
        let facts = self.snapshot.machines.get(id).and_then(Machine::facts);
        facts.filter(|facts| facts.node_tag.as_ref() == Some(self.name)).is_some_and(|facts| {
            self.is_over || facts.launched.is_some_and(|at| at > self.binding.bound_at)
        })
    }
}
