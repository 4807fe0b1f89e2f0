//! `slurm-asg`: what the administrator asks and sees.
#![forbid(unsafe_code)]

mod asking;
mod chart;
mod check;
mod command;
mod ending;
mod events;
mod explain;
mod init;
mod offline;
mod output;
mod pages;
mod plan;
mod protect;
mod reload;
mod report;
mod retire;
mod serve;
mod snapshot;
mod status;
mod survey;
mod terminal;
mod top;

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
                  slurm-asg check               is everything set up right?\n\n\
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
    #[command(after_help = "Examples:\n  slurm-asg status\n  slurm-asg status --watch\n  \
                      slurm-asg status --watch=10 --color never\n  \
                      slurm-asg status --json | jq '.groups[].demand'\n\n\
                      The JSON is described in docs/status.md. NO_COLOR is honoured.")]
    Status(status::Options),
    /// Show groups, nodes, pending jobs and events on the whole screen, and why they are so
    #[command(after_help = "Examples:\n  slurm-asg top\n  slurm-asg top --interval 10\n\n\
                      The key ? lists the keys. NO_COLOR is honoured.")]
    Top(top::Options),
    /// Say why a job's nodes come or do not come, why a node stays up or goes, what an instance is
    /// there for, or how a group stands
    #[command(
        after_help = "Examples:\n  slurm-asg explain 12\n  slurm-asg explain compute-3 --json\n  \
                      slurm-asg explain i-0e220a8397b1dcdaf\n  slurm-asg explain compute\n  \
                      slurm-asg explain 12 --snapshot saved.json --config ./asg.toml"
    )]
    Explain {
        /// A job's id, a node's name, an instance's id, or a group's name
        #[arg(value_name = "JOB|NODE|INSTANCE|GROUP")]
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
    /// Show what instances did and cost, how long boots and jobs took, and what failed
    #[command(
        after_help = "Examples:\n  slurm-asg report\n  slurm-asg report --since 30d --csv > month.csv\n  \
                      slurm-asg report --since 1d --html -o today.html\n  \
                      slurm-asg report --json | jq .total.cost_total\n\n\
                      It is reckoned from the event log; docs/report.md says how. Money needs\n\
                      price_per_hour in asg.toml."
    )]
    Report(report::Options),
    /// Serve metrics for Prometheus and a page for people, until ended
    #[command(
        after_help = "Examples:\n  slurm-asg serve\n  slurm-asg serve --listen 10.0.0.5:9818\n  \
                      curl http://127.0.0.1:9818/metrics\n\n\
                      It only reads. packaging/systemd has a unit, packaging/prometheus alert\n\
                      rules, packaging/grafana a dashboard; docs/serve.md lists the metrics."
    )]
    Serve(serve::Options),
    /// Let an instance go: its node drains, and its jobs get their time
    #[command(
        after_help = "Examples:\n  slurm-asg retire i-0e220a8397b1dcdaf --reason \"bad GPU\"\n  \
                      slurm-asg retire compute-3 --reason \"kernel update\"\n\n\
                      No job ends for it. The node is powered down when its jobs have ended; another\n\
                      instance comes when jobs want one. For root and SlurmUser."
    )]
    Retire(retire::Options),
    /// Keep nodes from being suspended until a time, and their instances from being terminated
    #[command(
        after_help = "Examples:\n  slurm-asg protect compute-3 --for 2h --reason \"debugging\"\n  \
                      slurm-asg protect compute-[1-4] --until 2026-11-25T18:00\n\n\
                      It ends by itself, outlives restarts of slurmctld, and slurm-asg release ends\n\
                      it before. docs/operations.md says what it can and what it cannot do."
    )]
    Protect(protect::ProtectOptions),
    /// Let nodes that are protected be suspended again
    #[command(after_help = "Examples:\n  slurm-asg release compute-3\n  \
                      slurm-asg release compute-[1-4] --reason 'seen enough'")]
    Release(protect::ReleaseOptions),
    /// Have the plugin read asg.toml now, and say whether it is in force
    #[command(after_help = "Examples:\n  slurm-asg check --config /etc/slurm/asg.toml && \
                      slurm-asg reload\n\n\
                      A change is taken up within two seconds anyway. If the file is wrong, what is\n\
                      in force stays so, and the exit code is 1.")]
    Reload(reload::Options),
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
    /// Look at asg.toml, slurm.conf, this host and the Auto Scaling groups, and say what is wrong
    #[command(after_help = "Examples:\n  slurm-asg check\n  slurm-asg check --fix\n  \
                      slurm-asg check --aws                 before slurmctld runs with the plugin\n  \
                      slurm-asg check --config ./asg.toml   only the file\n  \
                      slurm-asg check --json | jq -r '.findings[].write'\n\n\
                      Each finding says what is wrong, why it matters, and what to write.\n\
                      Exit codes: 0 no errors; 1 errors, or with --strict warnings; 2 wrong \
                      arguments.")]
    Check {
        /// Another file than the plugin's; then only the file is checked, and --slurm-conf
        #[arg(long, value_name = "FILE", conflicts_with = "fix")]
        config: Option<PathBuf>,
        /// Another slurm.conf than that of SLURM_CONF or /etc/slurm
        #[arg(long, value_name = "FILE", conflicts_with = "fix")]
        slurm_conf: Option<PathBuf>,
        /// If the plugin does not run, ask AWS with your own credentials
        #[arg(long, conflicts_with = "fix")]
        aws: bool,
        /// Warnings count as errors
        #[arg(long)]
        strict: bool,
        /// Change the settings of Auto Scaling groups that are advised
        #[arg(long)]
        fix: bool,
        /// Print the result as JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print or write what a group needs: asg.toml, slurm.conf, user data, IAM policy, template
    #[command(after_help = "Examples:\n  slurm-asg init --asg hpc-compute\n  \
                      slurm-asg init --asg hpc-gpu --instance-type g5.xlarge --count 8 --dir setup\n  \
                      slurm-asg init --asg hpc-compute --dir setup --diff\n  \
                      slurm-asg init --asg hpc-compute --count 8 --cpus 2 --memory 4096 \
                      --only slurm.conf\n\n\
                      AWS is asked for what is not said, with your own credentials, and nothing is\n\
                      changed there. Exit codes: 0 done, or nothing differs; 1 something is missing, or\n\
                      files differ; 2 wrong arguments.")]
    Init(init::Options),
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
        Command::Status(options) => status::run(&socket, &options),
        Command::Top(options) => top::run(&socket, &options),
        Command::Explain { what, source, json } => match source.files() {
            Some((snapshot, config)) => explain::offline(&snapshot, &config, &what, json),
            None => explain::live(&socket, &what, json),
        },
        Command::Plan { source, json } => match source.files() {
            Some((snapshot, config)) => plan::offline(&snapshot, &config, json),
            None => plan::live(&socket, json),
        },
        Command::Snapshot { output } => snapshot::run(&socket, output.as_deref()),
        Command::Report(options) => report::run(&socket, options),
        Command::Retire(options) => retire::run(&socket, options),
        Command::Serve(options) => serve::run(&socket, options),
        Command::Events(options) => events::run(&socket, options),
        Command::Protect(options) => protect::protect(&socket, options),
        Command::Release(options) => protect::release(&socket, options),
        Command::Reload(options) => reload::run(&socket, options),
        Command::Clear(options) => command::run(&socket, command::Deed::Clear, options),
        Command::Pause(options) => command::run(&socket, command::Deed::Pause, options),
        Command::ResumeScaling(options) => command::run(&socket, command::Deed::Resume, options),
        Command::Check { config, slurm_conf, aws, fix, strict, json } => {
            let is_in_force = config.is_none();
            let file = config.unwrap_or_else(slurm_asg_wire::config_path);
            let usual = || is_in_force.then(slurm_asg_wire::slurm_conf_path);
            let slurm_conf = slurm_conf.or_else(usual);
            let options = check::Options { file, is_in_force, slurm_conf, aws, fix, strict, json };
            check::run(&socket, &options)
        }
        Command::Init(options) => init::run(options),
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
