//! What the command line is told, made from the last look.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use slurm_asg_core::advice::{Advice, advice};
use slurm_asg_core::demand::JobVerdict;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::plan::{NodeReport, Why};
use slurm_asg_core::policy::{Policy, Price};
use slurm_asg_core::snapshot::SlurmFacts;
use slurm_asg_core::time::Timestamp;
use slurm_asg_core::view::JobView;
use slurm_asg_engine::Look;
use slurm_asg_wire::{AdviceStatus, GroupStatus, JobStatus, NodeStatus, ProtectedStatus, Status};
use tokio::sync::Notify;

use crate::hook;

/// The last look, for whoever asks for more than the status.
#[derive(Debug)]
pub struct LastLook {
    /// The policy that was in force.
    pub policy: Arc<Policy>,
    /// What was seen and planned.
    pub look: Look,
}

/// The status board: the loop writes it, the socket reads it.
#[derive(Debug, Default)]
pub struct Board {
    status: Mutex<Status>,
    last: Mutex<Option<Arc<LastLook>>>,
    /// Rings with every look.
    looked: Notify,
}

impl Board {
    /// Changes what is on the board.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is on the board now. Made when it is asked for: a long queue is a long list.
    pub fn read(&self) -> Status {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.hook_calls = hook::calls();
        if let Some(last) = self.last() {
            let LastLook { policy, look } = &*last;
            let slurm = look.snapshot.queue.known().map(|queue| queue.slurm).unwrap_or_default();
            let node = |(name, report)| node(policy, slurm, name, report);
            let nodes = look.plan.nodes.iter().map(node);
            let jobs = look.plan.jobs.iter().map(|(id, verdict)| job(*id, verdict));
            status.looked_at_ms = Some(look.at.millis());
            status.queue_read_at_ms = look.snapshot.queue_read_at().map(Timestamp::millis);
            status.problems.clone_from(&look.troubles);
            status.currency.clone_from(&policy.currency);
            status.protected = protected(look);
            status.groups = groups(policy, look);
            status.nodes = nodes.collect();
            status.jobs = jobs.collect();
            let advice = advice(policy, &look.snapshot.asgs);
            status.advice = advice.iter().map(|advice| advised(advice, None)).collect();
        }
        status
    }

    /// How old the last look is at `now`; `None` before the first.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        self.last().map(|last| now.since(last.look.at))
    }

    /// Waits for the next look.
    pub async fn next_look(&self) {
        self.looked.notified().await;
    }

    /// The last look; `None` before the first.
    pub fn last(&self) -> Option<Arc<LastLook>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what a look has shown.
    pub fn show(&self, policy: &Arc<Policy>, look: Look) {
        let last = LastLook { policy: Arc::clone(policy), look };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(last));
        self.looked.notify_waiters();
    }
}

/// What should be otherwise, and why it could not be changed.
pub fn advised(advice: &Advice, error: Option<String>) -> AdviceStatus {
    AdviceStatus {
        asg: advice.asg.to_string(),
        setting: advice.setting.word(),
        text: advice.to_string(),
        error,
    }
}

fn groups(policy: &Policy, look: &Look) -> Vec<GroupStatus> {
    let Look { plan, memory, .. } = look;
    policy
        .groups
        .iter()
        .map(|(name, group)| {
            let report = plan.groups.get(name).cloned().unwrap_or_default();
            let boots = |asg| memory.boots.get(asg);
            let cooldowns = group.asgs.iter().filter_map(|asg| plan.cooldowns.get(asg));
            let in_force = cooldowns.filter(|cooldown| cooldown.is_in_force(look.at));
            GroupStatus {
                name: name.to_string(),
                asgs: group.asgs.iter().map(ToString::to_string).collect(),
                min: report.min,
                desired: report.desired,
                max: report.max,
                in_service: report.in_service,
                pending: report.pending,
                busy: report.busy,
                idle: report.idle,
                booting: report.booting,
                ahead: report.ahead,
                demand: report.demand,
                pending_instances: report.pending_instances,
                spare: report.spare,
                releasing: report.releasing,
                price_micros: group.price.map(Price::micros),
                paused: memory.paused.contains_key(name),
                protected: group.asgs.iter().filter_map(boots).any(|it| it.are_too_many(group)),
                cooldown_until_ms: in_force.map(|cooldown| cooldown.until.millis()).max(),
                problem: report.problem,
            }
        })
        .collect()
}

fn protected(look: &Look) -> Vec<ProtectedStatus> {
    let kept = look.memory.kept.iter();
    let kept = kept.map(|(node, kept)| ProtectedStatus {
        node: node.to_string(),
        since_ms: kept.since.millis(),
        until_ms: kept.until.millis(),
        user: kept.user,
        reason: kept.reason.clone(),
    });
    kept.collect()
}

fn job(id: u32, verdict: &JobVerdict) -> JobStatus {
    let JobView { nodes, launch, why, text, .. } = JobView::of(verdict);
    JobStatus { id, nodes, launch, why, text }
}

fn node(policy: &Policy, slurm: SlurmFacts, name: &NodeName, report: &NodeReport) -> NodeStatus {
    NodeStatus {
        name: name.to_string(),
        group: policy.group_of(name).map(ToString::to_string).unwrap_or_default(),
        state: report.state.to_string(),
        instance: report.instance.as_ref().map(ToString::to_string),
        why: report.why.word(),
        text: report.why.to_string(),
        since_ms: report.why.since().map(|since| since.millis()),
        until_ms: ends_at(&report.why, slurm).map(Timestamp::millis),
    }
}

/// When what a node waits for ends at the latest.
fn ends_at(why: &Why, slurm: SlurmFacts) -> Option<Timestamp> {
    let after = |since: &Timestamp, secs: u32| since.after(Duration::from_secs(secs.into()));
    if let Why::Idle { since } = why {
        Some(after(since.as_ref()?, slurm.suspend_time?))
    } else if let Why::Booting { since } = why {
        Some(after(since, slurm.resume_timeout?))
    } else if let Why::WaitsForBillingHour { at, .. } | Why::RetryAt { at } = why {
        Some(*at)
    } else {
        None
    }
}
