//! How long jobs wait for their nodes, and nodes for their instances: what begins with one event and
//! ends with another. What is kept has a limit.

use std::collections::{BTreeSet, HashMap};

use slurm_asg_core::hostlist;
use slurm_asg_core::time::Timestamp;

use super::line::Line;
use super::tally::millis_between;

/// Nodes and jobs that are followed at once; more are not.
const FOLLOWED_MAX: usize = 200_000;

/// What is under way.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    counted: HashMap<u32, Timestamp>,
    waiting: HashMap<u64, Waiting>,
    waiting_for: HashMap<String, u64>,
    next_waiting: u64,
}

/// A job that waited for its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long, milliseconds.
    pub millis: u64,
    /// The job.
    pub job: u32,
    /// How many nodes it waited for.
    pub nodes: usize,
    /// When its nodes were up.
    pub until: Timestamp,
}

/// What an event has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Jobs whose nodes are up.
    pub waits: Vec<Wait>,
    /// Jobs that lost a node while they waited.
    pub failed: u64,
}

#[derive(Clone, Debug)]
struct Waiting {
    jobs: Vec<(u32, Timestamp)>,
    nodes: usize,
    left: BTreeSet<String>,
}

impl Waits {
    /// Follows an event.
    pub fn add(&mut self, at: Timestamp, line: &Line<'_>) -> Ended {
        let node = line.node.as_deref().unwrap_or("");
        match &*line.event {
            "job_counted" => {
                if let (Some(job), true) = (line.job, self.counted.len() < FOLLOWED_MAX) {
                    self.counted.entry(job).or_insert(at);
                }
            }
            "job_dropped" => {
                line.job.map(|job| self.counted.remove(&job));
            }
            "nodes_resumed" => self.resumed(at, line),
            "node_up" => return Ended { waits: self.node_up(at, node), failed: 0 },
            // Its jobs requeue, and wait anew.
            "node_down" => return Ended { waits: Vec::new(), failed: self.leave(node) },
            _ => {}
        }
        Ended::default()
    }

    fn resumed(&mut self, at: Timestamp, line: &Line<'_>) {
        let jobs = line.jobs.iter().map(|job| (*job, self.counted.remove(job).unwrap_or(at)));
        let jobs: Vec<_> = jobs.collect();
        let nodes = line.nodes.as_deref().map(hostlist::expand);
        let Some(Ok(nodes)) = nodes else { return };
        let left: BTreeSet<String> = nodes.iter().map(ToString::to_string).collect();
        // A node that is wanted anew is not waited for by those before.
        for node in &left {
            self.leave(node);
        }
        if jobs.is_empty() || self.waiting_for.len() + left.len() > FOLLOWED_MAX {
            return;
        }
        let id = self.next_waiting;
        self.next_waiting += 1;
        self.waiting_for.extend(left.iter().map(|node| (node.clone(), id)));
        self.waiting.insert(id, Waiting { jobs, nodes: left.len(), left });
    }

    fn node_up(&mut self, at: Timestamp, node: &str) -> Vec<Wait> {
        let Some(id) = self.waiting_for.remove(node) else { return Vec::new() };
        let Some(waiting) = self.waiting.get_mut(&id) else { return Vec::new() };
        waiting.left.remove(node);
        if !waiting.left.is_empty() {
            return Vec::new();
        }
        let Some(Waiting { jobs, nodes, .. }) = self.waiting.remove(&id) else { return Vec::new() };
        let wait = |(job, since)| Wait { millis: millis_between(since, at), job, nodes, until: at };
        jobs.into_iter().map(wait).collect()
    }

    /// Nobody waits for a node any more. Returns how many jobs did.
    fn leave(&mut self, node: &str) -> u64 {
        let Some(id) = self.waiting_for.remove(node) else { return 0 };
        let Some(waiting) = self.waiting.remove(&id) else { return 0 };
        for other in &waiting.left {
            self.waiting_for.remove(other);
        }
        waiting.jobs.len() as u64
    }
}

#[cfg(test)]
impl Waits {
    /// How many things are kept.
    pub fn size(&self) -> usize {
        self.counted.len() + self.waiting_for.len() + self.waiting.len()
    }
}
