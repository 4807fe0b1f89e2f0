//! Jobs of several nodes: who gets what is there, and what becomes of a job that cannot have all.
//!
//! Instances go to the jobs in the order in which Slurm gave them nodes, one job after the other, so
//! that two jobs do not hold a half each. With `launch = "all-or-nothing"` a job that cannot have all
//! of its nodes gets none of what is there and nothing is launched for it; after `launch_limit` it is
//! requeued, the youngest one first. What it had, and idle nodes, make room for the others.

use std::collections::BTreeSet;

use super::capacity::Book;
use super::group::Pass;
use super::supply::count;
use super::{Action, MarkDown, PowerDown, PowerDownCause, Why};
use crate::ids::NodeName;
use crate::memory::Memory;
use crate::node_state::{NodeState, Phase};
use crate::policy::{GroupPolicy, Launch};
use crate::snapshot::{Job, Snapshot};
use crate::time::Timestamp;

/// A job that has nodes of the group, does not run yet, and lacks instances.
pub(super) struct Incomplete<'a> {
    id: u32,
    /// How many nodes of the group it has.
    nodes: u32,
    /// Those that have no instance.
    pub(super) missing: Vec<&'a NodeName>,
    /// The others.
    pub(super) others: Vec<&'a NodeName>,
    /// When it is given up.
    until: Timestamp,
    /// Nothing goes to it: not all that it lacks can be had.
    held: bool,
}

impl Incomplete<'_> {
    fn lacks(&self) -> u32 {
        count(self.missing.len())
    }

    /// What keeps its nodes waiting.
    fn why(&self) -> Why {
        let has = self.nodes.saturating_sub(self.lacks());
        Why::Incomplete { job: self.id, has, nodes: self.nodes, until: self.until }
    }
}

