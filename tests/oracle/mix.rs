//! Random clusters and random jobs, the same for the same seed.

use slurm_asg_lab::{Layout, NodeKind};
use slurm_asg_workload::Dice;

/// What kinds of jobs a mix has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// CPUs and memory, in one partition.
    Plain,
    /// All kinds of jobs, on a cluster that has room for most of them.
    Roomy,
    /// All kinds of jobs, most of which wait for others.
    Crowded,
}

/// A cluster and what is submitted to it.
pub struct Mix {
    pub class: Class,
    pub layout: Layout,
    /// Further lines of slurm.conf.
    pub slurm_conf: String,
    /// Arguments of `scontrol create reservation`.
    pub reservations: Vec<String>,
    /// sbatch's options for each job; for a heterogeneous job those of each component.
    pub jobs: Vec<Vec<String>>,
}

/// Stands for the id of the first job in a dependency.
pub const FIRST_JOB: &str = "%FIRST%";

/// The nodes' features.
const FEATURES: [&str; 5] = ["fast", "big", "smt", "old", "nowhere"];

impl Mix {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let class = match seed % 3 {
            0 => Class::Plain,
            1 => Class::Roomy,
            _ => Class::Crowded,
        };
        let (layout, memory) = layout(&mut dice, class);
        let mut mix = Self {
            class,
            layout,
            slurm_conf: "Licenses=sim:3,tool:8\n".to_owned(),
            reservations: Vec::new(),
            jobs: Vec::new(),
        };
        if memory && !dice.once_in(4) {
            mix.slurm_conf += &format!("DefMemPerCPU={}\n", pick(&mut dice, &[100, 500, 900]));
        }
        if class != Class::Plain {
            mix.reserve(&mut dice);
        }
        let most = if class == Class::Roomy { 16 } else { 40 };
        for _ in 0..dice.range(1, most) {
            let job = mix.job(&mut dice, memory);
            mix.jobs.push(job);
        }
        mix
    }

    fn reserve(&mut self, dice: &mut Dice) {
        let mut reserve = |name: &str, start: &str, dice: &mut Dice| {
            let kind = pick(dice, &self.layout.kinds);
            let last = dice.range(1, kind.count);
            let nodes = format!("{}-[1-{last}]", kind.name);
            // Slurm takes no two reservations of the same nodes at the same time.
            if self
                .reservations
                .iter()
                .any(|other| other.contains(&format!("Nodes={}-", kind.name)))
            {
                return;
            }
            self.reservations.push(format!(
                "ReservationName={name} StartTime={start} Duration=1-0 Users=root Nodes={nodes}"
            ));
        };
        if dice.once_in(2) {
            reserve("now", "now", dice);
        }
        if dice.once_in(3) {
            reserve("later", "now+4hours", dice);
        }
    }

    /// One job: its components, mostly one.
    fn job(&self, dice: &mut Dice, memory: bool) -> Vec<String> {
        if self.class == Class::Plain {
            return vec![plain(dice, memory)];
        }
        if dice.once_in(12) {
            let components = dice.range(2, 3);
            return (0..components).map(|_| self.component(dice, memory)).collect();
        }
        let mut options = self.component(dice, memory);
        let special = match dice.range(1, 30) {
            1 => "--hold".to_owned(),
            2 => "--begin=now+2hours".to_owned(),
            3 => format!("--dependency=afterok:{FIRST_JOB}"),
            4 => format!("--dependency=after:{FIRST_JOB}+60"),
            5 => "--nodes=200".to_owned(),
            6 => "--cpus-per-task=64".to_owned(),
            7 => "--mem=900000".to_owned(),
            8 => "--gres=gpu:none:1".to_owned(),
            9..=11 => format!("--array=0-{}", dice.range(1, 9)),
            12 | 13 => format!("--array=1-{}%{}", dice.range(3, 20), dice.range(1, 4)),
            14 => "--contiguous".to_owned(),
            _ => String::new(),
        };
        options += " ";
        options += &special;
        vec![options]
    }

    /// The options of one component.
    fn component(&self, dice: &mut Dice, memory: bool) -> String {
        let mut options = plain(dice, memory);
        let mut add = |option: String| {
            options += " ";
            options += &option;
        };
        match dice.range(1, 12) {
            1..=3 => {
                for option in gpus(dice) {
                    add(option);
                }
            }
            4 | 5 => add(format!("--constraint={}", constraint(dice))),
            6 => {
                let kind = pick(dice, &self.layout.kinds);
                let first = dice.range(1, kind.count);
                let last = kind.count.min(first + dice.range(0, 2));
                let option = if dice.once_in(2) { "nodelist" } else { "exclude" };
                add(format!("--{option}={}-[{first}-{last}]", kind.name));
            }
            7 => add(format!(
                "--licenses={}",
                pick(dice, &["sim:1", "sim:2", "tool:3,sim", "tool:9"])
            )),
            8 if !self.reservations.is_empty() => {
                add(format!("--reservation={}", pick(dice, &["now", "now", "later"])));
            }
            _ => {}
        }
        let partition = match dice.range(1, 16) {
            1..=6 => "all",
            7..=9 => "cpu",
            10 => "gpu",
            11 => "whole",
            12 => "limited",
            13 => "top",
            14 => "closed",
            15 => "cpu,whole",
            _ => "limited,gpu,all",
        };
        add(format!("--partition={partition}"));
        if dice.once_in(6) {
            add(format!("--priority={}", dice.range(1, 3) * 1_000_000));
        }
        options
    }
}

