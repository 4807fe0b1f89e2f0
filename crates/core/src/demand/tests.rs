//! Tables of what Slurm does with jobs, in the language of jobs and nodes.
//!
//! A line of nodes is a hostlist with what slurm.conf would say and a state; a job is what
//! sbatch would be given, its number first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::hostlist;
use crate::node_state::NodeState;
use crate::policy;
use crate::snapshot::{
    Job, JobState, License, Partition, PartitionState, Reason, Release, Reservation, SlurmFacts,
};

const NOW: i64 = 1_000_000;

/// A cluster with a partition `p` of all nodes, and a group for each letter that names have.
struct Cluster {
    nodes: BTreeMap<NodeName, Node>,
    queue: Queue,
    earlier: BTreeMap<u32, Timestamp>,
    now: i64,
}

impl Cluster {
    fn new(lines: &[&str]) -> Self {
        let mut cluster = Self {
            nodes: BTreeMap::new(),
            queue: Queue {
                comments: BTreeMap::new(),
                slurm: SlurmFacts {
                    version: Some(Release::V24_05),
                    select_type_param: Some(0x4),
                    ..SlurmFacts::default()
                },
                ..Queue::default()
            },
            earlier: BTreeMap::new(),
            now: NOW,
        };
        for line in lines {
            cluster.add_nodes(line);
        }
        let all = cluster.in_order();
        cluster.partition("p", &all, |_| {});
        cluster
    }

    fn in_order(&self) -> Vec<NodeName> {
        let mut nodes: Vec<&Node> = self.nodes.values().collect();
        nodes.sort_by_key(|node| node.index);
        nodes.into_iter().map(|node| node.name.clone()).collect()
    }

    fn add_nodes(&mut self, line: &str) {
        let mut words = line.split(' ');
        for name in hostlist::expand(words.next().unwrap()).unwrap() {
            let index = u32::try_from(self.nodes.len()).unwrap();
            let mut node = Node { name: name.clone(), index, memory_mib: 1000, ..Node::default() };
            node.state = NodeState(crate::testing::state("off"));
            for word in words.clone() {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                match key {
                    "cpus" => node.cpus = value.parse().unwrap(),
                    "threads" => {
                        node.threads = value.parse().unwrap();
                        (node.sockets, node.cores) = (1, node.cpus / node.threads);
                    }
                    "mem" => node.memory_mib = value.parse().unwrap(),
                    "weight" => node.weight = value.parse().unwrap(),
                    "gres" => node.gres = Some(value.into()),
                    "used" => node.gres_used = Some(value.into()),
                    "features" => node.features = Some(value.into()),
                    "held" => node.alloc_cpus = Some(value.parse().unwrap()),
                    "disk" => node.tmp_disk = value.parse().unwrap(),
                    state => node.state = NodeState(crate::testing::state(state)),
                }
            }
            self.nodes.insert(name, node);
        }
    }

    fn partition(&mut self, name: &str, nodes: &[NodeName], change: impl FnOnce(&mut Partition)) {
        let name: Arc<str> = name.into();
        let mut partition =
            Partition { name: Arc::clone(&name), nodes: nodes.to_vec(), ..Partition::default() };
        change(&mut partition);
        self.queue.partitions.insert(name, partition);
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn count(&self, jobs: &[&str]) -> Demand {
        self.count_records(jobs.iter().map(|text| sbatch(text)).collect())
    }

    fn count_records(&self, jobs: Vec<Job>) -> Demand {
        let letters: BTreeSet<String> = self
            .nodes
            .keys()
            .map(|name| name.as_str().trim_end_matches(|c: char| c.is_ascii_digit()).to_owned())
            .collect();
        let groups = letters.iter().map(|letter| {
            let nodes: Vec<_> =
                self.nodes.keys().filter(|name| name.as_str().starts_with(letter)).collect();
            let nodes = hostlist::compress(nodes);
            format!("[[group]]\nname = \"{letter}\"\nnodes = \"{nodes}\"\nasg = \"{letter}\"\n")
        });
        let text: String = groups.collect();
        let policy = policy::parse(Path::new("asg.toml"), &text).unwrap();
        let queue = Queue { jobs, ..self.queue.clone() };
        demand(&Look {
            policy: &policy,
            nodes: &self.nodes,
            broken: BTreeSet::new(),
            queue: &queue,
            earlier: &self.earlier,
            now: Timestamp::from_secs(self.now),
            trace: Some(1),
        })
    }
}

/// What slurmctld would make of a job that sbatch is given so.
fn sbatch(text: &str) -> Job {
    let mut words = text.split(' ');
    let job_id = words.next().unwrap().parse().unwrap();
    let mut job =
        Job { job_id, priority: 10_000 - job_id, partition: "p".into(), ..Job::default() };
    let text_of = |value: &str| Some(Arc::<str>::from(value));
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u32>().unwrap();
        match key {
            "-N" => {
                let (least, most) = value.split_once('-').unwrap_or((value, value));
                (job.num_nodes, job.max_nodes) = (least.parse().unwrap(), most.parse().unwrap());
            }
            "-n" => job.num_tasks = number(),
            "-c" => job.cpus_per_task = number(),
            "-t" => job.time_limit = number(),
            "-p" => job.partition = value.into(),
            "-C" => job.features = text_of(value),
            "-w" => job.req_nodes = text_of(value),
            "-x" => job.exc_nodes = text_of(value),
            "-L" => job.licenses = text_of(value),
            "--ntasks-per-node" => job.ntasks_per_node = number(),
            "--mincpus" => job.pn_min_cpus = number(),
            "--threads-per-core" => job.threads_per_core = number(),
            "--mem" => job.pn_min_memory = value.parse().unwrap(),
            "--mem-per-cpu" => job.pn_min_memory = 1 << 63 | value.parse::<u64>().unwrap(),
            "--mem-per-gpu" => job.mem_per_tres = text_of(&format!("gres:gpu:{value}")),
            "--tmp" => job.pn_min_tmp_disk = number(),
            "--gpus" => job.tres_per_job = text_of(&format!("gres:gpu:{value}")),
            "--gres" => job.tres_per_node = text_of(&format!("gres:{value}")),
            "--gpus-per-task" => job.tres_per_task = text_of(&format!("gres:gpu:{value}")),
            "--cpus-per-gpu" => job.cpus_per_tres = text_of(&format!("gres:gpu:{value}")),
            "--exclusive" => job.shared = 0,
            "--contiguous" => job.contiguous = 1,
            "--array" => {
                (job.array_job_id, job.array_task_str) = (job_id, text_of(value));
            }
            "--reservation" => job.resv_name = text_of(value),
            "--dependency" => job.dependency = text_of(value),
            "--begin" => job.start_time = Some(Timestamp::from_secs(NOW + i64::from(number()))),
            "--priority" => job.priority = number(),
            "--het" => (job.het_job_id, job.het_job_offset) = (number(), job_id - number()),
            "--reason" => job.state_reason = Reason::of_name(value).unwrap(),
            other => panic!("sbatch has no {other}"),
        }
    }
    // As sbatch and slurmctld do it.
    if job.ntasks_per_node > 0 && job.num_tasks > 1 << 31 {
        job.num_tasks = job.ntasks_per_node * job.num_nodes;
    }
    job
}

