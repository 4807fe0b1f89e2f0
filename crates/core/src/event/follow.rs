//! Which events follow from a plan, from how its actions ended, and from what Slurm asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Event, EventName};
use crate::demand::{JobVerdict, JobWhy};
use crate::hostlist;
use crate::ids::{AsgName, GroupName, NodeName};
use crate::memory::{Cooldown, FailedBoot, Launched, Memory, Outcome};
use crate::plan::{
    Action, HookAnswer, Plan, PowerDownCause, PowerUpCause, Shut, TerminateCause, Waiting, Why,
    changed_cooldowns,
};
use crate::policy::Policy;
use crate::time::Timestamp;
use crate::word::variant_name;

/// How many jobs one event names.
const JOBS_MAX: usize = 10_000;
/// Why an idle node is powered down in a group that is billed by the hour.
pub(super) const BILLING_HOUR: &str = "billing_hour";
pub(super) const MAKE_ROOM: &str = "make_room";
/// How much of a node list is kept that cannot be read, bytes.
const UNREADABLE_MAX: usize = 1000;

/// How one action of a plan ended. A request of which a part was carried out has two events.
#[must_use]
pub fn of_outcome(
    policy: &Policy,
    plan: &Plan,
    action: &Action,
    outcome: &Outcome,
    at: Timestamp,
) -> Vec<Event> {
    let event = done(policy, plan, action, at);
    match outcome {
        Outcome::Done => vec![event],
        Outcome::Launched(launched) => launched_events(&event, action, launched),
        Outcome::Failed { why } | Outcome::Unanswered { why } | Outcome::Unsupported { why } => {
            let name = failed(action);
            vec![Event { event: name, error: Some(why.clone()), ..event }]
        }
    }
}

/// What was launched of a request, and what was not.
fn launched_events(event: &Event, action: &Action, launched: &Launched) -> Vec<Event> {
    let count = u32::try_from(launched.instances.len()).unwrap_or(u32::MAX);
    let middle = event.from.map(|from| from.saturating_add(count));
    let raised = (count > 0).then(|| Event { to: middle, ..event.clone() });
    let missing = launched.failure.as_ref().map(|failure| {
        let error = Some(format!("{}: {}", failure.code, failure.message));
        Event { event: failed(action), from: middle, error, ..event.clone() }
    });
    raised.into_iter().chain(missing).collect()
}

