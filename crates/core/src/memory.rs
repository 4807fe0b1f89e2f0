//! What was decided and cannot be seen again in Slurm or AWS. Small, and kept in a file.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AsgName, GroupName, InstanceId, NodeName};
use crate::node_state::{NodeState, Phase};
use crate::notice::Notice;
use crate::plan::{
    ANSWER_REST, Action, HookAnswer, POWER_UP_REST, Plan, SIZES_REST, TerminateCause, is_gone,
};
use crate::snapshot::{LaunchFailure, Machine, Member, Seen, Snapshot, Transition};
use crate::time::Timestamp;

mod boot_times;
mod boots;
mod clock;
mod kept;
mod launches;
mod notices;
mod successors;

pub use boot_times::{BootTimes, Watch};
pub use boots::{Boot, Boots, FailedBoot};
pub use kept::Kept;
pub use launches::{Launched, Launching, Refusal};

/// The first wait after a failed call; it doubles with each further failure.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// What the loop remembers from one look to the next, and over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Which instance serves which node. A binding ends when Slurm releases the node or the
    /// instance is gone; an instance never gets a second name.
    pub bindings: BTreeMap<NodeName, Binding>,
    /// Instances that are to be terminated, until they are gone.
    pub releases: BTreeMap<InstanceId, Release>,
    /// Since when an instance has served no node and none has wanted it.
    pub spare_since: BTreeMap<InstanceId, Timestamp>,
    /// Since when capacity has been raised ahead for a pending job, by job id.
    #[serde(default)]
    pub counted_since: BTreeMap<u32, Timestamp>,
    /// Since when jobs have had nodes and lacked instances, by job id.
    #[serde(default)]
    pub incomplete: BTreeMap<u32, Timestamp>,
    /// Groups whose last SetDesiredCapacity or LaunchInstances failed.
    pub raise_retry: BTreeMap<AsgName, Retry>,
    /// Requests for instances in a zone that are not answered, or whose instances may not be listed
    /// yet, by token.
    #[serde(default)]
    pub launches: BTreeMap<String, Launching>,
    /// The last failure of each zone that has launched less than it was asked for.
    #[serde(default)]
    pub zone_failures: BTreeMap<AsgName, BTreeMap<String, LaunchFailure>>,
    /// Groups for which instances cannot be asked for by zone.
    #[serde(default)]
    pub launch_refusals: BTreeMap<AsgName, Refusal>,
    /// What groups were last raised to, less what has been given back since. A read may be
    /// older, and a raise that rests on it would lower the capacity by number.
    #[serde(default)]
    pub levels: BTreeMap<AsgName, Level>,
    /// Groups that have been seen with the nodes that they begin with: that is not repeated.
    #[serde(default)]
    pub begun: BTreeSet<GroupName>,
    /// Nodes that were powered up without a job a moment ago, and when that may be repeated.
    #[serde(default)]
    pub powered_up: BTreeMap<NodeName, Retry>,
    /// Groups whose sizes were written a moment ago, and when that may be repeated.
    #[serde(default)]
    pub sizes_retry: BTreeMap<AsgName, Retry>,
    /// Groups whose instances were protected a moment ago, and when that may be repeated.
    #[serde(default)]
    pub protect_retry: BTreeMap<AsgName, Retry>,
    /// Groups whose launches have failed, with the time until which they are asked for nothing.
    #[serde(default)]
    pub cooldowns: BTreeMap<AsgName, Cooldown>,
    /// How the last boots of a group's instances ended; nothing where the last one went well.
    #[serde(default)]
    pub boots: BTreeMap<AsgName, Boots>,
    /// Boots that have failed and that nobody has been told of.
    #[serde(skip)]
    pub failed_boots: Vec<FailedBoot>,
    /// Groups that are not to be scaled, by an administrator's word.
    #[serde(default)]
    pub paused: BTreeMap<GroupName, Paused>,
    /// Instances that a life-cycle hook holds.
    #[serde(default)]
    pub held: BTreeMap<InstanceId, Held>,
    /// Nodes that are not to be suspended, by an administrator's word.
    #[serde(default)]
    pub kept: BTreeMap<NodeName, Kept>,
    /// Those whose time is over and that nobody has been told of.
    #[serde(skip)]
    pub expired: BTreeMap<NodeName, Kept>,
    /// What the last boots took that went well.
    #[serde(default)]
    pub boot_times: BTreeMap<AsgName, BootTimes>,
    /// Boots that are watched, to see what they take.
    #[serde(skip)]
    pub watch: Watch,
    /// Instances that AWS has said it will take.
    #[serde(default)]
    pub notices: BTreeMap<InstanceId, Notice>,
    /// Instances that are said to have changed, with the time since when EC2 is asked about them.
    #[serde(skip)]
    pub stirred: BTreeMap<InstanceId, Timestamp>,
}

