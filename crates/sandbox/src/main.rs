//! `slurm-asg-sandbox`: the sandbox as a program.

#![forbid(unsafe_code)]

use clap::Parser;
use slurm_asg_sandbox::{Config, server};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLE: &str = "\
Example:
  cat >sandbox.toml <<'END'
  boot_command = [\"/bin/sh\", \"packaging/node/slurm-asg-node\"]
  boot_env = { SLURM_CONF = \"/etc/slurm/slurm.conf\" }
  log_dir = \"/tmp/sandbox\"
  [[group]]
  name = \"hpc-compute\"
  max = 8
  hooks = [{ name = \"drain\", transition = \"terminating\", heartbeat_timeout_s = 60 }]
  END
  slurm-asg-sandbox --config sandbox.toml --port-file port &
  export AWS_ENDPOINT_URL=http://127.0.0.1:$(cat port)
  curl -s $AWS_ENDPOINT_URL/sandbox/state
  curl -s $AWS_ENDPOINT_URL/sandbox/faults -d '{\"kind\":\"no_capacity\",\"group\":\"hpc-compute\"}'
  curl -s -X POST $AWS_ENDPOINT_URL/sandbox/instances/i-0123456789abcdef0/terminate";

/// Auto Scaling and EC2 on loopback; its instances are processes on this machine.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLE)]
struct Arguments {
    /// Groups, delays and what an instance runs (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Loopback address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The port is written here once the sandbox listens
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Log here instead of to standard error
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Go on when the process that started the sandbox ends
    #[arg(long)]
    outlive_parent: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match prepare(&arguments).and_then(|config| run(&arguments, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => {
            complain(&line);
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the one line a failing program owes its user")]
fn complain(line: &str) {
    eprintln!("slurm-asg-sandbox: {line}");
}

fn prepare(arguments: &Arguments) -> Result<Config, String> {
    server::check_listen(arguments.listen)?;
    if !arguments.outlive_parent {
        follow_parent()?;
    }
    start_log(arguments.log.as_deref())?;
    Config::load(&arguments.config).map_err(|error| error.to_string())
}

/// Has the kernel send SIGTERM when the parent ends, so that no sandbox is left behind by a killed test.
fn follow_parent() -> Result<(), String> {
    let parent = rustix::process::getppid();
    let set = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    set.map_err(|error| format!("prctl: {error}"))?;
    if rustix::process::getppid() != parent {
        return Err("the parent process ended".into());
    }
    Ok(())
}

fn start_log(path: Option<&Path>) -> Result<(), String> {
    let log = tracing_subscriber::fmt().with_ansi(false).with_target(false);
    match path {
        None => log.with_writer(std::io::stderr).init(),
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            log.with_writer(file.map_err(|error| format!("{}: {error}", path.display()))?).init();
        }
    }
    Ok(())
}

fn run(arguments: &Arguments, config: Config) -> Result<(), String> {
    // One thread: instances are tied to the life of the thread that starts them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
        let listener = tokio::net::TcpListener::bind(arguments.listen).await;
        let listener =
            listener.map_err(|error| format!("--listen {}: {error}", arguments.listen))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        tracing::info!("listens on {address}");
        if let Some(path) = &arguments.port_file {
            write_port(path, address.port())
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
        let stop = async {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        };
        server::serve(config, listener, stop).await.map_err(|error| error.to_string())
    });
    // Hanging calls must not hold up the end.
    runtime.shutdown_background();
    result
}

/// Atomic: a reader sees the whole file or none.
fn write_port(path: &Path, port: u16) -> std::io::Result<()> {
    let directory =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    writeln!(file, "{port}")?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