fn launched(demand: &Demand) -> u32 {
    demand.launch.values().sum()
}

fn why(demand: &Demand, job: u32) -> String {
    demand.jobs[&job].why.word()
}

/// Eight nodes of four CPUs and 1000 MiB that are powered down.
const OFF: [&str; 1] = ["n[1-8] cpus=4"];

/// Each job alone, on nodes that are all powered down, launches so many.
fn launches(nodes: &[&str], table: &[(&str, u32)]) {
    let cluster = Cluster::new(nodes).with(|it| it.queue.slurm.select_type_param = None);
    for (job, expected) in table {
        let demand = cluster.count(&[job]);
        assert_eq!(launched(&demand), *expected, "{job}: {:?}", demand.jobs);
    }
}

#[test]
fn nodes_tasks_and_cpus_make_nodes() {
    launches(
        &OFF,
        &[
            ("1", 1),
            ("1 -N=3", 3),
            ("1 -N=2-4", 4),
            ("1 -N=2-12", 8),
            ("1 -n=7", 2),
            ("1 -n=8", 2),
            ("1 -n=9", 3),
            ("1 -n=3 -c=3", 3),
            ("1 -n=4 -c=2", 2),
            ("1 -n=6 --ntasks-per-node=2", 3),
            ("1 -N=2 --ntasks-per-node=4", 2),
            ("1 -N=2 -n=3", 2),
            ("1 -n=1 --mincpus=4", 1),
            ("1 -n=33", 0),
            ("1 -c=5", 0),
            ("1 -N=9", 0),
            ("1 -N=1-1 -n=5", 0),
        ],
    );
}

#[test]
fn memory_is_for_a_node_a_cpu_or_a_gpu() {
    launches(
        &["n[1-8] cpus=4 mem=1000 gres=gpu:4"],
        &[
            ("1 --mem=1000", 1),
            ("1 --mem=1001", 0),
            ("1 -n=4 --mem-per-cpu=250", 1),
            ("1 -n=4 --mem-per-cpu=500", 2),
            ("1 -n=4 --mem-per-cpu=1001", 0),
            ("1 -n=2 -c=2 --mem-per-cpu=400", 2),
            ("1 --gres=gpu:2 --mem-per-gpu=500", 1),
            ("1 --gres=gpu:2 --mem-per-gpu=501", 0),
        ],
    );
    let cluster = Cluster::new(&OFF).with(|it| it.queue.slurm.select_type_param = Some(0x14));
    assert_eq!(launched(&cluster.count(&["1 --mem=500", "2 --mem=500", "3 --mem=500"])), 2);
    assert_eq!(launched(&cluster.count(&["1 -n=2 --mem-per-cpu=300", "2 --mem=400"])), 1);
    assert_eq!(launched(&cluster.count(&["1 -n=2 --mem-per-cpu=300", "2 --mem=401"])), 2);
    // Who says nothing gets all of it, where Slurm shares memory out.
    assert_eq!(launched(&cluster.count(&["1", "2"])), 2);
}

#[test]
fn gres_are_counted_by_type_and_place() {
    let nodes = ["a[1-2] cpus=8 gres=gpu:tesla:2", "b[1-2] cpus=8 gres=gpu:a100:4", "c1 cpus=8"];
    launches(
        &nodes,
        &[
            ("1 --gres=gpu:1", 1),
            ("1 --gres=gpu:tesla:2", 1),
            ("1 --gres=gpu:tesla:3", 0),
            ("1 --gres=gpu:3", 1),
            ("1 -N=2 --gres=gpu:3", 2),
            ("1 -N=3 --gres=gpu:3", 0),
            ("1 -N=1-1 --gpus=4", 1),
            ("1 -N=1-3 --gpus=8", 2),
            ("1 -n=4 --gpus-per-task=a100:2", 2),
            ("1 -n=2 --gpus-per-task=2", 1),
            ("1 --gres=gpu:2 --cpus-per-gpu=4", 1),
            ("1 --gres=gpu:tesla:2 --cpus-per-gpu=5", 0),
            ("1 --gres=fpga:1", 0),
        ],
    );
    let cluster = Cluster::new(&nodes);
    let two = cluster.count(&["1 --gres=gpu:tesla:1", "2 --gres=gpu:tesla:1"]);
    assert_eq!(launched(&two), 1, "they share a node");
    let three =
        cluster.count(&["1 --gres=gpu:tesla:1", "2 --gres=gpu:tesla:1", "3 --gres=gpu:tesla:1"]);
    assert_eq!(three.launch[&GroupName::new("a")], 2);
    let all = cluster.count(&["1 -n=4 --gres=gpu:a100:4", "2 --gres=gpu:a100:1"]);
    assert_eq!(all.launch[&GroupName::new("b")], 2);
}

