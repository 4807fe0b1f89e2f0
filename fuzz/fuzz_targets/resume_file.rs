//! The file that slurmctld gives the ResumeProgram.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slurm_asg_core::resume_file::jobs;

fuzz_target!(|text: &str| {
    let found = jobs(text);
    // Each job is in the file by its number; its nodes are there as a string.
    assert!(found.len() <= text.matches("job_id").count() + text.matches('\\').count(), "{found:?}");
});
