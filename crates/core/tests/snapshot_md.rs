//! docs/snapshot.md is what programs are written after: its example works, and no field is missing.

use std::path::Path;

use slurm_asg_core::demand::JobWhy;
use slurm_asg_core::plan::{Why, plan};
use slurm_asg_core::policy;
use slurm_asg_core::snapshot::{
    Job, License, Node, Partition, PartitionState, Reason, Reservation, file,
};
use slurm_asg_core::time::Timestamp;

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

/// Each reason of a job leads to the next one: one that is missing here does not compile.
fn next_of_job(why: &JobWhy) -> Option<JobWhy> {
    Some(match why {
        JobWhy::Counted => JobWhy::FitsOnNodesThatAreUp,
        JobWhy::FitsOnNodesThatAreUp => JobWhy::Held,
        JobWhy::Held => JobWhy::HeldBack { reason: Reason::default() },
        JobWhy::HeldBack { .. } => JobWhy::WaitsForOtherJobs,
        JobWhy::WaitsForOtherJobs => JobWhy::NotYet { at: Timestamp::default() },
        JobWhy::NotYet { .. } => JobWhy::ArrayLimit { max: 1 },
        JobWhy::ArrayLimit { .. } => JobWhy::NoSuchPartition,
        JobWhy::NoSuchPartition => JobWhy::PartitionClosed { state: PartitionState::UP },
        JobWhy::PartitionClosed { .. } => JobWhy::OverTimeLimit { max: 1 },
        JobWhy::OverTimeLimit { .. } => JobWhy::OverNodeLimit { max: 1 },
        JobWhy::OverNodeLimit { .. } => JobWhy::NoNodesAsked,
        JobWhy::NoNodesAsked => JobWhy::ReservationNotActive,
        JobWhy::ReservationNotActive => JobWhy::NeedsReservation,
        JobWhy::NeedsReservation => JobWhy::WaitsForLicenses,
        JobWhy::WaitsForLicenses => JobWhy::LeftToSlurm { what: String::new() },
        JobWhy::LeftToSlurm { .. } => JobWhy::Impossible,
        JobWhy::Impossible => JobWhy::NodesUnavailable,
        JobWhy::NodesUnavailable => JobWhy::NoFreeNodes,
        JobWhy::NoFreeNodes => JobWhy::BehindOthers,
        JobWhy::BehindOthers => JobWhy::NotTaken,
        JobWhy::NotTaken => JobWhy::TooFarBehind,
        JobWhy::TooFarBehind => return None,
    })
}

/// The same of nodes.
fn next_of_node(why: &Why) -> Option<Why> {
    Some(match why {
        Why::Busy => Why::Idle { since: None },
        Why::Idle { .. } => Why::Base { since: None },
        Why::Base { .. } => Why::Booting { since: Timestamp::default() },
        Why::Booting { .. } => Why::Bound,
        Why::Bound => Why::WaitsForAddress,
        Why::WaitsForAddress => Why::WaitsForResume,
        Why::WaitsForResume => Why::WaitsForLaunch,
        Why::WaitsForLaunch => Why::Raised,
        Why::Raised => Why::AtMax { max: 1 },
        Why::AtMax { .. } => Why::WaitsForAlarm,
        Why::WaitsForAlarm => Why::RetryAt { at: Timestamp::default() },
        Why::RetryAt { .. } => Why::NoCapacity { code: String::new(), at: Timestamp::default() },
        Why::NoCapacity { .. } => Why::ProtectedMode { failures: 1 },
        Why::ProtectedMode { .. } => Why::Paused,
        Why::Paused => Why::CloudUnknown,
        Why::CloudUnknown => Why::NoInstanceKnown,
        Why::NoInstanceKnown => Why::NoMachine,
        Why::NoMachine => Why::Released,
        Why::Released => Why::PoweringDown,
        Why::PoweringDown => Why::ReleasedWithWork,
        Why::ReleasedWithWork => Why::InstanceGone,
        Why::InstanceGone => Why::NeverRegistered,
        Why::NeverRegistered => {
            Why::WaitsForBillingHour { since: Timestamp::default(), at: Timestamp::default() }
        }
        Why::WaitsForBillingHour { .. } => Why::BillingHourEnds { since: Timestamp::default() },
        Why::BillingHourEnds { .. } => {
            Why::Incomplete { job: 1, has: 0, nodes: 2, until: Timestamp::default() }
        }
        Why::Incomplete { .. } => Why::MakesRoom { since: None },
        Why::MakesRoom { .. } => Why::PowerDownAsked,
        Why::PowerDownAsked => Why::NotInGroup,
        Why::NotInGroup => Why::HeldByHook,
        Why::HeldByHook => Why::Kept { since: None, words: String::new() },
        Why::Kept { .. } => Why::InstanceKept { words: String::new() },
        Why::InstanceKept { .. } => Why::TakenByAws,
        Why::TakenByAws => return None,
    })
}

#[test]
fn every_reason_is_described_in_the_table_of_its_kind() {
    let jobs = between("### Why a job counts or not", "### Why a node is as it is").unwrap();
    let (_, nodes) = TEXT.split_once("### Why a node is as it is").unwrap();
    let mut why = Some(JobWhy::Counted);
    while let Some(this) = why {
        assert!(jobs.contains(&format!("`{}`", this.word())), "{} is missing", this.word());
        why = next_of_job(&this);
    }
    let mut why = Some(Why::Busy);
    while let Some(this) = why {
        assert!(nodes.contains(&format!("`{}`", this.word())), "{} is missing", this.word());
        why = next_of_node(&this);
    }
}
