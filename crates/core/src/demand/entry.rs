//! Which jobs may start now, and in which order: the queue as slurmctld builds it
//! (build_job_queue() in src/slurmctld/job_scheduler.c, 22.05.8).

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use super::kind::Kind;
use super::queue::Count;
use super::why::JobWhy;
use crate::snapshot::{Job, Partition, Reason, number, said};
use crate::time::Timestamp;

/// A run without a limit, seconds: Slurm reckons with a year.
const UNLIMITED_S: u64 = 365 * 24 * 3600;

/// One job in one of its partitions, with what is read of each: jobs come in an order that is not
/// the one of their records, and a look at a record waits for memory.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The job's place in the queue.
    pub at: usize,
    pub job: &'a Job,
    pub partition: usize,
    /// Its kind's place among all kinds.
    pub kind: usize,
    /// How long it runs, seconds.
    pub limit_s: u64,
    /// How many of its tasks may start now, if it were the first one.
    pub tasks: u32,
    /// It is a component of a heterogeneous job.
    pub is_component: bool,
    /// The first pass looked for nodes for it.
    pub tried: bool,
    /// It asks for more nodes than its partition has.
    pub over: bool,
}

impl<'a> Count<'a> {
    /// What may start now, in Slurm's order: tier, priority, age.
    pub fn entries(&mut self) -> Vec<Entry<'a>> {
        let queue = self.look.queue;
        let by_name: BTreeMap<&str, usize> =
            queue.partitions.keys().enumerate().map(|(at, name)| (&**name, at)).collect();
        let default = self.partitions.iter().position(|partition| partition.is_default());
        let only = (self.partitions.len() == 1).then_some(0);
        let begins = self.begins();
        let mut entries = Vec::with_capacity(queue.jobs.len());
        let mut order = Vec::with_capacity(queue.jobs.len());
        for (at, job) in queue.jobs.iter().enumerate().filter(|(_, job)| job.is_pending()) {
            if let Err(why) = self.may_start(job) {
                self.note(at, why);
                continue;
            }
            let tasks = self.tasks_now(job);
            for name in job.partition.split(',') {
                let found = by_name.get(name).copied();
                let found = found.or(if name.is_empty() { default.or(only) } else { None });
                let found = found.and_then(|at| Some((at, self.partitions.get(at).copied()?)));
                let Some((nth, partition)) = found else {
                    self.note(at, JobWhy::NoSuchPartition);
                    continue;
                };
                // Stable: of several partitions of a job the first one comes first.
                order.push(place_in_order(partition, job, entries.len()));
                let all = partition.nodes.len();
                let is_over = |nodes: u32| usize::try_from(nodes).is_ok_and(|nodes| nodes > all);
                let kind = self.kind(job, (nth, partition), &begins);
                entries.push(Entry {
                    at,
                    job,
                    partition: nth,
                    kind: self.kinds.place_of(kind),
                    limit_s: limit_s(job, partition),
                    tasks,
                    is_component: job.het_job_id != 0,
                    tried: false,
                    // It asks for no more than shows.
                    over: is_over(job.num_nodes) && is_over(job.nodes_min()),
                });
            }
        }
        order.sort_unstable();
        let entry = |key: &u128| entries.get(usize::try_from(key & u128::from(u32::MAX)).ok()?);
        order.iter().filter_map(entry).copied().collect()
    }

    /// When reservations begin, in order.
    fn begins(&self) -> Vec<Timestamp> {
        let reservations = self.look.queue.reservations.iter().flat_map(BTreeMap::values);
        let mut begins: Vec<Timestamp> = reservations.filter_map(|it| it.start_time).collect();
        begins.sort_unstable();
        begins
    }

    fn kind(
        &self,
        job: &'a Job,
        (nth, partition): (usize, &Partition),
        begins: &[Timestamp],
    ) -> Kind<'a> {
        let minutes = partition.minutes_of(job.time_limit);
        let end = minutes.map(|it| self.look.now.after(Duration::from_secs(u64::from(it) * 60)));
        let begun = |end: Timestamp| begins.partition_point(|begin| *begin < end);
        Kind {
            job,
            partition: nth,
            reservations: end.map_or(begins.len(), begun),
            over_time: number(partition.max_time)
                .zip(number(job.time_limit))
                .is_some_and(|(max, minutes)| minutes > max),
            asked: OnceCell::new(),
        }
    }

    /// What keeps a job from starting that more machines do not change.
    fn may_start(&self, job: &Job) -> Result<(), JobWhy> {
        let now = self.look.now;
        if job.priority == 0 {
            return Err(JobWhy::Held);
        }
        let expected = matches!(
            job.state_reason,
            Reason::RESOURCES | Reason::PRIORITY | Reason::NODE_NOT_AVAIL | Reason::RESERVATION
        );
        // For a job that waits for nodes, start_time is Slurm's guess.
        let begins = job.eligible_time.max(job.start_time.filter(|_| !expected));
        if let Some(at) = begins.filter(|begins| *begins > now) {
            return Err(JobWhy::NotYet { at });
        }
        match job.state_reason {
            Reason::NONE
            | Reason::PRIORITY
            | Reason::RESOURCES
            | Reason::BEGIN_TIME
            | Reason::RESERVATION
            | Reason::NODE_NOT_AVAIL
            | Reason::ARRAY_TASK_LIMIT => {}
            // That is said of one of its partitions; the count looks at each.
            reason if reason.is_of_one_partition() && job.partition.contains(',') => {}
            reason => return Err(JobWhy::HeldBack { reason }),
        }
        if said(&job.dependency).is_some() {
            return Err(JobWhy::WaitsForOtherJobs);
        }
        Ok(())
    }
}

/// A number that is lower for what comes earlier in the queue.
fn place_in_order(partition: &Partition, job: &Job, nth: usize) -> u128 {
    let nth = u32::try_from(nth).unwrap_or(u32::MAX);
    let parts = [!partition.priority_tier, !job.priority, job.job_id, nth];
    parts.into_iter().fold(0, |key, part| key << 32 | u128::from(part))
}

fn limit_s(job: &Job, partition: &Partition) -> u64 {
    partition.minutes_of(job.time_limit).map_or(UNLIMITED_S, |minutes| u64::from(minutes) * 60)
}