/// What is remembered of a group's failed launches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cooldown {
    /// The last failure that was seen.
    pub failure: LaunchFailure,
    /// When the first of this cooldown was seen.
    pub noticed_at: Timestamp,
    /// Until then nothing is asked for.
    pub until: Timestamp,
}

/// A group that is not to be scaled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paused {
    /// Since when.
    pub since: Timestamp,
    /// Whose word it is, a user's number.
    pub user: u32,
    /// Why, in the user's words.
    pub reason: Option<String>,
}

/// How long a cooldown that is over is remembered: a read may still show its failure.
const COOLDOWN_MEMORY: Duration = Duration::from_secs(7200);

/// An instance that a life-cycle hook holds, as long as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// At which transition.
    pub at: Transition,
    /// When it was seen first.
    pub since: Timestamp,
    /// When the hook was last told to wait.
    pub beaten_at: Option<Timestamp>,
    /// When it may be answered again, after an answer that may not show yet or that failed.
    pub retry: Option<Retry>,
}

/// A desired capacity that was asked for, whether or not an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// DesiredCapacity.
    pub to: u32,
    /// When it was asked for.
    pub at: Timestamp,
}

/// An instance in the service of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The instance.
    pub instance: InstanceId,
    /// Its Auto Scaling group.
    pub asg: AsgName,
    /// When it was given the node.
    pub bound_at: Timestamp,
    /// Since when it has not been found where it should be; `None` while it is there.
    pub missing_since: Option<Timestamp>,
    /// Slurm has powered the node down since: this instance's slurmd is older than whatever
    /// resume request comes next, and Slurm would ignore it.
    pub outdated: bool,
    /// Whether its slurmd has registered.
    #[serde(default)]
    pub boot: Boot,
}

impl Binding {
    /// A binding that begins now.
    #[must_use]
    pub fn new(instance: &InstanceId, asg: &AsgName, now: Timestamp) -> Self {
        Self {
            instance: instance.clone(),
            asg: asg.clone(),
            bound_at: now,
            missing_since: None,
            outdated: false,
            boot: Boot::Awaited,
        }
    }
}

/// An instance that is to be terminated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Its Auto Scaling group.
    pub asg: AsgName,
    /// The node it served last, if any.
    pub node: Option<NodeName>,
    /// Why it goes.
    pub cause: TerminateCause,
    /// When the release was decided.
    pub decided_at: Timestamp,
    /// When AWS accepted the call, and whether capacity went down with it.
    pub accepted: Option<Accepted>,
    /// Set after a failure.
    pub retry: Option<Retry>,
    /// How its boot had gone when that was decided.
    #[serde(default)]
    pub boot: Boot,
}

/// A terminate call that AWS has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// When.
    pub at: Timestamp,
    /// ShouldDecrementDesiredCapacity was true.
    pub decrement: bool,
}

/// When a failed call may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Failures in a row.
    pub failures: u32,
    /// Not before this time.
    pub not_before: Timestamp,
}

impl Retry {
    /// The pause after one more failure at `now`.
    #[must_use]
    pub fn after_failure(earlier: Option<Self>, now: Timestamp) -> Self {
        let failures = earlier.map_or(0, |retry| retry.failures).saturating_add(1);
        let factor = 1_u32 << (failures - 1).min(6);
        let wait = RETRY_FIRST.saturating_mul(factor).min(RETRY_MAX);
        Self { failures, not_before: now.after(wait) }
    }

    /// The pause after a success, until its effect must show.
    #[must_use]
    pub fn after_success(now: Timestamp, rest: Duration) -> Self {
        Self { failures: 0, not_before: now.after(rest) }
    }

    /// Whether it still says anything at `now`: a failure makes the next pause longer.
    fn counts(self, now: Timestamp) -> bool {
        let memory = if self.failures > 0 { RETRY_MAX } else { Duration::ZERO };
        self.not_before.after(memory) > now
    }
}

