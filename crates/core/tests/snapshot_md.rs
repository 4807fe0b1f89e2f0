//! docs/snapshot.md is what programs are written after: its example works, and no field is missing.

use std::path::Path;

use slurm_asg_core::plan::plan;
use slurm_asg_core::policy;
use slurm_asg_core::snapshot::{Job, License, Node, Partition, Reservation, file};

const TEXT: &str = include_str!("../../../docs/snapshot.md");

/// The part of the text between two others.
fn between(from: &str, to: &str) -> Option<&'static str> {
    let (_, rest) = TEXT.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

#[test]
fn the_example_gives_the_plan_that_is_printed_beside_it() {
    let config = between("With this asg.toml beside it\n", "`slurm-asg plan").unwrap();
    let policy = policy::parse(Path::new("asg.toml"), config).unwrap();
    let read = file::read(between("```json\n", "```").unwrap()).unwrap();
    assert_eq!(read.ignored, Vec::<String>::new());
    let (snapshot, memory) = read.file.into_snapshot(&policy);
    let plan = plan(&policy, &memory, &snapshot);
    assert_eq!(plan.jobs.len(), 3);
    for verdict in plan.jobs.values() {
        assert!(TEXT.contains(&format!("  {verdict}\n")), "{verdict} is not printed");
    }
    assert!(plan.groups.values().all(|group| group.demand == 3), "{:?}", plan.groups);
}

#[test]
fn every_field_is_described() {
    let node = Node { alloc_cpus: Some(1), alloc_memory: Some(1), ..Node::default() };
    let records = [
        serde_json::to_value(Job::default()),
        serde_json::to_value(node),
        serde_json::to_value(Partition::default()),
        serde_json::to_value(Reservation::default()),
        serde_json::to_value(License::default()),
        serde_json::to_value(file::Instance::default()),
    ];
    for record in records {
        let record = record.unwrap();
        for field in record.as_object().unwrap().keys() {
            assert!(TEXT.contains(&format!("`{field}`")), "{field} is not described");
        }
    }
}
