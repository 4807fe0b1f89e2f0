//! The state file: a memory that a plan can be made from, or one line that says why it is none.

use std::sync::LazyLock;

use crate::{POLICY, check_line};
use slurm_asg_core::check::check;
use slurm_asg_core::memory::{Launched, Outcome};
use slurm_asg_core::plan::plan;
use slurm_asg_core::snapshot::{Snapshot, file};
use slurm_asg_engine::{read_memory, write_memory};

/// What Slurm and AWS show, whatever is remembered.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let text = include_str!("../../../fuzz/corpus/snapshot/every_kind.json");
    file::read(text).expect("the snapshot is valid").file.into_snapshot(&POLICY).0
});

pub fn holds(text: &[u8]) {
    let mut memory = match read_memory(text) {
        Ok(memory) => memory,
        Err(why) => return check_line(&why),
    };
    let whole = text.trim_ascii();
    for torn in [whole.len() - 1, whole.len() / 2] {
        let torn = whole.get(..torn).unwrap_or_default();
        assert!(read_memory(torn).is_err(), "a torn file is none");
    }
    let written = write_memory(&memory).expect("memory can be written");
    assert_eq!(read_memory(&written).as_ref(), Ok(&memory));

    // As one turn of the loop, with every action failing and done.
    memory.notice(&SNAPSHOT);
    let mut made = plan(&POLICY, &memory, &SNAPSHOT);
    // Memory may contradict itself, with one instance for two nodes: then the checker refuses.
    let refused = check(&POLICY, &memory, &SNAPSHOT, &made);
    made.actions.retain(|action| refused.iter().all(|broken| broken.action != *action));
    memory.intend(&made, SNAPSHOT.now);
    let why = "no".to_owned();
    for outcome in [
        Outcome::Failed { why: why.clone() },
        Outcome::Unanswered { why },
        Outcome::Launched(Launched::default()),
        Outcome::Done,
    ] {
        let outcomes: Vec<_> =
            made.actions.iter().map(|action| (action.clone(), outcome.clone())).collect();
        memory.settle(&outcomes, SNAPSHOT.now);
    }
    write_memory(&memory).expect("memory can be written");
}
