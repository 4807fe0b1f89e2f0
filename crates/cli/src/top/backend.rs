//! A terminal for ratatui. ratatui's own for termion asks for its feature `std`, which changes
//! features of crates that the AWS SDK rests on.

use std::io::{self, Write};

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

/// Draws with the escape sequences of ECMA-48, the eight colours that every terminal has, and no
/// more than what has changed: slow lines are served as well.
#[derive(Debug)]
pub struct Screen<W: Write> {
    out: W,
}

impl<W: Write> Screen<W> {
    /// On a terminal.
    pub const fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Backend for Screen<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut out = String::new();
        let mut place = None;
        let mut style = None;
        for (x, y, cell) in content {
            if place != Some((x, y)) {
                out += &termion::cursor::Goto(x + 1, y + 1).to_string();
            }
            place = Some((x + 1, y));
            let wanted = (cell.fg, cell.modifier);
            if style != Some(wanted) {
                out += &rendition(cell.fg, cell.modifier);
                style = Some(wanted);
            }
            out += cell.symbol();
        }
        out += "\x1b[0m";
        self.out.write_all(out.as_bytes())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.out.write_all(b"\x1b[?25l")
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.out.write_all(b"\x1b[?25h")
    }

    /// Where the cursor is matters to nobody here, and asking would wait for an answer.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        write!(self.out, "{}", termion::cursor::Goto(x + 1, y + 1))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, part: ClearType) -> io::Result<()> {
        self.out.write_all(match part {
            ClearType::All => b"\x1b[2J",
            ClearType::AfterCursor => b"\x1b[J",
            ClearType::BeforeCursor => b"\x1b[1J",
            ClearType::CurrentLine => b"\x1b[2K",
            ClearType::UntilNewLine => b"\x1b[K",
        })
    }

    fn size(&self) -> io::Result<Size> {
        let (columns, lines) = termion::terminal_size()?;
        Ok(Size::new(columns, lines))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::new(0, 0) })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Sets colour and weight, after whatever was before.
#[expect(clippy::wildcard_enum_match_arm, reason = "other colours are not used")]
fn rendition(color: Color, modifier: Modifier) -> String {
    let mut codes = vec!["0"];
    let weights = [(Modifier::BOLD, "1"), (Modifier::DIM, "2"), (Modifier::REVERSED, "7")];
    codes.extend(weights.iter().filter(|(weight, _)| modifier.contains(*weight)).map(|it| it.1));
    let color = match color {
        Color::Red => Some("31"),
        Color::Green => Some("32"),
        Color::Yellow => Some("33"),
        Color::Blue => Some("34"),
        Color::Cyan => Some("36"),
        _ => None,
    };
    codes.extend(color);
    format!("\x1b[{}m", codes.join(";"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_written_and_nothing_stays_coloured() {
        let mut red = Cell::new("a");
        red.fg = Color::Red;
        let plain = Cell::new("b");
        let mut screen = Screen::new(Vec::new());
        screen.draw([(1, 0, &red), (2, 0, &plain), (0, 3, &plain)].into_iter()).unwrap();
        let written = String::from_utf8(screen.out).unwrap();
        assert_eq!(written, "\x1b[1;2H\x1b[0;31ma\x1b[0mb\x1b[4;1Hb\x1b[0m");
    }
}
