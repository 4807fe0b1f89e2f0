//! What is told of the loop's decisions: an event for each, and a line in slurmctld's log.
//!
//! Which event follows from what is decided in the core. What is added here is what was told
//! already: a call that the loop repeats, because a read is older than its effect or because it
//! failed, is still one decision.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slurm_asg_core::event::{
    Event, EventName, counted_jobs, dropped_jobs, failing_launches, heartbeat, newly_protected,
    of_outcome,
};
use slurm_asg_core::hostlist;
use slurm_asg_core::ids::{AsgName, GroupName, InstanceId, NodeName};
use slurm_asg_core::memory::{Memory, Outcome};
use slurm_asg_core::plan::{Action, HookAnswer, Plan, READ_LAG_MAX};
use slurm_asg_core::policy::Policy;
use slurm_asg_core::snapshot::Snapshot;
use slurm_asg_core::time::Timestamp;
use slurm_asg_core::view;

/// A failure in the same words is told again after this time.
const FAILURE_AGAIN: Duration = Duration::from_secs(600);
/// So many lines are logged of events of a kind that come at the same time.
const LINES_MAX: usize = 10;

/// What was told.
#[derive(Debug)]
pub struct Story {
    /// What was done, and when that was told.
    done: BTreeMap<Deed, Timestamp>,
    /// What failed last, when that was told, and when it was tried last.
    failing: BTreeMap<Deed, Failure>,
    /// Jobs that Slurm did not take; `None` before the first look at the queue. Those that are
    /// found then were told before a restart, or crossed the line while nobody looked.
    dropped: Option<BTreeSet<u32>>,
    beats: BTreeMap<GroupName, Timestamp>,
    /// Whether the last plan had idle nodes, per group.
    idle: BTreeSet<GroupName>,
}

/// What an action does, so that two that do the same can be told from two that do not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Sizes(AsgName, u32, u32),
    Raise(AsgName, u32),
    Launch(AsgName, String, String),
    Down(NodeName, String),
    PowerDown(NodeName),
    PowerUp(NodeName),
    Bind(NodeName, InstanceId),
    Terminate(InstanceId),
    Drain(NodeName),
    Protect(InstanceId),
    AnswerHook(InstanceId, String, HookAnswer),
    GiveBack(AsgName, u32),
    Close(Vec<NodeName>),
    Open(Vec<NodeName>),
}

#[derive(Debug)]
struct Failure {
    why: String,
    told_at: Timestamp,
    tried_at: Timestamp,
}

impl Deed {
    fn of(action: &Action) -> Self {
        match action {
            Action::SetSizes(sizes) => Self::Sizes(sizes.asg.clone(), sizes.min, sizes.max),
            Action::SetDesired(raise) => Self::Raise(raise.asg.clone(), raise.to),
            Action::Launch(launch) => {
                Self::Launch(launch.asg.clone(), launch.zone.clone(), launch.token.clone())
            }
            Action::MarkDown(down) => Self::Down(down.node.clone(), down.reason.clone()),
            Action::PowerDown(down) => Self::PowerDown(down.node.clone()),
            Action::PowerUp(up) => Self::PowerUp(up.node.clone()),
            Action::Bind(bind) => Self::Bind(bind.node.clone(), bind.instance.clone()),
            Action::Terminate(terminate) => Self::Terminate(terminate.instance.clone()),
            Action::Drain(drain) => Self::Drain(drain.node.clone()),
            Action::GiveBack(back) => Self::GiveBack(back.asg.clone(), back.to),
            Action::CloseNodes(close) => Self::Close(close.nodes.clone()),
            Action::OpenNodes(open) => Self::Open(open.nodes.clone()),
            Action::Protect(protect) => Self::Protect(protect.instance.clone()),
            Action::AnswerHook(told) => {
                Self::AnswerHook(told.instance.clone(), told.hook.clone(), told.answer)
            }
        }
    }

