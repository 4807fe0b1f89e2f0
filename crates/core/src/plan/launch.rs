//! Groups whose instances are asked for by zone (`api = "launch-instances"`).
//!
//! AWS answers at once which instances it has launched, or why not. The nodes of one job are asked
//! for in one zone. A zone that has launched less than it was asked for is left alone for
//! `capacity_cooldown`, and the next one is asked at once; if none is left, the group cools down.

use std::collections::BTreeMap;

use super::capacity::Book;
use super::group::Pass;
use super::supply::count;
use super::{Action, LAUNCH_MAX, Launch};
use crate::ids::{AsgName, NodeName};
use crate::memory::{Cooldown, Memory};
use crate::policy::{Api, GroupPolicy};
use crate::snapshot::{Asg, FailureKind, LaunchFailure};
use crate::time::Timestamp;

/// A subnet's addresses are a matter of its zone, other limits are not.
const ADDRESSES: &str = "InsufficientFreeAddressesInSubnet";
/// Characters of a group's name that a token has: tokens have at most 64 (API reference).
const TOKEN_NAME_MAX: usize = 32;

/// Instances that go together: those of one job.
struct Claim<'a> {
    count: u32,
    zone: Option<&'a str>,
}

impl<'a> Pass<'a, '_> {
    /// Whether the instances of an Auto Scaling group are asked for by zone.
    pub(super) fn launches_by_zone(&self, book: &Book<'_>) -> bool {
        is_by_zone(self.scene.group, self.scene.memory, book.name, book.asg)
    }

    /// Says where instances cannot be asked for by zone.
    pub(super) fn say_refusals(&mut self) {
        let group = self.scene.group;
        if group.api != Api::LaunchInstances {
            return;
        }
        for asg in &group.asgs {
            if let Some(refusal) = self.scene.memory.launch_refusals.get(asg) {
                self.plan.advice.insert(format!(
                    "group={}: {}; SetDesiredCapacity is used for Auto Scaling group {asg} \
                     instead, write api = \"set-desired-capacity\" if that is to stay so",
                    self.scene.name, refusal.why
                ));
            }
        }
    }

    /// Makes requests again that have not been answered: with the same token nothing is launched
    /// twice.
    pub(super) fn repeat_launches(&mut self) {
        let now = self.scene.snapshot.now;
        let open = self.scene.memory.launches.iter().filter(|(_, it)| it.launched.is_none());
        for (token, launching) in open {
            let book = self.books.iter().find(|book| *book.name == launching.asg);
            let Some(book) = book.filter(|book| book.shut.is_none()) else { continue };
            if let Some(retry) = launching.retry.filter(|retry| retry.not_before > now) {
                self.plan.wake(retry.not_before);
                continue;
            }
            self.plan.actions.push(Action::Launch(Launch {
                asg: launching.asg.clone(),
                zone: launching.zone.clone(),
                count: launching.count,
                from: book.desired(),
                to: book.desired().saturating_add(launching.count),
                token: token.clone(),
            }));
        }
    }

    /// Asks for so many instances, for these nodes first and then for pending jobs.
    pub(super) fn launch(&mut self, at: usize, more: u32, waiting: &[&'a NodeName]) {
        let scene = self.scene;
        let Some(book) = self.books.get(at) else { return };
        let (name, desired) = (book.name, book.desired().saturating_add(book.launching()));
        let failing = failing_zones(scene.group, name, scene.memory, scene.snapshot.now);
        let mut load = self.load_of_zones(at);
        load.retain(|zone, _| !failing.contains_key(zone));
        let mut asked: BTreeMap<&str, u32> = BTreeMap::new();
        let mut left = more;
        for claim in self.claims(waiting, more) {
            let emptiest = || load.iter().min_by_key(|(_, load)| **load).map(|(zone, _)| *zone);
            let zone = claim.zone.filter(|zone| load.contains_key(zone)).or_else(emptiest);
            let Some(zone) = zone else { return };
            let count = claim.count.min(left);
            left -= count;
            *asked.entry(zone).or_insert(0) += count;
            if let Some(load) = load.get_mut(zone) {
                *load += count;
            }
        }
        let mut from = desired;
        let mut nth = 0;
        for (zone, mut count) in asked {
            while count > 0 {
                let part = count.min(LAUNCH_MAX);
                count -= part;
                let to = from.saturating_add(part);
                let launch = Launch {
                    asg: name.clone(),
                    zone: zone.to_owned(),
                    count: part,
                    from,
                    to,
                    token: self.token(name, &mut nth),
                };
                from = to;
                self.plan.actions.push(Action::Launch(launch));
            }
        }
    }

    /// Who wants how many, and where.
    fn claims(&self, waiting: &[&'a NodeName], more: u32) -> Vec<Claim<'a>> {
        let owners = self.owners();
        let mut of_jobs: BTreeMap<usize, u32> = BTreeMap::new();
        let mut others = 0;
        for name in waiting.iter().take(more as usize) {
            match owners.get(name) {
                Some(at) => *of_jobs.entry(*at).or_insert(0) += 1,
                None => others += 1,
            }
        }
        let of_job = |(at, count): (usize, u32)| {
            let job = self.jobs.get(at);
            Claim { count, zone: job.and_then(|job| self.zone_of_job(job)) }
        };
        let mut claims: Vec<_> = of_jobs.into_iter().map(of_job).collect();
        claims.extend((0..others).map(|_| Claim { count: 1, zone: None }));
        let mut ahead = more.saturating_sub(count(waiting.len()));
        for verdict in self.scene.pending.values() {
            let count = verdict.launch.min(ahead);
            ahead -= count;
            if count > 0 {
                claims.push(Claim { count, zone: None });
            }
        }
        // What the queue does not explain, as nodes that are kept without a job.
        claims.extend((0..ahead).map(|_| Claim { count: 1, zone: None }));
        claims
    }

    /// A token that no other request has: the group, the time, and the number at that time.
    fn token(&self, asg: &AsgName, nth: &mut u32) -> String {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name: String = asg.as_str().chars().filter(plain).take(TOKEN_NAME_MAX).collect();
        loop {
            *nth += 1;
            let token = format!("{name}-{}-{nth}", self.scene.snapshot.now.millis());
            if !self.scene.memory.launches.contains_key(&token) {
                return token;
            }
        }
    }
}

/// Whether an Auto Scaling group is asked for instances by zone.
fn is_by_zone(group: &GroupPolicy, memory: &Memory, name: &AsgName, asg: &Asg) -> bool {
    group.api == Api::LaunchInstances
        && !memory.launch_refusals.contains_key(name)
        && !asg.zones.is_empty()
}

/// Zones that are left alone, and why.
fn failing_zones<'a>(
    group: &GroupPolicy,
    asg: &AsgName,
    memory: &'a Memory,
    now: Timestamp,
) -> BTreeMap<&'a str, &'a LaunchFailure> {
    let in_force = |failure: &LaunchFailure| {
        failure.at <= now && now.since(failure.at) < group.capacity_cooldown
    };
    let failures = memory.zone_failures.get(asg).into_iter().flatten();
    let failures = failures.filter(|(_, failure)| in_force(failure));
    failures.map(|(zone, failure)| (zone.as_str(), failure)).collect()
}

/// The cooldown of an Auto Scaling group none of whose zones can be asked for anything.
pub fn cooldown_of_zones(
    group: &GroupPolicy,
    name: &AsgName,
    asg: &Asg,
    memory: &Memory,
    now: Timestamp,
) -> Option<Cooldown> {
    if !is_by_zone(group, memory, name, asg) {
        return None;
    }
    let failing = failing_zones(group, name, memory, now);
    let is_everywhere = |failure: &&&LaunchFailure| {
        failure.kind != FailureKind::Capacity && failure.code != ADDRESSES
    };
    let everywhere = failing.values().filter(is_everywhere).max_by_key(|failure| failure.at);
    let until = |failure: &LaunchFailure| failure.at.after(group.capacity_cooldown);
    let (failure, until) = if let Some(failure) = everywhere {
        (*failure, until(failure))
    } else if asg.zones.iter().all(|zone| failing.contains_key(zone.as_str())) {
        let last = failing.values().max_by_key(|failure| failure.at)?;
        (*last, failing.values().map(|failure| until(failure)).min()?)
    } else {
        return None;
    };
    Some(Cooldown { failure: failure.clone(), noticed_at: now, until })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use crate::check::check;
    use crate::memory::{Launched, Outcome};
    use crate::plan::{Action, Plan, Why};
    use crate::snapshot::{FailureKind, LaunchFailure, Lifecycle};
    use crate::testing::{World, policy_with, told};

    const API: &str = "api = \"launch-instances\"\n";

    /// A group over zones y and z that may have `max` instances.
    fn world(max: u32, lines: &[&str]) -> World {
        let mut world = World::new(0, max, lines);
        world.policy = policy_with(API);
        world.asg_mut().zones = vec!["y".to_owned(), "z".to_owned()];
        world
    }

    fn turn(world: &mut World) -> Vec<String> {
        let plan = world.plan();
        world.carry_out(&plan);
        told(&plan)
    }

    /// Every launch of the plan ends so.
    fn settle(world: &mut World, plan: &Plan, outcome: &Outcome) {
        let now = world.snapshot.now;
        world.memory.intend(plan, now);
        let launches = plan.actions.iter().filter(|it| matches!(it, Action::Launch(_)));
        let outcomes: Vec<_> = launches.map(|it| (it.clone(), outcome.clone())).collect();
        world.memory.settle(&outcomes, now);
    }

    fn token(plan: &Plan) -> String {
        plan.actions.iter().find_map(Action::launch).unwrap().token.clone()
    }

    #[test]
    fn each_job_gets_its_instances_in_one_zone_and_the_zones_are_filled_evenly() {
        let lines = ["n1 off", "n2 off", "n3 off", "n4 off", "n5 off", "job 3", "job 1", "job 1"];
        let mut world = world(8, &lines);
        let plan = world.plan();
        assert_eq!(told(&plan), ["launch 3 in y", "launch 2 in z"]);
        assert!(plan.actions.iter().all(|it| matches!(it, Action::Launch(it) if it.to <= 5)));
        world.carry_out(&plan);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        assert_eq!(world.asg_mut().desired, 5);
    }

    #[test]
    fn a_job_that_has_instances_gets_the_others_where_these_are() {
        let lines = ["n1 alloc_powering_up", "n2 alloc_powering_up", "n3 alloc_powering_up"];
        let mut world = world(8, &lines);
        world.configure(1, "n[1-3]", 5);
        world.launch("i-1", Lifecycle::InService);
        world.bind("n1", "i-1");
        world.asg_mut().desired = 1;
        // Zone y is empty; the job is in z.
        assert_eq!(turn(&mut world), ["launch 2 in z"]);
        world.launch("i-7", Lifecycle::InService);
        world.asg_mut().instances.get_mut(&"i-7".into()).unwrap().zone = "y".to_owned();
        world.asg_mut().desired += 1;
        let bound = turn(&mut world);
        assert_eq!(bound, ["bind n2 i-101", "bind n3 i-102"], "and not the one in y");
    }

    #[test]
    fn a_burst_is_asked_for_in_parts_of_a_hundred_and_not_beyond_the_maximum() {
        let names: Vec<_> = (1..=64).map(|nth| format!("n{nth} off")).collect();
        let mut lines: Vec<&str> = names.iter().map(String::as_str).collect();
        lines.push("job 64");
        let mut small = world(5, &lines);
        assert_eq!(turn(&mut small), ["launch 5 in y"]);
        let text = "[[group]]\nname = 'g'\nnodes = 'n[1-250]'\nasg = 'a'\n";
        let mut world = world(250, &[]);
        world.policy = crate::policy::parse("asg.toml".as_ref(), &format!("{text}{API}")).unwrap();
        for nth in 1..=250 {
            let node = world.node_mut(&format!("n{nth}"));
            node.state = crate::node_state::NodeState(crate::testing::state("off"));
            node.cpus = 2;
        }
        world.submit(250);
        let plan = world.plan();
        assert_eq!(told(&plan), ["launch 100 in y", "launch 100 in y", "launch 50 in y"]);
        let launches = plan.actions.iter().filter_map(Action::launch);
        let tokens: BTreeSet<_> = launches.map(|launch| &launch.token).collect();
        assert_eq!(tokens.len(), 3, "each has a token of its own");
    }

    #[test]
    fn a_zone_without_capacity_is_left_alone_and_the_next_one_is_asked_at_once() {
        let mut world = world(8, &["n1 alloc_powering_up", "n2 off"]);
        world.empty_zones.insert("y".to_owned());
        assert_eq!(turn(&mut world), ["launch 1 in y"]);
        assert_eq!(turn(&mut world), ["launch 1 in z"]);
        assert_eq!(turn(&mut world), ["bind n1 i-100"]);
        world.submit(1);
        assert_eq!(turn(&mut world), ["launch 1 in z"]);
        world.pass(601);
        world.empty_zones.clear();
        world.asg_mut().instances.clear();
        world.memory.bindings.clear();
        world.asg_mut().desired = 0;
        assert_eq!(turn(&mut world), ["launch 1 in y"], "its time is over");
        assert!(world.memory.zone_failures.is_empty());
    }

    #[test]
    fn without_any_zone_the_group_cools_down_until_the_first_may_be_asked_again() {
        let mut world = world(8, &["n1 alloc_powering_up", "n2 off"]);
        world.empty_zones = ["y".to_owned(), "z".to_owned()].into();
        assert_eq!(turn(&mut world), ["launch 1 in y"]);
        world.pass(10);
        assert_eq!(turn(&mut world), ["launch 1 in z"]);
        let plan = world.plan();
        assert_eq!(told(&plan), ["close n2"]);
        let code = "InsufficientInstanceCapacity".to_owned();
        let at = world.snapshot.now.after(Duration::from_secs(590));
        assert_eq!(plan.nodes[&"n1".into()].why, Why::NoCapacity { code, at });
        world.carry_out(&plan);
        world.pass(2);
        assert_eq!(turn(&mut world), ["down n1", "power_down n1"]);
        world.node_mut("n1").state = crate::node_state::NodeState(crate::testing::state("off"));
        world.pass(588);
        assert_eq!(turn(&mut world), ["open n2"]);
        world.submit(1);
        assert_eq!(turn(&mut world), ["launch 1 in y"]);
        assert_eq!(turn(&mut world), ["close n[1-2]"], "z still cools down");
        assert!(world.memory.clear(&["a".into()], world.snapshot.now));
        assert!(world.memory.zone_failures.is_empty(), "and an administrator ends that");
    }

    #[test]
    fn a_limit_is_a_matter_of_all_zones() {
        let mut world = world(8, &["n1 alloc_powering_up"]);
        let plan = world.plan();
        let failure = LaunchFailure {
            kind: FailureKind::Limit,
            code: "VcpuLimitExceeded".to_owned(),
            ..world.failure("y")
        };
        let none = Launched { failure: Some(failure), ..Launched::default() };
        settle(&mut world, &plan, &Outcome::Launched(none));
        let plan = world.plan();
        assert_eq!(told(&plan), Vec::<String>::new());
        assert!(plan.groups[&"g".into()].problem.clone().unwrap().contains("VcpuLimitExceeded"));
    }

    #[test]
    fn a_request_without_an_answer_is_made_again_with_the_same_token() {
        let mut world = world(2, &["n1 alloc_powering_up", "n2 alloc_powering_up"]);
        let plan = world.plan();
        let first = token(&plan);
        // It crashed before any answer came.
        world.memory.intend(&plan, world.snapshot.now);
        let again = world.plan();
        assert_eq!(token(&again), first);
        settle(&mut world, &again, &Outcome::Unanswered { why: "lost".to_owned() });
        assert_eq!(told(&world.plan()), Vec::<String>::new());
        world.pass(1);
        let third = world.plan();
        assert_eq!((told(&third), token(&third)), (told(&plan), first));
        world.carry_out(&third);
        assert_eq!(turn(&mut world), ["bind n1 i-100", "bind n2 i-101"]);
        assert!(world.memory.launches.is_empty());
    }

    #[test]
    fn what_is_launched_and_not_listed_yet_is_not_asked_for_again() {
        let mut world = world(4, &["n1 alloc_powering_up"]);
        let plan = world.plan();
        let instances = BTreeSet::from(["i-5".into()]);
        settle(&mut world, &plan, &Outcome::Launched(Launched { instances, failure: None }));
        let plan = world.plan();
        assert_eq!(told(&plan), Vec::<String>::new());
        assert_eq!(plan.nodes[&"n1".into()].why, Why::WaitsForLaunch);
        world.pass(30);
        assert_eq!(turn(&mut world), ["launch 1 in y"], "a read is not as old as that");
    }

    #[test]
    fn a_group_that_cannot_is_raised_by_number_and_the_log_says_so() {
        let mut world = world(4, &["n1 alloc_powering_up"]);
        let plan = world.plan();
        let why = "LaunchInstances: ValidationError: no launch template".to_owned();
        settle(&mut world, &plan, &Outcome::Unsupported { why });
        let plan = world.plan();
        assert_eq!(told(&plan), ["desired 0 -> 1"]);
        let line = plan.advice.first().unwrap();
        assert!(line.starts_with("group=g: LaunchInstances: ValidationError: no launch"), "{line}");
        world.pass(3600);
        assert_eq!(told(&world.plan()), ["launch 1 in y"], "an hour later it is tried again");
    }

    #[test]
    fn a_call_that_was_refused_is_made_again_after_a_pause_as_a_new_request() {
        let mut world = world(4, &["n1 alloc_powering_up"]);
        let plan = world.plan();
        let first = token(&plan);
        settle(&mut world, &plan, &Outcome::Failed { why: "throttled".to_owned() });
        assert_eq!(told(&world.plan()), Vec::<String>::new());
        world.pass(1);
        assert_ne!(token(&world.plan()), first);
    }

    #[test]
    fn the_checker_lets_nothing_pass_that_the_group_has_no_room_for() {
        let mut world = world(2, &["n1 alloc_powering_up", "n2 off"]);
        let good = world.plan();
        let broken = |change: &dyn Fn(&mut super::Launch)| {
            let mut plan = good.clone();
            for action in &mut plan.actions {
                if let Action::Launch(launch) = action {
                    change(launch);
                }
            }
            check(&world.policy, &world.memory, &world.snapshot, &plan).len()
        };
        assert_eq!(broken(&|_| ()), 0);
        assert_eq!(broken(&|launch| launch.count = 3), 1);
        assert_eq!(broken(&|launch| launch.count = 0), 1);
        assert_eq!(broken(&|launch| launch.zone = "x".to_owned()), 1);
        world.memory.intend(&good, world.snapshot.now);
        let broken = |count| {
            let mut plan = good.clone();
            let Some(Action::Launch(launch)) = plan.actions.first_mut() else { panic!() };
            launch.count = count;
            check(&world.policy, &world.memory, &world.snapshot, &plan).len()
        };
        assert_eq!((broken(1), broken(2)), (0, 1), "a token stands for one request");
    }
}
