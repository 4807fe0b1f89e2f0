//! How much of each of its nodes a job gets: its tasks are spread over them first
//! (dist_tasks_compute_c_b() in cons_tres/dist_tasks.c, 22.05.8).

use super::choose::Pick;
use super::request::Request;

/// One node of a job.
pub struct Share {
    pub place: u32,
    /// CPUs that it may have.
    at_most: u32,
    /// CPUs of one core.
    core: u32,
    tasks: u32,
    /// CPUs that it gets.
    pub cpus: u32,
}

impl Share {
    /// Puts one more task there; its CPUs as far as they go.
    fn add_task(&mut self, request: &Request) {
        self.tasks += 1;
        self.cpus = self.cpus.saturating_add(request.cpus_per_task).min(self.at_most);
    }

    fn has_room(&self, request: &Request) -> bool {
        self.at_most - self.cpus >= request.cpus_per_task
            && request.tasks_per_node.is_none_or(|most| self.tasks < most)
    }
}

/// The places that a job gets, in order, and how many CPUs of each.
pub fn shares(request: &Request, picks: &[Pick]) -> Vec<Share> {
    let places = picks.iter().flat_map(|pick| {
        let places = pick.first..pick.first + pick.len;
        places.map(|place| Share {
            place,
            at_most: pick.cpus,
            core: pick.core.max(1),
            tasks: 0,
            cpus: 0,
        })
    });
    let mut shares: Vec<Share> = places.collect();
    shares.sort_by_key(|share| share.place);
    if request.whole {
        shares.iter_mut().for_each(|share| share.cpus = share.at_most);
        return shares;
    }
    spread(request, &mut shares);
    let least = request.node_gres_cpus_min();
    shares.iter_mut().for_each(|share| share.cpus = share.cpus.max(least.min(share.at_most)));
    shares
}

fn spread(request: &Request, shares: &mut [Share]) {
    let mut left = tasks(request, shares.len());
    // One on each node; then as many as fill a core, in turn.
    for share in shares.iter_mut().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        share.add_task(request);
        left -= 1;
    }
    while left > 0 {
        let before = left;
        for share in shares.iter_mut() {
            let together = (share.core / request.cpus_per_task).max(1);
            for _ in 0..together {
                if left == 0 || !share.has_room(request) {
                    break;
                }
                share.add_task(request);
                left -= 1;
            }
        }
        if left == before {
            return;
        }
    }
}

/// How many tasks are spread: as many as its CPUs make, asked for or not.
fn tasks(request: &Request, nodes: usize) -> u32 {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    let cpus = nodes
        .saturating_mul(request.tasks_per_node.unwrap_or(1))
        .max(request.cpus)
        .max(nodes.saturating_mul(request.node_cpus_min))
        .max(request.gres_cpus_min());
    let tasks = match request.tasks_per_node {
        _ if request.cpus_per_task == 1 => cpus,
        None => cpus / request.cpus_per_task,
        Some(each) => each.saturating_mul(nodes),
    };
    tasks.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Job, Partition, SlurmFacts};

    /// The CPUs of each node of a job, of nodes with so many CPUs in cores of so many.
    fn cpus(job: Job, core: u32, nodes: &[u32]) -> Vec<u32> {
        let job = Job { job_id: 1, ..job };
        let request = Request::of(&job, &Partition::default(), &SlurmFacts::default()).unwrap();
        let picks =
            nodes.iter().zip(0..).map(|(cpus, first)| Pick { first, len: 1, cpus: *cpus, core });
        let picks: Vec<Pick> = picks.collect();
        shares(&request, &picks).iter().map(|share| share.cpus).collect()
    }

    fn job(num_nodes: u32, num_tasks: u32, cpus_per_task: u32) -> Job {
        Job { num_nodes, num_tasks, cpus_per_task, ..Job::default() }
    }

    #[test]
    fn each_node_gets_a_task_and_the_rest_go_round() {
        assert_eq!(cpus(job(3, 3, 4), 1, &[4, 8, 8]), [4, 4, 4]);
        assert_eq!(cpus(job(2, 5, 1), 1, &[8, 8]), [3, 2]);
        assert_eq!(cpus(job(2, 7, 1), 1, &[2, 8]), [2, 5]);
        assert_eq!(cpus(job(2, 8, 1), 2, &[8, 8]), [5, 3], "threads of a core together");
        assert_eq!(cpus(Job { ntasks_per_node: 2, ..job(2, 3, 1) }, 1, &[8, 8]), [2, 2]);
        assert_eq!(cpus(Job { shared: 0, ..job(2, 2, 1) }, 1, &[8, 4]), [8, 4], "whole nodes");
    }
}
