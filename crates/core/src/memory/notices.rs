//! Instances that AWS has said it will take, or that it says have changed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Memory;
use crate::ids::InstanceId;
use crate::notice::Notice;
use crate::snapshot::{Asg, Seen, Snapshot};

/// Notices of instances that are not seen because a group cannot be read are kept for so long,
/// and no more than so many.
const UNSEEN_AGE_MAX: Duration = Duration::from_secs(3600);
const UNSEEN_MAX: usize = 1000;
/// EC2 is asked for so long about an instance that is said to have changed.
const STIRRED_AGE_MAX: Duration = Duration::from_secs(300);

impl Memory {
    /// Takes note that an instance goes. `false` if that was known.
    pub fn take_notice(&mut self, instance: &InstanceId, notice: Notice) -> bool {
        let earlier = self.notices.get(instance);
        let is_new = match earlier {
            Some(earlier) => notice.supersedes(earlier),
            None => self.notices.len() < UNSEEN_MAX || self.is_bound(instance),
        };
        if is_new {
            self.notices.insert(instance.clone(), notice);
        }
        is_new
    }

    /// Takes note that an instance which serves a node has changed its state. `false` if it serves
    /// none.
    pub fn take_state_change(&mut self, instance: &InstanceId, snapshot: &Snapshot) -> bool {
        let is_bound = self.is_bound(instance) && !snapshot.is_dead(instance);
        if is_bound {
            self.stirred.insert(instance.clone(), snapshot.now);
        }
        is_bound
    }

    /// Whether an instance may be one of the groups': listed, serving a node, or not to be seen.
    #[must_use]
    pub fn may_be_ours(&self, instance: &InstanceId, snapshot: &Snapshot) -> bool {
        let may_list = |seen: &Seen<_>| match seen {
            Seen::Known(asg) => is_listed(asg, instance),
            Seen::Unknown { .. } => true,
        };
        self.is_bound(instance) || snapshot.asgs.values().any(may_list)
    }

    fn is_bound(&self, instance: &InstanceId) -> bool {
        self.bindings.values().any(|binding| binding.instance == *instance)
    }

    /// A notice is over once its instance is. What could not be seen is as it was.
    pub(super) fn forget_notices(&mut self, snapshot: &Snapshot) {
        if self.notices.is_empty() && self.stirred.is_empty() {
            return;
        }
        let bound: BTreeSet<_> = self.bindings.values().map(|binding| &binding.instance).collect();
        let known = || snapshot.asgs.values().filter_map(Seen::known);
        let all_known = known().count() == snapshot.asgs.len();
        self.notices.retain(|id, notice| {
            let is_young = snapshot.now.since(notice.at) < UNSEEN_AGE_MAX;
            let unseen = !all_known && is_young;
            bound.contains(id) || known().any(|asg| is_listed(asg, id)) || unseen
        });
        self.stirred.retain(|id, at| {
            let is_young = snapshot.now.since(*at) < STIRRED_AGE_MAX;
            is_young && bound.contains(id) && !snapshot.is_dead(id)
        });
    }
}

fn is_listed(asg: &Asg, instance: &InstanceId) -> bool {
    asg.instances.contains_key(instance)
}
