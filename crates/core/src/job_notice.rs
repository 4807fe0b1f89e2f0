//! What a user whose job waits reads of it: one line in the job's AdminComment.
//!
//! AdminComment, because it is nobody's otherwise: `--comment` is the user's, and only root and
//! SlurmUser may write this one (job_mgr.c, 22.05 to 26.05). `scontrol show job` shows it, and
//! `squeue -O admin_comment`. What somebody else has written there is never touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::demand::JobWhy;
use crate::ids::{GroupName, NodeName};
use crate::memory::Memory;
use crate::plan::{Plan, Shut, Why};
use crate::policy::{GroupPolicy, Policy};
use crate::snapshot::{Comment, Job, Queue, Snapshot};
use crate::word::one_line;

/// How each notice begins: by this it is known whose it is.
pub const MARK: &str = "slurm-asg: ";
/// How long one is at most, characters.
const CHARS_MAX: usize = 200;

/// Which jobs' AdminComment is to be written, and with what; an empty text takes a notice away that
/// says what is over.
#[must_use]
pub fn notices(
    policy: &Policy,
    memory: &Memory,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Vec<(u32, String)> {
    // What cannot be seen is not over.
    let (Some(queue), Some(_)) = (snapshot.queue.known(), snapshot.nodes.known()) else {
        return Vec::new();
    };
    let wanted = if policy.job_notices {
        wanted(policy, memory, snapshot, plan, queue)
    } else {
        BTreeMap::new()
    };
    let over = queue.comments.iter().filter_map(|(job, comment)| match comment {
        Comment::Ours(_) if !wanted.contains_key(job) => Some((*job, String::new())),
        Comment::Ours(_) | Comment::Others => None,
    });
    let over: Vec<_> = over.collect();
    let new = wanted.into_iter().filter(|(job, text)| match queue.comments.get(job) {
        None => true,
        Some(Comment::Ours(said)) => **said != **text,
        Some(Comment::Others) => false,
    });
    new.chain(over).collect()
}

fn wanted(
    policy: &Policy,
    memory: &Memory,
    snapshot: &Snapshot,
    plan: &Plan,
    queue: &Queue,
) -> BTreeMap<u32, String> {
    let obstacles: BTreeMap<&GroupName, String> = policy
        .groups
        .iter()
        .filter_map(|(name, group)| Some((name, obstacle(name, group, memory, snapshot, plan)?)))
        .collect();
    if obstacles.is_empty() {
        return BTreeMap::new();
    }
    let mut of_partitions: BTreeMap<&str, BTreeSet<&GroupName>> = BTreeMap::new();
    for (name, partition) in &queue.partitions {
        let groups = partition.nodes.iter().filter_map(|node| policy.group_of(node)).collect();
        of_partitions.insert(name, groups);
    }
    let of_job = |job: &Job| -> Option<String> {
        let groups: BTreeSet<&GroupName> = if job.is_configuring() {
            waiting_nodes(job, plan).iter().filter_map(|node| policy.group_of(node)).collect()
        } else if waits_for_nodes(plan, job.job_id) {
            let names = job.partition.split(',');
            let own = names.filter_map(|name| of_partitions.get(name));
            own.flatten().copied().collect()
        } else {
            return None;
        };
        // Another group may serve it: then it waits for something else.
        let of_groups: Option<Vec<&str>> =
            groups.iter().map(|group| obstacles.get(*group).map(String::as_str)).collect();
        let words = of_groups.filter(|words| !words.is_empty())?.join("; ");
        let line = one_line(&format!("{MARK}{words}"));
        Some(line.chars().take(CHARS_MAX).collect())
    };
    queue.jobs.iter().filter_map(|job| Some((job.job_id, of_job(job)?))).collect()
}

/// Nodes of a job that Slurm has given it and for which no instance can be had.
fn waiting_nodes(job: &Job, plan: &Plan) -> Vec<NodeName> {
    let waits = |node: &NodeName| {
        plan.nodes.get(node).is_some_and(|report| {
            matches!(
                report.why,
                Why::NoCapacity { .. }
                    | Why::ProtectedMode { .. }
                    | Why::Paused
                    | Why::AtMax { .. }
                    | Why::Incomplete { .. }
            )
        })
    };
    job.node_names().into_iter().filter(waits).collect()
}

/// Whether more nodes would let a pending job start.
fn waits_for_nodes(plan: &Plan, job: u32) -> bool {
    plan.jobs.get(&job).is_some_and(|verdict| {
        let without = matches!(verdict.why, JobWhy::NodesUnavailable | JobWhy::NoFreeNodes);
        without || verdict.why == JobWhy::Counted && verdict.launch > 0
    })
}

/// Why a group gets no instances now, in words for users.
fn obstacle(
    name: &GroupName,
    group: &GroupPolicy,
    memory: &Memory,
    snapshot: &Snapshot,
    plan: &Plan,
) -> Option<String> {
    if let Some(paused) = memory.paused.get(name) {
        let reason = paused.reason.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        return Some(format!("an administrator has paused {name}{reason}"));
    }
    let shut = group
        .asgs
        .iter()
        .map(|asg| Shut::of((name, group), asg, plan.cooldowns.get(asg), memory, snapshot.now));
    if let Some(shut) = shut.collect::<Option<Vec<_>>>() {
        let first = shut.iter().filter_map(Shut::until).min();
        return Some(match (first, shut.first()) {
            (Some(until), Some(shut)) => format!(
                "no instances for {name} until {} UTC ({})",
                crate::time::hour_and_minute(until),
                shut.code()
            ),
            _ => {
                format!("{name} is in protected mode until an administrator ends it: boots failed")
            }
        });
    }
    let report = plan.groups.get(name)?;
    let is_full = report.desired >= report.max && report.pending_instances.unwrap_or(0) > 0;
    if is_full {
        return Some(format!("{name} is at its maximum of {} instances", report.max));
    }
    let mut reports = group.nodes.iter().filter_map(|node| plan.nodes.get(node));
    let holds = reports.any(|report| matches!(report.why, Why::Incomplete { .. }));
    let why = || format!("not all of its nodes can be had: {name} has at most {}", report.max);
    holds.then(|| why() + " instances")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory::Paused;
    use crate::snapshot::{JobState, Seen};
    use crate::testing::{World, policy_with};

    fn world(max: u32, lines: &[&str]) -> World {
        let mut world = World::new(0, max, lines);
        world.policy = policy_with("");
        world.policy.job_notices = true;
        world
    }

    fn told(world: &mut World) -> Vec<(u32, String)> {
        let plan = world.plan();
        notices(&world.policy, &world.memory, &world.snapshot, &plan)
    }

    fn queue(world: &mut World) -> &mut Queue {
        let Seen::Known(queue) = &mut world.snapshot.queue else { panic!() };
        Arc::make_mut(queue)
    }

    fn comment(world: &mut World, job: u32, comment: Comment) {
        queue(world).comments.insert(job, comment);
    }

    #[test]
    fn a_waiting_job_is_told_what_is_in_its_groups_way_and_nothing_else() {
        let mut world = world(8, &["n1 off", "n2 off", "job 2"]);
        assert_eq!(told(&mut world), [], "its nodes come");
        let since = world.snapshot.now;
        let paused = Paused { since, user: 0, reason: Some("new\nimage".to_owned()) };
        world.memory.paused.insert("g".into(), paused);
        let words = "slurm-asg: an administrator has paused g: new\\nimage";
        assert_eq!(told(&mut world), [(1, words.to_owned())]);
        world.memory.paused.clear();
        world.fail_launch();
        let words = "slurm-asg: no instances for g until 13:56 UTC (InsufficientInstanceCapacity)";
        assert_eq!(told(&mut world), [(1, words.to_owned())]);
        world.policy.job_notices = false;
        assert_eq!(told(&mut world), [], "it is switched off");
    }

    #[test]
    fn a_job_whose_nodes_find_no_room_is_told_the_maximum() {
        let lines = ["n1 alloc on=i-1", "n2 alloc_powering_up"];
        let mut world = world(1, &lines);
        world.submit(1);
        queue(&mut world).jobs[0].nodes = Some("n2".into());
        queue(&mut world).jobs[0].job_state = JobState(1 | JobState::CONFIGURING);
        let words = "slurm-asg: g is at its maximum of 1 instances";
        assert_eq!(told(&mut world), [(1, words.to_owned())]);
    }

    #[test]
    fn a_job_that_cannot_have_all_of_its_nodes_is_told_so() {
        let mut world = world(1, &["n1 alloc_powering_up", "n2 alloc_powering_up"]);
        world.policy.groups.get_mut(&"g".into()).unwrap().launch =
            crate::policy::Launch::AllOrNothing;
        world.configure(7, "n[1-2]", 0);
        let words = "slurm-asg: not all of its nodes can be had: g has at most 1 instances";
        assert_eq!(told(&mut world), [(7, words.to_owned())]);
    }

    #[test]
    fn a_notice_is_not_repeated_goes_when_it_is_over_and_others_words_are_left_alone() {
        let mut world = world(8, &["n1 off", "job 1", "job 1"]);
        world.fail_launch();
        let text = told(&mut world)[0].1.clone();
        comment(&mut world, 1, Comment::Ours(text.as_str().into()));
        comment(&mut world, 2, Comment::Others);
        // A job that has started by now.
        comment(&mut world, 9, Comment::Ours("slurm-asg: of before".into()));
        assert_eq!(told(&mut world), [(9, String::new())]);
        world.pass(600);
        world.asg_mut().failure = None;
        assert_eq!(told(&mut world), [(1, String::new()), (9, String::new())]);
        world.snapshot.queue = Seen::Unknown { why: "silent".to_owned() };
        assert_eq!(told(&mut world), [], "what is not seen is not over");
    }
}