/// One of these.
fn pick<T: Clone>(dice: &mut Dice, from: &[T]) -> T {
    dice.one_of(from).expect("there are some")
}

/// The cluster, and whether it shares memory out.
fn layout(dice: &mut Dice, class: Class) -> (Layout, bool) {
    let size = if class == Class::Roomy { 3 } else { 1 };
    let kind = |name: &str, count: u32, facts: &str| NodeKind {
        name: name.to_owned(),
        count: count * size,
        facts: facts.to_owned(),
    };
    let mut kinds = vec![
        kind("small", dice.range(3, 9), "CPUs=2 RealMemory=4000 Feature=old"),
        kind(
            "smt",
            dice.range(2, 6),
            "Sockets=2 CoresPerSocket=2 ThreadsPerCore=2 RealMemory=16000 Feature=fast,smt",
        ),
        kind(
            "large",
            dice.range(2, 4),
            "Sockets=2 CoresPerSocket=8 RealMemory=64000 Feature=fast,big Weight=10",
        ),
    ];
    let mut gres_conf = String::new();
    let mut partitions = "PartitionName=all Nodes=ALL Default=YES\n\
         PartitionName=cpu Nodes=small-[1-SMALL],smt-[1-SMT],large-[1-LARGE]\n"
        .to_owned();
    if class != Class::Plain {
        kinds.push(kind(
            "tesla",
            dice.range(2, 4),
            "Sockets=2 CoresPerSocket=4 RealMemory=32000 Gres=gpu:tesla:4 Weight=5",
        ));
        kinds.push(kind(
            "mixed",
            dice.range(1, 3),
            "CPUs=4 RealMemory=8000 Gres=gpu:a100:1,gpu:tesla:1,nic:2 Feature=big",
        ));
        let count = |at: usize| kinds[at].count;
        gres_conf = format!(
            "NodeName=tesla-[1-{tesla}] Name=gpu Type=tesla Count=4\n\
             NodeName=mixed-[1-{mixed}] Name=gpu Type=a100 Count=1\n\
             NodeName=mixed-[1-{mixed}] Name=gpu Type=tesla Count=1\n\
             NodeName=mixed-[1-{mixed}] Name=nic Count=2\n",
            tesla = count(3),
            mixed = count(4),
        );
        partitions += &format!(
            "PartitionName=gpu Nodes=tesla-[1-{tesla}],mixed-[1-{mixed}]\n\
             PartitionName=whole Nodes=small-[1-SMALL],smt-[1-SMT] OverSubscribe=EXCLUSIVE\n\
             PartitionName=limited Nodes=small-[1-SMALL],large-[1-LARGE] MaxNodes=2 MaxTime=900\n\
             PartitionName=top Nodes=large-[1-LARGE],mixed-[1-{mixed}] PriorityTier=5\n\
             PartitionName=closed Nodes=small-[1-SMALL] State=DOWN\n",
            tesla = count(3),
            mixed = count(4),
        );
    }
    for (word, at) in [("SMALL", 0), ("SMT", 1), ("LARGE", 2)] {
        partitions = partitions.replace(word, &kinds[at].count.to_string());
    }
    let select = pick(dice, &["CR_Core", "CR_Core_Memory", "CR_CPU_Memory"]);
    let memory = select.ends_with("_Memory");
    (Layout { kinds, partitions, gres_conf, select: select.to_owned() }, memory)
}

