//! `slurm-asg`: what the administrator asks and sees.
#![forbid(unsafe_code)]

mod asking;
mod check;
mod command;
mod events;
mod explain;
mod offline;
mod output;
mod pages;
mod plan;
mod snapshot;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

/// Elastic Slurm nodes on EC2 Auto Scaling groups: what the plugin in slurmctld sees and does.
#[derive(Debug, Parser)]
#[command(
    name = "slurm-asg",
    version,
    after_help = "Examples:\n  slurm-asg status              how things stand\n  \
                  slurm-asg status --json | jq '.groups[]'\n  \
                  slurm-asg explain 12          why do job 12's nodes not come?\n  \
                  slurm-asg plan                what would be done now?\n  \
                  slurm-asg events --since 1h   what was done?\n  \
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
    /// Say why a job's nodes come or do not come, or why a node stays up or goes
    #[command(
        after_help = "Examples:\n  slurm-asg explain 12\n  slurm-asg explain compute-3 --json\n  \
                      slurm-asg explain 12 --snapshot saved.json --config ./asg.toml"
    )]
    Explain {
        /// A job's id, or a node's name
        #[arg(value_name = "JOB|NODE")]
        what: String,
        #[command(flatten)]
        source: Source,
        /// Print the answer as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Show what would be done now, without doing it
    #[command(after_help = "Examples:\n  slurm-asg plan\n  slurm-asg plan --json | jq .groups\n  \
                      slurm-asg plan --snapshot saved.json --config ./asg.toml")]
    Plan {
        #[command(flatten)]
        source: Source,
        /// Print the plan as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Write down what the plugin sees, as JSON for `plan` and `explain`
    #[command(after_help = "Examples:\n  slurm-asg snapshot > saved.json\n  \
                      slurm-asg snapshot --output saved.json\n\n\
                      The format is described in docs/snapshot.md.")]
    Snapshot {
        /// Where to [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Show what was decided and what came of it, from the event log
    #[command(after_help = "Examples:\n  slurm-asg events --since 10m\n  \
                      slurm-asg events -f --group compute\n  \
                      slurm-asg events --job 12\n  \
                      slurm-asg events --event instance_terminated -n 5\n  \
                      slurm-asg events --json | jq -r 'select(.error) | .error'\n\n\
                      The events are described in docs/events.md.")]
    Events(events::Options),
    /// End the cooldown or the protected mode of groups: instances are asked for again
    #[command(after_help = "Examples:\n  slurm-asg clear compute --reason 'image mended'\n  \
                      slurm-asg clear --all")]
    Clear(command::Options),
    /// Stop scaling groups: no instance is asked for and none is let go; jobs go on
    #[command(after_help = "Examples:\n  slurm-asg pause compute --reason 'looking at a node'\n  \
                      slurm-asg pause --all\n\n\
                      A pause outlives restarts of slurmctld. slurm-asg resume-scaling ends it.")]
    Pause(command::Options),
    /// Scale groups again that were paused
    #[command(after_help = "Examples:\n  slurm-asg resume-scaling compute\n  \
                      slurm-asg resume-scaling --all")]
    ResumeScaling(command::Options),
    /// Read asg.toml as the plugin would, look at the Auto Scaling groups, and say what is wrong
    #[command(after_help = "Examples:\n  slurm-asg check\n  slurm-asg check --fix\n  \
                      slurm-asg check --config ./asg.toml   only the file")]
    Check {
        /// Another file than the plugin's; then only the file is checked
        #[arg(long, value_name = "FILE", conflicts_with = "fix")]
        config: Option<PathBuf>,
        /// Change the settings of Auto Scaling groups that are advised
        #[arg(long)]
        fix: bool,
        /// Print the result as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print the completions of this program for a shell; packages install them
    #[command(after_help = "Examples:\n  slurm-asg completions bash > \
                      /etc/bash_completion.d/slurm-asg")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page
    #[command(hide = true)]
    Man {
        /// The page
        #[arg(default_value = "slurm-asg")]
        page: pages::Page,
    },
}

/// Where plan and explain get what they need from.
#[derive(Debug, Args)]
struct Source {
    /// A saved snapshot, instead of the plugin's last look; - is standard input
    #[arg(long, value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// The configuration that goes with the snapshot [default: asg.toml beside slurm.conf]
    #[arg(long, value_name = "FILE", requires = "snapshot")]
    config: Option<PathBuf>,
}

impl Source {
    /// The snapshot and the configuration, if it is not to be the plugin.
    fn files(self) -> Option<(PathBuf, PathBuf)> {
        let snapshot = self.snapshot?;
        Some((snapshot, self.config.unwrap_or_else(slurm_asg_wire::config_path)))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let socket = arguments.socket.unwrap_or_else(slurm_asg_wire::socket_path);
    let result = match arguments.command {
        Command::Status { json } => status::run(&socket, json),
        Command::Explain { what, source, json } => match source.files() {
            Some((snapshot, config)) => explain::offline(&snapshot, &config, &what, json),
            None => explain::live(&socket, &what, json),
        },
        Command::Plan { source, json } => match source.files() {
            Some((snapshot, config)) => plan::offline(&snapshot, &config, json),
            None => plan::live(&socket, json),
        },
        Command::Snapshot { output } => snapshot::run(&socket, output.as_deref()),
        Command::Events(options) => events::run(&socket, options),
        Command::Clear(options) => command::run(&socket, command::Deed::Clear, options),
        Command::Pause(options) => command::run(&socket, command::Deed::Pause, options),
        Command::ResumeScaling(options) => command::run(&socket, command::Deed::Resume, options),
        Command::Check { config, fix, json } => {
            let is_in_force = config.is_none();
            let file = &config.unwrap_or_else(slurm_asg_wire::config_path);
            check::run(&socket, &check::Options { file, is_in_force, fix, json })
        }
        Command::Completions { shell } => pages::completions(Arguments::command(), shell),
        Command::Man { page } => pages::man(Arguments::command(), page),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            output::complain(&format!("slurm-asg: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
