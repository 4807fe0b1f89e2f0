//! The file that slurmctld gives the ResumeProgram.

use slurm_asg_core::resume_file::jobs;

pub fn holds(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let found = jobs(text);
    // What was found reads the same in a file of its own, in the keys of each release.
    for key in ["nodes", "nodes_resume"] {
        let records: Vec<_> =
            found.iter().map(|(id, nodes)| serde_json::json!({"job_id": id, key: nodes})).collect();
        let again = jobs(&serde_json::json!({"jobs": records}).to_string());
        assert_eq!(again, found, "{text:?}");
    }
}