fn done(policy: &Policy, plan: &Plan, action: &Action, at: Timestamp) -> Event {
    let of_node = |name, node: &NodeName| Event {
        group: policy.group_of(node).cloned(),
        node: Some(node.clone()),
        ..Event::new(at, name)
    };
    let of_asg = |name, asg: &AsgName| Event {
        group: policy.group_of_asg(asg).map(|(name, _)| name.clone()),
        asg: Some(asg.clone()),
        ..Event::new(at, name)
    };
    let of_nodes = |name, nodes: &[NodeName]| Event {
        group: nodes.first().and_then(|node| policy.group_of(node)).cloned(),
        nodes: Some(hostlist::compress(nodes)),
        ..Event::new(at, name)
    };
    match action {
        Action::SetSizes(sizes) => Event {
            min_from: Some(sizes.from.0),
            min_to: Some(sizes.min),
            max_from: Some(sizes.from.1),
            max_to: Some(sizes.max),
            ..of_asg(EventName::SizesSet, &sizes.asg)
        },
        Action::SetDesired(raise) => Event {
            from: Some(raise.from),
            to: Some(raise.to),
            ..of_asg(EventName::CapacityRaised, &raise.asg)
        },
        Action::Launch(launch) => Event {
            from: Some(launch.from),
            to: Some(launch.to),
            zone: Some(launch.zone.clone()),
            ..of_asg(EventName::CapacityRaised, &launch.asg)
        },
        Action::MarkDown(down) => {
            Event { reason: Some(down.reason.clone()), ..of_node(EventName::NodeDown, &down.node) }
        }
        Action::PowerDown(down) => {
            let reason = match (down.cause, plan.nodes.get(&down.node)) {
                (PowerDownCause::BillingHour, _) => BILLING_HOUR.to_owned(),
                (PowerDownCause::MakeRoom, _) => MAKE_ROOM.to_owned(),
                (PowerDownCause::Recover, Some(report)) => report.why.word(),
                // A node that Slurm gave up is off, and off is no news in a plan.
                (PowerDownCause::Recover, None) => variant_name(&Why::NeverRegistered),
            };
            let event = of_node(EventName::NodePowerDown, &down.node);
            Event { reason: Some(reason), ..event }
        }
        Action::GiveBack(back) => Event {
            from: Some(back.from),
            to: Some(back.to),
            ..of_asg(EventName::CapacityGivenBack, &back.asg)
        },
        Action::CloseNodes(close) => Event {
            reason: Some(close.reason.clone()),
            ..of_nodes(EventName::NodesClosed, &close.nodes)
        },
        Action::OpenNodes(open) => of_nodes(EventName::NodesOpened, &open.nodes),
        Action::Drain(drain) => Event {
            reason: Some(drain.reason.clone()),
            ..of_node(EventName::NodeDrained, &drain.node)
        },
        Action::Protect(protect) => Event {
            instance: Some(protect.instance.clone()),
            ..of_asg(EventName::InstanceProtected, &protect.asg)
        },
        Action::AnswerHook(told) => {
            let (name, reason) = match told.answer {
                HookAnswer::Wait => (EventName::HookHeld, None),
                HookAnswer::Continue | HookAnswer::Abandon => {
                    (EventName::HookCompleted, Some(variant_name(&told.answer)))
                }
            };
            Event {
                node: told.node.clone(),
                instance: Some(told.instance.clone()),
                hook: Some(told.hook.clone()),
                reason,
                ..of_asg(name, &told.asg)
            }
        }
        Action::PowerUp(up) => Event {
            reason: Some(power_up_word(up.cause).to_owned()),
            ..of_node(EventName::NodePowerUp, &up.node)
        },
        Action::Bind(bind) => Event {
            asg: Some(bind.asg.clone()),
            instance: Some(bind.instance.clone()),
            address: Some(bind.address.to_string()),
            ..of_node(EventName::NodeBound, &bind.node)
        },
        Action::Terminate(terminate) => Event {
            node: terminate.node.clone(),
            instance: Some(terminate.instance.clone()),
            reason: Some(terminate_word(terminate.cause).to_owned()),
            replaced: Some(!terminate.decrement),
            ..of_asg(EventName::InstanceTerminated, &terminate.asg)
        },
    }
}

const fn failed(action: &Action) -> EventName {
    match action {
        Action::SetSizes(_) => EventName::SizesSetFailed,
        Action::SetDesired(_) | Action::Launch(_) => EventName::CapacityRaisedFailed,
        Action::MarkDown(_) => EventName::NodeDownFailed,
        Action::PowerDown(_) => EventName::NodePowerDownFailed,
        Action::PowerUp(_) => EventName::NodePowerUpFailed,
        Action::Drain(_) => EventName::NodeDrainedFailed,
        Action::GiveBack(_) => EventName::CapacityGivenBackFailed,
        Action::CloseNodes(_) => EventName::NodesClosedFailed,
        Action::OpenNodes(_) => EventName::NodesOpenedFailed,
        Action::Protect(_) => EventName::InstanceProtectedFailed,
        Action::AnswerHook(told) => match told.answer {
            HookAnswer::Wait => EventName::HookHeldFailed,
            HookAnswer::Continue | HookAnswer::Abandon => EventName::HookCompletedFailed,
        },
        Action::Bind(_) => EventName::NodeBoundFailed,
        Action::Terminate(_) => EventName::InstanceTerminatedFailed,
    }
}

pub(super) const fn power_up_word(cause: PowerUpCause) -> &'static str {
    match cause {
        PowerUpCause::Base => "base",
        PowerUpCause::Initial => "initial",
    }
}

pub(super) const fn terminate_word(cause: TerminateCause) -> &'static str {
    match cause {
        TerminateCause::NodeReleased => "node_released",
        TerminateCause::Outdated => "outdated",
        TerminateCause::Orphan => "orphan",
    }
}

/// Groups whose launches begin to fail with this plan. `memory` is from before it.
#[must_use]
pub fn failing_launches(
    policy: &Policy,
    memory: &Memory,
    plan: &Plan,
    at: Timestamp,
) -> Vec<Event> {
    let event = |(asg, cooldown): (&AsgName, &Cooldown)| Event {
        group: policy.group_of_asg(asg).map(|(name, _)| name.clone()),
        asg: Some(asg.clone()),
        reason: Some(format!(
            "launches fail: {}; AWS says: {}",
            cooldown.reason(),
            cooldown.failure.message
        )),
        ..Event::new(at, EventName::LaunchesFail)
    };
    changed_cooldowns(&memory.cooldowns, &plan.cooldowns).into_iter().map(event).collect()
}

