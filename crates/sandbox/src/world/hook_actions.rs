//! Life-cycle hooks: an instance waits until what was asked for before it enters service, or before its power is cut, is
//! completed or runs out of time.
//!
//! From the API reference and the user guide of EC2 Auto Scaling ("Lifecycle hooks"): all hooks of a transition are
//! waited for; ABANDON ends the other hooks' actions too, and terminates an instance that launches; one that terminates
//! goes on terminating with either result. Nothing is notified: who has to act finds the instances by describing them.
//!
//! Not documented, and so chosen here: an instance that never entered service terminates without its group's
//! terminating hooks.

use super::World;
use super::hooks::{
    HEARTBEAT_TIMEOUT_S, HOOKS_MAX, Hook, HookAction, HookChange, HookResult, Transition,
    default_heartbeat_timeout,
};
use super::model::{Activity, Group, Instance, Lifecycle};
use super::scaling::Reason;
use crate::error::ApiError;

/// How a call names one action of a hook.
#[derive(Debug, Clone, Copy)]
pub enum ActionKey<'a> {
    /// By its token.
    Token(&'a str),
    /// By the instance that waits for it.
    Instance(&'a str),
}

impl ActionKey<'_> {
    fn fits(self, instance: &Instance, action: &HookAction) -> bool {
        match self {
            Self::Token(token) => action.token == token,
            Self::Instance(id) => instance.id == id,
        }
    }

    /// Both are words seen from AWS: for what is completed already, ran out of time or never began.
    fn none_active(self) -> ApiError {
        ApiError::validation(match self {
            Self::Token(token) => format!("No active Lifecycle Action found with token {token}"),
            Self::Instance(id) => format!("No active Lifecycle Action found with instance ID {id}"),
        })
    }
}

impl World {
    /// PutLifecycleHook. Instances that wait already are not affected.
    pub fn put_hook(
        &mut self,
        group: &str,
        name: &str,
        change: HookChange,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let hooks = &mut self.group_mut(group)?.hooks;
        let known = hooks.get(name);
        if known.is_none() && hooks.len() >= HOOKS_MAX {
            // The code is documented, the words are not.
            let text = format!("You can have at most {HOOKS_MAX} lifecycle hooks for {group}.");
            return Err(ApiError::new(400, "LimitExceeded", text));
        }
        let transition = change.transition.or(known.map(|hook| hook.transition));
        let hook = Hook {
            name: name.to_owned(),
            transition: transition.ok_or_else(|| ApiError::missing("LifecycleTransition"))?,
            heartbeat_timeout_s: change
                .heartbeat_timeout_s
                .or(known.map(|hook| hook.heartbeat_timeout_s))
                .unwrap_or(default_heartbeat_timeout()),
            default_result: change
                .default_result
                .or(known.map(|hook| hook.default_result))
                .unwrap_or_default(),
        };
        hook.check(*HEARTBEAT_TIMEOUT_S.start()).map_err(ApiError::validation)?;
        hooks.insert(name.to_owned(), hook);
        self.settle(now_ms);
        Ok(())
    }

    /// DeleteLifecycleHook: what is outstanding is completed first, with ABANDON for instances that launch and with
    /// CONTINUE for those that terminate.
    pub fn delete_hook(&mut self, group: &str, name: &str, now_ms: u64) -> Result<(), ApiError> {
        let hooks = &mut self.group_mut(group)?.hooks;
        let hook = hooks.remove(name).ok_or_else(|| no_hook(group, name))?;
        let result = hook.transition.result_of_deletion();
        for id in self.waiting_for(group, name, |_, _| true) {
            self.end_action(&id, name, result, COMPLETED, now_ms);
        }
        self.settle(now_ms);
        Ok(())
    }

    /// CompleteLifecycleAction.
    pub fn complete_action(
        &mut self,
        group: &str,
        hook: &str,
        key: ActionKey<'_>,
        result: HookResult,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let id = self.active(group, hook, key, now_ms)?;
        self.end_action(&id, hook, result, COMPLETED, now_ms);
        self.settle(now_ms);
        Ok(())
    }

    /// RecordLifecycleActionHeartbeat.
    pub fn record_heartbeat(
        &mut self,
        group: &str,
        hook: &str,
        key: ActionKey<'_>,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let id = self.active(group, hook, key, now_ms)?;
        let instance = self.cloud.instances.get_mut(&id);
        let mut actions = instance.into_iter().flat_map(|instance| &mut instance.actions);
        if let Some(action) = actions.find(|action| action.hook == hook) {
            action.beat(now_ms);
        }
        self.settle(now_ms);
        Ok(())
    }

