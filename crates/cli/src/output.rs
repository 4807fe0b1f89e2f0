//! Printing that does not fall over when the reader has gone away (`slurm-asg status | head`).

use std::io::{self, Write};

/// Prints to standard output.
///
/// # Errors
/// If it cannot be written; a closed pipe is not an error.
pub fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
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
