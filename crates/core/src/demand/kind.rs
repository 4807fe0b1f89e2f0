//! Kinds of jobs: those of one kind ask for the same, in the same partition.
//!
//! People submit the same again and again, so a long queue is of few kinds. What a job asks for is
//! read once for each kind, and the jobs' records, which are large, are not read in the order of
//! priority.

use std::cell::OnceCell;
use std::rc::Rc;

use super::queue::Scene;
use super::request::Request;
use super::why::JobWhy;
use crate::snapshot::{Job, Text, said};

/// Among so many that came last a kind is looked for.
const LAST: usize = 1 << 13;

/// What a job asks for and where it may go, or why it adds nothing, whatever nodes there are.
pub type Asked = Result<(Rc<Request>, Rc<Scene>), JobWhy>;

/// A kind of jobs.
pub struct Kind<'a> {
    /// One of them.
    pub job: &'a Job,
    /// Their partition.
    pub partition: usize,
    /// How many reservations begin before they would end.
    pub reservations: usize,
    /// They want to run for longer than the partition lets them.
    pub over_time: bool,
    /// What they ask for, once it has been read.
    pub asked: OnceCell<Asked>,
}

/// All kinds of a queue. One may be there several times, which costs time and nothing else.
pub struct Kinds<'a> {
    all: Vec<Kind<'a>>,
    /// The marks and places of those that came last, by the rest of their marks.
    last: Vec<(u64, usize)>,
}

impl Default for Kinds<'_> {
    fn default() -> Self {
        Self { all: Vec::new(), last: vec![(0, usize::MAX); LAST] }
    }
}

impl<'a> Kinds<'a> {
    /// The place of a kind among all.
    pub fn place_of(&mut self, kind: Kind<'a>) -> usize {
        let (mark, next) = (kind.mark(), self.all.len());
        let slot = usize::try_from(mark % LAST as u64).ok();
        if let Some(last) = slot.and_then(|slot| self.last.get_mut(slot)) {
            let known = self.all.get(last.1).filter(|_| last.0 == mark);
            if known.is_some_and(|known| known.is_like(&kind)) {
                return last.1;
            }
            *last = (mark, next);
        }
        self.all.push(kind);
        next
    }

    /// The kind at a place.
    pub fn get(&self, at: usize) -> Option<&Kind<'a>> {
        self.all.get(at)
    }
}

impl Kind<'_> {
    fn is_like(&self, other: &Self) -> bool {
        let place = |kind: &Self| (kind.partition, kind.reservations, kind.over_time);
        place(self) == place(other)
            && numbers(self.job) == numbers(other.job)
            && sizes(self.job) == sizes(other.job)
            && texts(self.job) == texts(other.job)
    }

    /// A number that is mostly another one for another kind.
    fn mark(&self) -> u64 {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let job = self.job;
        let mix = |sum: u64, more: u64| (sum ^ more).wrapping_mul(FACTOR).rotate_left(32);
        let numbers = [
            [job.num_tasks, job.num_nodes],
            [job.max_nodes, job.num_cpus],
            [job.cpus_per_task, job.ntasks_per_node],
            [job.pn_min_cpus, job.shared],
        ];
        let numbers = numbers.map(|[one, other]| u64::from(one) << 32 | u64::from(other));
        let place = (self.partition as u64) << 32 ^ self.reservations as u64;
        let sum = numbers.into_iter().fold(mix(place, job.pn_min_memory), mix);
        // Texts differ at their ends. A long one is not read to its beginning for each job.
        let texts = texts(job).into_iter().filter_map(said);
        texts.fold(sum, |sum, text| {
            let ends = text.bytes().rev().take(16);
            ends.fold(mix(sum, text.len() as u64), |sum, byte| mix(sum, byte.into()))
        })
    }
}

/// The numbers of a job that decide where it may be placed.
const fn numbers(job: &Job) -> [u32; 22] {
    [
        job.num_nodes,
        job.max_nodes,
        job.num_cpus,
        job.max_cpus,
        job.num_tasks,
        job.cpus_per_task,
        job.ntasks_per_node,
        job.ntasks_per_socket,
        job.ntasks_per_core,
        job.ntasks_per_board,
        job.ntasks_per_tres,
        job.boards_per_node,
        job.sockets_per_node,
        job.cores_per_socket,
        job.threads_per_core,
        job.core_spec,
        job.pn_min_cpus,
        job.pn_min_tmp_disk,
        job.shared,
        job.contiguous,
        job.req_switch,
        job.reboot,
    ]
}