/// How carrying out one action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or it was done already.
    Done,
    /// Instances were launched in a zone; perhaps fewer than were asked for.
    Launched(Launched),
    /// It may have been done or not; the same request can be made again.
    Unanswered {
        /// Why, in one line.
        why: String,
    },
    /// The endpoint or the group cannot do it: another way is taken.
    Unsupported {
        /// Why, in one line.
        why: String,
    },
    /// Not done; the next plan sees the same need and comes back to it.
    Failed {
        /// Why, in one line.
        why: String,
    },
}

impl Outcome {
    /// Why it, or a part of it, was not done.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::Done => None,
            Self::Launched(launched) => {
                launched.failure.as_ref().map(|failure| failure.message.as_str())
            }
            Self::Unanswered { why } | Self::Unsupported { why } | Self::Failed { why } => {
                Some(why)
            }
        }
    }

    /// When the same may be done again.
    fn retry(&self, earlier: Option<Retry>, now: Timestamp, rest: Duration) -> Retry {
        if self.failure().is_none() {
            Retry::after_success(now, rest)
        } else {
            Retry::after_failure(earlier, now)
        }
    }

    /// The same where several actions share a pause: one failure is what counts, and it counts
    /// once.
    fn retry_of_several(&self, earlier: Option<Retry>, now: Timestamp) -> Retry {
        match earlier.filter(|retry| retry.not_before > now) {
            // Of an action of the same plan: before that time there is no other.
            Some(noted) if noted.failures > 0 || *self == Self::Done => noted,
            _ => self.retry(earlier, now, ANSWER_REST),
        }
    }
}

impl Memory {
    /// Takes note of what a look shows, before a plan is made from it.
    pub fn notice(&mut self, snapshot: &Snapshot) {
        self.notice_successors(snapshot);
        self.notice_missing(snapshot);
        self.notice_outdated(snapshot);
        self.notice_boot_times(snapshot);
        self.notice_boots(snapshot);
        self.notice_held(snapshot);
        self.notice_expired(snapshot.now);
        self.forget_finished_releases(snapshot);
        self.forget_lost_bindings(snapshot);
        self.forget_notices(snapshot);
        self.forget_launches(snapshot);
        self.powered_up.retain(|_, retry| retry.counts(snapshot.now));
        self.sizes_retry.retain(|_, retry| retry.counts(snapshot.now));
        self.cooldowns.retain(|_, it| snapshot.now.since(it.until) < COOLDOWN_MEMORY);
        self.protect_retry.retain(|_, retry| retry.counts(snapshot.now));
    }

    /// Writes down what is about to be done. Saved before anything is done, so that a crash
    /// in between leaves nothing that nobody knows of.
    pub fn intend(&mut self, plan: &Plan, now: Timestamp) {
        for action in &plan.actions {
            match action {
                Action::Bind(bind) => {
                    self.spare_since.remove(&bind.instance);
                    let told_again = self
                        .bindings
                        .get(&bind.node)
                        .is_some_and(|old| old.instance == bind.instance);
                    if !told_again {
                        let binding = Binding::new(&bind.instance, &bind.asg, now);
                        self.note_began(&bind.node, &binding);
                        if let Some(old) = self.bindings.insert(bind.node.clone(), binding) {
                            self.note_replaced(&bind.node, &old);
                            note_gone(&mut self.releases, &bind.node, &old, now);
                        }
                    }
                }
                Action::Terminate(terminate) => {
                    self.spare_since.remove(&terminate.instance);
                    let mut bound = self.bindings.values();
                    let bound = bound.find(|binding| binding.instance == terminate.instance);
                    let boot = bound.map_or(Boot::Awaited, |binding| binding.boot);
                    self.bindings.retain(|_, binding| binding.instance != terminate.instance);
                    self.releases.entry(terminate.instance.clone()).or_insert_with(|| Release {
                        asg: terminate.asg.clone(),
                        node: terminate.node.clone(),
                        cause: terminate.cause,
                        decided_at: now,
                        accepted: None,
                        retry: None,
                        boot,
                    });
                }
                Action::SetDesired(raise) => {
                    self.levels.insert(raise.asg.clone(), Level { to: raise.to, at: now });
                }
                Action::Launch(launch) => self.note_launch(launch, now),
                Action::GiveBack(back) => {
                    self.levels.insert(back.asg.clone(), Level { to: back.to, at: now });
                }
                Action::SetSizes(sizes) if sizes.min > sizes.from.0 => {
                    self.levels.insert(sizes.asg.clone(), Level { to: sizes.desired, at: now });
                }
                Action::SetSizes(_)
                | Action::MarkDown(_)
                | Action::PowerDown(_)
                | Action::Drain(_)
                | Action::CloseNodes(_)
                | Action::OpenNodes(_)
                | Action::PowerUp(_)
                | Action::Protect(_)
                | Action::AnswerHook(_) => {}
            }
        }
        for (asg, cooldown) in &plan.cooldowns {
            self.cooldowns.insert(asg.clone(), cooldown.clone());
        }
        for asg in &plan.protected {
            if let Some(boots) = self.boots.get_mut(asg) {
                boots.protected_since = Some(now);
            }
        }
        self.begun.extend(plan.begun.iter().cloned());
        for (instance, since) in &plan.spares {
            self.spare_since.insert(instance.clone(), *since);
        }
        self.spare_since.retain(|instance, _| plan.spares.contains_key(instance));
        self.counted_since.clone_from(&plan.counted);
        self.incomplete.clone_from(&plan.incomplete);
        self.adopt(&plan.adopted);
    }

