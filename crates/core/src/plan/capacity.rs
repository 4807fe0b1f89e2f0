//! The books of one group: what its Auto Scaling groups hold, and what may be added or taken.

use std::collections::{BTreeMap, BTreeSet};

use super::sizes::{Settled, settle};
use crate::ids::{AsgName, InstanceId, NodeName};
use crate::memory::Memory;
use crate::policy::{GroupPolicy, ScaleIn, Sizes};
use crate::snapshot::{Asg, Lifecycle, Machine, Member, Snapshot};

/// One Auto Scaling group while a plan is made.
pub struct Book<'a> {
    pub name: &'a AsgName,
    pub asg: &'a Asg,
    /// Its minimum and maximum, as asg.toml or the group itself says.
    pub sizes: Settled,
    /// What DesiredCapacity is, after accepted decrements that this read does not show yet, and
    /// after the minimum that this plan writes.
    desired: u32,
    /// Whether it ever comes down.
    shrinks: bool,
    /// Decrements that this plan has spent.
    taken: u32,
    /// Instances that were asked for and are not listed yet.
    outstanding: u32,
    /// Instances that are dead or unhealthy: the group replaces them by itself.
    replaced: BTreeSet<&'a InstanceId>,
    /// Instances that serve no node, by id.
    pub spares: BTreeMap<&'a InstanceId, &'a Member>,
    /// Instances that were to go and that run all the same, as far as this read shows.
    leaving: Vec<&'a InstanceId>,
}

impl<'a> Book<'a> {
    /// Opens the books of an Auto Scaling group. `serving` are the instances that have a node.
    fn open(
        name: &'a AsgName,
        asg: &'a Asg,
        sizes: &Sizes,
        memory: &Memory,
        snapshot: &Snapshot,
        serving: &BTreeSet<&InstanceId>,
    ) -> Self {
        let mut stale_decrements = 0;
        let mut capacity: u32 = 0;
        let mut replaced = BTreeSet::new();
        let mut spares = BTreeMap::new();
        let mut leaving = Vec::new();
        for (id, member) in &asg.instances {
            if member.lifecycle == Lifecycle::TerminatingWait {
                leaving.push(id);
            }
            if !member.lifecycle.is_capacity() {
                continue;
            }
            let release = memory.releases.get(id);
            if let Some(accepted) = release.and_then(|release| release.accepted) {
                // The call was taken, so this read is older than the call.
                stale_decrements += u32::from(accepted.decrement);
                continue;
            }
            capacity += 1;
            if release.is_some() {
                leaving.push(id);
                continue;
            }
            if snapshot.is_dead(id) || !member.healthy {
                replaced.insert(id);
            } else if !serving.contains(id) {
                spares.insert(id, member);
            }
        }
        let sizes = settle(sizes, name, asg, memory, snapshot.now);
        let desired = asg.desired.saturating_sub(stale_decrements);
        // AWS raises it with the minimum by itself.
        let desired = desired.max(sizes.write.as_ref().map_or(0, |write| write.min));
        let outstanding = desired.saturating_sub(capacity);
        let (shrinks, taken) = (true, 0);
        Self { name, asg, sizes, desired, shrinks, taken, outstanding, replaced, spares, leaving }
    }

    /// Instances that come without anything being asked.
    pub fn incoming(&self) -> u32 {
        self.outstanding.saturating_add(u32::try_from(self.replaced.len()).unwrap_or(u32::MAX))
    }

    /// How many instances may still be added.
    pub const fn room(&self) -> u32 {
        self.sizes.max.saturating_sub(self.desired)
    }

    /// What DesiredCapacity is now.
    pub const fn desired(&self) -> u32 {
        self.desired
    }

    /// Terminates an instance. `true` if the desired capacity may go down with it; if not, the
    /// group launches another.
    pub fn terminate(&mut self, id: &InstanceId) -> bool {
        self.replaced.remove(id);
        let may = self.take();
        if !may {
            self.outstanding += 1;
        }
        may
    }

    /// How many decrements of this plan the group must see, to come down to its maximum.
    pub const fn surplus(&self) -> u32 {
        self.desired.saturating_sub(self.sizes.max)
    }

    /// Spends one decrement; `false` if the group would fall below its minimum, or never shrinks.
    pub const fn take(&mut self) -> bool {
        let may = self.shrinks && self.desired.saturating_sub(self.taken) > self.sizes.keep;
        if may {
            self.taken += 1;
        }
        may
    }
}

/// A spare that may be given a node: nothing has ever named it.
pub fn is_nameless(id: &InstanceId, snapshot: &Snapshot) -> bool {
    snapshot.machines.get(id).and_then(Machine::facts).is_none_or(|facts| facts.node_tag.is_none())
}

/// The group's Auto Scaling groups that could be read, in order of preference.
pub fn open_all<'a>(
    group: &'a GroupPolicy,
    memory: &Memory,
    snapshot: &'a Snapshot,
    serving: &BTreeSet<&InstanceId>,
) -> Vec<Book<'a>> {
    group
        .asgs
        .iter()
        .filter_map(|name| snapshot.asg(name).map(|asg| (name, asg)))
        .map(|(name, asg)| {
            let mut book = Book::open(name, asg, &group.sizes, memory, snapshot, serving);
            book.shrinks = group.scale_in != ScaleIn::Never;
            book
        })
        .collect()
}

/// Which instance the tag `slurm-asg:node` or an address gives to which node.
#[derive(Default)]
pub struct Claims<'a> {
    by_tag: BTreeMap<&'a NodeName, (&'a AsgName, &'a InstanceId)>,
    by_address: BTreeMap<String, (&'a AsgName, &'a InstanceId)>,
    /// Instances that were to go, by their addresses.
    leaving: BTreeMap<String, (&'a AsgName, &'a InstanceId)>,
}

impl<'a> Claims<'a> {
    /// Collects the claims of spares, and of what was to go. `serving` are the instances that have
    /// a node.
    pub fn of(
        books: &[Book<'a>],
        snapshot: &'a Snapshot,
        serving: &BTreeMap<&InstanceId, &NodeName>,
    ) -> Self {
        let mut claims = Self::default();
        for book in books {
            for id in book.leaving.iter().filter(|id| !serving.contains_key(*id)) {
                if let Some(address) = snapshot.address(id).filter(|_| !snapshot.is_dead(id)) {
                    claims.leaving.insert(address.to_string(), (book.name, id));
                }
            }
            for id in book.spares.keys() {
                let Some(facts) = snapshot.machines.get(*id).and_then(Machine::facts) else {
                    continue;
                };
                match (&facts.node_tag, facts.address) {
                    (Some(node), _) => {
                        claims.by_tag.insert(node, (book.name, id));
                    }
                    (None, Some(address)) => {
                        claims.by_address.insert(address.to_string(), (book.name, id));
                    }
                    (None, None) => {}
                }
            }
        }
        claims
    }

    /// The instance that is this node's already, by its tag or by the address that Slurm has.
    pub fn instance_of(
        &self,
        node: &NodeName,
        address: &str,
    ) -> Option<(&'a AsgName, &'a InstanceId)> {
        self.by_tag.get(node).or_else(|| self.by_address.get(address)).copied()
    }

    /// The instance that was to go and that a node in service is still reached at: slurmctld came
    /// back with a state from before the node was powered down.
    pub fn still_serving(&self, address: &str) -> Option<(&'a AsgName, &'a InstanceId)> {
        self.leaving.get(address).copied()
    }
}