#[test]
fn features_choose_nodes() {
    let nodes = ["a[1-3] cpus=2 features=fast,x", "b[1-3] cpus=2 features=big,x", "c[1-3] cpus=2"];
    let cluster = Cluster::new(&nodes);
    let table = [
        ("1 -C=fast", "a=1"),
        ("1 -C=big", "b=1"),
        ("1 -N=4 -C=x", "a=3 b=1"),
        ("1 -N=4 -C=fast|big", "a=3 b=1"),
        ("1 -N=4 -C=[fast|big]", ""),
        ("1 -N=3 -C=[none|big]", "b=3"),
        ("1 -C=fast&big", ""),
        ("1 -N=3 -C=fast*1&big*2", "a=1 b=2"),
        ("1 -N=4 -C=fast*1&big*2", "a=2 b=2"),
        ("1 -C=(fast|big)&x", "a=1"),
        ("1 -C=none", ""),
    ];
    for (job, expected) in table {
        let demand = cluster.count(&[job]);
        let said: Vec<_> =
            demand.launch.iter().map(|(group, count)| format!("{group}={count}")).collect();
        assert_eq!(said.join(" "), expected, "{job}: {:?}", demand.jobs);
    }
}

#[test]
fn node_lists_are_kept_to() {
    let cluster = Cluster::new(&OFF);
    let nodes = |job: &str| {
        let demand = cluster.count(&[job]);
        hostlist::compress(&demand.traced)
    };
    assert_eq!(nodes("1 -w=n5"), "n5");
    assert_eq!(nodes("1 -N=3 -w=n[5-6]"), "n[5-7]");
    assert_eq!(nodes("1 -N=2 -x=n[1-3]"), "n[4-5]");
    assert_eq!(nodes("1 -N=6 -x=n[1-3]"), "");
    assert_eq!(nodes("1 -w=n99"), "");
    assert_eq!(why(&cluster.count(&["1 -w=n99"]), 1), "impossible");
}

#[test]
fn jobs_share_what_other_jobs_leave_and_whole_nodes_are_not_shared() {
    let cluster = Cluster::new(&OFF);
    assert_eq!(launched(&cluster.count(&["1 -n=2", "2 -n=2"])), 1);
    assert_eq!(launched(&cluster.count(&["1 -n=3", "2 -n=2"])), 2);
    assert_eq!(launched(&cluster.count(&["1 -n=3", "2 -n=2", "3 -n=1"])), 2);
    assert_eq!(launched(&cluster.count(&["1 --exclusive", "2 --exclusive", "3"])), 3);
    assert_eq!(launched(&cluster.count(&["1", "2 --exclusive"])), 2);
    let whole = Cluster::new(&OFF).with(|it| {
        let all = it.in_order();
        it.partition("p", &all, |partition| partition.max_share = 0);
    });
    assert_eq!(launched(&whole.count(&["1", "2", "3"])), 3);
}

#[test]
fn threads_of_a_core_go_together() {
    let cluster = Cluster::new(&["n[1-8] cpus=8 threads=2"]);
    assert_eq!(launched(&cluster.count(&["1 -n=1", "2 -n=6", "3 -n=1"])), 2);
    let whole: Vec<String> = (1..=5).map(|id| format!("{id} -n=1")).collect();
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    assert_eq!(launched(&cluster.count(&whole)), 2, "four cores, five jobs");
    assert_eq!(launched(&cluster.count(&["1 -n=8 --threads-per-core=1"])), 2);
}

#[test]
fn what_is_up_booting_or_partly_free_is_credited() {
    let with = |line: &str| Cluster::new(&["n[1-2] cpus=4", line]);
    let table = [
        ("n3 cpus=4 idle", 0),
        ("n3 cpus=4 powering_up", 0),
        ("n3 cpus=4 mixed held=1", 0),
        ("n3 cpus=4 mixed held=3", 1),
        ("n3 cpus=4 mixed", 1),
        ("n3 cpus=4 alloc", 1),
        ("n3 cpus=4 alloc_powering_up held=1", 0),
        ("n3 cpus=4 completing", 1),
        ("n3 cpus=4 down", 1),
        ("n3 cpus=4 powering_down", 1),
        ("n3 cpus=4 power_down", 1),
    ];
    for (line, expected) in table {
        let demand = with(line).count(&["1 -n=2"]);
        assert_eq!(launched(&demand), expected, "{line}: {:?}", demand.jobs);
    }
    let idle = with("n3 cpus=4 idle").count(&["1 -n=2"]);
    assert_eq!((why(&idle, 1), idle.jobs[&1].nodes), ("fits_on_nodes_that_are_up".into(), 1));
    assert_eq!(idle.reuse[&GroupName::new("n")], 1);
    assert_eq!(launched(&with("n3 cpus=4 idle").count(&["1 -N=3"])), 2);
    assert_eq!(launched(&with("n3 cpus=4 mixed held=1").count(&["1 --exclusive"])), 1);
}

#[test]
fn what_slurm_would_not_start_adds_nothing_and_says_why() {
    let cluster = Cluster::new(&OFF);
    let table = [
        ("1 --priority=0", "held"),
        ("1 --reason=JobHeldUser", "held_back"),
        ("1 --reason=Dependency", "held_back"),
        ("1 --reason=DependencyNeverSatisfied", "held_back"),
        ("1 --reason=QOSMaxCpuPerUserLimit", "held_back"),
        ("1 --reason=AssocGrpNodeLimit", "held_back"),
        ("1 --reason=PartitionTimeLimit", "held_back"),
        ("1 --reason=Licenses", "held_back"),
        ("1 --reason=BadConstraints", "held_back"),
        ("1 --reason=MaxPoweredUpNodes", "held_back"),
        ("1 --dependency=afterok:7(unfulfilled)", "waits_for_other_jobs"),
        ("1 --begin=60", "not_yet"),
        ("1 --begin=60 --reason=BeginTime", "not_yet"),
        ("1 -p=q", "no_such_partition"),
        ("1 -N=9", "impossible"),
        ("1 -N=0", "no_nodes_asked"),
        ("1 -c=5", "impossible"),
        ("1 -N=4294967293", "over_node_limit"),
        ("1 -n=4294967293", "impossible"),
        ("1 --gres=shard:1", "left_to_slurm"),
    ];
    for (job, word) in table {
        let demand = cluster.count(&[job]);
        assert_eq!((launched(&demand), why(&demand, 1)), (0, word.to_owned()), "{job}");
    }
    let unknown = Job { state_reason: Reason(4000), ..sbatch("1") };
    let demand = cluster.count_records(vec![unknown]);
    assert_eq!((launched(&demand), why(&demand, 1)), (0, "held_back".to_owned()));
}

