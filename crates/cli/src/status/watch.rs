//! The status again and again, on a terminal in its place.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::text::text;
use crate::asking;
use crate::output::{now_ms, print_while_read};
use crate::terminal::{self, Terminal};

/// To the upper left corner. What is there stays until it is drawn over: nothing flickers.
const HOME: &str = "\x1b[H";
/// Clears the whole screen, once.
const CLEAR: &str = "\x1b[2J";
/// Clears the rest of the line, and everything below.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// If the terminal does not say how large it is.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// Shows the status until interrupted, or until nobody reads any more.
///
/// # Errors
/// If the plugin does not answer and no person looks: a line that is no status would be in the
/// way. On a terminal it is said there, and asked again: slurmctld may be starting.
pub fn run(
    socket: &Path,
    json: bool,
    every: Duration,
    terminal: Terminal,
) -> anyhow::Result<ExitCode> {
    let mut nth = 0_u64;
    loop {
        let out = if json {
            serde_json::to_string(&asking::status(socket)?)? + "\n"
        } else if terminal.is_one {
            let now = match asking::status(socket) {
                Ok(status) => text(&status, now_ms(), terminal)?,
                Err(error) => format!("slurm-asg: {error:#}\n"),
            };
            let begin = if nth == 0 { CLEAR } else { "" };
            format!("{begin}{}", screen(&now, terminal::size().unwrap_or(USUAL_SIZE)))
        } else {
            let now = text(&asking::status(socket)?, now_ms(), terminal)?;
            if nth == 0 { now } else { format!("\n{now}") }
        };
        if !print_while_read(&out)? {
            return Ok(ExitCode::SUCCESS);
        }
        nth += 1;
        thread::sleep(every);
    }
}

/// A text drawn over the last one, as far as the screen goes.
fn screen(text: &str, (columns, lines): (usize, usize)) -> String {
    let mut out = HOME.to_owned();
    let count = text.lines().count();
    // The last line of the screen is left to the cursor: at its end it would scroll.
    let room = lines.saturating_sub(1);
    let shown = if count > room { room.saturating_sub(1) } else { count };
    for line in text.lines().take(shown) {
        out.extend([&cut(line, columns), CLEAR_LINE, "\r\n"]);
    }
    if count > shown {
        let more = format!("… {} more lines", count - shown);
        out.extend([&cut(&more, columns), CLEAR_LINE, "\r\n"]);
    }
    out + CLEAR_BELOW
}

/// A line no longer than `columns` characters. Escape sequences are kept: they take no room, and
/// one that ends a colour may come after the cut.
fn cut(line: &str, columns: usize) -> String {
    let mut room = columns;
    let mut in_escape = false;
    let keep = |c: &char| {
        if in_escape || *c == '\x1b' {
            in_escape = *c == '\x1b' || !c.is_ascii_alphabetic();
            return true;
        }
        let fits = room > 0;
        room = room.saturating_sub(1);
        fits
    };
    line.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_drawn_over_the_last_one_and_not_beyond_the_terminal() {
        assert_eq!(screen("abc\nd\n", (2, 10)), "\x1b[Hab\x1b[K\r\nd\x1b[K\r\n\x1b[J");
        let all = "1\n2\n3\n4\n5\n";
        let cut = screen(all, (80, 4));
        assert_eq!(cut, "\x1b[H1\x1b[K\r\n2\x1b[K\r\n… 3 more lines\x1b[K\r\n\x1b[J");
        assert!(screen(all, (80, 6)).contains("5"));
    }

    #[test]
    fn a_colour_that_begins_before_the_cut_ends_after_it() {
        assert_eq!(cut("\x1b[32mabcd\x1b[0mef", 2), "\x1b[32mab\x1b[0m");
        assert_eq!(cut("ab", 2), "ab");
    }
}
