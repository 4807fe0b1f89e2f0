//! What a look tells beside decisions: when a node is up, and how many instances do what. From these
//! lines the history of a cluster is reckoned (`slurm-asg report`).

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Event, EventName};
use crate::ids::{GroupName, NodeName};
use crate::memory::Memory;
use crate::node_state::Phase;
use crate::plan::{NodeReport, Plan, Why};
use crate::policy::{GroupPolicy, Policy};
use crate::snapshot::{Lifecycle, Seen, Snapshot};
use crate::time::Timestamp;

/// A group's numbers are told no more often than this, however quickly they change.
const STATE_REST: Duration = Duration::from_secs(10);
/// They are told this often although nothing changes: who reads the log sees that somebody looked.
pub const STATE_AGAIN: Duration = Duration::from_secs(3600);

/// What was told.
#[derive(Debug, Default)]
pub struct Chronicle {
    states: BTreeMap<GroupName, (GroupState, Timestamp)>,
    /// Nodes that had an instance and had not registered at the last look, and since when.
    booting: BTreeMap<NodeName, Timestamp>,
}

/// What the instances of a group do; each is in one number of `busy` to `releasing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct GroupState {
    /// Behind nodes with work.
    busy: u32,
    /// Behind nodes without work that wait to be let go.
    idle: u32,
    /// Behind nodes without work that the group keeps.
    base: u32,
    /// Launched for a node that waits, and not registered yet.
    booting: u32,
    /// Serve no node, and none waits for them.
    spare: u32,
    /// On their way out.
    releasing: u32,
    desired: u32,
    max: u32,
    demand: u32,
}

impl Chronicle {
    /// What one look has to tell. `memory` is from before its plan.
    pub fn of_look(
        &mut self,
        policy: &Policy,
        memory: &Memory,
        snapshot: &Snapshot,
        plan: &Plan,
        at: Timestamp,
    ) -> Vec<Event> {
        if snapshot.nodes.known().is_none() {
            return Vec::new();
        }
        let mut events = self.nodes_up(policy, plan, at);
        for (name, group) in &policy.groups {
            let Some(now) = group_state(name, group, memory, snapshot, plan) else { continue };
            let is_due = self.states.get(name).is_none_or(|(told, told_at)| {
                let rest = if *told == now { STATE_AGAIN } else { STATE_REST };
                // The clock may have been set back.
                at < *told_at || at.since(*told_at) >= rest
            });
            if is_due {
                self.states.insert(name.clone(), (now, at));
                events.push(now.event(name, at));
            }
        }
        events
    }

    fn nodes_up(&mut self, policy: &Policy, plan: &Plan, at: Timestamp) -> Vec<Event> {
        let before = std::mem::take(&mut self.booting);
        let mut events = Vec::new();
        for (name, report) in &plan.nodes {
            match (&report.why, before.get(name)) {
                (Why::Booting { since }, _) => {
                    self.booting.insert(name.clone(), *since);
                }
                (Why::Bound, _) => {
                    self.booting.insert(name.clone(), at);
                }
                (_, Some(since)) if report.phase == Phase::Up => events.push(Event {
                    group: policy.group_of(name).cloned(),
                    node: Some(name.clone()),
                    instance: report.instance.clone(),
                    boot_ms: u64::try_from(at.since(*since).as_millis()).ok(),
                    ..Event::new(at, EventName::NodeUp)
                }),
                _ => {}
            }
        }
        events
    }
}

