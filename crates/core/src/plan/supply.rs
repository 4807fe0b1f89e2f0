//! The second half of a group's pass: give nodes the instances that are there, raise capacity for
//! what is missing, let go of what nobody wants.

use super::capacity::{Book, is_usable};
use super::group::{Pass, Scene};
use super::zones::{Ready, Spare};
use super::{Action, Bind, NodeReport, READ_LAG_MAX, SetDesired, TerminateCause, Why};
use crate::ids::{InstanceId, NodeName};
use crate::node_state::Phase;
use crate::policy::ScaleOut;
use crate::time::Timestamp;

impl<'a> Pass<'a, '_> {
    /// Gives nodes that wait the instances that are there.
    pub(super) fn bind_spares(&mut self) {
        let mut ready = Ready::default();
        for book in &self.books {
            for (id, member) in &book.spares {
                let usable = member.lifecycle.is_capacity();
                if let Some(address) = self.scene.snapshot.address(id)
                    && usable
                    && is_usable(id, self.scene.memory, self.scene.snapshot)
                {
                    ready.add(&member.zone, Spare { asg: book.name, id, address });
                }
            }
        }
        for (name, Spare { asg, id, address }) in self.pair(ready) {
            for book in &mut self.books {
                book.spares.remove(id);
            }
            self.plan.watch_cloud = true;
            self.report.booting += 1;
            self.plan.actions.push(Action::Bind(Bind {
                node: name.clone(),
                instance: id.clone(),
                asg: asg.clone(),
                address,
            }));
            if let Some(node) = self.scene.nodes.get(name) {
                let report = NodeReport {
                    phase: Phase::Booting,
                    state: node.state,
                    instance: Some(id.clone()),
                    why: Why::Bound,
                };
                self.plan.nodes.insert(name.clone(), report);
            }
        }
    }

    /// Raises capacity for the nodes that no instance is there or on its way for, if that is not
    /// left to alarms.
    pub(super) fn raise(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        let mut waiting = std::mem::take(&mut self.booting);
        waiting.extend(wanted);
        self.report.booting += count(waiting.len());
        self.report.ahead = self.ahead;
        self.say_refusals();
        let spares = self.nameless_spares();
        let incoming: u32 = self.books.iter().map(Book::incoming).sum();
        let mut ahead = self.ahead;
        if !waiting.is_empty() || ahead > 0 {
            self.repeat_launches();
        }
        self.plan.watch_cloud |= !waiting.is_empty();
        self.plan.watch_slurm |= ahead > 0;
        self.spares_wanted = count(waiting.len()).saturating_add(ahead);
        for (there, why) in [(spares, Why::WaitsForAddress), (incoming, Why::WaitsForLaunch)] {
            let used = there.min(count(waiting.len()));
            for name in waiting.drain(..used as usize) {
                self.wait_with(name, why.clone());
            }
            ahead = ahead.saturating_sub(there - used);
        }
        let mut blocked = None;
        for at in 0..self.books.len() {
            let missing = count(waiting.len()).saturating_add(ahead);
            let more = match self.raise_one(at, missing, &waiting) {
                Ok(more) => more,
                Err(why) => {
                    blocked = Some(why);
                    continue;
                }
            };
            let used = more.min(count(waiting.len()));
            for name in waiting.drain(..used as usize) {
                self.wait_with(name, Why::Raised);
            }
            ahead = ahead.saturating_sub(more - used);
        }
        let without = self.without_capacity();
        let rest = if let Some(shut) = &without {
            Why::of_shut(shut)
        } else if self.books.len() < self.scene.group.asgs.len() {
            Why::CloudUnknown
        } else {
            let max = self.books.iter().fold(0_u32, |sum, book| sum.saturating_add(book.sizes.max));
            blocked.unwrap_or(Why::AtMax { max })
        };
        self.unserved = count(waiting.len()).saturating_add(ahead);
        for name in waiting {
            self.wait_with(name, rest.clone());
            if let Some(shut) = &without {
                self.give_up(name, shut);
            }
        }
    }

    /// Raises one Auto Scaling group by up to `missing` instances, and says by how many; or why
    /// nothing can be asked of it now.
    fn raise_one(&mut self, at: usize, missing: u32, waiting: &[&'a NodeName]) -> Result<u32, Why> {
        let now = self.scene.snapshot.now;
        let Some(book) = self.books.get(at) else { return Ok(0) };
        let more = book.room().min(missing);
        if more == 0 {
            return match &book.shut {
                Some(shut) if missing > 0 => Err(Why::of_shut(shut)),
                _ => Ok(0),
            };
        }
        if self.scene.group.scale_out == ScaleOut::Alarm {
            // The next metric rests on what the alarms have added till then.
            self.plan.watch_cloud = true;
            return Err(Why::WaitsForAlarm);
        }
        let retry = self.scene.memory.raise_retry.get(book.name);
        if let Some(retry) = retry.filter(|retry| retry.not_before > now) {
            self.plan.wake(retry.not_before);
            return Err(Why::RetryAt { at: retry.not_before });
        }
        if self.launches_by_zone(book) {
            self.launch(at, more, waiting);
            return Ok(more);
        }
        // Accepted decrements that this read shows already are not taken off a second time, nor
        // is what was asked for a moment ago and may not show yet: below what is there, the
        // group would choose an instance to end.
        let level = self.scene.memory.levels.get(book.name);
        let level = level.filter(|level| now.since(level.at) < READ_LAG_MAX);
        let never_below = level.map_or(0, |level| level.to).max(book.asg.desired);
        if never_below > book.sizes.max {
            // asg.toml's maximum is younger than that raise.
            return Ok(0);
        }
        let to = (book.desired() + book.launching() + more).max(never_below).min(book.sizes.max);
        let raise = SetDesired { asg: book.name.clone(), from: book.desired(), to };
        self.plan.actions.push(Action::SetDesired(raise));
        Ok(more)
    }

    /// While nodes wait and the groups are full, what is terminated is replaced: capacity that
    /// would be given back now would only be asked for again with the next plan. Unless it is
    /// more than the maximum that asg.toml has.
    pub(super) fn replace_for_unserved(&mut self) {
        for book in &self.books {
            self.plan
                .actions
                .iter_mut()
                .filter_map(Action::terminate_mut)
                .filter(|terminate| terminate.decrement && terminate.asg == *book.name)
                .skip(book.surplus() as usize)
                .take(self.unserved as usize)
                .for_each(|terminate| {
                    terminate.decrement = false;
                    self.unserved -= 1;
                });
        }
    }

    /// Instances that nothing brings, not even this plan. `None` if something that says so could
    /// not be seen.
    pub(super) fn pending_instances(&self) -> Option<u32> {
        let Scene { group, snapshot, .. } = self.scene;
        let queue_is_known = !group.prelaunch || snapshot.queue.known().is_some();
        if !queue_is_known || self.books.len() < group.asgs.len() {
            return None;
        }
        let replaced = self
            .plan
            .actions
            .iter()
            .filter_map(Action::terminate)
            .filter(|terminate| !terminate.decrement && group.asgs.contains(&terminate.asg));
        let held = count(self.held().count());
        Some(self.unserved.saturating_add(held).saturating_sub(count(replaced.count())))
    }

    pub(super) fn wait_with(&mut self, name: &NodeName, why: Why) {
        let Some(node) = self.scene.nodes.get(name) else { return };
        let ready = why == Why::WaitsForAddress && node.state.phase() != Phase::Booting;
        self.say(name, node, None, if ready { Why::WaitsForResume } else { why });
    }

    pub(super) fn nameless_spares(&self) -> u32 {
        let spares = self.books.iter().flat_map(|book| book.spares.keys());
        count(spares.filter(|id| is_usable(id, self.scene.memory, self.scene.snapshot)).count())
    }

    /// Instances that serve no node and that no node wants, once their grace is over.
    pub(super) fn let_orphans_go(&mut self) {
        let now = self.scene.snapshot.now;
        let mut due = Vec::new();
        for book in &self.books {
            for id in book.spares.keys() {
                let since = self.spare_since(id, now);
                self.plan.spares.insert((*id).clone(), since);
                self.report.spare += 1;
                let is_taken = self.scene.memory.notices.contains_key(*id);
                let grace = self.scene.group.orphan_grace;
                // No node will have it before AWS takes it.
                let end = if is_taken { now } else { since.after(grace) };
                if self.spares_wanted > 0 && is_usable(id, self.scene.memory, self.scene.snapshot) {
                    // It is about to be given a node.
                    self.spares_wanted -= 1;
                    self.plan.spares.insert((*id).clone(), now);
                } else if end > now {
                    self.plan.wake(end);
                } else if !self.may_serve(id) {
                    due.push((book.name, *id));
                }
            }
        }
        if self.books.len() < self.scene.group.asgs.len() {
            // What could not be seen keeps its age.
            for (id, since) in &self.scene.memory.spare_since {
                self.plan.spares.entry(id.clone()).or_insert(*since);
            }
        }
        for (asg, id) in due {
            if self.scene.memory.notices.contains_key(id) {
                // At its minimum the group launches another, which a node may have.
                self.terminate(asg, id, None, TerminateCause::Orphan);
                continue;
            }
            let may = self.books.iter_mut().find(|book| book.name == asg).is_some_and(Book::take);
            if may {
                // Below its minimum the group would only launch another: base instances stay.
                self.push_terminate(asg, id, None, true, TerminateCause::Orphan);
            }
        }
    }

    fn spare_since(&self, id: &InstanceId, now: Timestamp) -> Timestamp {
        self.scene.memory.spare_since.get(id).copied().unwrap_or(now)
    }
}

pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