#[test]
fn what_may_start_now_is_counted_whatever_slurm_said_before() {
    let cluster = Cluster::new(&OFF);
    for job in [
        "1 --reason=Resources",
        "1 --reason=Priority",
        "1 --reason=BeginTime --begin=0",
        "1 --reason=ReqNodeNotAvail",
        // Slurm's guess, not the user's wish.
        "1 --reason=Resources --begin=3600",
    ] {
        assert_eq!(launched(&cluster.count(&[job])), 1, "{job}");
    }
    let later = cluster.count(&["1 --begin=60", "2 --begin=30"]);
    assert_eq!(later.next_start, Some(Timestamp::from_secs(NOW + 30)));
}

#[test]
fn partitions_have_states_limits_and_tiers() {
    let with = |change: fn(&mut Partition)| {
        Cluster::new(&OFF).with(|it| {
            let all = it.in_order();
            it.partition("p", &all, change);
        })
    };
    let one = |change: fn(&mut Partition), job: &str| {
        let demand = with(change).count(&[job]);
        (launched(&demand), why(&demand, 1))
    };
    let down = |partition: &mut Partition| partition.state_up = PartitionState(1);
    assert_eq!(one(down, "1"), (0, "partition_closed".into()));
    let drain = |partition: &mut Partition| partition.state_up = PartitionState(2);
    assert_eq!(one(drain, "1"), (1, "counted".into()));
    assert_eq!(one(|partition| partition.max_nodes = 2, "1 -N=3"), (0, "over_node_limit".into()));
    assert_eq!(one(|partition| partition.max_nodes = 2, "1 -N=1-3"), (0, "over_node_limit".into()));
    assert_eq!(one(|partition| partition.max_nodes = 2, "1 -n=12"), (0, "impossible".into()));
    assert_eq!(one(|partition| partition.max_time = 60, "1 -t=61"), (0, "over_time_limit".into()));
    assert_eq!(one(|partition| partition.min_nodes = 2, "1"), (2, "counted".into()));
    assert_eq!(one(|partition| partition.max_cpus_per_node = 2, "1 -n=4"), (2, "counted".into()));
    assert_eq!(one(|partition| partition.flags = 0x10, "1"), (0, "needs_reservation".into()));
    assert_eq!(one(|partition| partition.max_share = 0x8004, "1"), (0, "left_to_slurm".into()));
}