    /// The same with bindings that had been lost.
    #[must_use]
    pub fn with(&self, adopted: &BTreeMap<NodeName, Binding>) -> Self {
        let mut memory = self.clone();
        memory.adopt(adopted);
        memory
    }

    fn adopt(&mut self, adopted: &BTreeMap<NodeName, Binding>) {
        for (node, binding) in adopted {
            // It was to go, and serves a node all the same.
            self.releases.remove(&binding.instance);
            self.bindings.entry(node.clone()).or_insert_with(|| binding.clone());
        }
    }

    /// Takes note of how the actions ended.
    pub fn settle(&mut self, outcomes: &[(Action, Outcome)], now: Timestamp) {
        for (action, outcome) in outcomes {
            match (action, outcome) {
                (Action::GiveBack(back), outcome) => {
                    let earlier = self.raise_retry.get(&back.asg).copied();
                    let retry = outcome.retry(earlier, now, ANSWER_REST);
                    self.raise_retry.insert(back.asg.clone(), retry);
                }
                (Action::SetDesired(raise), Outcome::Done) => {
                    self.raise_retry.remove(&raise.asg);
                }
                (Action::SetDesired(raise), _) => self.note_raise_failed(&raise.asg, now),
                (Action::Launch(launch), Outcome::Launched(launched)) => {
                    self.note_launched(launch, launched, now);
                }
                (Action::Launch(launch), Outcome::Unanswered { .. }) => {
                    self.note_unanswered(launch, now);
                }
                (Action::Launch(launch), Outcome::Unsupported { why }) => {
                    self.note_unsupported(launch, why, now);
                }
                (Action::Launch(launch), Outcome::Done | Outcome::Failed { .. }) => {
                    self.note_not_launched(launch);
                    self.note_raise_failed(&launch.asg, now);
                }
                (Action::Terminate(terminate), outcome) => {
                    let Some(release) = self.releases.get_mut(&terminate.instance) else {
                        continue;
                    };
                    if *outcome == Outcome::Done {
                        if let Some(level) = self.levels.get_mut(&terminate.asg) {
                            level.to = level.to.saturating_sub(u32::from(terminate.decrement));
                        }
                        release.accepted =
                            Some(Accepted { at: now, decrement: terminate.decrement });
                        release.retry = None;
                    } else {
                        release.retry = Some(Retry::after_failure(release.retry, now));
                    }
                }
                (Action::SetSizes(sizes), outcome) => {
                    let earlier = self.sizes_retry.get(&sizes.asg).copied();
                    let retry = outcome.retry(earlier, now, SIZES_REST);
                    self.sizes_retry.insert(sizes.asg.clone(), retry);
                }
                (Action::PowerUp(up), outcome) => {
                    let earlier = self.powered_up.get(&up.node).copied();
                    let retry = outcome.retry(earlier, now, POWER_UP_REST);
                    self.powered_up.insert(up.node.clone(), retry);
                }
                (Action::Protect(protect), outcome) => {
                    let earlier = self.protect_retry.get(&protect.asg).copied();
                    let retry = outcome.retry_of_several(earlier, now);
                    self.protect_retry.insert(protect.asg.clone(), retry);
                }
                (Action::AnswerHook(told), outcome) => {
                    let Some(held) = self.held.get_mut(&told.instance) else { continue };
                    if told.answer == HookAnswer::Wait && *outcome == Outcome::Done {
                        // The next answer, if it is another one, is not to wait.
                        held.beaten_at = Some(now);
                        held.retry = held.retry.filter(|retry| retry.not_before > now);
                    } else {
                        held.retry = Some(outcome.retry_of_several(held.retry, now));
                    }
                }
                // Slurm's own state shows whether these were done.
                (
                    Action::Bind(_)
                    | Action::MarkDown(_)
                    | Action::PowerDown(_)
                    | Action::Drain(_)
                    | Action::CloseNodes(_)
                    | Action::OpenNodes(_),
                    _,
                ) => {}
            }
        }
    }

