//! NodeName and PartitionName lines against the groups of asg.toml.

use std::collections::{BTreeMap, BTreeSet};

use super::conf::{NodeLine, PartitionLine, SlurmConf, finite};
use super::{Area, Facts, Finding, Level};
use crate::hostlist;
use crate::ids::NodeName;
use crate::policy::{GroupPolicy, ScaleIn};

/// What is wrong with the nodes of slurm.conf.
pub(super) fn look_at(facts: &Facts<'_>, conf: &SlurmConf, findings: &mut Vec<Finding>) {
    let lines = conf.nodes();
    let line_of: BTreeMap<&NodeName, &NodeLine> =
        lines.iter().flat_map(|line| line.names.iter().map(move |name| (name, line))).collect();
    let partitions = conf.partitions();
    let mut find = |level, check: &str, what, why: &str, write| {
        let (check, why) = (check.to_owned(), why.to_owned());
        findings.push(Finding { level, area: Area::Nodes, check, what, why, write });
    };
    for (name, group) in &facts.policy.groups {
        let of = |is: &dyn Fn(&NodeName) -> bool| {
            let chosen: Vec<_> = group.nodes.iter().filter(|node| is(node)).collect();
            (!chosen.is_empty()).then(|| hostlist::compress(chosen))
        };
        if let Some(missing) = of(&|node| !line_of.contains_key(node)) {
            find(
                Level::Error,
                "node_missing",
                format!("{missing} of group {name} in asg.toml are no nodes of slurm.conf"),
                "no job can use them, and no instance is launched for them",
                format!("NodeName={missing} CPUs=… RealMemory=… State=CLOUD"),
            );
        }
        let is_cloud = |line: &NodeLine| {
            line.value("State").is_some_and(|state| state.eq_ignore_ascii_case("cloud"))
        };
        let is_other = |node: &NodeName| line_of.get(node).is_some_and(|line| !is_cloud(line));
        if let Some(others) = of(&is_other) {
            find(
                Level::Error,
                "node_state",
                format!("{others} of group {name} are not State=CLOUD"),
                "Slurm takes them for machines that are always there, and does not power them up",
                format!("NodeName={others} … State=CLOUD"),
            );
        }
        let in_none = |node: &NodeName| {
            line_of.contains_key(node) && !partitions.iter().any(|it| it.nodes.contains(node))
        };
        if let Some(left_out) = of(&in_none) {
            find(
                Level::Error,
                "no_partition",
                format!("{left_out} of group {name} are in no partition"),
                "no job can use them",
                format!("PartitionName=cloud Nodes={left_out} MaxTime=INFINITE State=UP"),
            );
        }
        suspension(name.as_str(), group, facts, (conf, &partitions), &mut find);
    }
    let is_stray = |(name, line): &(&&NodeName, &&NodeLine)| {
        facts.policy.group_of(name).is_none()
            && line.value("State").is_some_and(|state| state.eq_ignore_ascii_case("cloud"))
    };
    let stray: Vec<&NodeName> =
        line_of.iter().filter(|it| is_stray(&(it.0, it.1))).map(|(name, _)| *name).collect();
    if !stray.is_empty() {
        let stray = hostlist::compress(stray);
        find(
            Level::Warning,
            "node_without_group",
            format!("{stray} are State=CLOUD and in no group of asg.toml"),
            "Slurm gives them to jobs, and no instance ever comes; right if something else powers \
             them up",
            format!("nodes = \"{stray}\" in a [[group]] of asg.toml"),
        );
    }
}

/// Which nodes Slurm may power down, and which it must not.
fn suspension(
    name: &str,
    group: &GroupPolicy,
    facts: &Facts<'_>,
    (conf, partitions): (&SlurmConf, &[PartitionLine]),
    find: &mut impl FnMut(Level, &str, String, &str, String),
) {
    let nodes: BTreeSet<&NodeName> = group.nodes.iter().collect();
    let theirs: Vec<_> = partitions
        .iter()
        .filter(|partition| partition.nodes.iter().any(|node| nodes.contains(node)))
        .collect();
    let way = match group.scale_in {
        ScaleIn::Slurm => None,
        ScaleIn::BillingHour(_) => Some("billing-hour"),
        ScaleIn::Never => Some("never"),
    };
    if let Some(way) = way {
        for partition in &theirs {
            if partition.value("SuspendTime").is_some_and(|time| finite(time).is_none()) {
                continue;
            }
            let own = partition.value("SuspendTime");
            let said = own.map_or("no SuspendTime of its own".to_owned(), |time| {
                format!("SuspendTime={time}")
            });
            let about = &partition.name;
            find(
                Level::Error,
                "partition_suspend_time",
                format!("group {name} has scale_in = \"{way}\", and partition {about} has {said}"),
                "Slurm powers idle nodes down by itself",
                format!("PartitionName={about} … SuspendTime=INFINITE"),
            );
        }
        return;
    }
    let kept = excluded(conf, partitions, &nodes);
    let seen = |asg: &crate::ids::AsgName| {
        facts.survey.and_then(|it| it.groups.get(asg.as_str())?.known()).map_or(0, |it| it.min)
    };
    let own = group.asgs.iter().map(seen).sum();
    let min = usize::try_from(group.sizes.min.unwrap_or(own)).unwrap_or(usize::MAX);
    if kept < min.min(nodes.len()) {
        let base = hostlist::compress(group.nodes.iter().take(min));
        find(
            Level::Warning,
            "SuspendExcNodes",
            format!("group {name} keeps {min} nodes, and Slurm may power all but {kept} down"),
            "they are powered down and brought back again and again",
            format!("SuspendExcNodes={base}"),
        );
    }
    if kept == nodes.len() && kept > min {
        find(
            Level::Warning,
            "SuspendExcNodes",
            format!("SuspendExcNodes and SuspendExcParts have all nodes of group {name}"),
            "no node ever goes, whether jobs use it or not",
            "take them out of SuspendExcNodes and SuspendExcParts".to_owned(),
        );
    }
}

/// How many of these nodes Slurm leaves up: `SuspendExcNodes=a[1-8]:2` leaves two.
fn excluded(conf: &SlurmConf, partitions: &[PartitionLine], nodes: &BTreeSet<&NodeName>) -> usize {
    let mut kept = BTreeSet::new();
    let mut counted = 0_usize;
    for word in super::conf::words_of(conf.value("SuspendExcNodes").unwrap_or_default()) {
        let (list, count) = match word.rsplit_once(':') {
            Some((list, count)) => (list, count.parse::<usize>().ok()),
            None => (word, None),
        };
        let names = hostlist::expand(list).unwrap_or_default();
        let ours = names.into_iter().filter(|name| nodes.contains(name));
        match count {
            Some(count) => counted = counted.saturating_add(count.min(ours.count())),
            None => kept.extend(ours),
        }
    }
    for word in super::conf::words_of(conf.value("SuspendExcParts").unwrap_or_default()) {
        let name = word.split(':').next().unwrap_or(word);
        let its = partitions.iter().filter(|it| it.name == name).flat_map(|it| it.nodes.iter());
        kept.extend(its.filter(|node| nodes.contains(node)).cloned());
    }
    kept.len().saturating_add(counted).min(nodes.len())
}
