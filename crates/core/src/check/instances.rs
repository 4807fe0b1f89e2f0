//! What the plan does to instances: names, protection, hooks, their end.

use super::{Checker, Verdict};
use crate::ids::InstanceId;
use crate::memory::Boot;
use crate::node_state::{NodeState, Phase};
use crate::plan::{AnswerHook, Bind, HookAnswer, Protect, Terminate, is_gone};
use crate::policy::ScaleIn;
use crate::snapshot::{Lifecycle, Node, Transition};

impl Checker<'_> {
    pub(super) fn judge_terminate(&mut self, terminate: &Terminate) -> Verdict {
        let asg = self.snapshot.asg(&terminate.asg).ok_or("the Auto Scaling group is unknown")?;
        let Some((_, group)) = self.policy.group_of_asg(&terminate.asg) else {
            return Err("only instances of groups are terminated");
        };
        let serves = self.serves.get(&terminate.instance);
        if let Some(name) = serves {
            let node = self.node(name)?;
            // While Slurm waits for a younger slurmd, nothing can run on this one.
            let replaced =
                node.state.phase() == Phase::Booting
                    && self.memory.bindings.get(*name).is_some_and(|binding| {
                        binding.outdated && binding.boot == Boot::Registered
                    });
            if node.state.has_work() && !replaced {
                return Err("the node has work");
            }
            if !replaced && !matches!(node.state.phase(), Phase::Off | Phase::Releasing) {
                return Err("Slurm has not released the node");
            }
        }
        self.nobody_works_at_its_address(&terminate.instance, serves.is_some())?;
        if self.named.contains(&terminate.instance) {
            return Err("an instance is not named and terminated at once");
        }
        if terminate.decrement && group.scale_in == ScaleIn::Never {
            return Err("the capacity of this group never comes down");
        }
        if terminate.decrement {
            let spent = self.decrements.entry(terminate.asg.clone()).or_insert(0);
            *spent += 1;
            let written = self.sizes.get(&terminate.asg).map_or(asg.min, |(min, _)| *min);
            let min = asg.min.max(written);
            if asg.desired.max(min) < min.saturating_add(*spent) {
                return Err("desired capacity stays at or above the minimum");
            }
        }
        if !self.terminated.insert(terminate.instance.clone()) {
            return Err("an instance is terminated once");
        }
        Ok(())
    }

    pub(super) fn judge_protect(&self, protect: &Protect) -> Verdict {
        let member = self.member(&protect.instance).ok_or("the instance is unknown")?;
        if member.lifecycle != Lifecycle::InService {
            return Err("only instances in service are protected");
        }
        if !self.serves.contains_key(&protect.instance) {
            return Err("only instances that serve a node are protected");
        }
        Ok(())
    }

    /// A hook may hold an instance for longer whatever there is; it is told to let go only if no
    /// job can be harmed.
    pub(super) fn judge_answer(&self, told: &AnswerHook) -> Verdict {
        let member = self.member(&told.instance).ok_or("the instance is unknown")?;
        let at = member.lifecycle.held_at().ok_or("no hook holds the instance")?;
        let node = match self.serves.get(&told.instance) {
            Some(name) => Some(self.node(name)?),
            None => None,
        };
        let leaves = self.memory.releases.contains_key(&told.instance)
            || self.terminated.contains(&told.instance);
        match (told.answer, at) {
            (HookAnswer::Wait, _) => Ok(()),
            (HookAnswer::Continue, Transition::Launching) => match node {
                Some(node) if node.state.phase() == Phase::Up && !node.state.is_down() => Ok(()),
                _ => Err("a launch is completed when its node is up"),
            },
            (HookAnswer::Abandon, Transition::Launching) if leaves => {
                self.nobody_works_at_its_address(&told.instance, node.is_some())
            }
            (HookAnswer::Abandon, _) => Err("only what is terminated anyway is abandoned"),
            (HookAnswer::Continue, Transition::Terminating) => {
                let waits =
                    |node: &Node| matches!(node.state.phase(), Phase::Wanted | Phase::Booting);
                if node.is_some_and(|node| node.state.has_work() && !waits(node)) {
                    return Err("the node has work");
                }
                let open = NodeState::DRAIN | NodeState::POWER_DOWN;
                let is_open = |node: &Node| {
                    node.state.phase() == Phase::Up
                        && !node.state.is_down()
                        && !node.state.has(open)
                };
                if node.is_some_and(is_open) {
                    return Err("Slurm may give the node a job");
                }
                self.nobody_works_at_its_address(&told.instance, node.is_some())
            }
        }
    }

    /// `bound`: which node the instance serves is known, and its state has been judged.
    pub(super) fn nobody_works_at_its_address(
        &self,
        instance: &InstanceId,
        bound: bool,
    ) -> Verdict {
        match self.snapshot.address(instance) {
            Some(address) if self.working.contains(&address) => {
                Err("a node with work has the instance's address")
            }
            None if !bound && !self.snapshot.is_dead(instance) => {
                Err("a node with work may have the instance's address, which is not known")
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn judge_bind(&mut self, bind: &Bind) -> Verdict {
        let node = self.node(&bind.node)?;
        let is_its_own = self.serves.get(&bind.instance) == Some(&&bind.node);
        let is_lost = node.state.is_down() || node.state.has(NodeState::NO_RESPOND);
        let again = is_its_own && is_lost && node.state.phase() == Phase::Up;
        if node.state.phase() != Phase::Booting && !again {
            return Err("only nodes that Slurm has asked for are given an instance");
        }
        if self.serves.get(&bind.instance).is_some_and(|node| **node != bind.node) {
            return Err("an instance serves one node");
        }
        if let Some(old) = self.memory.bindings.get(&bind.node)
            && old.instance != bind.instance
            && !old.outdated
            && !is_gone(old, self.snapshot)
        {
            return Err("a node has one instance");
        }
        let goes = self.memory.releases.contains_key(&bind.instance)
            || self.memory.notices.contains_key(&bind.instance);
        if goes && !is_its_own || self.terminated.contains(&bind.instance) {
            return Err("an instance that goes is not given a node");
        }
        if !self.given.insert(bind.node.clone()) || !self.named.insert(bind.instance.clone()) {
            return Err("node and instance are bound one to one");
        }
        Ok(())
    }
}