    /// Whether doing it once more would be the same decision still.
    fn lasts(&self, told_at: Timestamp, memory: &Memory, now: Timestamp) -> bool {
        match self {
            Self::Bind(node, instance) => {
                memory.bindings.get(node).is_some_and(|binding| binding.instance == *instance)
            }
            Self::Terminate(instance) => memory.releases.contains_key(instance),
            Self::AnswerHook(instance, ..) => memory.held.contains_key(instance),
            // Slurm and AWS show it after this time at the latest.
            Self::Sizes(..)
            | Self::Raise(..)
            | Self::Launch(..)
            | Self::Down(..)
            | Self::PowerDown(_)
            | Self::PowerUp(_)
            | Self::Drain(_)
            | Self::GiveBack(..)
            | Self::Close(_)
            | Self::Open(_)
            | Self::Protect(_) => now.since(told_at) < READ_LAG_MAX,
        }
    }
}

impl Story {
    /// Goes on where `memory` shows what was done before a restart.
    pub fn new(memory: &Memory) -> Self {
        let accepted = memory.releases.iter().filter_map(|(instance, release)| {
            release.accepted.map(|accepted| (Deed::Terminate(instance.clone()), accepted.at))
        });
        Self {
            done: accepted.collect(),
            failing: BTreeMap::new(),
            dropped: None,
            beats: BTreeMap::new(),
            idle: BTreeSet::new(),
        }
    }

    /// Somebody has set the clock, by so many milliseconds.
    pub fn move_times(&mut self, millis: i64) {
        let failures = self.failing.values_mut();
        let failures = failures.flat_map(|failure| [&mut failure.told_at, &mut failure.tried_at]);
        let told = self.done.values_mut().chain(self.beats.values_mut());
        told.chain(failures).for_each(|time| *time = time.moved(millis));
    }

    /// What a plan says of jobs and idle nodes. `memory` is from before it.
    pub fn of_plan(
        &mut self,
        policy: &Policy,
        memory: &Memory,
        plan: &Plan,
        queue_is_known: bool,
        at: Timestamp,
    ) -> Vec<Event> {
        let mut events = failing_launches(policy, memory, plan, at);
        events.extend(newly_protected(policy, memory, plan, at));
        events.extend(counted_jobs(policy, memory, plan, at));
        if queue_is_known {
            events.extend(self.newly_dropped(plan, at));
        }
        log(&events);
        events.extend(self.heartbeats(policy, plan, at));
        events
    }

    fn newly_dropped(&mut self, plan: &Plan, at: Timestamp) -> Vec<Event> {
        let dropped = dropped_jobs(plan, at);
        let now: BTreeSet<u32> = dropped.keys().copied().collect();
        let before = self.dropped.replace(now);
        let is_new = |id: &u32| before.as_ref().is_some_and(|before| !before.contains(id));
        dropped.into_iter().filter(|(id, _)| is_new(id)).map(|(_, event)| event).collect()
    }

    fn heartbeats(&mut self, policy: &Policy, plan: &Plan, at: Timestamp) -> Vec<Event> {
        self.idle.clear();
        let mut events = Vec::new();
        for group in policy.groups.keys() {
            let Some(event) = heartbeat(policy, plan, group, at) else { continue };
            self.idle.insert(group.clone());
            let period = policy.events.heartbeat;
            // The clock may have been set back.
            let is_due = |last: &Timestamp| *last > at || at.since(*last) >= period;
            if self.beats.get(group).is_none_or(is_due) {
                self.beats.insert(group.clone(), at);
                events.push(event);
            }
        }
        events
    }

    /// When the next heartbeat is due, if nodes stay idle.
    pub fn next_beat(&self, policy: &Policy) -> Option<Timestamp> {
        let beats = self.idle.iter().filter_map(|group| self.beats.get(group));
        beats.map(|at| at.after(policy.events.heartbeat)).min()
    }

    /// How a plan's actions ended. `memory` is from before that.
    pub fn of_outcomes(
        &mut self,
        policy: &Policy,
        memory: &Memory,
        plan: &Plan,
        outcomes: &[(Action, Outcome)],
        at: Timestamp,
    ) -> Vec<Event> {
        self.done.retain(|deed, told_at| deed.lasts(*told_at, memory, at));
        self.failing.retain(|_, failure| at.since(failure.tried_at) < FAILURE_AGAIN);
        let news = outcomes.iter().filter(|(action, outcome)| self.is_news(action, outcome, at));
        let news: Vec<_> = news.cloned().collect();
        let events: Vec<_> = news
            .iter()
            .flat_map(|(action, outcome)| of_outcome(policy, plan, action, outcome, at))
            .collect();
        log(&events);
        events
    }