impl<'a> Pass<'a, '_> {
    /// Puts the nodes that wait in the order of their jobs. Takes out those of jobs that cannot have
    /// all of theirs, if the group launches all or nothing.
    pub(super) fn sort_by_jobs(&mut self) {
        self.jobs = self.incomplete_jobs();
        let place = self.owners();
        let key = |name: &&NodeName| place.get(*name).copied().unwrap_or(usize::MAX);
        self.booting.sort_by_key(key);
        self.wanted.sort_by_key(key);
        if !self.is_all_or_nothing() {
            return;
        }
        // A job that has got nodes since the queue was read is to have all of them or none too.
        let is_unknown = |name: &&NodeName| {
            let has_job = self.scene.nodes.get(*name).is_some_and(|node| node.state.has_work());
            has_job && !place.contains_key(*name)
        };
        let mut waiting = self.booting.iter().chain(&self.wanted).copied();
        let is_earlier = self.scene.snapshot.counted.is_some();
        self.plan.read_queue |= is_earlier && waiting.any(|name| is_unknown(&name));
        let mut available = self.available();
        for job in &mut self.jobs {
            match available.checked_sub(job.lacks()) {
                Some(rest) => available = rest,
                None => job.held = true,
            }
        }
        let held: BTreeSet<&NodeName> = self.held().collect();
        self.booting.retain(|name| !held.contains(*name));
        self.wanted.retain(|name| !held.contains(*name));
        self.hold_pending_jobs(available);
    }

    /// For pending jobs the same: what only a part of a job could have is not launched.
    fn hold_pending_jobs(&mut self, available: u32) {
        let others = count(self.booting.len()).saturating_add(count(self.wanted.len()));
        let owned: u32 = self.jobs.iter().filter(|job| !job.held).map(Incomplete::lacks).sum();
        let available = available.saturating_sub(others.saturating_sub(owned));
        if self.ahead <= available {
            return;
        }
        let launches = self.scene.pending.values().map(|verdict| verdict.launch);
        let whole = launches.fold(0_u32, |sum, launch| {
            let more = sum.saturating_add(launch);
            if more <= available { more } else { sum }
        });
        self.ahead = self.ahead.min(whole);
    }

    /// Nodes of jobs that nothing goes to.
    pub(super) fn held(&self) -> impl Iterator<Item = &'a NodeName> {
        let held = self.jobs.iter().filter(|job| job.held);
        held.flat_map(|job| job.missing.iter().copied())
    }

    /// Whether jobs are held, given up and made room for: not while that cannot be judged.
    fn is_all_or_nothing(&self) -> bool {
        let scene = self.scene;
        scene.group.launch == Launch::AllOrNothing
            && self.books.len() == scene.group.asgs.len()
            && !scene.memory.paused.contains_key(scene.name)
            // Then all that wait are set down.
            && self.without_capacity().is_none()
    }

    /// Instances that are there or may come, for nodes that wait.
    fn available(&self) -> u32 {
        let to_come = |book: &Book<'_>| book.incoming().saturating_add(book.room_to_come());
        self.books.iter().map(to_come).fold(self.nameless_spares(), u32::saturating_add)
    }

    /// Jobs that wait for nodes of this group, in the order in which they got them.
    fn incomplete_jobs(&self) -> Vec<Incomplete<'a>> {
        let Some(queue) = self.scene.snapshot.queue.known() else { return Vec::new() };
        let mut waiting: BTreeSet<&'a NodeName> =
            self.booting.iter().chain(&self.wanted).copied().collect();
        if waiting.is_empty() {
            return Vec::new();
        }
        let mut jobs: Vec<&Job> = queue.jobs.iter().filter(|job| job.is_configuring()).collect();
        jobs.sort_by_key(|job| (job.start_time, job.job_id));
        let own: BTreeSet<&'a NodeName> = self.scene.group.nodes.iter().collect();
        jobs.into_iter()
            .filter_map(|job| {
                let names = job.node_names();
                let own: Vec<_> = names.iter().filter_map(|name| own.get(name).copied()).collect();
                let nodes = count(own.len());
                // A node that two jobs share counts for the first.
                let missing: Vec<_> = own.iter().filter_map(|name| waiting.take(*name)).collect();
                let others = own.into_iter().filter(|name| !missing.contains(name)).collect();
                let since = waits_since(self.scene.memory, job.job_id);
                let since = since.unwrap_or(self.scene.snapshot.now);
                let (until, held) = (since.after(self.scene.group.launch_limit), false);
                let id = job.job_id;
                (!missing.is_empty()).then_some(Incomplete {
                    id,
                    nodes,
                    missing,
                    others,
                    until,
                    held,
                })
            })
            .collect()
    }

    /// Takes down since when jobs have waited for instances, and gives one up if its time is over.
    /// The others' time begins anew: what that one had may be for them.
    pub(super) fn judge_jobs(&mut self) {
        let scene = self.scene;
        let now = scene.snapshot.now;
        if scene.snapshot.queue.known().is_none() {
            self.plan.incomplete.clone_from(&scene.memory.incomplete);
            return;
        }
        if scene.group.launch != Launch::AllOrNothing {
            return;
        }
        let still: BTreeSet<&NodeName> = self.booting.iter().chain(&self.wanted).copied().collect();
        for job in &mut self.jobs {
            // Of the others some have been given an instance with this plan.
            job.missing.retain(|name| job.held || still.contains(*name));
        }
        self.jobs.retain(|job| !job.missing.is_empty());
        let may = self.is_all_or_nothing();
        let is_due = |job: &Incomplete<'_>| may && job.until <= now && self.may_give_up(job);
        let due = self.jobs.iter().rposition(is_due);
        // By an earlier queue these nodes may be another job's meanwhile.
        self.plan.read_queue |= due.is_some() && scene.snapshot.counted.is_some();
        let due = due.filter(|_| scene.snapshot.counted.is_none());
        for job in &self.jobs {
            let since = waits_since(scene.memory, job.id).filter(|_| due.is_none());
            self.plan.incomplete.insert(job.id, since.unwrap_or(now));
            if may {
                self.plan.wake(job.until.max(now.after(RECHECK)));
            }
        }
        let given_up = due.map(|at| self.jobs.remove(at));
        if let Some(job) = &given_up {
            self.give_job_up(job);
        }
        self.say_who_is_held();
        if may {
            self.make_room(given_up.as_ref());
        }
    }

    /// Slurm requeues a job whose node goes DOWN; a node that it has not called the resume program
    /// for yet does not stay so.
    fn may_give_up(&self, job: &Incomplete<'_>) -> bool {
        job.missing.iter().any(|name| self.is_booting(name))
    }

    fn is_booting(&self, name: &NodeName) -> bool {
        let node = self.scene.nodes.get(name);
        node.is_some_and(|node| node.state.phase() == Phase::Booting)
    }

    fn give_job_up(&mut self, job: &Incomplete<'a>) {
        self.plan.watch_slurm = true;
        let limit = self.scene.group.launch_limit.as_secs();
        let (id, nodes) = (job.id, job.nodes);
        let has = nodes.saturating_sub(job.lacks());
        let reason = format!("(Code:IncompleteJob) job {id} has {has} of {nodes} nodes, {limit} s");
        let missing: BTreeSet<&NodeName> = job.missing.iter().copied().collect();
        self.booting.retain(|name| !missing.contains(*name));
        self.wanted.retain(|name| !missing.contains(*name));
        for name in &job.missing {
            self.wait_with(name, job.why());
            if self.is_booting(name) {
                let down = MarkDown { node: (*name).clone(), reason: reason.clone() };
                self.plan.actions.push(Action::MarkDown(down));
                self.plan.actions.push(Action::PowerDown(PowerDown::recover(name)));
            }
        }
    }

    fn say_who_is_held(&mut self) {
        let held = self.jobs.iter().filter(|job| job.held);
        let held: Vec<_> = held.map(|job| (job.why(), job.missing.clone())).collect();
        for (why, missing) in held {
            self.report.booting += count(missing.len());
            for name in missing {
                self.wait_with(name, why.clone());
            }
        }
    }

    /// Has nodes powered down for the first job that can have all of its nodes then: those of the
    /// job that is given up, before Slurm gives them to the next one, and idle ones.
    fn make_room(&mut self, given_up: Option<&Incomplete<'a>>) {
        if !self.jobs.iter().any(|job| job.held) {
            return;
        }
        let served = count(self.booting.len()).saturating_add(count(self.wanted.len()));
        let available = self.available().saturating_sub(served);
        let idle = self.idle_nodes();
        let reused = self.scene.reuse.min(count(idle.len())) as usize;
        let mut may_go: Vec<&NodeName> =
            given_up.iter().flat_map(|job| &job.others).copied().collect();
        may_go.retain(|name| self.may_be_powered_down(name));
        may_go.extend(idle.iter().take(idle.len().saturating_sub(reused)));
        let coming = self.leaving_nodes();
        // What is set down with this plan is not up any more either.
        let set_down = given_up.map_or(0, Incomplete::lacks);
        let spared = self.base.spared().saturating_sub(set_down).saturating_sub(coming);
        may_go.truncate(spared as usize);
        let room = coming.saturating_add(count(may_go.len()));
        let held = self.jobs.iter().filter(|job| job.held);
        let mut lacks = held.map(|job| job.lacks().saturating_sub(available));
        let Some(lacks) = lacks.find(|lacks| *lacks <= room) else { return };
        for name in may_go.into_iter().take(lacks.saturating_sub(coming) as usize) {
            self.plan.watch_slurm = true;
            if let Some(node) = self.scene.nodes.get(name) {
                let binding = self.scene.memory.bindings.get(name);
                let instance = binding.map(|binding| binding.instance.clone());
                self.say(name, node, instance, Why::MakesRoom { since: node.idle_since });
            }
            let (node, cause) = (name.clone(), PowerDownCause::MakeRoom);
            self.plan.actions.push(Action::PowerDown(PowerDown { node, cause }));
        }
    }

    /// Nodes that are up and have nothing to do, the longest idle first.
    fn idle_nodes(&self) -> Vec<&'a NodeName> {
        let idle_since = |name: &NodeName| {
            let node = self.scene.nodes.get(name)?;
            let is_idle = node.state.base() == NodeState::IDLE && !node.state.has_work();
            is_idle.then_some(node.idle_since.unwrap_or(self.scene.snapshot.now))
        };
        let names = self.scene.group.nodes.iter().filter(|name| self.may_be_powered_down(name));
        let mut idle: Vec<_> = names.filter_map(|name| Some((idle_since(name)?, name))).collect();
        idle.sort_by_key(|(since, _)| *since);
        idle.into_iter().map(|(_, name)| name).collect()
    }

    /// Whether a node is up, has an instance, and nobody has closed or protected it.
    fn may_be_powered_down(&self, name: &NodeName) -> bool {
        let closed = NodeState::DRAIN | NodeState::FAIL | NodeState::MAINT | NodeState::POWER_DOWN;
        let memory = self.scene.memory;
        memory.bindings.contains_key(name)
            && memory.kept_at(name, self.scene.snapshot.now).is_none()
            && self.scene.nodes.get(name).is_some_and(|node| {
                let state = node.state;
                state.phase() == Phase::Up && !state.is_down() && !state.has(closed)
            })
    }

    /// Nodes whose instances go: there will be room for as many others.
    fn leaving_nodes(&self) -> u32 {
        let leaves = |name: &&NodeName| {
            self.scene.memory.bindings.contains_key(*name)
                && self.scene.nodes.get(*name).is_some_and(|node| {
                    node.state.phase() == Phase::Releasing
                        || node.state.has(NodeState::POWER_DOWN) && !node.state.has_work()
                })
        };
        count(self.scene.group.nodes.iter().filter(leaves).count())
    }
}