    /// The instance with the action that a call is about.
    fn active(
        &mut self,
        group: &str,
        hook: &str,
        key: ActionKey<'_>,
        now_ms: u64,
    ) -> Result<String, ApiError> {
        if !self.group_mut(group)?.hooks.contains_key(hook) {
            return Err(no_hook(group, hook));
        }
        // A call may come after an action's time and before the step that ends it.
        let fits = |instance: &Instance, action: &HookAction| {
            key.fits(instance, action) && action.until_ms > now_ms
        };
        self.waiting_for(group, hook, fits).into_iter().next().ok_or_else(|| key.none_active())
    }

    fn waiting_for(
        &self,
        group: &str,
        hook: &str,
        fits: impl Fn(&Instance, &HookAction) -> bool,
    ) -> Vec<String> {
        let waits = |instance: &&Instance| {
            let mut actions = instance.actions.iter();
            instance.group == group
                && actions.any(|action| action.hook == hook && fits(instance, action))
        };
        self.cloud.instances.values().filter(waits).map(|instance| instance.id.clone()).collect()
    }

    /// Has an instance wait for its group's hooks. False if there are none of this transition.
    pub(super) fn begin_actions(&mut self, id: &str, transition: Transition, now_ms: u64) -> bool {
        let group = self.cloud.instances.get(id).map(|instance| &instance.group);
        let group = group.and_then(|name| self.cloud.groups.get(name));
        let of_transition = |group: &Group| {
            let hooks = group.hooks.values().filter(|hook| hook.transition == transition);
            hooks.cloned().collect::<Vec<_>>()
        };
        let hooks = group.map(of_transition).unwrap_or_default();
        let actions: Vec<_> =
            hooks.into_iter().map(|hook| HookAction::new(hook, self.fresh_id(), now_ms)).collect();
        let instance = self.cloud.instances.get_mut(id).filter(|_| !actions.is_empty());
        let Some(instance) = instance else { return false };
        (instance.lifecycle, instance.actions) = (transition.waiting(), actions);
        instance.next_at_ms = None;
        self.mark_activities(id, "MidLifecycleAction");
        true
    }

    /// Ends the actions whose time is over.
    pub(super) fn expire_actions(&mut self, now_ms: u64) {
        let over = |instance: &Instance| {
            let actions = instance.actions.iter().filter(|action| action.until_ms <= now_ms);
            let ends = actions.map(|a| (instance.id.clone(), a.hook.clone(), a.default_result));
            ends.collect::<Vec<_>>()
        };
        let over: Vec<_> = self.cloud.instances.values().flat_map(over).collect();
        for (id, hook, result) in over {
            self.end_action(&id, &hook, result, "Heartbeat Timeout", now_ms);
        }
    }

    fn end_action(&mut self, id: &str, hook: &str, result: HookResult, why: &str, now_ms: u64) {
        let Some(instance) = self.cloud.instances.get_mut(id) else { return };
        let at = instance.actions.iter().position(|action| action.hook == hook);
        // Gone already if another of the instance's actions was abandoned.
        let Some(action) = at.map(|at| instance.actions.remove(at)) else { return };
        if result == HookResult::Abandon {
            instance.actions.clear();
        }
        let launching = instance.lifecycle == Lifecycle::PendingWait;
        if launching && result == HookResult::Abandon {
            self.abandon_launch(id, &action.token, why, now_ms);
        } else if instance.actions.is_empty() && launching {
            instance.lifecycle = Lifecycle::PendingProceed;
            // Of a dead one the next thing is that its death is noticed.
            if instance.alive {
                instance.next_at_ms = Some(now_ms);
            }
            self.mark_activities(id, "InProgress");
        } else if instance.actions.is_empty() {
            self.power_off(id, Lifecycle::TerminatingProceed, now_ms);
            self.mark_activities(id, "InProgress");
        }
    }

    /// The launch counts as cancelled, in AWS's words, and the instance goes.
    fn abandon_launch(&mut self, id: &str, token: &str, why: &str, now_ms: u64) {
        let message = format!(
            "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {token} was abandoned: {why}"
        );
        let open = |activity: &&mut Activity| activity.is_open_for(id);
        for activity in self.cloud.activities.iter_mut().filter(open) {
            activity.description.push_str(&format!(".  Status Reason: {message}"));
            activity.message = Some(message.clone());
            (activity.status, activity.end_ms) = ("Cancelled", Some(now_ms));
        }
        self.begin_termination(id, Reason::Abandoned, now_ms);
    }
}

/// AWS's words for what ended by a call.
const COMPLETED: &str = "Lifecycle Action Completed with ABANDON Result";

/// "No Lifecycle Hook found …" has been seen from DeleteLifecycleHook; how it goes on, and that the other calls say the
/// same, is not documented.
fn no_hook(group: &str, name: &str) -> ApiError {
    ApiError::validation(format!("No Lifecycle Hook found with name {name} for group {group}"))
}
