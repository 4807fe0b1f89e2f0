//! What the plan does to capacity: sizes, raises, launches, and what is given back.

use super::{Checker, Verdict};
use crate::ids::{AsgName, InstanceId};
use crate::memory::{Boots, Cooldown};
use crate::plan::{GiveBack, LAUNCH_MAX, Launch, READ_LAG_MAX, SetDesired, SetSizes};
use crate::policy::{Api, GroupPolicy, ScaleOut};

impl Checker<'_> {
    /// A lower number ends no instance only if all that live are protected.
    pub(super) fn judge_give_back(&mut self, back: &GiveBack) -> Verdict {
        let asg = self.snapshot.asg(&back.asg).ok_or("the Auto Scaling group is unknown")?;
        if self.cooldown(&back.asg).is_none() {
            return Err("only what certainly does not come is given back");
        }
        let living = asg.instances.values().filter(|member| member.lifecycle.is_capacity());
        if living.clone().any(|member| !member.protected) {
            return Err("a lower number would end an instance that is not protected");
        }
        if (back.to as usize) < living.count() || back.to < asg.min || back.to >= asg.desired {
            return Err("only what was never launched is given back");
        }
        if self.memory.unlisted(&back.asg, asg) > 0 || self.launched.contains_key(&back.asg) {
            return Err("instances that are on their way are not given back");
        }
        if !self.raised.insert(back.asg.clone()) {
            return Err("one change of each Auto Scaling group's capacity");
        }
        Ok(())
    }

    /// What is known of failed launches, if that is in force.
    pub(super) fn cooldown(&self, asg: &AsgName) -> Option<&Cooldown> {
        let cooldown = self.cooldowns.get(asg)?;
        cooldown.is_in_force(self.snapshot.now).then_some(cooldown)
    }

    /// Whether an Auto Scaling group is asked for nothing: launches or boots fail.
    pub(super) fn is_shut(&self, group: &GroupPolicy, asg: &AsgName) -> bool {
        let boots = self.memory.boots.get(asg);
        let max = group.boot_failures_max;
        let too_many = |it: &Boots| it.protected_since.is_some() || it.failures >= max;
        self.cooldown(asg).is_some() || max > 0 && boots.is_some_and(too_many)
    }

    pub(super) fn judge_sizes(&mut self, sizes: &SetSizes) -> Verdict {
        let asg = self.snapshot.asg(&sizes.asg).ok_or("the Auto Scaling group is unknown")?;
        let wanted = |group: &&GroupPolicy| group.asgs == [sizes.asg.clone()];
        let group = self.policy.groups.values().find(wanted);
        let wanted = group.ok_or("only sizes of asg.toml are written")?.sizes;
        let as_wanted = |size, wanted, own| size == own || Some(size) == wanted;
        if !as_wanted(sizes.min, wanted.min, asg.min) || !as_wanted(sizes.max, wanted.max, asg.max)
        {
            return Err("only sizes of asg.toml are written");
        }
        if sizes.min > sizes.max {
            return Err("the minimum is not above the maximum");
        }
        let now = self.snapshot.now;
        let asked = self.memory.levels.get(&sizes.asg);
        let asked = asked.filter(|level| now.since(level.at) < READ_LAG_MAX);
        let desired = asked.map_or(0, |level| level.to).max(asg.desired);
        if sizes.max < asg.max && sizes.max < desired {
            return Err("a maximum below the desired capacity would lower that");
        }
        if self.sizes.insert(sizes.asg.clone(), (sizes.min, sizes.max)).is_some() {
            return Err("one write of sizes for each Auto Scaling group");
        }
        Ok(())
    }

    pub(super) fn judge_raise(&mut self, raise: &SetDesired) -> Verdict {
        let asg = self.snapshot.asg(&raise.asg).ok_or("the Auto Scaling group is unknown")?;
        let group = self.policy.group_of_asg(&raise.asg);
        if group.is_some_and(|(_, group)| group.scale_out == ScaleOut::Alarm) {
            return Err("only CloudWatch alarms raise the capacity of this group");
        }
        if group.is_some_and(|(_, group)| self.is_shut(group, &raise.asg)) {
            return Err("nothing is asked of a group whose launches or boots fail");
        }
        if raise.to < asg.desired || raise.to <= raise.from {
            return Err("desired capacity is only raised by number");
        }
        // Whether or not the write succeeds.
        let written = self.sizes.get(&raise.asg).map_or(asg.max, |(_, max)| *max);
        if raise.to > asg.max.min(written) || raise.to < asg.min {
            return Err("desired capacity stays between minimum and maximum");
        }
        if self.launched.contains_key(&raise.asg) || !self.raised.insert(raise.asg.clone()) {
            return Err("one raise for each Auto Scaling group");
        }
        Ok(())
    }

    /// Instances in one of the group's zones, no more than it may have. A request that has not been
    /// answered may be made again, as it was.
    pub(super) fn judge_launch(&mut self, launch: &Launch) -> Verdict {
        let asg = self.snapshot.asg(&launch.asg).ok_or("the Auto Scaling group is unknown")?;
        let (_, group) = self.policy.group_of_asg(&launch.asg).ok_or("only groups are scaled")?;
        if group.api != Api::LaunchInstances || group.scale_out == ScaleOut::Alarm {
            return Err("this group's capacity is not raised by zone");
        }
        if self.is_shut(group, &launch.asg) {
            return Err("nothing is asked of a group whose launches or boots fail");
        }
        if self.raised.contains(&launch.asg) {
            return Err("one raise for each Auto Scaling group");
        }
        if let Some(known) = self.memory.launches.get(&launch.token) {
            let same = known.asg == launch.asg
                && known.zone == launch.zone
                && known.count == launch.count
                && known.launched.is_none();
            return if same { Ok(()) } else { Err("a token stands for one request") };
        }
        if !asg.zones.contains(&launch.zone) || !(1..=LAUNCH_MAX).contains(&launch.count) {
            return Err("instances are launched in the group's zones, up to 100 at once");
        }
        // What has been taken out already, though this read still shows it.
        let accepted = |id: &InstanceId| {
            let release = self.memory.releases.get(id).and_then(|release| release.accepted);
            release.is_some_and(|accepted| accepted.decrement)
        };
        let members = asg.instances.iter().filter(|(_, member)| member.lifecycle.is_capacity());
        let gone = members.filter(|(id, _)| accepted(id)).count();
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        let there = asg.desired.saturating_sub(gone);
        let coming = self.memory.unlisted(&launch.asg, asg);
        let before = self.launched.get(&launch.asg).copied().unwrap_or(0);
        let sum = [there, coming, before, launch.count].into_iter().fold(0, u32::saturating_add);
        let written = self.sizes.get(&launch.asg).map_or(asg.max, |(_, max)| *max);
        if sum > asg.max.min(written) {
            return Err("desired capacity stays between minimum and maximum");
        }
        self.launched.insert(launch.asg.clone(), before.saturating_add(launch.count));
        Ok(())
    }
}
