//! An instance type against the NodeName lines of the nodes that it serves.

use std::collections::BTreeSet;

use super::conf::{NodeLine, SlurmConf};
use super::survey::{Answer, GroupFacts, Survey, TypeFacts};
use super::{Area, Finding, Level};
use crate::hostlist;
use crate::ids::NodeName;
use crate::policy::Policy;

/// How much of an instance's memory Linux offers, percent: firmware and kernel keep some. What
/// slurmd finds below RealMemory makes its node invalid (node_mgr.c).
const MEMORY_PERCENT: u64 = 95;

/// RealMemory for an instance type, MiB.
#[must_use]
pub const fn real_memory(memory_mib: u64) -> u64 {
    memory_mib.saturating_mul(MEMORY_PERCENT) / 100
}

/// What a NodeName line says of an instance type: `CPUs=2 … RealMemory=3891`.
#[must_use]
pub fn node_facts(machine: &TypeFacts) -> String {
    let TypeFacts { vcpus, cores, threads, memory_mib, .. } = *machine;
    let mut text = format!("CPUs={vcpus}");
    if cores.checked_mul(threads) == Some(vcpus) {
        text += &format!(" Sockets=1 CoresPerSocket={cores} ThreadsPerCore={threads}");
    }
    text += &format!(" RealMemory={}", real_memory(memory_mib));
    if machine.gpus > 0 {
        text += &format!(" Gres=gpu:{}", machine.gpus);
    }
    text
}

impl TypeFacts {
    /// With the cores and threads that a launch template gives it.
    #[must_use]
    pub fn with_cpu(&self, cpu: Option<(u32, u32)>) -> Self {
        let Some((cores, threads)) = cpu else { return self.clone() };
        Self { cores, threads, vcpus: cores.saturating_mul(threads), ..self.clone() }
    }
}

/// The instance types that a group may launch.
#[must_use]
pub fn types_of(group: &GroupFacts) -> BTreeSet<String> {
    if !group.types.is_empty() {
        return group.types.iter().cloned().collect();
    }
    let template = group.template.as_ref().and_then(Answer::known);
    template.and_then(|it| it.instance_type.clone()).into_iter().collect()
}

/// What is wrong with the NodeName lines.
pub(super) fn look_at(
    policy: &Policy,
    conf: &SlurmConf,
    survey: &Survey,
    findings: &mut Vec<Finding>,
    not_checked: &mut Vec<String>,
) {
    let lines = conf.nodes();
    for group in policy.groups.values() {
        let nodes: BTreeSet<&NodeName> = group.nodes.iter().collect();
        let theirs: Vec<&NodeLine> =
            lines.iter().filter(|line| line.names.iter().any(|it| nodes.contains(it))).collect();
        for asg in &group.asgs {
            let Some(known) = survey.groups.get(asg.as_str()).and_then(Answer::known) else {
                continue;
            };
            let types = types_of(known);
            if types.is_empty() {
                not_checked.push(format!(
                    "NodeName lines against {asg}: its instance type could not be seen"
                ));
            }
            let template = known.template.as_ref().and_then(Answer::known);
            let cpu = template.and_then(|it| it.cpu);
            for name in types {
                match survey.types.get(&name) {
                    Some(Answer::Known(machine)) => {
                        let machine = machine.with_cpu(cpu);
                        for line in &theirs {
                            compare(&Pair { conf, line, name: &name, machine: &machine }, findings);
                        }
                    }
                    Some(Answer::Missing) => not_checked.push(format!(
                        "NodeName lines against {name} of {asg}: EC2 knows no such type here"
                    )),
                    Some(Answer::Unknown(why)) => {
                        not_checked.push(format!("NodeName lines against {name} of {asg}: {why}"));
                    }
                    None => {}
                }
            }
        }
    }
}

struct Pair<'a> {
    conf: &'a SlurmConf,
    line: &'a NodeLine,
    name: &'a str,
    machine: &'a TypeFacts,
}

/// Why a NodeName line that promises too much matters.
const INVALID: &str =
    "slurmd finds less than slurm.conf says, and Slurm drains the node as invalid";