#[test]
fn a_job_of_several_partitions_gets_the_first_that_has_room() {
    let cluster = Cluster::new(&["a1 cpus=2", "b[1-2] cpus=2"]).with(|it| {
        it.partition("a", &["a1".into()], |_| {});
        it.partition("b", &["b1".into(), "b2".into()], |_| {});
        it.partition("top", &["b1".into(), "b2".into()], |partition| partition.priority_tier = 9);
    });
    let launch = |jobs: &[&str]| {
        let demand = cluster.count(jobs);
        demand
            .launch
            .iter()
            .map(|(name, count)| format!("{name}={count}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(launch(&["1 -p=a,b"]), "a=1");
    assert_eq!(launch(&["1 -N=2 -p=a,b"]), "b=2");
    assert_eq!(launch(&["1 -p=a --exclusive", "2 -p=a,b"]), "a=1 b=1");
    assert_eq!(launch(&["1 -p=a,top"]), "b=1", "the higher tier comes first");
    assert_eq!(launch(&["1 -p=a,none"]), "a=1");
    // The default partition, where none is named.
    let named = Cluster::new(&OFF).with(|it| {
        let all = it.in_order();
        it.partition("q", &all, |partition| partition.flags = 1);
    });
    let demand = named.count_records(vec![Job { partition: "".into(), ..sbatch("1") }]);
    assert_eq!(launched(&demand), 1);
}

#[test]
fn arrays_count_task_by_task_up_to_their_limit() {
    let cluster = Cluster::new(&OFF);
    assert_eq!(launched(&cluster.count(&["1 --array=0-3"])), 1);
    assert_eq!(launched(&cluster.count(&["1 --array=0-4"])), 2);
    assert_eq!(launched(&cluster.count(&["1 --array=0-99%8"])), 2);
    assert_eq!(launched(&cluster.count(&["1 --array=0-99"])), 8);
    let running =
        |id| Job { job_id: id, job_state: JobState::RUNNING, array_job_id: 1, ..Job::default() };
    let array = sbatch("1 --array=2-99%6 --exclusive");
    let demand = cluster.count_records(vec![array.clone(), running(2), running(3)]);
    assert_eq!((launched(&demand), demand.jobs.len()), (4, 1));
    let full = Job { array_max_tasks: 2, array_task_str: Some("2-99".into()), ..array };
    let demand = cluster.count_records(vec![full, running(2), running(3)]);
    assert_eq!((launched(&demand), why(&demand, 1)), (0, "array_limit".into()));
}

#[test]
fn enormous_arrays_end() {
    let cluster = Cluster::new(&["n1 cpus=65535"]);
    let demand = cluster.count(&["1 --array=0-4294967294", "2"]);
    assert_eq!((launched(&demand), why(&demand, 2)), (1, "behind_others".into()));
}

#[test]
fn a_heterogeneous_job_starts_whole_or_not_at_all() {
    let cluster = Cluster::new(&["a[1-2] cpus=2 features=a", "b[1-2] cpus=2 features=b"]);
    let launch = |jobs: &[&str]| {
        let demand = cluster.count(jobs);
        (launched(&demand), why(&demand, 1))
    };
    assert_eq!(launch(&["1 -N=2 -C=a --het=1", "2 -C=b --het=1"]), (3, "counted".into()));
    assert_eq!(launch(&["1 -N=2 -C=a --het=1", "2 -N=3 -C=b --het=1"]).0, 0);
    assert_eq!(launch(&["1 -C=a --het=1", "2 -C=b --het=1 --priority=0"]).0, 0);
}

#[test]
fn a_component_closes_its_partition_if_that_lets_it_in() {
    let cluster = Cluster::new(&OFF).with(|it| {
        it.queue.slurm.strictly_in_order = true;
        it.queue.reservations = Some(BTreeMap::new());
    });
    let third = |jobs: [&str; 2]| why(&cluster.count(&[jobs[0], jobs[1], "3"]), 3);
    assert_eq!(third(["1 --het=1", "2 --het=1"]), "behind_others");
    assert_eq!(third(["1 --het=1 --reservation=r", "2 --het=1 --reservation=r"]), "counted");
}

#[test]
fn licenses_are_used_up() {
    let cluster = Cluster::new(&OFF).with(|it| {
        let license = License { name: "sim".into(), total: 3, in_use: 1, reserved: 0 };
        it.queue.licenses = Some([(Arc::clone(&license.name), license)].into());
    });
    let demand =
        cluster.count(&["1 --exclusive -L=sim:2", "2 --exclusive -L=sim", "3 --exclusive"]);
    assert_eq!((launched(&demand), why(&demand, 2)), (2, "waits_for_licenses".into()));
    assert_eq!(launched(&cluster.count(&["1 -N=9 -L=sim:2", "2 -L=sim:2"])), 1, "not by job 1");
    assert_eq!(launched(&cluster.count(&["1 -L=none"])), 0);
    assert_eq!(
        launched(&Cluster::new(&OFF).count(&["1 -L=sim:9"])),
        1,
        "not known: Slurm's reason says"
    );
}

#[test]
fn reservations_keep_others_out_and_their_own_in() {
    let cluster = Cluster::new(&OFF).with(|it| {
        let resv = |name: &str, nodes: &str, start: i64, end: i64| Reservation {
            name: name.into(),
            node_list: hostlist::expand(nodes).unwrap(),
            start_time: Some(Timestamp::from_secs(NOW + start)),
            end_time: Some(Timestamp::from_secs(NOW + end)),
            ..Reservation::default()
        };
        let all = [resv("now", "n[1-6]", -10, 3600), resv("soon", "n7", 600, 3600)];
        it.queue.reservations =
            Some(all.into_iter().map(|it| (Arc::clone(&it.name), it)).collect());
    });
    let table = [
        ("1 -N=2", 0, "nodes_unavailable"),
        ("1 -N=2 -t=9", 2, "counted"),
        ("1 -N=1", 1, "counted"),
        ("1 -N=6 --reservation=now", 6, "counted"),
        ("1 -N=7 --reservation=now", 0, "impossible"),
        ("1 --reservation=soon", 0, "reservation_not_active"),
        ("1 --reservation=none", 0, "reservation_not_active"),
    ];
    for (job, expected, word) in table {
        let demand = cluster.count(&[job]);
        assert_eq!((launched(&demand), why(&demand, 1).as_str()), (expected, word), "{job}");
    }
    // Who waits for nodes that are reserved keeps others waiting once something else is taken too.
    let strict = cluster.with(|it| it.queue.slurm.strictly_in_order = true);
    let third = |jobs: &[&str]| {
        let demand = strict.count(jobs);
        assert_eq!(why(&demand, 2), "nodes_unavailable", "{jobs:?}");
        why(&demand, 3)
    };
    assert_eq!(third(&["2 -N=3 --exclusive", "3"]), "counted");
    assert_eq!(third(&["1", "2 -N=3 --exclusive", "3"]), "behind_others");
    assert_eq!(third(&["1", "2 -N=3", "3"]), "fits_on_nodes_that_are_up", "n8 can be shared");
    assert_eq!(third(&["1", "2 -N=3 --exclusive -w=n1", "3"]), "fits_on_nodes_that_are_up");
}

#[test]
fn jobs_behind_one_that_waits_get_only_nodes_that_it_does_not_want() {
    let busy = ["n[1-2] cpus=4 alloc", "n[3-4] cpus=4", "m1 cpus=4 features=m"];
    let cluster = Cluster::new(&busy);
    let demand = cluster.count(&["1 -N=4 -x=m1", "2", "3 -C=m", "4 -w=n3"]);
    assert_eq!(why(&demand, 1), "no_free_nodes");
    assert_eq!(why(&demand, 2), "counted", "m1 is of no use to job 1");
    assert_eq!(why(&demand, 3), "fits_on_nodes_that_are_up");
    assert_eq!(why(&demand, 4), "behind_others");
    let strict = Cluster::new(&busy).with(|it| it.queue.slurm.strictly_in_order = true);
    assert_eq!(launched(&strict.count(&["1 -N=4 -x=m1", "2"])), 0);
    // What can never run, or not on nodes that Slurm would use, keeps nobody waiting.
    assert_eq!(launched(&cluster.count(&["1 -N=9", "2 --exclusive"])), 1);
    // Who waits for nodes by name keeps only those.
    assert_eq!(launched(&cluster.count(&["1 -w=n1", "2 -N=2"])), 2);
}

#[test]
fn lighter_nodes_come_first_and_old_slurm_forgets_the_weight_of_nodes_that_are_off() {
    let nodes = ["a[1-2] cpus=4 weight=9", "b[1-3] cpus=4 weight=1"];
    let group = |cluster: &Cluster, job: &str| {
        cluster.count(&[job]).launch.keys().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let new = Cluster::new(&nodes);
    assert_eq!(group(&new, "1"), "b");
    let old = Cluster::new(&nodes).with(|it| it.queue.slurm.version = Release::parse("22.05.8"));
    assert_eq!(group(&old, "1 -N=2"), "a");
    let up = Cluster::new(&["a1 cpus=4 weight=9 idle", "b[1-3] cpus=4 weight=1"]);
    assert_eq!(launched(&up.count(&["1"])), 0, "a node that is up is better than one that is off");
}

#[test]
fn a_job_that_slurm_does_not_take_is_counted_for_a_while_only() {
    let mut cluster = Cluster::new(&OFF);
    let first = cluster.count(&["1"]);
    cluster.earlier.clone_from(&first.counted);
    cluster.now = NOW + 120;
    assert_eq!(launched(&cluster.count(&["1"])), 1);
    cluster.now = NOW + 121;
    let last = cluster.count(&["1"]);
    assert_eq!((launched(&last), why(&last, 1)), (0, "not_taken".into()));
    assert_eq!(last.counted, first.counted, "it stays known");
}

#[test]
fn nodes_of_no_group_are_used_and_not_launched() {
    let mut cluster = Cluster::new(&["n[1-2] cpus=2"]);
    cluster.nodes.get_mut(&NodeName::new("n1")).unwrap().name = "n1".into();
    let text = "[[group]]\nname = \"g\"\nnodes = \"n2\"\nasg = \"a\"";
    let policy = policy::parse(Path::new("asg.toml"), text).unwrap();
    let queue = Queue { jobs: vec![sbatch("1 -N=2")], ..cluster.queue.clone() };
    let demand = demand(&Look {
        policy: &policy,
        nodes: &cluster.nodes,
        broken: BTreeSet::new(),
        queue: &queue,
        earlier: &BTreeMap::new(),
        now: Timestamp::from_secs(NOW),
        trace: None,
    });
    assert_eq!((launched(&demand), demand.jobs[&1].nodes), (1, 2));
}

/// The nodes that job 1 is given.
fn placed(cluster: &Cluster, jobs: &[&str]) -> String {
    hostlist::compress(&cluster.count(jobs).traced)
}

/// A cluster of a Slurm release before 23.02, which weighs all powered-down nodes alike.
fn old(nodes: &[&str]) -> Cluster {
    Cluster::new(nodes).with(|it| it.queue.slurm.version = Release::parse("22.05.8"))
}

#[test]
fn a_job_that_waits_keeps_nodes_for_the_time_when_others_end_and_short_jobs_use_them_before() {
    let cluster = Cluster::new(&["a[1-2] cpus=4", "b1 cpus=4"]);
    let jobs = |third: &str| {
        let demand =
            cluster.count(&["1 -N=2 --exclusive -t=600", "2 -N=3 --exclusive -t=600", third]);
        (launched(&demand), why(&demand, 3))
    };
    // Job 2 has to wait ten hours, for all three nodes.
    assert_eq!(jobs("3 -t=60"), (3, "counted".into()));
    assert_eq!(jobs("3 -t=599"), (3, "counted".into()));
    assert_eq!(jobs("3 -t=900").0, 2, "it would still run");
}

#[test]
fn jobs_that_end_together_are_planned_with_in_the_order_of_slurm_s_list() {
    let cluster = Cluster::new(&["x1 cpus=8", "y1 cpus=4", "z1 cpus=6"]);
    let last = |jobs: [&str; 5]| why(&cluster.count(&jobs), 9);
    let (x, y) = ("3 -w=x1 -n=6 -t=600", "4 -w=y1 -n=4 -t=600 --priority=9000");
    let (z, waits) =
        ("5 -w=z1 -n=6 -t=1200 --priority=8000", "6 -n=5 -x=y1 -t=600 --priority=7000");
    let last_one = "9 -w=x1 -n=2 -t=700 --priority=1";
    // y1 is of no use to job 6, and what ends after the job on it is not looked at in time: if
    // that is the one on z1, job 6 is planned there.
    assert_eq!(last([y, x, z, waits, last_one]), "no_free_nodes");
    assert_eq!(last([x, y, z, waits, last_one]), "fits_on_nodes_that_are_up");
}

#[test]
fn nodes_are_kept_only_where_the_job_will_start() {
    let cluster = Cluster::new(&["a[1-4] cpus=4"]);
    // Job 2 gets a1 and a2 back after ten hours; a3 and a4 are nobody's.
    let demand = cluster.count(&[
        "1 -w=a[1-2] -N=2 --exclusive -t=600",
        "2 -w=a[1-2] -N=2 --exclusive -t=600",
        "3 -N=2 -t=9000",
    ]);
    assert_eq!((launched(&demand), why(&demand, 3)), (4, "counted".into()));
}

#[test]
fn tasks_of_an_array_that_the_first_pass_leaves_are_tried_in_the_second_and_elsewhere() {
    let cluster = Cluster::new(&["a1 cpus=2", "b1 cpus=2"]).with(|it| {
        it.partition("a", &["a1".into()], |_| {});
        it.partition("b", &["b1".into()], |_| {});
    });
    let demand = cluster.count(&["1 -p=a,b --array=0-3"]);
    assert_eq!((launched(&demand), demand.jobs[&1].nodes), (2, 4));
    assert_eq!(cluster.count(&["1 -p=a --array=0-3"]).jobs[&1].nodes, 2);
}

#[test]
fn no_core_is_shared_whatever_select_type_parameters_says() {
    // CR_CPU_Memory: seven CPUs are four cores of two threads.
    let cluster = Cluster::new(&["n[1-2] cpus=8 threads=2"])
        .with(|it| it.queue.slurm.select_type_param = Some(0x11));
    assert_eq!(launched(&cluster.count(&["1 -c=7 --mem=1", "2 --mem=1"])), 2);
    // CR_Core_Memory: the rest of a core comes with its memory, CR_CPU_Memory not.
    let jobs = ["1 --mem-per-cpu=400", "2 --mem=600"];
    assert_eq!(launched(&cluster.count(&jobs)), 1);
    let by_core = cluster.with(|it| it.queue.slurm.select_type_param = Some(0x14));
    assert_eq!(launched(&by_core.count(&jobs)), 2);
}

#[test]
fn tasks_go_round_the_nodes_and_leave_what_they_do_not_need() {
    let cluster = Cluster::new(&["n[1-3] cpus=8"]);
    // One task of four CPUs on each node: three more fit beside them.
    let demand = cluster.count(&["1 -N=3 -n=3 -c=4", "2 -N=3 -n=3 -c=4"]);
    assert_eq!((launched(&demand), why(&demand, 2)), (3, "fits_on_nodes_that_are_up".into()));
}

#[test]
fn a_type_of_gres_is_enough_by_itself_or_counts_nothing_until_its_place_is_known() {
    launches(&["n1 cpus=4 gres=gpu:a:1,gpu:b:1"], &[("1 --gres=gpu:1", 1), ("1 --gres=gpu:2", 0)]);
    launches(&["n1 cpus=4 gres=gpu:a:1(S:0),gpu:b:1(S:0)"], &[("1 --gres=gpu:2", 1)]);
}

#[test]
fn a_type_whose_place_is_not_known_goes_to_more_jobs_than_there_is_of_it() {
    let three = |gres: &str, ask: &str| {
        let cluster = Cluster::new(&[&format!("n[1-9] cpus=4 gres={gres}")]);
        let jobs: Vec<String> = (1..=3).map(|id| format!("{id} -n=1 {ask}")).collect();
        launched(&cluster.count(&jobs.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    // Of the two GPUs both are booked, and of the type a none.
    assert_eq!(three("gpu:a:1,gpu:b:1", "--gpus-per-task=a:1"), 2);
    assert_eq!(three("gpu:a:1,gpu:b:1", "--gpus=a:1"), 2);
    assert_eq!(three("gpu:a:1,gpu:b:1", "--gres=gpu:a:1"), 3);
    assert_eq!(three("gpu:a:1(S:0),gpu:b:1(S:0)", "--gpus-per-task=a:1"), 3);
}

#[test]
fn a_type_whose_place_is_not_known_stays_booked_for_jobs_that_did_not_name_it() {
    let third = |gres: &str, first: &str| {
        let cluster = Cluster::new(&[&format!("n1 cpus=4 gres={gres}")]);
        let first = format!("1 -t=60 {first}");
        why(&cluster.count(&[&first, "2 --gres=gpu:1 -t=60", "3 -t=900"]), 3)
    };
    // Job 2 waits for the GPU, and keeps the node if it sees it come back.
    assert_eq!(third("gpu:a:1(S:0)", "--gres=gpu:1"), "no_free_nodes");
    assert_eq!(third("gpu:a:1", "--gres=gpu:a:1"), "no_free_nodes");
    assert_eq!(third("gpu:a:1", "--gres=gpu:1"), "fits_on_nodes_that_are_up");
}

#[test]
fn gres_for_each_task_are_gres_for_the_job_and_bring_no_more_cpus_than_needed() {
    let cluster = old(&["a1 cpus=8 gres=gpu:4", "b1 cpus=4 gres=gpu:2"]);
    // Two GPUs are enough: the smaller node is.
    assert_eq!(placed(&cluster, &["1 -n=2 --gpus-per-task=1"]), "b1");
    // One CPU is offered of each: the first node is as tight as the second one.
    let two = old(&["c[1-2] cpus=4 gres=gpu:2"]);
    assert_eq!(placed(&two, &["2 -w=c2 -n=1 --priority=20000", "1 -n=1 --gres=gpu:1"]), "c1");
}

#[test]
fn memory_for_each_cpu_of_whole_nodes_is_for_whole_tasks() {
    // Eight CPUs are one task of six.
    let cluster = Cluster::new(&["n[1-4] cpus=8 mem=8000"])
        .with(|it| it.queue.slurm.select_type_param = Some(0x14));
    let job = "1 -n=4 -c=6 --exclusive --mem-per-cpu=100";
    assert_eq!(launched(&cluster.count(&[job])), 4);
}

#[test]
fn counted_features_want_the_least_of_a_range_and_neighbours_next() {
    let cluster = old(&["a[1-4] cpus=2", "b[1-6] cpus=2 features=big"]);
    assert_eq!(placed(&cluster, &["1 -N=3-6 -C=big*2"]), "b[1-3]");
    assert_eq!(placed(&cluster, &["1 -n=1 -C=big*2"]), "b[1-2]");
    let two = old(&["a[1-2] cpus=4 features=fast", "b[1-2] cpus=2 features=fast,big"]);
    assert_eq!(placed(&two, &["1 -C=[big*1&fast*1]"]), "b[1-2]", "big ones first");
    let apart = old(&["a[1-4] cpus=4 features=big", "b[1-9] cpus=2 features=old", "c[1-9] cpus=8"]);
    let job = "1 -n=6 -c=2 -C=[old*1&big*1]";
    assert_eq!(placed(&apart, &[job]), "a[1-3],b1", "the rest next to the first, of either");
}

#[test]
fn counted_features_are_planned_each_for_the_whole_job_and_within_the_least_of_a_range() {
    // Job 1 waits for n[1-4], so that job 2 has to be planned before it starts.
    let nodes = ["n[1-2] cpus=4 alloc", "n[3-4] cpus=4", "m[1-4] cpus=2 features=fast,big"];
    let cluster = Cluster::new(&nodes);
    let second = |job: &str| why(&cluster.count(&["1 -N=4 -x=m[1-4]", job]), 2);
    assert_eq!(second("2 -N=2 -C=[fast*1&big*1]"), "counted");
    assert_eq!(second("2 -N=1-3 -C=[fast*1&big*1]"), "behind_others");
    assert_eq!(second("2 -n=4 -C=[fast*1&big*1]"), "counted", "m[1-2] and m[3-4]");
    assert_eq!(second("2 -n=5 -C=[fast*1&big*1]"), "behind_others");
    // No node of the second feature is free: the job is planned without, and cannot start then.
    let cluster = Cluster::new(&[
        "n1 cpus=4 alloc",
        "n2 cpus=4",
        "m[1-3] cpus=4 features=fast",
        "o1 cpus=4 alloc features=old",
    ]);
    let third = |job: &str| why(&cluster.count(&["1 -N=2 -w=n[1-2]", job, "3 -C=fast"]), 3);
    assert_eq!(third("2 -N=5 -C=[fast*1&old*1]"), "counted");
    assert_eq!(third("2 -N=3 -C=[fast*1&old*1]"), "behind_others");
}

#[test]
fn a_larger_block_that_is_not_enough_hides_one_that_is_from_a_job_that_wants_neighbours() {
    let job = "1 -N=3 -n=12 --contiguous -x=x[1-2]";
    let nodes = ["a[1-3] cpus=16", "x1 cpus=1", "b[1-3] cpus=4", "x2 cpus=1", "c[1-2] cpus=8"];
    assert_eq!(placed(&Cluster::new(&nodes), &[job]), "a[1-3]", "c hides b");
    let cluster = Cluster::new(&nodes);
    assert_eq!(placed(&cluster, &["1 -N=2 -w=b2 --contiguous"]), "b[2-3]");
    let alone = Cluster::new(&["a1 cpus=4", "x1 cpus=1", "b[1-3] cpus=4"]);
    assert_eq!(placed(&alone, &["1 -N=3 -w=a1 -x=x1 --contiguous"]), "", "a1 has no neighbour");
    let [a, x1, b, ..] = nodes;
    assert_eq!(placed(&Cluster::new(&[a, x1, b, "x2 cpus=1"]), &[job]), "b[1-3]");
}

#[test]
fn components_share_no_node() {
    let cluster = Cluster::new(&["n[1-3] cpus=8"]);
    let demand = cluster.count(&["1 -n=1 --het=1", "2 -n=1 --het=1"]);
    assert_eq!(launched(&demand), 2);
}

#[test]
fn what_is_said_of_one_partition_is_not_said_of_another() {
    let cluster = Cluster::new(&["a1 cpus=2", "b1 cpus=2"]).with(|it| {
        it.partition("a", &["a1".into()], |partition| partition.max_time = 60);
        it.partition("b", &["b1".into()], |_| {});
    });
    assert_eq!(launched(&cluster.count(&["1 -p=a,b -t=600 --reason=PartitionTimeLimit"])), 1);
    assert_eq!(launched(&cluster.count(&["1 -p=a -t=600 --reason=PartitionTimeLimit"])), 0);
}

#[test]
fn a_job_whose_nodes_are_closed_closes_no_further_partition() {
    let cluster = Cluster::new(&["a1 cpus=4 alloc", "a2 cpus=4", "b1 cpus=4"]).with(|it| {
        it.partition("a", &["a1".into(), "a2".into()], |_| {});
        it.partition("ab", &["a1".into(), "a2".into(), "b1".into()], |_| {});
        it.queue.slurm.strictly_in_order = true;
    });
    // Job 1 closes a; job 2 needs nodes of it, job 3 does not.
    let demand = cluster.count(&["1 -p=a -N=2", "2 -p=ab -w=a2", "3 -p=ab"]);
    assert_eq!((why(&demand, 2), why(&demand, 3)), ("behind_others".into(), "counted".into()));
}

#[test]
fn a_pending_record_of_slurmctld_shows_more_nodes_than_were_asked_for() {
    let cluster = Cluster::new(&OFF);
    let flags = 1 << 14 | 1 << 9;
    let job = Job { num_nodes: 3, bitflags: flags, ..sbatch("1 -n=4 -c=2") };
    assert_eq!(launched(&cluster.count_records(vec![job])), 2, "Slurm guesses 3");
    let two = Cluster::new(&["n[1-2] cpus=4"]);
    let shown = |num_nodes, text| {
        let job = Job { num_nodes, bitflags: 1 << 14, ..sbatch(text) };
        launched(&two.count_records(vec![job]))
    };
    assert_eq!(shown(2, "1 -N=2-3 -n=4 --ntasks-per-node=2"), 2, "a range");
    assert_eq!(
        shown(3, "1 -N=3-3 -n=3 --ntasks-per-node=3"),
        0,
        "three nodes, whatever goes on each"
    );
}

#[test]
fn jobs_that_ask_for_the_same_get_what_each_would_get_alone() {
    // That the shortcut finds what the whole search finds is asserted where it is taken.
    let mut number = 1_u32;
    let mut below = |end: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 16) % end
    };
    for _ in 0..60 {
        let lines: Vec<String> = (0..20)
            .map(|nth| {
                let state = ["off", "mixed", "idle", "alloc"].get(below(4) as usize).unwrap();
                let (cpus, weight) = (2 + 2 * below(4), 1 + below(2));
                let held = if *state == "mixed" { below(cpus) } else { 0 };
                let held = if *state == "alloc" { cpus } else { held };
                format!("n{nth} cpus={cpus} weight={weight} held={held} mem=4000 {state}")
            })
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let cluster = Cluster::new(&lines);
        let mut jobs = Vec::new();
        for batch in 0..12 {
            let (tasks, cpus, mib) = (1 + below(2), 1 + below(3), 100 * below(12));
            for _ in 0..1 + below(12) {
                let job_id = u32::try_from(jobs.len()).unwrap() + 1;
                let mut job = sbatch(&job_id.to_string());
                job.priority = 10_000 - batch;
                (job.num_tasks, job.cpus_per_task) = (tasks, cpus);
                job.pn_min_memory = mib.into();
                jobs.push(job);
            }
        }
        let found = cluster.count_records(jobs);
        assert!(found.jobs.values().any(|job| job.why.is_counted()), "{lines:?}");
    }
}

#[test]
fn what_no_node_can_serve_is_said_of_each_job_that_asks_for_it() {
    let cluster = Cluster::new(&["n[1-2] cpus=2"]);
    let found = cluster.count(&["1 -n=9", "2 -n=9", "3 -n=1", "4 -n=9"]);
    let words: Vec<String> = found.jobs.values().map(|job| job.why.word()).collect();
    assert_eq!(words, ["impossible", "impossible", "counted", "impossible"]);
    let busy = Cluster::new(&["n[1-2] cpus=2 alloc"]);
    assert_eq!(why(&busy.count(&["1 -N=2", "2 -N=3"]), 2), "impossible", "though others wait");
    let two = Cluster::new(&["n[1-2] cpus=2 alloc", "m[1-2] cpus=2"]).with(|it| {
        it.partition("n", &["n1".into(), "n2".into()], |_| {});
    });
    let found = two.count(&["1 -p=n -N=2", "2 -N=5"]);
    assert_eq!(why(&found, 2), "impossible", "whatever is open of its partition");
}