    fn is_news(&mut self, action: &Action, outcome: &Outcome, at: Timestamp) -> bool {
        let deed = Deed::of(action);
        let Some(why) = outcome.failure() else {
            if let Action::Terminate(terminate) = action {
                // The capacity goes down, and may be raised to the same number again.
                let is_raise =
                    |deed: &Deed| matches!(deed, Deed::Raise(asg, _) if *asg == terminate.asg);
                self.done.retain(|deed, _| !is_raise(deed));
            }
            self.failing.remove(&deed);
            return self.done.insert(deed, at).is_none();
        };
        let told = self.failing.get_mut(&deed);
        if let Some(failure) = told
            && failure.why == why
            && at.since(failure.told_at) < FAILURE_AGAIN
        {
            failure.tried_at = at;
            return false;
        }
        // Once it succeeds, that is news, whatever was told before.
        self.done.remove(&deed);
        self.failing.insert(deed, Failure { why: why.to_owned(), told_at: at, tried_at: at });
        true
    }
}

/// Adds the group where only the Auto Scaling group is known.
pub fn with_group(policy: &Policy, event: Event) -> Event {
    let group = match (&event.group, &event.asg) {
        (None, Some(asg)) => policy.group_of_asg(asg).map(|(name, _)| name.clone()),
        (group, _) => group.clone(),
    };
    Event { group, ..event }
}

/// A line for each event; nodes that Slurm is to power up or down for the same reason share one, and
/// of many events of a kind the first few have one.
pub fn log(events: &[Event]) {
    for line in lines(events) {
        if line.is_error {
            tracing::error!("{}", line.text);
        } else {
            tracing::info!("{}", line.text);
        }
    }
}

/// What a look saw and what its plan will do, for SlurmctldDebug=debug: an action that is made again
/// is no new decision, and only here.
pub fn trace(snapshot: &Snapshot, plan: &Plan) {
    let nodes = snapshot.nodes.known().map_or(0, |nodes| nodes.len());
    let jobs = snapshot.queue.known().map_or(0, |queue| queue.jobs.len());
    let actions = plan.actions.len();
    tracing::trace!("looked: {nodes} nodes, {jobs} jobs; {actions} actions");
    for action in plan.actions.iter().take(LINES_MAX) {
        tracing::trace!("planned: {}", view::action(action));
    }
    if let Some(more) = actions.checked_sub(LINES_MAX).filter(|more| *more > 0) {
        tracing::trace!("planned: … {more} more");
    }
}

/// A line of slurmctld's log.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    text: String,
    is_error: bool,
}