fn compare(pair: &Pair<'_>, findings: &mut Vec<Finding>) {
    let Pair { conf, line, name, machine } = *pair;
    // slurmd is taken at slurm.conf's word.
    if conf.words("SlurmdParameters").iter().any(|it| it == "config_overrides") {
        return;
    }
    let write = format!("NodeName={} {} State=CLOUD", line.expression, node_facts(machine));
    let mut find = |level, check: &str, what: String, why: &str| {
        let what = format!("NodeName={} {what} ({name})", hostlist::compress(&line.names));
        let (check, why, write) = (check.to_owned(), why.to_owned(), write.clone());
        findings.push(Finding { level, area: Area::InstanceTypes, check, what, why, write });
    };
    let vcpus = u64::from(machine.vcpus);
    let cpus = cpus(line);
    if cpus > vcpus {
        let what = format!("has {cpus} CPUs, and the instance type {vcpus} vCPUs");
        find(Level::Error, "cpus", what, INVALID);
    } else if cpus < vcpus && cpus != u64::from(machine.cores) {
        let what = format!("has {cpus} CPUs, and the instance type {vcpus} vCPUs");
        find(Level::Warning, "cpus", what, "the rest is paid for and not used");
    }
    let memory = machine.memory_mib;
    match line.number("RealMemory") {
        Some(said) if said > memory => {
            let what = format!("has RealMemory={said}, and the instance type {memory} MiB");
            find(Level::Error, "memory", what, INVALID);
        }
        Some(said) if said > real_memory(memory) => {
            let what = format!("has RealMemory={said} of the instance type's {memory} MiB");
            let why = "Linux offers some percent less, and Slurm drains a node that has less than \
                       slurm.conf says";
            find(Level::Warning, "memory", what, why);
        }
        Some(said) if said < memory / 2 => {
            let what = format!("has RealMemory={said}, and the instance type {memory} MiB");
            find(Level::Warning, "memory", what, "the rest is paid for and not used");
        }
        Some(_) => {}
        None => {
            let why = "Slurm takes it for 1 MiB: no job that asks for memory can run";
            find(Level::Warning, "memory", "has no RealMemory".to_owned(), why);
        }
    }
    let gpus = gpus(line.value("Gres").unwrap_or_default());
    let has = u64::from(machine.gpus);
    if gpus > has {
        let what = format!("has {gpus} GPUs, and the instance type {has}");
        find(Level::Error, "gpus", what, INVALID);
    } else if gpus < has {
        let what = format!("has {gpus} GPUs, and the instance type {has}");
        find(Level::Warning, "gpus", what, "the rest is paid for and not used");
    }
    if gpus > 0 && !conf.words("GresTypes").iter().any(|it| it == "gpu") {
        findings.push(Finding {
            level: Level::Error,
            area: Area::Nodes,
            check: "GresTypes".to_owned(),
            what: format!("NodeName={} has Gres=gpu, and GresTypes has no gpu", line.expression),
            why: "slurmctld does not take such a line".to_owned(),
            write: "GresTypes=gpu, and gres.conf with AutoDetect=nvml on the image".to_owned(),
        });
    }
}

/// CPUs of a line: as it says, or sockets times cores times threads.
fn cpus(line: &NodeLine) -> u64 {
    let number = |key: &str| line.number(key).unwrap_or(1);
    let boards = number("Boards");
    let sockets = line
        .number("Sockets")
        .unwrap_or_else(|| boards.saturating_mul(line.number("SocketsPerBoard").unwrap_or(1)));
    let made =
        sockets.saturating_mul(number("CoresPerSocket")).saturating_mul(number("ThreadsPerCore"));
    line.number("CPUs").or_else(|| line.number("Procs")).unwrap_or(made)
}

/// GPUs of `gpu:tesla:2,gpu:1,nic:4`.
fn gpus(gres: &str) -> u64 {
    let of = |word: &str| {
        let word = word.split('(').next().unwrap_or(word);
        let mut parts = word.split(':');
        (parts.next()?.eq_ignore_ascii_case("gpu"))
            .then(|| parts.next_back().and_then(|count| count.parse::<u64>().ok()).unwrap_or(1))
    };
    gres.split(',').filter_map(of).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_counted_however_they_are_written() {
        assert_eq!(gpus("gpu:tesla:2,gpu:1,nic:4"), 3);
        assert_eq!((gpus("gpu"), gpus(""), gpus("gpu:a100")), (1, 0, 1));
        assert_eq!(gpus("gpu:2(S:0)"), 2);
    }

    #[test]
    fn a_line_is_made_of_an_instance_type() {
        let machine =
            TypeFacts { vcpus: 4, cores: 2, threads: 2, memory_mib: 8192, ..TypeFacts::default() };
        let expected = "CPUs=4 Sockets=1 CoresPerSocket=2 ThreadsPerCore=2 RealMemory=7782";
        assert_eq!(node_facts(&machine), expected);
        let gpus = TypeFacts { gpus: 8, ..machine.with_cpu(Some((2, 1))) };
        let expected =
            "CPUs=2 Sockets=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=7782 Gres=gpu:8";
        assert_eq!(node_facts(&gpus), expected);
    }
}