/// The larger ones of these numbers.
const fn sizes(job: &Job) -> [u64; 2] {
    [job.pn_min_memory, job.bitflags]
}

/// The texts of a job that decide where it may be placed, and the licenses that it needs.
const fn texts(job: &Job) -> [&Text; 15] {
    [
        &job.tres_per_job,
        &job.tres_per_node,
        &job.tres_per_socket,
        &job.tres_per_task,
        &job.cpus_per_tres,
        &job.mem_per_tres,
        &job.features,
        &job.prefer,
        &job.batch_features,
        &job.cluster_features,
        &job.req_nodes,
        &job.exc_nodes,
        &job.licenses,
        &job.resv_name,
        &job.burst_buffer,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_job_makes_its_kind_or_is_known_not_to() {
        // Whoever adds a field decides here, and in `numbers`, `sizes` or `texts`.
        let Job {
            // These are read of each job.
            job_id: _,
            job_state: _,
            state_reason: _,
            priority: _,
            partition: _,
            user_id: _,
            array_job_id: _,
            array_task_str: _,
            array_max_tasks: _,
            het_job_id: _,
            het_job_offset: _,
            dependency: _,
            time_limit: _,
            start_time: _,
            eligible_time: _,
            nodes: _,
            // The others are not.
            num_nodes: _,
            max_nodes: _,
            num_cpus: _,
            max_cpus: _,
            num_tasks: _,
            cpus_per_task: _,
            ntasks_per_node: _,
            ntasks_per_socket: _,
            ntasks_per_core: _,
            ntasks_per_board: _,
            ntasks_per_tres: _,
            boards_per_node: _,
            sockets_per_node: _,
            cores_per_socket: _,
            threads_per_core: _,
            core_spec: _,
            pn_min_cpus: _,
            pn_min_memory: _,
            pn_min_tmp_disk: _,
            tres_per_job: _,
            tres_per_node: _,
            tres_per_socket: _,
            tres_per_task: _,
            cpus_per_tres: _,
            mem_per_tres: _,
            features: _,
            prefer: _,
            batch_features: _,
            cluster_features: _,
            req_nodes: _,
            exc_nodes: _,
            licenses: _,
            resv_name: _,
            burst_buffer: _,
            shared: _,
            contiguous: _,
            req_switch: _,
            reboot: _,
            bitflags: _,
        } = Job::default();
        let plain = Job::default();
        let made = numbers(&plain).len() + sizes(&plain).len() + texts(&plain).len();
        assert_eq!(made, 39);
    }

    #[test]
    fn jobs_are_of_one_kind_as_long_as_they_ask_for_the_same_in_the_same_place() {
        let plain = Job { num_tasks: 4, features: Some("fast".into()), ..Job::default() };
        let others = [
            Job { job_id: 7, priority: 9, time_limit: 60, ..plain.clone() },
            Job { num_tasks: 5, ..plain.clone() },
            Job { reboot: 1, ..plain.clone() },
            Job { pn_min_memory: 100, ..plain.clone() },
            Job { features: Some("slow".into()), ..plain.clone() },
            Job { resv_name: Some("fast".into()), ..plain.clone() },
            plain.clone(),
        ];
        let kind = |job, partition, reservations, over_time| {
            let asked = OnceCell::new();
            Kind { job, partition, reservations, over_time, asked }
        };
        let mut kinds = Kinds::default();
        let first = kinds.place_of(kind(&plain, 0, 0, false));
        let places = others.iter().map(|job| kinds.place_of(kind(job, 0, 0, false)));
        // Whether nodes reboot has no part in the mark: that kind took the slot of the first one.
        assert_eq!((first, places.collect::<Vec<_>>()), (0, vec![0, 1, 2, 3, 4, 5, 6]));
        let elsewhere = [kind(&plain, 1, 0, false), kind(&plain, 0, 1, false)];
        assert_eq!(elsewhere.map(|kind| kinds.place_of(kind)), [7, 8]);
        assert_eq!(kinds.place_of(kind(&plain, 0, 0, true)), 9);
    }
}