/// Auto Scaling groups that go into protected mode with this plan. `memory` is from before it.
#[must_use]
pub fn newly_protected(policy: &Policy, memory: &Memory, plan: &Plan, at: Timestamp) -> Vec<Event> {
    let event = |asg: &AsgName| {
        let (name, group) = policy.group_of_asg(asg)?;
        let shut = Shut::of((name, group), asg, None, memory, at)?;
        Some(Event {
            group: Some(name.clone()),
            asg: Some(asg.clone()),
            reason: Some(format!("protected mode: {}", shut.in_words())),
            ..Event::new(at, EventName::ProtectedMode)
        })
    };
    plan.protected.iter().filter_map(event).collect()
}

/// Boots that have failed.
#[must_use]
pub fn failed_boots(policy: &Policy, boots: &[FailedBoot], at: Timestamp) -> Vec<Event> {
    let event = |boot: &FailedBoot| of_boot(policy, boot, at, EventName::NeverRegistered);
    boots.iter().map(event).collect()
}

/// Somebody has set the machine's clock, by so many milliseconds.
#[must_use]
pub fn clock_set(millis: i64, at: Timestamp) -> Event {
    let way = if millis < 0 { "back" } else { "forward" };
    let span = Duration::from_millis(millis.unsigned_abs());
    let reason = Some(format!("{way} by {} s", span.as_secs_f64().round()));
    Event { reason, ..Event::new(at, EventName::ClockSet) }
}

/// What the console of an instance that never registered had last.
#[must_use]
pub fn boot_console(
    policy: &Policy,
    boot: &FailedBoot,
    console: Result<Option<String>, String>,
    at: Timestamp,
) -> Event {
    let event = of_boot(policy, boot, at, EventName::BootConsole);
    match console {
        Ok(console) => Event { console, ..event },
        Err(error) => Event { event: EventName::BootConsoleFailed, error: Some(error), ..event },
    }
}

fn of_boot(policy: &Policy, boot: &FailedBoot, at: Timestamp, name: EventName) -> Event {
    Event {
        group: policy.group_of(&boot.node).cloned(),
        asg: Some(boot.asg.clone()),
        node: Some(boot.node.clone()),
        instance: Some(boot.instance.clone()),
        ..Event::new(at, name)
    }
}

/// Jobs that begin to count with this plan. `memory` is from before it.
#[must_use]
pub fn counted_jobs(policy: &Policy, memory: &Memory, plan: &Plan, at: Timestamp) -> Vec<Event> {
    let ahead = |name: &&GroupName| plan.groups.get(*name).is_some_and(|report| report.ahead > 0);
    // Without `prelaunch` jobs are counted for whoever asks, and nothing is raised for them.
    let groups: Vec<_> = policy.groups.keys().filter(ahead).collect();
    if groups.is_empty() {
        return Vec::new();
    }
    let group = if let [group] = groups.as_slice() { Some((*group).clone()) } else { None };
    let is_new = |(id, verdict): &(&u32, &JobVerdict)| {
        verdict.why == JobWhy::Counted && !memory.counted_since.contains_key(*id)
    };
    let event = |(id, verdict): (&u32, &JobVerdict)| Event {
        group: group.clone(),
        job: Some(*id),
        node_count: Some(verdict.nodes),
        launch: Some(verdict.launch),
        ..Event::new(at, EventName::JobCounted)
    };
    plan.jobs.iter().filter(is_new).map(event).collect()
}

/// Jobs that were counted, that Slurm did not take, and that count no more.
#[must_use]
pub fn dropped_jobs(plan: &Plan, at: Timestamp) -> BTreeMap<u32, Event> {
    let dropped = plan.jobs.iter().filter(|(_, verdict)| verdict.why == JobWhy::NotTaken);
    let event = |(id, verdict): (&u32, &JobVerdict)| {
        let reason = Some(verdict.why.word());
        (*id, Event { job: Some(*id), reason, ..Event::new(at, EventName::JobDropped) })
    };
    dropped.map(event).collect()
}

