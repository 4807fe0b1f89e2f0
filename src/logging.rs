//! tracing's events as lines in slurmctld's log, each with the plugin's name before it.

use std::fmt::Write;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use crate::slurm::{Level, log, wants};

/// Sends the events of this project's crates to slurmctld's log. Once; later calls do nothing.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = Registry::default().with(SlurmLog);
        // Only fails if somebody else in this process was first; then there is nothing to do.
        drop(tracing::subscriber::set_global_default(subscriber));
    });
}

struct SlurmLog;

impl<S: Subscriber> Layer<S> for SlurmLog {
    /// `scontrol setdebug` changes what is wanted at any time: what was wanted once is not kept.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        is_ours(metadata) && wants(level_of(metadata.level()))
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line { text: String::from("job_submit/asg: ") };
        event.record(&mut line);
        log(level_of(event.metadata().level()), &line.text);
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target.starts_with("slurm_asg") || target.starts_with("job_submit_asg")
}

fn level_of(level: &tracing::Level) -> Level {
    match *level {
        // Slurm's log has no level for warnings.
        tracing::Level::ERROR | tracing::Level::WARN => Level::Error,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Verbose,
        tracing::Level::TRACE => Level::Debug,
    }
}

struct Line {
    text: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let written = if field.name() == "message" {
            write!(self.text, "{value:?}")
        } else {
            write!(self.text, " {}={value:?}", field.name())
        };
        written.ok();
    }
}