    fn note_raise_failed(&mut self, asg: &AsgName, now: Timestamp) {
        let earlier = self.raise_retry.get(asg).copied();
        // Several requests of one plan fail as one.
        if earlier.is_none_or(|retry| retry.not_before <= now) {
            self.raise_retry.insert(asg.clone(), Retry::after_failure(earlier, now));
        }
    }

    fn notice_missing(&mut self, snapshot: &Snapshot) {
        for binding in self.bindings.values_mut() {
            let Some(asg) = snapshot.asg(&binding.asg) else {
                continue;
            };
            if asg.instances.contains_key(&binding.instance) {
                binding.missing_since = None;
            } else {
                binding.missing_since.get_or_insert(snapshot.now);
            }
        }
    }

    /// A node that Slurm calls powered down has no use for its instance any more, unless the
    /// instance registers all the same. One whose slurmd has not registered yet may still do so, and
    /// a job would be on it in the same moment: it goes once Slurm has closed the node, or serves it.
    fn notice_outdated(&mut self, snapshot: &Snapshot) {
        let Some(nodes) = snapshot.nodes.known() else { return };
        for (name, binding) in &mut self.bindings {
            let Some(node) = nodes.get(name) else { continue };
            if node.state.has(NodeState::POWERED_DOWN) && binding.boot == Boot::Registered {
                binding.outdated = true;
            } else if node.state.phase() == Phase::Up {
                binding.outdated = false;
            }
        }
    }

    /// Which instances hooks hold. What could not be seen is as it was.
    fn notice_held(&mut self, snapshot: &Snapshot) {
        let known = snapshot.asgs.values().filter_map(Seen::known);
        let members = known.flat_map(|asg| &asg.instances);
        let at = |member: &Member| member.lifecycle.held_at();
        let now: BTreeMap<_, _> =
            members.filter_map(|(id, member)| at(member).map(|at| (id, at))).collect();
        if snapshot.asgs.values().all(|seen| seen.known().is_some()) {
            self.held.retain(|id, held| now.get(id) == Some(&held.at));
        }
        for (id, at) in now {
            let held = Held { at, since: snapshot.now, beaten_at: None, retry: None };
            self.held.entry(id.clone()).or_insert(held);
        }
    }

    /// A release is over when the group lists the instance no more and EC2 does not call it alive.
    fn forget_finished_releases(&mut self, snapshot: &Snapshot) {
        self.releases.retain(|instance, release| {
            let Some(asg) = snapshot.asg(&release.asg) else {
                return true;
            };
            let alive = snapshot
                .machines
                .get(instance)
                .and_then(Machine::facts)
                .is_some_and(|facts| !facts.dead);
            // A read may be older than the launch, or the next one older than this one: a moment
            // of absence proves nothing.
            let fresh = snapshot.now.since(release.decided_at) < RETRY_MAX;
            asg.instances.contains_key(instance) || (alive && release.accepted.is_none()) || fresh
        });
    }

    /// A binding to an instance that is gone ends once Slurm has closed the node as well.
    fn forget_lost_bindings(&mut self, snapshot: &Snapshot) {
        let Some(nodes) = snapshot.nodes.known() else {
            return;
        };
        let releases = &mut self.releases;
        self.bindings.retain(|name, binding| {
            let Some(node) = nodes.get(name) else {
                return true;
            };
            let closed = matches!(node.state.phase(), Phase::Off | Phase::Releasing);
            if !closed || !is_gone(binding, snapshot) {
                return true;
            }
            note_gone(releases, name, binding, snapshot.now);
            false
        });
    }
}

/// A binding has ended because its instance is gone. A later read may be older and show it alive:
/// it is no spare.
fn note_gone(
    releases: &mut BTreeMap<InstanceId, Release>,
    node: &NodeName,
    binding: &Binding,
    now: Timestamp,
) {
    releases.entry(binding.instance.clone()).or_insert_with(|| Release {
        asg: binding.asg.clone(),
        node: Some(node.clone()),
        cause: TerminateCause::NodeReleased,
        decided_at: now,
        accepted: Some(Accepted { at: now, decrement: false }),
        retry: None,
        boot: binding.boot,
    });
}
