//! Nodes that have been given another instance than memory says: by a binding that was not saved, or
//! by an address used again.

use std::collections::{BTreeMap, BTreeSet};

use super::{Binding, Memory, Release, note_gone};
use crate::ids::{InstanceId, NodeName};
use crate::node_state::Phase;
use crate::plan::{TerminateCause, is_gone};
use crate::snapshot::{Asg, Machine, Node, Snapshot};

/// A node in service, with what memory says of it.
struct Place<'a> {
    name: &'a NodeName,
    node: &'a Node,
    binding: &'a Binding,
    asg: &'a Asg,
    snapshot: &'a Snapshot,
    /// Its instance is gone: nothing runs at its address.
    gone: bool,
    /// That, or Slurm would not take it any more.
    is_over: bool,
}

impl Memory {
    /// Takes the instances that have come after those that memory knows.
    pub(super) fn notice_successors(&mut self, snapshot: &Snapshot) {
        let Some(nodes) = snapshot.nodes.known() else { return };
        let bound: BTreeSet<InstanceId> =
            self.bindings.values().map(|binding| binding.instance.clone()).collect();
        for (name, binding) in &mut self.bindings {
            let (Some(node), Some(asg)) = (nodes.get(name), snapshot.asg(&binding.asg)) else {
                continue;
            };
            let gone = is_gone(binding, snapshot);
            let is_over = gone || binding.outdated;
            let place = Place { name, node, binding, asg, snapshot, gone, is_over };
            let Some(successor) = place.successor(&bound, &self.releases).cloned() else {
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
    fn successor(
        &self,
        bound: &BTreeSet<InstanceId>,
        releases: &BTreeMap<InstanceId, Release>,
    ) -> Option<&'a InstanceId> {
        if !matches!(self.node.state.phase(), Phase::Up | Phase::Booting) {
            return None;
        }
        let members =
            self.asg.instances.iter().filter(|(_, member)| member.lifecycle.is_capacity());
        let free = || members.clone().map(|(id, _)| id).filter(|id| !bound.contains(*id));
        let by_address = free().find(|id| self.is_over && self.is_reached_at(id));
        let by_tag = || free().find(|id| !releases.contains_key(*id) && self.has_been_given(id));
        let serves = !self.gone && self.is_reached_at(&self.binding.instance);
        by_address.or_else(|| by_tag().filter(|_| !serves))
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
