//! Nodes that a person protects from suspension, and lets go again (`slurm-asg protect`, `release`).

use slurm_asg_core::event::{Event, EventName};
use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::memory::Kept;
use slurm_asg_core::plan::{Plan, may_be_refreshed};
use slurm_asg_core::time::{Timestamp, in_minutes};

use super::Engine;
use crate::Clock;
use crate::cloud::Cloud;
use crate::journal::Journal;
use crate::scheduler::Scheduler;
use crate::store::Store;
use crate::troubles::About;

/// So many nodes are protected at once, over all: each is remembered by name.
const KEPT_MAX: usize = 10_000;
/// A protection does not last longer: one that is forgotten costs money.
const DAYS_MAX: u64 = 366;

/// Which nodes, whose word it is, and why.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// A hostlist expression.
    pub nodes: String,
    /// Until when they are protected; `None` ends the protection.
    pub until: Option<Timestamp>,
    /// Who says so, a user's number.
    pub user: u32,
    /// Why, in the user's words.
    pub reason: Option<String>,
}

impl<C: Cloud, S: Scheduler, K: Clock, T: Store, J: Journal> Engine<C, S, K, T, J> {
    /// Protects nodes from suspension until a time, or ends that. Returns the nodes for which that
    /// has changed something.
    ///
    /// # Errors
    /// If a node is in no group, the time is over or too far away, or the state cannot be saved; in
    /// one line. Nothing is done then.
    pub fn keep(&mut self, keeping: &Keeping) -> Result<Vec<NodeName>, String> {
        let Keeping { nodes, until, user, reason } = keeping;
        let names = hostlist::expand(nodes).map_err(|error| error.to_string())?;
        if let Some(name) = names.iter().find(|name| self.policy.group_of(name).is_none()) {
            return Err(format!(
                "{name} is no node of a group in asg.toml; `slurm-asg status` shows those in use"
            ));
        }
        let now = self.clock.now();
        let before = self.memory.kept.clone();
        let changed: Vec<NodeName> = match until {
            Some(until) => {
                self.judge_end(*until, now)?;
                let kept = Kept { since: now, until: *until, user: *user, reason: reason.clone() };
                let is_new = |name: &NodeName| {
                    self.memory.kept.get(name).is_none_or(|old| {
                        (old.until, old.user, &old.reason) != (kept.until, kept.user, &kept.reason)
                    })
                };
                let new: Vec<_> = names.into_iter().filter(is_new).collect();
                self.memory.kept.extend(new.iter().map(|name| (name.clone(), kept.clone())));
                new
            }
            None => {
                let kept = &mut self.memory.kept;
                names.into_iter().filter(|name| kept.remove(name).is_some()).collect()
            }
        };
        if self.memory.kept.len() > KEPT_MAX {
            self.memory.kept = before;
            return Err(format!("no more than {KEPT_MAX} nodes are protected at the same time"));
        }
        self.tell_keeping(&changed, keeping);
        self.save();
        self.journal.flush();
        Ok(changed)
    }

    fn judge_end(&self, until: Timestamp, now: Timestamp) -> Result<(), String> {
        if until <= now {
            return Err(format!("{} is over already; write a time to come", in_minutes(until)));
        }
        if until.since(now).as_secs() > DAYS_MAX * 86_400 {
            return Err(format!("{} is more than {DAYS_MAX} days away", in_minutes(until)));
        }
        Ok(())
    }

    /// An event for each node, and one line of the log for all of a group.
    fn tell_keeping(&mut self, changed: &[NodeName], keeping: &Keeping) {
        let name = match keeping.until {
            Some(_) => EventName::NodeProtected,
            None => EventName::NodeReleased,
        };
        let now = self.clock.now();
        let policy = std::sync::Arc::clone(&self.policy);
        for group in policy.groups.keys() {
            let here = changed.iter().filter(|node| policy.group_of(node) == Some(group));
            let here: Vec<_> = here.cloned().collect();
            if here.is_empty() {
                continue;
            }
            let event = Event {
                group: Some(group.clone()),
                user: Some(keeping.user),
                reason: keeping.reason.clone(),
                until: keeping.until,
                ..Event::new(now, name)
            };
            let nodes = Some(hostlist::compress(&here));
            tracing::info!("{}", Event { nodes, ..event.clone() });
            let of_node = |node| Event {
                instance: self.memory.bindings.get(&node).map(|it| it.instance.clone()),
                node: Some(node),
                ..event.clone()
            };
            let events = here.into_iter().map(of_node).collect();
            self.record(events);
        }
    }

    /// Says whose protection has ended by itself.
    pub(super) fn tell_expired(&mut self, now: Timestamp) {
        for (node, kept) in self.memory.take_expired() {
            let event = Event {
                group: self.policy.group_of(&node).cloned(),
                node: Some(node),
                reason: Some(format!("the time of its protection by user {} is over", kept.user)),
                ..Event::new(now, EventName::NodeReleased)
            };
            tracing::info!("{event}");
            self.record(vec![event]);
        }
    }

    /// Has Slurm count the idle time of protected nodes anew. They are looked at once more before
    /// that: what got a job, or is drained or powered down by now, is left alone.
    pub(super) async fn refresh_kept(&mut self, plan: &Plan) {
        let now = self.clock.now();
        if plan.refresh.is_empty() {
            self.troubles.over(&About::Protection, now);
            return;
        }
        let read = self.scheduler.nodes().await;
        let result = match read {
            Ok(nodes) => {
                let is_idle = |name: &&NodeName| nodes.get(*name).is_some_and(may_be_refreshed);
                let idle: Vec<_> = plan.refresh.iter().filter(is_idle).cloned().collect();
                if idle.is_empty() {
                    return;
                }
                tracing::debug!("node={} protected: idle time anew", hostlist::compress(&idle));
                self.scheduler.refresh_idle(&idle).await
            }
            Err(error) => Err(error),
        };
        let problem = result.err().map(|error| {
            format!(
                "Slurm may suspend protected nodes, as it does not count their idle time anew: \
                 {error}; their instances stay all the same"
            )
        });
        self.troubles.note(&About::Protection, now, problem.as_ref());
    }
}
