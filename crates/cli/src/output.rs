//! Printing that does not fall over when the reader has gone away (`slurm-asg status | head`).

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints to standard output.
///
/// # Errors
/// If it cannot be written; a closed pipe is not an error.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_while_read(text).map(|_| ())
}

/// Prints to standard output. `false` if nobody reads there any more.
///
/// # Errors
/// If it cannot be written.
pub fn print_while_read(text: &str) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}

/// Prints a line to standard error.
pub fn complain(line: &str) {
    // There is no other place left to say it.
    drop(writeln!(io::stderr(), "{line}"));
}

/// A span of time as people say it, from seconds.
#[must_use]
pub fn span(secs: u64) -> String {
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7199 => format!("{} min", secs / 60),
        _ => format!("{} h {} min", secs / 3600, secs / 60 % 60),
    }
}

/// The time, milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