/// `None` if not all of it can be seen.
fn group_state(
    name: &GroupName,
    group: &GroupPolicy,
    memory: &Memory,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Option<GroupState> {
    let report = plan.groups.get(name)?;
    let (mut alive, mut releasing) = (0_u32, 0_u32);
    for asg in &group.asgs {
        let Some(Seen::Known(asg)) = snapshot.asgs.get(asg) else { return None };
        for (id, member) in &asg.instances {
            match member.lifecycle {
                Lifecycle::Pending | Lifecycle::PendingWait | Lifecycle::InService
                    if !memory.releases.contains_key(id) =>
                {
                    alive += 1;
                }
                // Standby and detached instances are somebody else's.
                Lifecycle::Other(_) => {}
                Lifecycle::Pending
                | Lifecycle::PendingWait
                | Lifecycle::InService
                | Lifecycle::Terminating
                | Lifecycle::TerminatingWait => releasing += 1,
            }
        }
    }
    let reports = group.nodes.iter().filter_map(|node| plan.nodes.get(node));
    let count = |is_it: &dyn Fn(&NodeReport) -> bool| -> u32 {
        u32::try_from(reports.clone().filter(|report| is_it(report)).count()).unwrap_or(u32::MAX)
    };
    let base = count(&|node| matches!(node.why, Why::Base { .. })).min(report.idle);
    let without_instance = count(&|node| {
        matches!(node.phase, Phase::Booting | Phase::Wanted) && node.instance.is_none()
    });
    let awaited = report.spare.min(without_instance.saturating_add(report.ahead));
    let spare = report.spare - awaited;
    let served = report.busy.saturating_add(report.idle).saturating_add(spare);
    Some(GroupState {
        busy: report.busy,
        idle: report.idle - base,
        base,
        booting: alive.saturating_sub(served),
        spare,
        releasing,
        desired: report.desired,
        max: report.max,
        demand: report.demand,
    })
}

impl GroupState {
    fn event(self, name: &GroupName, at: Timestamp) -> Event {
        Event {
            group: Some(name.clone()),
            busy: Some(self.busy),
            idle: Some(self.idle),
            base: Some(self.base),
            booting: Some(self.booting),
            spare: Some(self.spare),
            releasing: Some(self.releasing),
            desired: Some(self.desired),
            max: Some(self.max),
            demand: Some(self.demand),
            ..Event::new(at, EventName::GroupState)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Release;
    use crate::node_state::NodeState;
    use crate::plan::{GroupReport, TerminateCause};
    use crate::snapshot::{Asg, Member};

    const POLICY: &str = "[[group]]\nname = 'g'\nnodes = 'n[1-8]'\nasg = 'a'\n";

    fn policy() -> Policy {
        crate::policy::parse("asg.toml".as_ref(), POLICY).unwrap()
    }

    fn node(phase: Phase, why: Why, instance: Option<&str>) -> NodeReport {
        NodeReport { phase, state: NodeState::default(), instance: instance.map(Into::into), why }
    }

    fn booting(since: i64) -> NodeReport {
        let since = Timestamp::from_secs(since);
        node(Phase::Booting, Why::Booting { since }, Some("i-1"))
    }

    fn plan(nodes: Vec<(&str, NodeReport)>, report: GroupReport) -> Plan {
        Plan {
            nodes: nodes.into_iter().map(|(name, report)| (name.into(), report)).collect(),
            groups: [("g".into(), report)].into(),
            ..Plan::default()
        }
    }

    fn snapshot(instances: &[(&str, Lifecycle)]) -> Snapshot {
        let member = |lifecycle: &Lifecycle| Member {
            lifecycle: lifecycle.clone(),
            healthy: true,
            zone: String::new(),
            protected: false,
        };
        let instances = instances.iter().map(|(id, cycle)| ((*id).into(), member(cycle)));
        let asg = Asg { instances: instances.collect(), ..Asg::default() };
        Snapshot {
            nodes: Seen::Known(std::sync::Arc::default()),
            asgs: [("a".into(), Seen::Known(asg))].into(),
            now: Timestamp::default(),
            queue: Seen::Unknown { why: String::new() },
            counted: None,
            machines: BTreeMap::new(),
        }
    }

    #[test]
    fn each_instance_is_in_one_number() {
        let in_service = Lifecycle::InService;
        let snapshot = snapshot(&[
            ("i-1", in_service.clone()),
            ("i-2", in_service.clone()),
            ("i-3", in_service.clone()),
            ("i-4", Lifecycle::Pending),
            ("i-5", in_service.clone()),
            ("i-6", Lifecycle::Terminating),
            ("i-7", in_service.clone()),
            ("i-8", Lifecycle::Other("Standby".to_owned())),
            ("i-9", in_service),
        ]);
        let release = Release {
            asg: "a".into(),
            node: None,
            cause: TerminateCause::Orphan,
            decided_at: Timestamp::default(),
            accepted: None,
            retry: None,
            boot: crate::memory::Boot::Awaited,
        };
        let memory = Memory { releases: [("i-7".into(), release)].into(), ..Memory::default() };
        let report = GroupReport {
            busy: 1,
            idle: 2,
            booting: 2,
            // i-4 for n5, which waits; i-9 for nobody.
            spare: 2,
            desired: 6,
            max: 8,
            demand: 5,
            ..GroupReport::default()
        };
        let nodes = vec![
            ("n1", node(Phase::Up, Why::Busy, Some("i-1"))),
            ("n2", node(Phase::Up, Why::Idle { since: None }, Some("i-2"))),
            ("n3", node(Phase::Up, Why::Base { since: None }, Some("i-3"))),
            ("n4", booting(1)),
            ("n5", node(Phase::Booting, Why::WaitsForLaunch, None)),
        ];
        let plan = plan(nodes, report);
        let at = Timestamp::from_secs(1000);
        let events = Chronicle::default().of_look(&policy(), &memory, &snapshot, &plan, at);
        let expected = r#"{"time":"1970-01-01T00:16:40.000Z","event":"group_state","group":"g","idle":1,"max":8,"desired":6,"demand":5,"busy":1,"base":1,"booting":2,"spare":1,"releasing":2}"#;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].line().unwrap().trim_end(), expected);
        let mut unknown = snapshot.clone();
        unknown.asgs.insert("a".into(), Seen::Unknown { why: "throttled".to_owned() });
        let told = Chronicle::default().of_look(&policy(), &memory, &unknown, &plan, at);
        assert_eq!(told, [], "what is not known has no numbers");
    }

    #[test]
    fn numbers_are_told_when_they_change_but_not_too_often_and_once_an_hour() {
        let mut chronicle = Chronicle::default();
        let mut told = |secs, busy| {
            let report = GroupReport { busy, ..GroupReport::default() };
            let at = Timestamp::from_secs(secs);
            let plan = plan(Vec::new(), report);
            let (policy, memory) = (policy(), Memory::default());
            chronicle.of_look(&policy, &memory, &snapshot(&[]), &plan, at).len()
        };
        assert_eq!(told(1000, 0), 1);
        assert_eq!(told(1001, 1), 0);
        assert_eq!(told(1010, 1), 1);
        assert_eq!(told(4609, 1), 0);
        assert_eq!(told(4610, 1), 1);
        assert_eq!(told(100, 1), 1, "the clock was set back");
    }

    #[test]
    fn a_node_that_has_booted_is_told_once_with_the_time_that_it_took() {
        let mut chronicle = Chronicle::default();
        let mut told = |secs, report: NodeReport| {
            let plan = plan(vec![("n1", report)], GroupReport::default());
            let at = Timestamp::from_secs(secs);
            let (policy, memory) = (policy(), Memory::default());
            let events = chronicle.of_look(&policy, &memory, &snapshot(&[]), &plan, at);
            let up = events.into_iter().filter(|event| event.event == EventName::NodeUp);
            up.map(|event| event.boot_ms.unwrap()).collect::<Vec<_>>()
        };
        let up = || node(Phase::Up, Why::Busy, Some("i-1"));
        // It was up before anyone looked.
        assert_eq!(told(1, up()), [0; 0]);
        assert_eq!(told(10, node(Phase::Booting, Why::Bound, Some("i-1"))), [0; 0]);
        assert_eq!(told(20, booting(11)), [0; 0]);
        assert_eq!(told(60, up()), [49_000]);
        assert_eq!(told(61, up()), [0; 0]);
        // One that fails is not up.
        assert_eq!(told(70, booting(70)), [0; 0]);
        assert_eq!(told(90, node(Phase::Off, Why::InstanceGone, None)), [0; 0]);
        assert_eq!(told(91, up()), [0; 0]);
    }
}
