//! What standard output is, and colours where they help.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal};

use clap::ValueEnum;

/// Whether output has colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Also into a pipe
    Always,
    /// Nowhere
    Never,
}

/// Where text goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Whether a person looks at it: it can be drawn over.
    pub is_one: bool,
    /// Whether it is coloured.
    pub colors: bool,
    /// Columns and lines, where they are known.
    pub size: Option<(usize, usize)>,
}

impl Terminal {
    /// Standard output.
    pub fn stdout(when: ColorWhen) -> Self {
        let is_one = io::stdout().is_terminal();
        let set = |name: &str| std::env::var(name).unwrap_or_default();
        let colors = colors(when, is_one, &set("NO_COLOR"), &set("TERM"));
        Self { is_one, colors, size: is_one.then(size).flatten() }
    }

    /// No terminal: a file or a pipe.
    #[cfg(test)]
    pub const fn none() -> Self {
        Self { is_one: false, colors: false, size: None }
    }

    /// The text in a colour, if there are any.
    pub const fn paint<T: Display>(self, color: Color, text: T) -> Painted<T> {
        Painted { color: if self.colors { Some(color) } else { None }, text }
    }
}

/// no-color.org: set and not empty means none.
fn colors(when: ColorWhen, is_terminal: bool, no_color: &str, term: &str) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => is_terminal && no_color.is_empty() && term != "dumb",
    }
}

/// Columns and lines of the terminal behind standard output.
pub fn size() -> Option<(usize, usize)> {
    let (columns, lines) = termion::terminal_size().ok()?;
    (columns > 0 && lines > 0).then_some((columns.into(), lines.into()))
}

/// The colours that are used, by what they mean. All are among the eight that every terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// At work.
    Busy,
    /// Nothing to do.
    Idle,
    /// On its way.
    Booting,
    /// Something is wrong.
    Failed,
    /// Headings.
    Heading,
}

impl Color {
    const fn code(self) -> &'static str {
        match self {
            Self::Busy => "32",
            Self::Idle => "34",
            Self::Booting => "33",
            Self::Failed => "1;31",
            Self::Heading => "1",
        }
    }
}

/// Text with its colour.
#[derive(Debug)]
pub struct Painted<T> {
    color: Option<Color>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    /// Width and alignment are the text's own: an escape sequence takes no room.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(color) = self.color else { return self.text.fmt(f) };
        write!(f, "\x1b[{}m", color.code())?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_someone_says_otherwise() {
        let table = [
            (ColorWhen::Auto, true, "", "xterm", true),
            (ColorWhen::Auto, true, "1", "xterm", false),
            (ColorWhen::Auto, true, "", "dumb", false),
            (ColorWhen::Auto, false, "", "xterm", false),
            (ColorWhen::Always, false, "1", "dumb", true),
            (ColorWhen::Never, true, "", "xterm", false),
        ];
        for (when, is_terminal, no_color, term, expected) in table {
            assert_eq!(colors(when, is_terminal, no_color, term), expected, "{when:?} {no_color}");
        }
    }

    #[test]
    fn a_colour_takes_no_room() {
        let terminal = Terminal { colors: true, ..Terminal::none() };
        let painted = format!("{:>4}|", terminal.paint(Color::Failed, 7));
        assert_eq!(painted, "\x1b[1;31m   7\x1b[0m|");
        assert_eq!(format!("{:>4}|", Terminal::none().paint(Color::Failed, 7)), "   7|");
    }
}
