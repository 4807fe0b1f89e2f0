//! Slurm's queue, which is read at a pace of its own.

use slurm_asg_core::snapshot::{Job, JobState, Partition};

use super::*;

const POLICY: &str = "[[group]]\nname = 'g'\nnodes = 'n[1-6]'\nasg = 'a'\n";

/// n1 to n6 are off, reading the queue takes a second, and a job waits for two nodes.
fn long() -> Fake {
    let fake = Fake::new();
    fake.state().queue_takes = 1000;
    let nodes = fake.state().nodes.keys().cloned().collect();
    let partition = Partition { name: "p".into(), nodes, max_share: 0, ..Partition::default() };
    let job = |job_id| Job {
        job_id,
        partition: "p".into(),
        num_nodes: 2,
        max_nodes: 2,
        shared: 0,
        ..Job::default()
    };
    let partitions = [("p".into(), partition)].into();
    fake.state().queue = Arc::new(Queue { jobs: vec![job(7)], partitions, ..Queue::default() });
    fake
}

/// How often nodes and queue were read since this was asked last.
fn readings(fake: &Fake) -> (usize, usize) {
    let log = std::mem::take(&mut fake.state().log);
    let count = |word: &str| log.iter().filter(|line| line.as_str() == word).count();
    (count("nodes"), count("queue"))
}

#[test]
fn a_long_queue_is_read_less_often_than_the_nodes() {
    let fake = long();
    let mut engine = fake.engine_by(POLICY);
    let first = turn(&mut engine);
    assert_eq!(readings(&fake).1, 1, "also if the turn looks twice");
    assert!(first.quiet > Duration::from_secs(40), "{:?}", first.quiet);
    assert!(first.rest < Duration::from_secs(1), "{:?}", first.rest);
    let until = fake.state().now + 300_000;
    let (mut nodes, mut queues) = (0, 0);
    while fake.state().now < until {
        let began = Timestamp::from_millis(fake.state().now);
        let look = turn(&mut engine);
        let read = readings(&fake);
        (nodes, queues) = (nodes + read.0, queues + read.1);
        let is_earlier = look.snapshot.counted.is_some_and(|counted| counted.at < began);
        assert_eq!(is_earlier, read.1 == 0);
        fake.pass(u64::try_from(look.pause.max(look.rest).as_millis()).unwrap());
    }
    assert!((5..=6).contains(&queues), "{queues} times in five minutes");
    assert!(nodes > 100, "{nodes}");
}

#[test]
fn a_job_that_slurm_places_meanwhile_has_its_capacity_once() {
    let fake = long();
    let mut engine = fake.engine_by(POLICY);
    turn(&mut engine);
    let log = fake.log();
    let asked = |log: &[String]| log.iter().filter(|line| line.starts_with("desired")).count();
    assert_eq!(asked(&log), 1, "{log:?}");
    fake.node("n3", BOOTING);
    fake.node("n4", BOOTING);
    for _ in 0..3 {
        fake.pass(1000);
        let look = turn(&mut engine);
        assert_eq!(look.plan.jobs.len(), 1, "shown as it was");
    }
    assert_eq!(asked(&fake.log()), 0);
    // A node more than that is wanted besides.
    fake.node("n5", BOOTING);
    fake.pass(1000);
    turn(&mut engine);
    assert_eq!(asked(&fake.log()), 1);
}

#[test]
fn whoever_wants_to_know_has_it_read_now() {
    let fake = long();
    let mut engine = fake.engine_by(POLICY);
    turn(&mut engine);
    fake.pass(1000);
    turn(&mut engine);
    readings(&fake);
    engine.want_queue();
    fake.pass(1000);
    let look = turn(&mut engine);
    assert_eq!(readings(&fake).1, 1);
    assert!(look.rest > Duration::from_secs(4), "not again and again: {:?}", look.rest);
}

#[test]
fn a_queue_that_could_not_be_read_is_read_with_the_next_look_but_few() {
    let fake = long();
    fake.state().fail.insert("queue");
    let mut engine = fake.engine_by(POLICY);
    let look = turn(&mut engine);
    assert!(look.snapshot.queue.known().is_none());
    fake.state().fail.clear();
    readings(&fake);
    fake.pass(6000);
    turn(&mut engine);
    assert_eq!(readings(&fake).1, 1);
}

#[test]
fn a_single_slow_answer_does_not_make_the_queue_long() {
    let fake = long();
    fake.state().queue_takes = 0;
    let mut engine = fake.engine_by(POLICY);
    let renew = |fake: &Fake| {
        let queue = Queue::clone(&fake.state().queue);
        fake.state().queue = Arc::new(queue);
    };
    turn(&mut engine);
    // slurmctld has waited for its own locks.
    fake.state().queue_takes = 1000;
    renew(&fake);
    fake.pass(1000);
    assert!(turn(&mut engine).quiet < Duration::from_secs(1));
    renew(&fake);
    fake.pass(1000);
    assert!(turn(&mut engine).quiet > Duration::from_secs(40));
}

#[test]
fn no_job_is_given_up_by_a_queue_of_before() {
    let fake = long();
    let text = format!("{POLICY}launch = 'all-or-nothing'\nlaunch_limit = 60");
    fake.state().asgs.get_mut(&AsgName::new("a")).unwrap().max = 1;
    fake.node("n1", BOOTING);
    fake.node("n2", BOOTING);
    let mut job = fake.state().queue.jobs[0].clone();
    job.job_state = JobState(JobState::RUNNING.0 | JobState::CONFIGURING);
    job.nodes = Some("n[1-2]".into());
    let queue = Queue::clone(&fake.state().queue);
    fake.state().queue = Arc::new(Queue { jobs: vec![job], ..queue });
    let mut engine = fake.engine_by(&text);
    turn(&mut engine);
    fake.pass(49_000);
    turn(&mut engine);
    readings(&fake);
    fake.pass(11_000);
    // It has begun a moment ago.
    let mut jobs = fake.state().queue.jobs.clone();
    jobs[0].job_state = JobState::RUNNING;
    let queue = Queue::clone(&fake.state().queue);
    fake.state().queue = Arc::new(Queue { jobs, ..queue });
    turn(&mut engine);
    let log = fake.log();
    assert!(log.iter().all(|line| !line.starts_with("down")), "{log:?}");
}
