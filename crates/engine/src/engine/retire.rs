//! An instance goes because a person wants it to: its node drains, and is powered down once its jobs
//! have ended. From there on everything is as always, so that nothing of it has to be remembered.

use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::ids::{InstanceId, NodeName};
use slurm_asg_core::node_state::NodeState;

use super::Engine;
use crate::Clock;
use crate::cloud::Cloud;
use crate::journal::Journal;
use crate::scheduler::Scheduler;
use crate::store::Store;

/// How much of a reason is kept, characters: Slurm shows it in one column.
const REASON_CHARS_MAX: usize = 200;

/// A node that drains so that its instance can go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// The node.
    pub node: NodeName,
    /// Its instance.
    pub instance: InstanceId,
}

impl<C: Cloud, S: Scheduler, K: Clock, T: Store, J: Journal> Engine<C, S, K, T, J> {
    /// Has the node drained that `what` is, or that the instance `what` serves. `why` and the user's
    /// number go into the node's reason and the event log. No job ends for it.
    ///
    /// # Errors
    /// If it is not known, on its way out already, or Slurm does not take it; in one line.
    pub async fn retire(&mut self, what: &str, why: &str, user: u32) -> Result<Retired, String> {
        let found = self
            .memory
            .bindings
            .iter()
            .find(|(node, binding)| node.as_str() == what || binding.instance.as_str() == what);
        let Some((node, binding)) = found else {
            return Err(format!(
                "{what} is neither a node that has an instance nor an instance that serves a node; \
                 `slurm-asg status` lists them"
            ));
        };
        let retired = Retired { node: node.clone(), instance: binding.instance.clone() };
        if let Some(kept) = self.memory.kept_at(node, self.clock.now()) {
            let words = kept.in_words();
            return Err(format!("{node} is {words}; slurm-asg release {node} ends that"));
        }
        let read = self.scheduler.nodes().await.map_err(|error| error.to_string())?;
        let Some(seen) = read.get(&retired.node) else {
            return Err(format!("Slurm shows no node {}", retired.node));
        };
        let leaving = NodeState::POWER_DOWN | NodeState::POWERING_DOWN;
        if seen.state.has(leaving) {
            return Err(format!("{} is on its way out already", retired.node));
        }
        let why: String = why.chars().take(REASON_CHARS_MAX).collect();
        let why = why.replace(char::is_control, " ");
        let reason = format!("(Code:Retired) {} (user {user})", why.trim());
        let result = self.scheduler.drain(std::slice::from_ref(&retired.node), &reason).await;
        let (name, error) = match &result {
            Ok(()) => (EventName::NodeDrained, None),
            Err(error) => (EventName::NodeDrainedFailed, Some(error.to_string())),
        };
        let event = Event {
            group: self.policy.group_of(&retired.node).cloned(),
            node: Some(retired.node.clone()),
            instance: Some(retired.instance.clone()),
            reason: Some(reason),
            user: Some(user),
            error: error.clone(),
            ..Event::new(self.clock.now(), name)
        };
        tracing::info!("{event}");
        self.record(vec![event]);
        self.journal.flush();
        error.map_or(Ok(retired), Err)
    }
}