fn lines(events: &[Event]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut woken: BTreeMap<String, Vec<NodeName>> = BTreeMap::new();
    // What is alike but for whom it is about.
    let mut kinds: BTreeMap<(EventName, Option<&GroupName>, Option<&str>), usize> = BTreeMap::new();
    for event in events {
        let is_power = matches!(event.event, EventName::NodePowerUp | EventName::NodePowerDown);
        if let (true, Some(node)) = (is_power, &event.node) {
            let what = Event { node: None, ..event.clone() }.to_string();
            woken.entry(what).or_default().push(node.clone());
            continue;
        }
        let kind = (event.event, event.group.as_ref(), event.error.as_deref());
        let count = kinds.entry(kind).or_insert(0);
        *count += 1;
        if *count <= LINES_MAX {
            lines.push(Line { text: event.to_string(), is_error: event.error.is_some() });
        }
    }
    for ((name, group, error), count) in kinds {
        if let Some(more) = count.checked_sub(LINES_MAX).filter(|more| *more > 0) {
            let group = group.map_or_else(String::new, |group| format!("group={group} "));
            let text = format!("{group}… {more} more: {name}; slurm-asg events has them all");
            lines.push(Line { text, is_error: error.is_some() });
        }
    }
    for (what, nodes) in woken {
        let text = format!("node={} {what}", hostlist::compress(&nodes));
        lines.push(Line { text, is_error: false });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use slurm_asg_core::memory::{Accepted, Binding, Release};
    use slurm_asg_core::plan::{
        Bind, NodeReport, PowerDown, PowerDownCause, PowerUp, PowerUpCause, SetDesired, Terminate,
        TerminateCause, Why,
    };

    const POLICY: &str = "[[group]]\nname = 'g'\nnodes = 'n[1-4]'\nasg = 'a'\n";

    fn policy() -> Policy {
        slurm_asg_core::policy::parse("asg.toml".as_ref(), POLICY).unwrap()
    }

    fn raise(to: u32) -> Action {
        Action::SetDesired(SetDesired { asg: "a".into(), from: 0, to })
    }

    fn bind() -> Action {
        Action::Bind(Bind {
            node: "n1".into(),
            instance: "i-1".into(),
            asg: "a".into(),
            address: [10, 0, 0, 1].into(),
        })
    }

    fn terminate() -> Action {
        Action::Terminate(Terminate {
            instance: "i-1".into(),
            asg: "a".into(),
            node: Some("n1".into()),
            decrement: true,
            cause: TerminateCause::NodeReleased,
        })
    }

    fn power_up() -> Action {
        Action::PowerUp(PowerUp { node: "n1".into(), cause: PowerUpCause::Base })
    }

    fn bound() -> Memory {
        let binding = Binding::new(&"i-1".into(), &"a".into(), Timestamp::default());
        Memory { bindings: [("n1".into(), binding)].into(), ..Memory::default() }
    }

    fn released(accepted: bool) -> Memory {
        let at = Timestamp::default();
        let release = Release {
            asg: "a".into(),
            node: None,
            cause: TerminateCause::NodeReleased,
            decided_at: at,
            accepted: accepted.then_some(Accepted { at, decrement: true }),
            retry: None,
            boot: slurm_asg_core::memory::Boot::Awaited,
        };
        Memory { releases: [("i-1".into(), release)].into(), ..Memory::default() }
    }

    /// What is told of actions at these seconds; a word is why one failed.
    fn check(memory: &Memory, told: &[(i64, Action, &str, &str)]) {
        let mut story = Story::new(memory);
        for (secs, action, why, expected) in told {
            let outcome = match *why {
                "" => Outcome::Done,
                why => Outcome::Failed { why: why.to_owned() },
            };
            let at = Timestamp::from_secs(*secs);
            let outcomes = [(action.clone(), outcome)];
            let events = story.of_outcomes(&policy(), memory, &Plan::default(), &outcomes, at);
            let names: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
            assert_eq!(names.join(" "), *expected, "at {secs}: {action:?} {why}");
        }
    }

    #[test]
    fn of_many_events_of_a_kind_the_log_has_the_first_and_says_how_many_more() {
        let at = Timestamp::default();
        let of = |name, nth: usize| Event {
            group: Some("g".into()),
            node: Some(NodeName::new(&format!("n{nth}"))),
            ..Event::new(at, name)
        };
        let mut events: Vec<_> = (1..=47).map(|nth| of(EventName::NodeBound, nth)).collect();
        let error = Some("denied".to_owned());
        events.push(Event { error, ..of(EventName::NodeBoundFailed, 48) });
        events.extend((1..=20).map(|nth| of(EventName::NodePowerDown, nth)));
        let lines = lines(&events);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts[0], "group=g node=n1 bound");
        assert_eq!(
            texts[9..],
            [
                "group=g node=n10 bound",
                "group=g node=n48 bound failed: denied; will be tried again",
                "group=g … 37 more: node_bound; slurm-asg events has them all",
                "node=n[1-20] group=g power down asked, to make it available again",
            ]
        );
        assert_eq!(lines.iter().filter(|line| line.is_error).count(), 1);
    }

    #[test]
    fn what_is_done_again_before_it_shows_is_told_once() {
        let none = Memory::default();
        check(
            &none,
            &[
                (0, raise(2), "", "capacity_raised"),
                (5, raise(2), "", ""),
                (6, raise(3), "", "capacity_raised"),
                (40, raise(3), "", "capacity_raised"),
            ],
        );
        check(
            &none,
            &[(0, power_up(), "", "node_power_up"), (60, power_up(), "", "node_power_up")],
        );
        let down =
            || Action::PowerDown(PowerDown { node: "n1".into(), cause: PowerDownCause::Recover });
        check(&none, &[(0, down(), "", "node_power_down"), (1, down(), "", "")]);
    }

    #[test]
    fn a_raise_after_a_release_is_another_decision() {
        check(
            &Memory::default(),
            &[
                (0, raise(1), "", "capacity_raised"),
                (10, terminate(), "", "instance_terminated"),
                (11, raise(1), "", "capacity_raised"),
            ],
        );
    }

    #[test]
    fn a_binding_is_told_once_for_as_long_as_it_lasts() {
        check(&bound(), &[(0, bind(), "", "node_bound"), (900, bind(), "", "")]);
        let none = Memory::default();
        check(&none, &[(0, bind(), "", "node_bound"), (900, bind(), "", "node_bound")]);
    }

    #[test]
    fn a_termination_is_told_once_also_over_a_restart() {
        let told = [(0, terminate(), "", "instance_terminated"), (60, terminate(), "", "")];
        check(&released(false), &told);
        check(&released(true), &[(60, terminate(), "", "")]);
    }

    #[test]
    fn a_failure_is_told_when_it_begins_or_changes_and_so_is_the_success_after_it() {
        check(
            &released(false),
            &[
                (0, terminate(), "throttled", "instance_terminated_failed"),
                (1, terminate(), "throttled", ""),
                (3, terminate(), "denied", "instance_terminated_failed"),
                (500, terminate(), "denied", ""),
                (700, terminate(), "denied", "instance_terminated_failed"),
                (701, terminate(), "", "instance_terminated"),
                (761, terminate(), "", ""),
            ],
        );
        check(
            &bound(),
            &[
                (0, bind(), "", "node_bound"),
                (1, bind(), "no answer", "node_bound_failed"),
                (2, bind(), "", "node_bound"),
            ],
        );
    }

    #[test]
    fn heartbeats_come_once_a_period_while_nodes_are_idle() {
        let since = Some(Timestamp::from_secs(0));
        let idle = |names: &[&str]| {
            let report = NodeReport {
                phase: slurm_asg_core::node_state::Phase::Up,
                state: slurm_asg_core::node_state::NodeState::default(),
                instance: None,
                why: Why::Idle { since },
            };
            let nodes = names.iter().map(|name| ((*name).into(), report.clone())).collect();
            Plan { nodes, ..Plan::default() }
        };
        let mut story = Story::new(&Memory::default());
        let none = Memory::default();
        let mut beats = |secs, plan: &Plan| {
            let at = Timestamp::from_secs(secs);
            let events = story.of_plan(&policy(), &none, plan, true, at);
            let next = story.next_beat(&policy()).map(|at| at.millis() / 1000);
            (events.first().map(|event| (event.idle, event.oldest_idle_s)), next)
        };
        assert_eq!(beats(10, &idle(&[])), (None, None));
        assert_eq!(beats(100, &idle(&["n1", "n2"])), (Some((Some(2), Some(100))), Some(160)));
        assert_eq!(beats(159, &idle(&["n1"])), (None, Some(160)));
        assert_eq!(beats(160, &idle(&["n1"])), (Some((Some(1), Some(160))), Some(220)));
        // Jobs that come and go do not make it beat faster.
        assert_eq!(beats(170, &idle(&[])), (None, None));
        assert_eq!(beats(180, &idle(&["n1"])), (None, Some(220)));
        // The clock was set back.
        assert_eq!(beats(50, &idle(&["n1"])), (Some((Some(1), Some(50))), Some(110)));
    }

    #[test]
    fn a_job_is_dropped_once_and_not_again_after_a_restart() {
        let verdict = slurm_asg_core::demand::JobVerdict {
            nodes: 0,
            launch: 0,
            why: slurm_asg_core::demand::JobWhy::NotTaken,
        };
        let plan = |jobs: &[u32]| Plan {
            jobs: std::sync::Arc::new(jobs.iter().map(|id| (*id, verdict.clone())).collect()),
            ..Plan::default()
        };
        let mut story = Story::new(&Memory::default());
        let none = Memory::default();
        let mut dropped = |jobs: &[u32], known| -> Vec<Option<u32>> {
            let at = Timestamp::default();
            let events = story.of_plan(&policy(), &none, &plan(jobs), known, at);
            events.iter().map(|event| event.job).collect()
        };
        // A restart finds job 1.
        assert_eq!(dropped(&[1], true), []);
        assert_eq!(dropped(&[1, 2], true), [Some(2)]);
        assert_eq!(dropped(&[], false), []);
        assert_eq!(dropped(&[1, 2], true), []);
        assert_eq!(dropped(&[2, 3], true), [Some(3)]);
    }
}
