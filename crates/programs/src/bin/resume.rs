//! Slurm's ResumeProgram: tells the plugin which nodes are wanted, and ends.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use slurm_asg_programs::run;
use slurm_asg_wire::{REQUEST_BYTES_MAX, Request};

const HELP: &str = "\
slurm-asg-resume: Slurm's ResumeProgram for slurm-asg

Usage: slurm-asg-resume NODES

Tells the plugin in slurmctld which nodes are wanted, and ends. Slurm calls it; in slurm.conf:
    ResumeProgram=/usr/sbin/slurm-asg-resume

Environment:
    SLURM_RESUME_FILE  which jobs the nodes are for (from Slurm)
    SLURM_CONF         slurm.conf; asg.toml is looked for beside it
    SLURM_ASG_CONFIG   another asg.toml
    SLURM_ASG_SOCKET   another socket than asg.toml names

Exit codes: 0 the plugin has heard it; 1 it did not answer, see syslog; 2 wrong arguments.
";

fn main() -> ExitCode {
    // First thing: the file is a descriptor of slurmctld and goes away with it.
    let file = std::env::var_os("SLURM_RESUME_FILE")
        .and_then(|path| std::fs::read_to_string(path).ok())
        // JSON in JSON grows; what is left out is found in Slurm's queue.
        .filter(|text| text.len() < REQUEST_BYTES_MAX / 4);
    run("slurm-asg-resume", HELP, |nodes| Request::Resume { nodes, file })
}