/// How many nodes of a group wait to be let go, if any do.
#[must_use]
pub fn heartbeat(policy: &Policy, plan: &Plan, group: &GroupName, at: Timestamp) -> Option<Event> {
    let Waiting { count, oldest } = Waiting::of(plan, &policy.groups.get(group)?.nodes, at);
    (count > 0).then(|| Event {
        group: Some(group.clone()),
        idle: Some(count),
        oldest_idle_s: oldest.map(|oldest| oldest.as_secs()),
        ..Event::new(at, EventName::Heartbeat)
    })
}

/// A call of one of Slurm's programs: one event for each group that has some of the nodes, and
/// one for those that have no group. `jobs` are those that Slurm gave with the call, with their
/// nodes where it said so.
#[must_use]
pub fn of_request(
    policy: Option<&Policy>,
    name: EventName,
    nodes: &str,
    jobs: &[(u32, Option<String>)],
    at: Timestamp,
) -> Vec<Event> {
    let Ok(names) = hostlist::expand(nodes) else {
        let end = nodes.floor_char_boundary(UNREADABLE_MAX);
        let nodes = nodes.get(..end).map(str::to_owned);
        let jobs = jobs.iter().map(|(id, _)| *id).take(JOBS_MAX).collect();
        return vec![Event { nodes, jobs, ..Event::new(at, name) }];
    };
    let group_of = |node: &NodeName| policy.and_then(|policy| policy.group_of(node)).cloned();
    let mut by_group: BTreeMap<Option<GroupName>, (Vec<NodeName>, Vec<u32>)> = BTreeMap::new();
    for node in names {
        by_group.entry(group_of(&node)).or_default().0.push(node);
    }
    for (id, nodes) in jobs {
        let nodes = nodes.as_deref().and_then(|nodes| hostlist::expand(nodes).ok());
        for (group, (_, jobs)) in &mut by_group {
            let runs_there = nodes
                .as_ref()
                .is_none_or(|nodes| nodes.iter().any(|node| group_of(node) == *group));
            if runs_there && jobs.len() < JOBS_MAX {
                jobs.push(*id);
            }
        }
    }
    let event = |(group, (nodes, jobs)): (_, (Vec<_>, _))| {
        let nodes = Some(hostlist::compress(&nodes));
        Event { group, nodes, jobs, ..Event::new(at, name) }
    };
    by_group.into_iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node_state::{NodeState, Phase};
    use crate::plan::{
        Bind, GroupReport, Launch, MarkDown, NodeReport, PowerDown, PowerUp, SetDesired, SetSizes,
        Terminate,
    };

    const POLICY: &str = "
        [[group]]
        name = 'g'
        nodes = 'n[1-4]'
        asg = ['a', 'b']
        [[group]]
        name = 'h'
        nodes = 'm[1-4]'
        asg = 'c'
    ";

    fn policy() -> Policy {
        crate::policy::parse("asg.toml".as_ref(), POLICY).unwrap()
    }

    fn at() -> Timestamp {
        Timestamp::from_secs(1000)
    }

    /// The line without its time.
    fn line(event: &Event) -> String {
        let line = event.line().unwrap();
        line.trim_end().replace(r#""time":"1970-01-01T00:16:40.000Z","event":"#, "")
    }

    fn lines<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
        events.into_iter().map(line).collect()
    }

    fn node(why: Why) -> NodeReport {
        NodeReport { phase: Phase::Up, state: NodeState::default(), instance: None, why }
    }

    #[test]
    fn every_action_has_an_event_and_a_failed_one_says_why() {
        let node = NodeName::new("n1");
        let (instance, asg) = ("i-1".into(), AsgName::new("b"));
        let terminate = |decrement, node: Option<&str>, cause| {
            let node = node.map(NodeName::from);
            Terminate { instance: "i-1".into(), asg: "c".into(), node, decrement, cause }
        };
        let table = [
            (
                Action::SetSizes(SetSizes {
                    asg: asg.clone(),
                    from: (0, 4),
                    min: 1,
                    max: 8,
                    desired: 1,
                }),
                r#"{"sizes_set*","group":"g","asg":"b"*,"min_from":0,"min_to":1,"max_from":4,"max_to":8}"#,
            ),
            (
                Action::SetDesired(SetDesired { asg: asg.clone(), from: 1, to: 3 }),
                r#"{"capacity_raised*","group":"g","asg":"b"*,"from":1,"to":3}"#,
            ),
            (
                Action::MarkDown(MarkDown { node: node.clone(), reason: "(Code:X) y".into() }),
                r#"{"node_down*","group":"g","node":"n1","reason":"(Code:X) y"*}"#,
            ),
            (
                Action::PowerDown(power_down("m1", PowerDownCause::Recover)),
                r#"{"node_power_down*","group":"h","node":"m1","reason":"instance_gone"*}"#,
            ),
            (
                Action::PowerDown(power_down("m2", PowerDownCause::Recover)),
                r#"{"node_power_down*","group":"h","node":"m2","reason":"never_registered"*}"#,
            ),
            (
                Action::PowerDown(power_down("m3", PowerDownCause::BillingHour)),
                r#"{"node_power_down*","group":"h","node":"m3","reason":"billing_hour"*}"#,
            ),
            (
                Action::PowerUp(PowerUp { node: node.clone(), cause: PowerUpCause::Base }),
                r#"{"node_power_up*","group":"g","node":"n1","reason":"base"*}"#,
            ),
            (
                Action::Bind(Bind { node, instance, asg, address: [10, 0, 0, 1].into() }),
                r#"{"node_bound*","group":"g","asg":"b","node":"n1","instance":"i-1","address":"10.0.0.1"*}"#,
            ),
            (
                Action::Terminate(terminate(true, Some("m1"), TerminateCause::NodeReleased)),
                r#"{"instance_terminated*","group":"h","asg":"c","node":"m1","instance":"i-1","reason":"node_released"*,"replaced":false}"#,
            ),
            (
                Action::Terminate(terminate(false, None, TerminateCause::Orphan)),
                r#"{"instance_terminated*","group":"h","asg":"c","instance":"i-1","reason":"orphan"*,"replaced":true}"#,
            ),
        ];
        let plan = Plan { nodes: [("m1".into(), node_gone())].into(), ..Plan::default() };
        for (action, expected) in table {
            // The first star is the name's end, the second the place of the error.
            let expect =
                |name: &str, error: &str| expected.replacen('*', name, 1).replacen('*', error, 1);
            let told = |outcome| lines(&of_outcome(&policy(), &plan, &action, &outcome, at()));
            assert_eq!(told(Outcome::Done), [expect("", "")]);
            let failed = [expect("_failed", r#","error":"no""#)];
            assert_eq!(told(Outcome::Failed { why: "no".to_owned() }), failed);
            assert_eq!(told(Outcome::Unanswered { why: "no".to_owned() }), failed);
            assert_eq!(told(Outcome::Unsupported { why: "no".to_owned() }), failed);
        }
    }

    #[test]
    fn what_is_launched_in_a_zone_and_what_is_not_are_two_events() {
        let (asg, zone, token) = (AsgName::new("b"), "z".to_owned(), "t".to_owned());
        let launch = Action::Launch(Launch { asg, zone, count: 3, from: 1, to: 4, token });
        let told = |instances: &[&str], failure| {
            let instances = instances.iter().map(|id| (*id).into()).collect();
            let outcome = Outcome::Launched(Launched { instances, failure });
            lines(&of_outcome(&policy(), &Plan::default(), &launch, &outcome, at()))
        };
        let of = |end: &str, error: &str, from: u32, to: u32| {
            let name = format!(r#"{{"capacity_raised{end}","group":"g","asg":"b"{error}"#);
            format!(r#"{name},"from":{from},"to":{to},"zone":"z"}}"#)
        };
        assert_eq!(told(&["i-1", "i-2", "i-3"], None), [of("", "", 1, 4)]);
        let failure = crate::testing::World::new(0, 1, &[]).failure("z");
        let error = r#","error":"InsufficientInstanceCapacity: no capacity""#;
        let failed = Some(failure);
        assert_eq!(told(&[], failed.clone()), [of("_failed", error, 1, 4)]);
        assert_eq!(told(&["i-1"], failed), [of("", "", 1, 2), of("_failed", error, 2, 4)]);
    }

    fn power_down(node: &str, cause: PowerDownCause) -> PowerDown {
        PowerDown { node: node.into(), cause }
    }

    fn node_gone() -> NodeReport {
        node(Why::InstanceGone)
    }

    fn verdict(why: JobWhy, launch: u32) -> JobVerdict {
        JobVerdict { nodes: 2, launch, why }
    }

    #[test]
    fn a_job_is_counted_once_and_only_where_capacity_is_raised_for_it() {
        let jobs = [
            (7, verdict(JobWhy::Counted, 1)),
            (8, verdict(JobWhy::Counted, 2)),
            (9, verdict(JobWhy::FitsOnNodesThatAreUp, 0)),
            (10, verdict(JobWhy::Held, 0)),
        ];
        let mut plan = Plan { jobs: std::sync::Arc::new(jobs.into()), ..Plan::default() };
        let memory = Memory { counted_since: [(7, at())].into(), ..Memory::default() };
        let counted = |plan: &Plan| counted_jobs(&policy(), &memory, plan, at());
        assert_eq!(counted(&plan), [], "no group counts ahead");
        let ahead = GroupReport { ahead: 3, ..GroupReport::default() };
        plan.groups.insert("h".into(), ahead.clone());
        let expected = r#"{"job_counted","group":"h","job":8,"node_count":2,"launch":2}"#;
        assert_eq!(lines(&counted(&plan)), [expected]);
        plan.groups.insert("g".into(), ahead);
        assert_eq!(lines(&counted(&plan)), [expected.replace(r#""group":"h","#, "")]);
    }

    #[test]
    fn a_job_that_slurm_does_not_take_is_dropped() {
        let jobs = [(7, verdict(JobWhy::NotTaken, 0)), (8, verdict(JobWhy::Counted, 1))];
        let plan = Plan { jobs: std::sync::Arc::new(jobs.into()), ..Plan::default() };
        let dropped = dropped_jobs(&plan, at());
        assert_eq!(lines(dropped.values()), [r#"{"job_dropped","job":7,"reason":"not_taken"}"#]);
    }

    #[test]
    fn a_heartbeat_counts_nodes_that_wait_and_says_how_long_the_first_has() {
        let since = |secs| Some(Timestamp::from_secs(secs));
        let hour = Timestamp::from_secs(900);
        let table = [
            (vec![], None),
            (vec![("n1", Why::Busy), ("n2", Why::Base { since: since(1) })], None),
            (
                vec![
                    ("n1", Why::Idle { since: since(990) }),
                    ("n2", Why::Idle { since: since(940) }),
                ],
                Some(r#"{"heartbeat","group":"g","idle":2,"oldest_idle_s":60}"#),
            ),
            (
                vec![("n1", Why::Idle { since: None })],
                Some(r#"{"heartbeat","group":"g","idle":1}"#),
            ),
            (
                vec![
                    ("n1", Why::WaitsForBillingHour { since: hour, at: at() }),
                    ("n2", Why::BillingHourEnds { since: hour }),
                ],
                Some(r#"{"heartbeat","group":"g","idle":2,"oldest_idle_s":100}"#),
            ),
            (vec![("m1", Why::Idle { since: since(990) })], None),
        ];
        for (nodes, expected) in table {
            let nodes = nodes.into_iter().map(|(name, why)| (name.into(), node(why)));
            let plan = Plan { nodes: nodes.collect(), ..Plan::default() };
            let beat = heartbeat(&policy(), &plan, &"g".into(), at());
            assert_eq!(beat.as_ref().map(line).as_deref(), expected);
        }
    }

    #[test]
    fn a_request_is_told_by_group_with_the_jobs_that_run_there() {
        let jobs = |jobs: &[(u32, Option<&str>)]| -> Vec<_> {
            jobs.iter().map(|(id, nodes)| (*id, nodes.map(str::to_owned))).collect()
        };
        let told = |nodes: &str, given: &[(u32, Option<&str>)]| {
            let name = EventName::NodesResumed;
            lines(&of_request(Some(&policy()), name, nodes, &jobs(given), at()))
        };
        assert_eq!(
            told("m3,n[1-2],x1", &[(1, Some("n1")), (2, Some("n2,m3")), (3, None)]),
            [
                r#"{"nodes_resumed","nodes":"x1","jobs":[3]}"#,
                r#"{"nodes_resumed","group":"g","nodes":"n[1-2]","jobs":[1,2,3]}"#,
                r#"{"nodes_resumed","group":"h","nodes":"m3","jobs":[2,3]}"#,
            ]
        );
        assert_eq!(told("n[1-", &[]), [r#"{"nodes_resumed","nodes":"n[1-"}"#]);
        let unknown = of_request(None, EventName::NodesSuspended, "n1", &[], at());
        assert_eq!(lines(&unknown), [r#"{"nodes_suspended","nodes":"n1"}"#]);
    }
}
