//! `slurm-asg serve`: metrics for Prometheus and a page for people, in a process and under a user of
//! its own. It asks the plugin on its socket and reads the event log; slurmctld opens no port, and
//! nothing that is done here can hold it up.

mod collector;
mod histogram;
mod http;
mod metrics;
mod page;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;

use crate::ending;
use crate::output::complain;
use collector::{Collector, Shared};

/// Where it listens, and how often it looks.
#[derive(Debug, Args)]
pub struct Options {
    /// Where to listen; whoever reaches it may read. Port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9818")]
    listen: SocketAddr,
    /// How often the plugin is asked, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5,
          value_parser = clap::value_parser!(u64).range(1..=300))]
    interval: u64,
    /// The event log's current file, if it is not where the plugin says
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT.
pub fn run(socket: &Path, options: Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interval = Duration::from_secs(options.interval);
    let shared = Arc::new(Shared::new(interval));
    let collector = Collector::new(socket.to_owned(), options.events, Arc::clone(&shared));
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("{} cannot be listened on", options.listen))?;
        let at = listener.local_addr()?;
        // It asks with blocking calls, one at a time, and ends with the process.
        std::thread::Builder::new()
            .name("collector".to_owned())
            .spawn(move || collector.run())
            .context("no thread")?;
        complain(&format!("slurm-asg serves http://{at}/ and http://{at}/metrics"));
        if !at.ip().is_loopback() {
            complain("others than this host can reach it: whoever does may read, and nothing else");
        }
        axum::serve(listener, http::router(shared)).with_graceful_shutdown(ending::told()).await?;
        Ok(ExitCode::SUCCESS)
    })
}
