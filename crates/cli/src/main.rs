//! `slurm-asg`: what the administrator asks and sees.
#![forbid(unsafe_code)]

mod check;
mod output;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Elastic Slurm nodes on EC2 Auto Scaling groups: what the plugin in slurmctld sees and does.
#[derive(Debug, Parser)]
#[command(
    name = "slurm-asg",
    version,
    after_help = "Examples:\n  slurm-asg status              how things stand\n  \
                  slurm-asg status --json | jq '.groups[]'\n  \
                  slurm-asg check               is asg.toml right?\n\n\
                  Exit codes: 0 all is well; 1 something is wrong, see the message; \
                  2 wrong arguments."
)]
struct Arguments {
    /// The plugin's socket, if it is not where asg.toml says
    #[arg(long, global = true, env = "SLURM_ASG_SOCKET", value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show groups and nodes, and what each node waits for
    #[command(after_help = "Examples:\n  slurm-asg status\n  slurm-asg status --json")]
    Status {
        /// Print the status as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Read asg.toml as the plugin would, and say what is wrong with it
    #[command(after_help = "Examples:\n  slurm-asg check\n  slurm-asg check --config ./asg.toml")]
    Check {
        /// The file [default: asg.toml beside slurm.conf]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print the result as JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let socket = arguments.socket.unwrap_or_else(slurm_asg_wire::socket_path);
    let result = match arguments.command {
        Command::Status { json } => status::run(&socket, json),
        Command::Check { config, json } => {
            check::run(&config.unwrap_or_else(slurm_asg_wire::config_path), json)
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("slurm-asg: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
