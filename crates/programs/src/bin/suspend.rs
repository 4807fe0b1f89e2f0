//! Slurm's SuspendProgram and ResumeFailProgram: tells the plugin which nodes are released.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use slurm_asg_programs::run;
use slurm_asg_wire::Request;

const HELP: &str = "\
slurm-asg-suspend: Slurm's SuspendProgram and ResumeFailProgram for slurm-asg

Usage: slurm-asg-suspend NODES

Tells the plugin in slurmctld to look at nodes that Slurm has released, and ends. The plugin
terminates their instances only if Slurm's own node states say so. Slurm calls it; in slurm.conf:
    SuspendProgram=/usr/sbin/slurm-asg-suspend
    ResumeFailProgram=/usr/sbin/slurm-asg-suspend

Environment:
    SLURM_CONF         slurm.conf; asg.toml is looked for beside it
    SLURM_ASG_CONFIG   another asg.toml
    SLURM_ASG_SOCKET   another socket than asg.toml names

Exit codes: 0 the plugin has heard it; 1 it did not answer, see syslog; 2 wrong arguments.
";

fn main() -> ExitCode {
    run("slurm-asg-suspend", HELP, |nodes| Request::Suspend { nodes })
}
