//! Bindings that memory has lost, or has given up too soon: who still serves whom.
//!
//! A binding may not have been saved before a crash: then a tag or an address tells it. And
//! slurmctld may come back with a state from before a node was powered down: the node is up, and its
//! instance, which was to go, serves it all the same as long as it runs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::ids::{AsgName, InstanceId, NodeName};
use crate::memory::{Binding, Boot, Memory};
use crate::node_state::Phase;
use crate::policy::{GroupPolicy, Policy};
use crate::snapshot::{Lifecycle, Machine, Node, Snapshot};

/// An instance in its Auto Scaling group.
type Place<'a> = (&'a AsgName, &'a InstanceId);

/// Which instance is whose, of those that memory gives no node.
#[derive(Default)]
struct Claims<'a> {
    by_tag: BTreeMap<&'a NodeName, Place<'a>>,
    by_address: BTreeMap<IpAddr, Place<'a>>,
    /// Instances that were to go, and that run all the same as far as this read shows.
    leaving: BTreeMap<IpAddr, Place<'a>>,
    /// The same by the nodes that they served, with how their boots had gone.
    released: BTreeMap<&'a NodeName, (Place<'a>, Boot)>,
}

/// The bindings that are to be remembered again.
pub fn adopted(
    policy: &Policy,
    memory: &Memory,
    snapshot: &Snapshot,
    nodes: &BTreeMap<NodeName, Node>,
    bound: &BTreeMap<&InstanceId, &NodeName>,
) -> BTreeMap<NodeName, Binding> {
    let mut adopted = BTreeMap::new();
    for group in policy.groups.values() {
        let claims = Claims::of(group, memory, snapshot, bound);
        if claims.are_none() {
            continue;
        }
        for name in group.nodes.iter().filter(|name| !memory.bindings.contains_key(*name)) {
            let found = nodes.get(name).and_then(|node| claims.instance_of(name, node));
            if let Some((asg, id)) = found {
                adopted.insert(name.clone(), Binding::new(id, asg, snapshot.now));
            }
        }
    }
    adopted
}

impl<'a> Claims<'a> {
    fn of(
        group: &'a GroupPolicy,
        memory: &'a Memory,
        snapshot: &'a Snapshot,
        bound: &BTreeMap<&InstanceId, &NodeName>,
    ) -> Self {
        let mut claims = Self::default();
        let asgs = group.asgs.iter().filter_map(|name| Some((name, snapshot.asg(name)?)));
        for (name, asg) in asgs {
            let free = asg.instances.iter().filter(|(id, _)| !bound.contains_key(id));
            for (id, member) in free.filter(|(id, _)| !snapshot.is_dead(id)) {
                let place = (name, id);
                let release = memory.releases.get(id);
                let counts = member.lifecycle.is_capacity();
                // If the call was taken, a read that counts the instance is older than the call.
                let was_to_go = release.is_some_and(|release| release.accepted.is_none());
                if member.lifecycle == Lifecycle::TerminatingWait || counts && was_to_go {
                    claims.leaves(place, snapshot);
                    let node = release.and_then(|it| Some((it.node.as_ref()?, it.boot)));
                    if let Some((node, boot)) = node.filter(|_| was_to_go) {
                        claims.released.insert(node, (place, boot));
                    }
                } else if counts && release.is_none() && member.healthy {
                    claims.serves(place, snapshot);
                }
            }
        }
        claims
    }

    fn leaves(&mut self, place: Place<'a>, snapshot: &Snapshot) {
        if let Some(address) = snapshot.address(place.1) {
            self.leaving.insert(address, place);
        }
    }

    fn serves(&mut self, place: Place<'a>, snapshot: &'a Snapshot) {
        let facts = snapshot.machines.get(place.1).and_then(Machine::facts);
        match facts.map(|facts| (&facts.node_tag, facts.address)) {
            Some((Some(node), _)) => {
                self.by_tag.insert(node, place);
            }
            Some((None, Some(address))) => {
                self.by_address.insert(address, place);
            }
            Some((None, None)) | None => {}
        }
    }

    fn are_none(&self) -> bool {
        self.by_tag.is_empty()
            && self.by_address.is_empty()
            && self.leaving.is_empty()
            && self.released.is_empty()
    }

    /// The instance that is this node's already.
    fn instance_of(&self, name: &NodeName, node: &Node) -> Option<Place<'a>> {
        let state = node.state;
        let is_up = state.phase() == Phase::Up;
        if !(is_up || state.phase() == Phase::Booting) || state.is_given_up() {
            return None;
        }
        let address = node.ip();
        let at = |places: &BTreeMap<IpAddr, Place<'a>>| places.get(&address?).copied();
        let serving = self.by_tag.get(name).copied().or_else(|| at(&self.by_address));
        if serving.is_some() {
            return serving;
        }
        // What was to go serves the node that it served if that is up, or if its slurmd has yet to
        // start: it will be younger than Slurm's request, and be taken. Otherwise a node that
        // waits gets a fresh one.
        let serves = |boot| is_up && !state.is_down() || !is_up && boot == Boot::Awaited;
        let leaving = at(&self.leaving).filter(|_| is_up && !state.is_down());
        let released = self.released.get(name).filter(|(_, boot)| serves(*boot));
        leaving.or_else(|| released.map(|(place, _)| *place))
    }
}
