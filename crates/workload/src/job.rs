//! Pending jobs: what they ask for, and what keeps some of them from starting.

use std::sync::Arc;

use slurm_asg_core::snapshot::{Job, Reason};
use slurm_asg_core::time::Timestamp;

use crate::{ALL, Dice, Mood, NOW_SECS};

/// The bit of `pn_min_memory` that says "for each CPU" (slurm.h, `MEM_PER_CPU`).
const MEM_PER_CPU: u64 = 1 << 63;

/// Texts that many jobs have in common, once.
pub struct Texts {
    all: Arc<str>,
    whole: Arc<str>,
    groups: Vec<Arc<str>>,
    pairs: Vec<Arc<str>>,
}

impl Texts {
    pub fn new(groups: u32) -> Self {
        let groups_max = groups.max(1);
        Self {
            all: Arc::from(ALL),
            whole: Arc::from("whole"),
            groups: (0..groups_max).map(|group| Arc::from(format!("g{group}"))).collect(),
            pairs: (0..groups_max)
                .map(|group| Arc::from(format!("g{group},g{}", (group + 1) % groups_max)))
                .collect(),
        }
    }

    fn partition(&self, dice: &mut Dice) -> Arc<str> {
        let of = |list: &[Arc<str>], dice: &mut Dice| {
            let at = dice.below(u32::try_from(list.len()).unwrap_or(1)) as usize;
            list.get(at).map_or_else(|| Arc::clone(&self.all), Arc::clone)
        };
        match dice.below(100) {
            0..20 => Arc::clone(&self.all),
            20..25 => Arc::clone(&self.whole),
            25..35 => of(&self.pairs, dice),
            _ => of(&self.groups, dice),
        }
    }
}

/// One job. Ids are from 1 on; ten of them stand for one user's submissions.
pub fn job(job_id: u32, texts: &Texts, mood: Mood, dice: &mut Dice) -> Job {
    let eligible = NOW_SECS - i64::from(dice.below(100_000)) - 1;
    let mut job = Job {
        job_id,
        user_id: 1000 + job_id / 10 % 500,
        partition: texts.partition(dice),
        priority: 1 + dice.below(1_000_000),
        state_reason: dice
            .one_of(&[Reason::NONE, Reason::PRIORITY, Reason::RESOURCES])
            .unwrap_or_default(),
        eligible_time: Some(Timestamp::from_secs(eligible)),
        time_limit: 10 + dice.below(1500),
        ..Job::default()
    };
    match mood {
        Mood::Busy => what_it_asks_for(&mut job, dice),
        Mood::Fresh => something_small(&mut job, dice),
    }
    what_holds_it(&mut job, dice);
    job
}

fn what_it_asks_for(job: &mut Job, dice: &mut Dice) {
    let text = |text: String| Some(Arc::<str>::from(text));
    match dice.below(100) {
        // CPUs by tasks.
        0..30 => {
            job.num_tasks = 1 + dice.below(32);
            job.cpus_per_task = 1 + dice.below(4);
        }
        30..40 => {
            job.num_tasks = 1 + dice.below(64);
            job.ntasks_per_node = 1 + dice.below(8);
        }
        // Memory.
        40..48 => job.pn_min_memory = 1000 * u64::from(1 + dice.below(200)),
        48..56 => {
            job.pn_min_memory = MEM_PER_CPU | (500 * u64::from(1 + dice.below(16)));
            job.num_tasks = 1 + dice.below(16);
        }
        // GPUs.
        56..62 => job.tres_per_node = text(format!("gres/gpu={}", 1 + dice.below(4))),
        62..65 => job.tres_per_node = Some(Arc::from("gres/gpu:a100=2")),
        65..68 => {
            job.tres_per_job = text(format!("gres/gpu={}", 1 + dice.below(8)));
            job.cpus_per_tres = Some(Arc::from("gres/gpu=2"));
        }
        // Features.
        68..72 => job.features = Some(Arc::from("avx512")),
        72..74 => job.features = Some(Arc::from("highmem|fast")),
        74..76 => {
            job.features = Some(Arc::from("[small|avx512]"));
            job.num_nodes = 1 + dice.below(4);
        }
        // Nodes.
        76..82 => job.num_nodes = 1 + dice.below(16),
        82..85 => {
            job.num_nodes = 1 + dice.below(4);
            job.max_nodes = job.num_nodes + dice.below(8);
        }
        85..88 => {
            job.shared = 0;
            job.num_nodes = 1 + dice.below(4);
        }
        88..90 => job.exc_nodes = text(format!("g0-[1-{}]", 2 + dice.below(8))),
        // Arrays.
        90..99 => {
            let last = 1 + dice.below(50);
            let limit =
                if dice.percent(50) { format!("%{}", 1 + dice.below(10)) } else { String::new() };
            job.array_job_id = job.job_id;
            job.array_task_str = text(format!("0-{last}{limit}"));
            job.num_tasks = 1 + dice.below(4);
        }
        _ => job.licenses = Some(Arc::from("matlab:2")),
    }
}

fn something_small(job: &mut Job, dice: &mut Dice) {
    match dice.below(100) {
        0..70 => job.num_tasks = 1 + dice.below(5),
        70..80 => job.pn_min_memory = 500 * u64::from(1 + dice.below(8)),
        80..90 => job.pn_min_memory = MEM_PER_CPU | (500 * u64::from(1 + dice.below(4))),
        90..95 => job.features = Some(Arc::from("avx2|small|fast")),
        _ => {
            job.array_job_id = job.job_id;
            job.array_task_str = Some(Arc::from("0-3"));
        }
    }
}

fn what_holds_it(job: &mut Job, dice: &mut Dice) {
    match dice.below(100) {
        0..5 => job.priority = 0,
        5..10 => {
            job.dependency = Some(Arc::from(format!("afterok:{}", job.job_id.saturating_sub(1))));
            job.state_reason = Reason(2);
        }
        10..12 => {
            job.eligible_time = Some(Timestamp::from_secs(NOW_SECS + 3600));
            job.state_reason = Reason::BEGIN_TIME;
        }
        // BadConstraints, QOSMaxCpuPerUserLimit.
        12..14 => job.state_reason = Reason(21),
        14..16 => job.state_reason = Reason(61),
        _ => {}
    }
}