/// A plan that waits for the limit is looked at again no sooner.
const RECHECK: std::time::Duration = std::time::Duration::from_secs(1);

/// Since when a job has waited for instances.
fn waits_since(memory: &Memory, job: u32) -> Option<Timestamp> {
    memory.incomplete.get(&job).copied()
}

/// Whether a node belongs to a job that has waited for instances for too long and has not begun:
/// the facts, for the checker.
pub(crate) fn is_overdue(
    group: &GroupPolicy,
    memory: &Memory,
    snapshot: &Snapshot,
    node: &NodeName,
) -> bool {
    let queue = snapshot.queue.known();
    let mut jobs = queue.into_iter().flat_map(|queue| &queue.jobs);
    group.launch == Launch::AllOrNothing
        && jobs.any(|job| {
            job.is_configuring()
                && waits_since(memory, job.job_id)
                    .is_some_and(|since| since.after(group.launch_limit) <= snapshot.now)
                && job.node_names().contains(node)
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::snapshot::{JobState, Seen};
    use crate::testing::{World, policy_with, told};

    const ALL: &str = "launch = \"all-or-nothing\"\nlaunch_limit = 60";

    fn world(max: u32, lines: &[&str], keys: &str) -> World {
        let mut world = World::new(0, max, lines);
        world.policy = policy_with(keys);
        world.memory.begun.insert("g".into());
        world
    }

    fn end(world: &mut World, job_id: u32) {
        let Seen::Known(queue) = &mut world.snapshot.queue else { panic!("no queue") };
        Arc::make_mut(queue).jobs.retain(|job| job.job_id != job_id);
    }

    fn turn(world: &mut World) -> Vec<String> {
        let plan = world.plan();
        world.carry_out(&plan);
        told(&plan)
    }

    fn why(world: &mut World, node: &str) -> String {
        world.plan().nodes[&node.into()].why.to_string()
    }

    const FOUR: [&str; 4] = [
        "n1 alloc_powering_up",
        "n2 alloc_powering_up",
        "n3 alloc_powering_up",
        "n4 alloc_powering_up",
    ];

    fn two_jobs(max: u32, spares: &[&str], keys: &str) -> World {
        let mut world = world(max, &[&FOUR, spares].concat(), keys);
        // Slurm gave the second one its nodes first.
        world.configure(7, "n[1,3]", 999_990);
        world.configure(8, "n[2,4]", 999_980);
        world
    }

    #[test]
    fn instances_go_to_one_job_after_the_other() {
        for keys in ["", ALL] {
            let mut world = two_jobs(2, &["i-1 spare", "i-2 spare"], keys);
            assert_eq!(turn(&mut world), ["bind n2 i-1", "bind n4 i-2"], "{keys}");
        }
    }

    #[test]
    fn a_job_that_cannot_have_all_gets_nothing_and_the_next_one_gets_all() {
        let mut world = world(3, &[&FOUR[..], &["n5 alloc_powering_up"]].concat(), ALL);
        world.configure(7, "n[1-4]", 999_980);
        world.configure(8, "n5", 999_990);
        assert_eq!(turn(&mut world), ["desired 0 -> 1"]);
        assert_eq!(why(&mut world, "n1"), "waits: job 7 can have 0 of its 4 nodes only");
        assert_eq!(why(&mut world, "n5"), "waits for the group to launch an instance");
        // As soon as there is room, it gets all.
        world.asg_mut().max = 5;
        assert_eq!(turn(&mut world), ["desired 1 -> 5"]);
    }

    #[test]
    fn with_best_effort_a_job_gets_what_there_is() {
        let mut world = world(3, &FOUR, "");
        world.configure(7, "n[1-4]", 999_980);
        assert_eq!(turn(&mut world), ["desired 0 -> 3"]);
        world.pass(86_400);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        assert_eq!(world.memory.incomplete.len(), 0);
    }

    #[test]
    fn after_the_limit_the_youngest_job_is_given_up_and_the_other_ones_time_begins_anew() {
        let mut world = two_jobs(1, &[], ALL);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        world.pass(59);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        world.pass(1);
        let given_up = ["down n1", "down n3", "power_down n1", "power_down n3"];
        assert_eq!(turn(&mut world), given_up);
        let reason = "(Code:IncompleteJob) job 7 has 0 of 2 nodes, 60 s";
        assert_eq!(world.node_mut("n1").reason, reason);
        // Slurm has requeued it.
        end(&mut world, 7);
        for name in ["n1", "n3"] {
            world.node_mut(name).state = NodeState(crate::testing::state("off"));
        }
        world.pass(59);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        world.pass(1);
        let given_up = ["down n2", "down n4", "power_down n2", "power_down n4"];
        assert_eq!(turn(&mut world), given_up);
    }

    #[test]
    fn only_the_nodes_that_lack_an_instance_are_set_down() {
        let lines = ["n1 alloc_powering_up on=i-1", "n2 alloc_powering_up"];
        let mut world = world(1, &lines, ALL);
        world.configure(7, "n[1-2]", 999_980);
        turn(&mut world);
        world.pass(60);
        assert_eq!(turn(&mut world), ["down n2", "power_down n2"]);
    }

    #[test]
    fn a_job_that_has_begun_is_never_given_up() {
        let mut world = world(1, &FOUR[..2], ALL);
        world.configure(7, "n[1-2]", 999_980);
        turn(&mut world);
        world.pass(60);
        let Seen::Known(queue) = &mut world.snapshot.queue else { panic!("no queue") };
        Arc::make_mut(queue).jobs[0].job_state = JobState::RUNNING;
        let acts = turn(&mut world);
        assert!(acts.iter().all(|act| !act.contains("down")), "{acts:?}");
        // Nor while it is not known.
        world.configure(8, "n[1-2]", 999_980);
        turn(&mut world);
        world.pass(60);
        world.snapshot.queue = Seen::Unknown { why: "slurmctld is busy".into() };
        let acts = turn(&mut world);
        assert!(acts.iter().all(|act| !act.contains("down")), "{acts:?}");
        assert!(world.memory.incomplete.contains_key(&8));
    }

    #[test]
    fn by_an_earlier_queue_no_job_is_given_up_and_it_is_to_be_read_again() {
        let mut world = two_jobs(1, &[], ALL);
        let plan = world.plan();
        world.carry_out(&plan);
        world.snapshot.counted = Some(plan.count);
        world.pass(59);
        assert!(!world.plan().read_queue);
        world.pass(1);
        let plan = world.plan();
        assert_eq!((told(&plan), plan.read_queue), (Vec::new(), true));
        world.snapshot.counted = None;
        let plan = world.plan();
        assert_eq!((told(&plan).len(), plan.read_queue), (4, false));
    }

    #[test]
    fn nodes_of_a_job_that_an_earlier_queue_does_not_have_call_for_it() {
        for (keys, reads) in [(ALL, true), ("", false)] {
            let mut world = world(8, &FOUR, keys);
            world.configure(7, "n[1-2]", 999_980);
            world.snapshot.counted = Some(world.plan().count);
            assert_eq!(world.plan().read_queue, reads, "{keys}");
            for name in ["n3", "n4"] {
                world.node_mut(name).state = NodeState(crate::testing::state("off"));
            }
            assert!(!world.plan().read_queue);
        }
    }

    #[test]
    fn idle_nodes_make_room_for_a_job_that_can_have_all_of_its_nodes_then() {
        let lines = [
            "n1 alloc_powering_up",
            "n2 alloc_powering_up",
            "n5 idle on=i-5",
            "n6 alloc on=i-6",
            "n7 idle on=i-7",
        ];
        let mut world = world(3, &lines, ALL);
        world.configure(7, "n[1-2]", 999_980);
        world.node_mut("n7").idle_since = Some(Timestamp::from_secs(10));
        assert_eq!(turn(&mut world), ["power_down n7", "power_down n5"]);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        // Slurm has closed one: its capacity is free for the others.
        world.node_mut("n7").state = NodeState(crate::testing::state("powering_down"));
        assert_eq!(turn(&mut world), ["terminate i-7"]);
        world.node_mut("n5").state = NodeState(crate::testing::state("powering_down"));
        assert_eq!(turn(&mut world), ["desired 2 -> 3", "replace i-5"]);
        assert_eq!(turn(&mut world), Vec::<String>::new());
    }

    /// Slurm would give them to the next job at once, and that one would lack the other node.
    #[test]
    fn what_a_job_had_that_is_given_up_makes_room_for_the_other_one() {
        let lines =
            ["n1 alloc on=i-1", "n2 alloc on=i-2", "n3 alloc_powering_up", "n4 alloc_powering_up"];
        let mut world = world(2, &lines, ALL);
        world.configure(5, "n[1,3]", 999_990);
        world.configure(15, "n[2,4]", 999_980);
        assert_eq!(turn(&mut world), Vec::<String>::new());
        world.pass(60);
        assert_eq!(turn(&mut world), ["down n3", "power_down n3", "power_down n1"]);
        end(&mut world, 5);
        world.node_mut("n1").state = NodeState(crate::testing::state("powering_down"));
        world.node_mut("n3").state = NodeState(crate::testing::state("off"));
        assert_eq!(turn(&mut world), ["replace i-1"]);
    }

    #[test]
    fn no_idle_node_goes_in_vain_or_against_a_pending_job_or_with_best_effort() {
        let lines = ["n1 alloc_powering_up", "n2 alloc_powering_up", "n5 idle on=i-5"];
        let none = Vec::<String>::new();
        let mut vain = world(1, &lines, ALL);
        vain.configure(7, "n[1-2]", 999_980);
        assert_eq!(turn(&mut vain), none);
        let mut kept = world(1, &[lines[0], lines[2]], ALL);
        kept.configure(7, "n1", 999_980);
        let (since, until) = (kept.snapshot.now, Timestamp::from_secs(2_000_000));
        let protection = crate::memory::Kept { since, until, user: 0, reason: None };
        kept.memory.kept.insert("n5".into(), protection);
        assert_eq!(turn(&mut kept), none, "a person has protected it");
        let mut best = world(1, &[lines[0], lines[2]], "");
        best.configure(7, "n1", 999_980);
        assert_eq!(turn(&mut best), none);
        let mut wanted = world(1, &[lines[0], lines[2]], ALL);
        wanted.configure(7, "n1", 999_980);
        wanted.submit(1);
        assert_eq!(turn(&mut wanted), none);
    }

    #[test]
    fn what_only_a_part_of_a_pending_job_could_have_is_not_launched() {
        let off = ["n1 off", "n2 off", "n3 off", "n4 off"];
        let mut all = world(3, &off, ALL);
        all.submit(4);
        assert_eq!(turn(&mut all), Vec::<String>::new());
        let mut best = world(3, &off, "");
        best.submit(4);
        assert_eq!(turn(&mut best), ["desired 0 -> 3"]);
        all.asg_mut().max = 4;
        assert_eq!(turn(&mut all), ["desired 0 -> 4"]);
    }

    #[test]
    fn without_capacity_all_that_wait_are_set_down_as_ever() {
        let mut world = world(4, &FOUR[..2], ALL);
        world.configure(7, "n[1-2]", 999_980);
        assert_eq!(turn(&mut world), ["desired 0 -> 2"]);
        world.fail_launch();
        turn(&mut world);
        world.pass(5);
        let acts = turn(&mut world);
        assert!(acts.contains(&"down n1".into()) && acts.contains(&"down n2".into()), "{acts:?}");
    }
}
