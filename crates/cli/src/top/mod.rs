//! `slurm-asg top`: groups, nodes, pending jobs and events on the whole screen.

mod app;
mod backend;
#[cfg(test)]
mod tests;
mod ui;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use ratatui::Terminal;
use slurm_asg_core::event::Event;
use slurm_asg_core::explain::Explanation;
use slurm_asg_core::time::Timestamp;
use slurm_asg_wire::{Request, Status};
use termion::event::{Event as Input, Key};
use termion::input::TermRead;
use termion::raw::IntoRawMode;

use crate::asking;
use crate::ending;
use crate::events::reader::Reader;
use crate::output::now_ms;
use crate::terminal::{self, ColorWhen};
use app::{App, Ask};
use backend::Screen;

/// Timers go on, and a changed size is seen, with this pace.
const TICK: Duration = Duration::from_secs(1);
/// How many events are kept, and from how far back.
const EVENTS_KEPT: usize = 500;
const EVENTS_SINCE: Duration = Duration::from_secs(86_400);

/// How often it looks, and how it looks like.
#[derive(Debug, Args)]
pub struct Options {
    /// How often the plugin is asked, seconds
    #[arg(long, short, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Whether there are colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorWhen,
}

/// What happens while it runs.
enum News {
    Key(Key),
    Status(Result<Box<Status>, String>),
    Events(Result<Vec<Event>, String>),
    Explained(String, Result<Box<Explanation>, String>),
    /// There is no keyboard any more, or someone wants it to end.
    Ended,
}

/// Shows everything until it is told to end.
pub fn run(socket: &Path, options: &Options) -> anyhow::Result<ExitCode> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("top needs a terminal; `slurm-asg status --watch` does without");
    }
    let colors = terminal::Terminal::stdout(options.color).colors;
    let (send, news) = mpsc::channel();
    let keys = send.clone();
    thread::spawn(move || read_keys(&keys));
    end_with_a_signal(send.clone())?;
    let asked = (socket.to_owned(), send.clone(), Duration::from_secs(options.interval));
    thread::spawn(move || ask(&asked.0, &asked.1, asked.2));
    let _other_screen = OtherScreen::enter()?;
    let raw = io::stdout().into_raw_mode().context("the terminal cannot be used")?;
    let mut screen = Terminal::new(Screen::new(raw))?;
    go_on(socket, &mut screen, colors, &send, &news)?;
    screen.show_cursor()?;
    Ok(ExitCode::SUCCESS)
}

/// The terminal's second screen, as long as it lives: what was on the first is there again
/// afterwards, also after a panic.
struct OtherScreen;

impl OtherScreen {
    fn enter() -> io::Result<Self> {
        write!(io::stdout(), "\x1b[?1049h\x1b[2J")?;
        Ok(Self)
    }
}

impl Drop for OtherScreen {
    fn drop(&mut self) {
        // There is nobody left to tell.
        drop(write!(io::stdout(), "\x1b[0m\x1b[?25h\x1b[?1049l"));
        drop(io::stdout().flush());
    }
}

fn go_on<W: Write>(
    socket: &Path,
    screen: &mut Terminal<Screen<W>>,
    colors: bool,
    send: &Sender<News>,
    news: &Receiver<News>,
) -> anyhow::Result<()> {
    let mut app = App::default();
    loop {
        if !app.frozen {
            app.now_ms = now_ms();
        }
        screen.draw(|frame| ui::draw(frame, &mut app, colors))?;
        // All that has come is drawn at once.
        let first = news.recv_timeout(TICK).ok();
        for piece in first.into_iter().chain(std::iter::from_fn(|| news.try_recv().ok())) {
            match take(&mut app, piece) {
                Ask::Nothing => {}
                Ask::Quit => return Ok(()),
                Ask::Explain(what) => explain(socket.to_owned(), what, send.clone()),
            }
        }
    }
}

fn take(app: &mut App, news: News) -> Ask {
    match news {
        News::Key(key) => return app.key(key),
        News::Ended => return Ask::Quit,
        News::Explained(subject, answer) => app.explained(&subject, answer),
        News::Status(_) | News::Events(_) if app.frozen => {}
        News::Status(Ok(status)) => {
            app.status = Some(*status);
            app.problem = None;
        }
        News::Status(Err(problem)) => app.problem = Some(problem),
        News::Events(Ok(events)) => {
            app.events = events;
            app.events_problem = None;
        }
        News::Events(Err(problem)) => app.events_problem = Some(problem),
    }
    Ask::Nothing
}

/// A signal ends it as a key does: the terminal is left as it was.
fn end_with_a_signal(send: Sender<News>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(ending::told());
        drop(send.send(News::Ended));
    });
    Ok(())
}

fn read_keys(send: &Sender<News>) {
    for input in io::stdin().events() {
        let sent = match input {
            Ok(Input::Key(key)) => send.send(News::Key(key)),
            Ok(Input::Mouse(_) | Input::Unsupported(_)) => Ok(()),
            Err(_) => break,
        };
        if sent.is_err() {
            return;
        }
    }
    // Nobody may be there to hear it.
    drop(send.send(News::Ended));
}

/// Asks the plugin and reads the event log, again and again, until nobody wants to know any more.
fn ask(socket: &Path, send: &Sender<News>, interval: Duration) {
    let mut log: Option<Log> = None;
    loop {
        let status = asking::status(socket).map_err(|error| format!("{error:#}"));
        let path = status.as_ref().ok().and_then(|status| status.events.clone());
        if send.send(News::Status(status.map(Box::new))).is_err() {
            return;
        }
        if let Some(path) = path.map(PathBuf::from)
            && log.as_ref().is_none_or(|log| log.path != path)
        {
            log = Log::open(path).map_err(|problem| send.send(News::Events(Err(problem)))).ok();
        }
        if let Some(log) = &mut log
            && send.send(News::Events(log.read())).is_err()
        {
            return;
        }
        thread::sleep(interval);
    }
}

/// The event log, and its last events.
struct Log {
    path: PathBuf,
    reader: Reader,
    last: VecDeque<Event>,
}

impl Log {
    fn open(path: PathBuf) -> Result<Self, String> {
        let back = u64::try_from(EVENTS_SINCE.as_millis()).unwrap_or(0);
        let since = Timestamp::from_millis(now_ms().saturating_sub(back));
        let reader = Reader::open(&path, Some(since))
            .map_err(|error| format!("the event log {} cannot be read: {error}", path.display()))?;
        Ok(Self { path, reader, last: VecDeque::new() })
    }

    /// The last events, the newest first.
    fn read(&mut self) -> Result<Vec<Event>, String> {
        let last = &mut self.last;
        let read = self.reader.read(&mut |line| -> io::Result<bool> {
            if let Ok(event) = serde_json::from_str(line) {
                last.push_front(event);
                last.truncate(EVENTS_KEPT);
            }
            Ok(true)
        });
        read.map_err(|error| format!("the event log cannot be read: {error}"))?;
        Ok(self.last.iter().cloned().collect())
    }
}

/// Has the plugin explain something, without waiting for it.
fn explain(socket: PathBuf, what: String, send: Sender<News>) {
    thread::spawn(move || {
        let request = Request::Explain { what: what.clone() };
        let answer = asking::document::<Explanation>(&socket, &request);
        let answer = answer.map(Box::new).map_err(|error| format!("{error:#}"));
        // It may have ended meanwhile.
        drop(send.send(News::Explained(what, answer)));
    });
}
