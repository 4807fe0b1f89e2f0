//! Saved snapshots: whatever is in one, there is a plan or a line that says what is wrong.

use crate::{POLICY, check_line};
use slurm_asg_core::explain::{Subject, explain};
use slurm_asg_core::plan::plan;
use slurm_asg_core::snapshot::file;
use slurm_asg_core::view::PlanView;

pub fn holds(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = match file::read(text) {
        Ok(read) => read,
        Err(error) => {
            check_line(&error.to_string());
            return;
        }
    };
    let job = read.file.jobs.first().map_or(1, |job| job.job_id);
    let (snapshot, mut memory) = read.file.into_snapshot(&POLICY);
    memory.notice(&snapshot);
    let made = plan(&POLICY, &memory, &snapshot);
    let view = PlanView::of(&POLICY, &made, snapshot.now);
    for (name, group) in &POLICY.groups {
        let shown = view.groups.get(name).expect("each group is shown");
        assert!(shown.demand as usize <= group.nodes.len(), "{name}: {shown:?}");
    }
    for (id, shown) in &view.jobs {
        assert!(shown.counted || (shown.nodes == 0 && shown.launch == 0), "{id}: {shown:?}");
    }
    serde_json::to_string(&view).expect("a plan can be written");
    for subject in [Subject::Job(job), Subject::parse("c1"), Subject::parse("i-1")] {
        assert!(!explain(&subject, &POLICY, &memory, &snapshot, &made).answer.is_empty());
    }
}
