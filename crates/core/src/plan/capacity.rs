//! The books of one group: what its Auto Scaling groups hold, and what may be added or taken.

use std::collections::{BTreeMap, BTreeSet};

use super::cooldown::cooldown;
use super::shut::Shut;
use super::sizes::{Settled, settle};
use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::memory::{Cooldown, Memory};
use crate::policy::{GroupPolicy, ScaleIn, Sizes};
use crate::snapshot::{Asg, Machine, Member, Snapshot};

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
    /// Instances that were asked for by number and are not listed yet.
    outstanding: u32,
    /// Instances that were asked for by zone and are not in this read, nor in what it desires.
    launching: u32,
    /// Instances that are dead or unhealthy: the group replaces them by itself.
    replaced: BTreeSet<&'a InstanceId>,
    /// What is remembered of failed launches, whether it is over or not.
    pub cooldown: Option<Cooldown>,
    /// Why nothing is asked of it now.
    pub shut: Option<Shut>,
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
        let launching = memory.unlisted(name, asg);
        let (shrinks, taken) = (true, 0);
        let (cooldown, shut) = (None, None);
        Self {
            name,
            asg,
            sizes,
            desired,
            shrinks,
            taken,
            outstanding,
            launching,
            replaced,
            cooldown,
            shut,
            spares,
        }
    }

    /// Whether it launches less than was asked for, and nothing says yet why.
    pub const fn lags(&self) -> bool {
        self.outstanding > 0 && self.shut.is_none()
    }

    /// Instances that come without anything being asked.
    pub fn incoming(&self) -> u32 {
        if let Some(Shut::Cooldown(_)) = self.shut {
            return self.launching;
        }
        let replaced = u32::try_from(self.replaced.len()).unwrap_or(u32::MAX);
        self.outstanding.saturating_add(self.launching).saturating_add(replaced)
    }

    /// How many instances may still be added.
    pub const fn room(&self) -> u32 {
        if self.shut.is_some() {
            return 0;
        }
        self.sizes.max.saturating_sub(self.desired.saturating_add(self.launching))
    }

    /// How many more there may be once what this plan terminates is gone.
    pub const fn room_to_come(&self) -> u32 {
        if self.shut.is_some() {
            return 0;
        }
        let desired = self.desired.saturating_sub(self.taken);
        self.sizes.max.saturating_sub(desired.saturating_add(self.launching))
    }

    /// What DesiredCapacity is now.
    pub const fn desired(&self) -> u32 {
        self.desired
    }

    /// How many instances were asked for by zone that this read does not show.
    pub const fn launching(&self) -> u32 {
        self.launching
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

/// The same of one that AWS has not said it will take.
pub fn is_usable(id: &InstanceId, memory: &Memory, snapshot: &Snapshot) -> bool {
    is_nameless(id, snapshot) && !memory.notices.contains_key(id)
}

/// The group's Auto Scaling groups that could be read, in order of preference.
pub fn open_all<'a>(
    name: &GroupName,
    group: &'a GroupPolicy,
    memory: &Memory,
    snapshot: &'a Snapshot,
    bound: &BTreeMap<&InstanceId, &NodeName>,
) -> Vec<Book<'a>> {
    group
        .asgs
        .iter()
        .filter_map(|asg_name| snapshot.asg(asg_name).map(|asg| (asg_name, asg)))
        .map(|(asg_name, asg)| {
            let mut book = Book::open(asg_name, asg, &group.sizes, memory, snapshot, bound);
            book.shrinks = group.scale_in != ScaleIn::Never;
            book.cooldown = cooldown(group, asg_name, asg, memory, snapshot.now);
            let failing = book.cooldown.as_ref();
            book.shut = Shut::of((name, group), asg_name, failing, memory, snapshot.now);
            book
        })
        .collect()
}