/// CPUs, nodes, tasks, memory, time.
fn plain(dice: &mut Dice, memory: bool) -> String {
    let few = dice.range(1, 4);
    let mut options = match dice.range(1, 11) {
        1 | 2 => format!("--ntasks={}", dice.range(1, 20)),
        3 => format!("--nodes={few}"),
        4 => format!("--nodes={few}-{}", few + dice.range(0, 3)),
        5 => format!("--ntasks={few} --cpus-per-task={}", dice.range(1, 6)),
        6 => format!("--nodes={few} --ntasks-per-node={}", dice.range(1, 4)),
        7 => format!("--nodes={few} --ntasks={}", few + dice.range(0, 9)),
        8 => format!("--cpus-per-task={}", dice.range(1, 10)),
        9 => format!("--nodes={few} --cpus-per-task={}", dice.range(1, 4)),
        10 => format!("--ntasks={} --ntasks-per-node={}", dice.range(1, 9), dice.range(1, 3)),
        _ => "--ntasks=1".to_owned(),
    };
    if dice.once_in(6) {
        options += " --exclusive";
    }
    let said = if memory { 2 } else { 6 };
    if dice.once_in(said) {
        options += &if dice.once_in(2) {
            format!(" --mem={}", dice.range(1, 14) * 300)
        } else {
            format!(" --mem-per-cpu={}", dice.range(1, 9) * 200)
        };
    }
    // Nothing ends while the test looks, but Slurm plans with it.
    options += &format!(" --time={}", pick(dice, &[60, 600, 900, 1200, 2400]));
    options
}

fn gpus(dice: &mut Dice) -> Vec<String> {
    let kind = pick(dice, &["", "", "tesla:", "a100:"]);
    let count = dice.range(1, 4);
    let mut options = vec![match dice.range(1, 7) {
        1 | 2 => format!("--gres=gpu:{kind}{count}"),
        3 => format!("--gpus-per-node={kind}{count}"),
        4 => format!("--gpus={kind}{count}"),
        5 => format!("--gpus-per-task={kind}1"),
        6 => format!("--gres=gpu:{kind}1,nic:1"),
        _ => "--gres=nic:1".to_owned(),
    }];
    if !options[0].contains("--gres=nic") && dice.once_in(3) {
        options.push(format!("--cpus-per-gpu={}", dice.range(1, 4)));
    }
    if !options[0].contains("--gres=nic") && dice.once_in(5) {
        options.push(format!("--mem-per-gpu={}", dice.range(1, 5) * 500));
    }
    options
}

fn constraint(dice: &mut Dice) -> String {
    let (one, other) = (pick(dice, &FEATURES), pick(dice, &FEATURES));
    match dice.range(1, 7) {
        1 | 2 => one.to_owned(),
        3 => format!("{one}&{other}"),
        4 => format!("{one}|{other}"),
        5 => format!("[{one}|{other}]"),
        6 => format!("[{one}*1&{other}*1]"),
        _ => format!("{one}*2"),
    }
}
