//! The books of one group: what its Auto Scaling groups hold, and what may be added or taken.

use std::collections::{BTreeMap, BTreeSet};

use super::cooldown::cooldown;
use super::sizes::{Settled, settle};
use crate::ids::{AsgName, InstanceId, NodeName};
use crate::memory::{Cooldown, Memory};
use crate::policy::{GroupPolicy, ScaleIn, Sizes};
use crate::snapshot::{Asg, Machine, Member, Snapshot};
use crate::time::Timestamp;

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
    /// What is remembered of failed launches, whether it is over or not.
    pub cooldown: Option<Cooldown>,
    /// Whether that is in force.
    closed: bool,
    /// Instances that serve no node, by id.
    pub spares: BTreeMap<&'a InstanceId, &'a Member>,
}

impl<'a> Book<'a> {
    /// Opens the books of an Auto Scaling group. `bound` says which instances have a node.
    fn open(
        name: &'a AsgName,
        asg: &'a Asg,
        sizes: &Sizes,
        memory: &Memory,
        snapshot: &Snapshot,
        bound: &BTreeMap<&InstanceId, &NodeName>,
    ) -> Self {
        let mut stale_decrements = 0;
        let mut capacity: u32 = 0;
        let mut replaced = BTreeSet::new();
        let mut spares = BTreeMap::new();
        for (id, member) in &asg.instances {
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
                continue;
            }
            if snapshot.is_dead(id) || !member.healthy {
                replaced.insert(id);
            } else if !bound.contains_key(id) {
                spares.insert(id, member);
            }
        }
        let sizes = settle(sizes, name, asg, memory, snapshot.now);
        let desired = asg.desired.saturating_sub(stale_decrements);
        // AWS raises it with the minimum by itself.
        let desired = desired.max(sizes.write.as_ref().map_or(0, |write| write.min));
        let outstanding = desired.saturating_sub(capacity);
        let (shrinks, taken) = (true, 0);
        let (cooldown, closed) = (None, false);
        Self {
            name,
            asg,
            sizes,
            desired,
            shrinks,
            taken,
            outstanding,
            replaced,
            cooldown,
            closed,
            spares,
        }
    }

    /// Until when nothing is asked for, if that is so now.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.cooldown.as_ref().filter(|it| it.is_in_force(now)).map(|it| it.until)
    }

    /// Whether it launches less than was asked for, and nothing says yet why.
    pub const fn lags(&self) -> bool {
        self.outstanding > 0 && !self.closed
    }

    /// Instances that come without anything being asked.
    pub fn incoming(&self) -> u32 {
        if self.closed {
            return 0;
        }
        self.outstanding.saturating_add(u32::try_from(self.replaced.len()).unwrap_or(u32::MAX))
    }

    /// How many instances may still be added.
    pub const fn room(&self) -> u32 {
        if self.closed {
            return 0;
        }
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
    bound: &BTreeMap<&InstanceId, &NodeName>,
) -> Vec<Book<'a>> {
    group
        .asgs
        .iter()
        .filter_map(|name| snapshot.asg(name).map(|asg| (name, asg)))
        .map(|(name, asg)| {
            let mut book = Book::open(name, asg, &group.sizes, memory, snapshot, bound);
            book.shrinks = group.scale_in != ScaleIn::Never;
            book.cooldown = cooldown(group, name, asg, memory, snapshot.now);
            book.closed = book.closed_until(snapshot.now).is_some();
            book
        })
        .collect()
}
