//! What is on the screen and what keys do to it. Nothing here draws, asks or waits.

use std::cmp::Ordering;

use slurm_asg_core::event::Event;
use slurm_asg_core::explain::Explanation;
use slurm_asg_wire::{JobStatus, NodeStatus, Status};
use termion::event::Key;

/// What the lower part of the screen shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Nodes with their timers.
    #[default]
    Nodes,
    /// Pending jobs with their reasons.
    Jobs,
    /// The last events, the newest first.
    Events,
}

impl View {
    /// All, in the order of the keys 1 to 3.
    pub const ALL: [Self; 3] = [Self::Nodes, Self::Jobs, Self::Events];

    /// By what its rows can be sorted, the first to begin with.
    pub const fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Nodes => &["name", "group", "why", "time"],
            Self::Jobs => &["id", "nodes", "why"],
            Self::Events => &["time"],
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Nodes => 0,
            Self::Jobs => 1,
            Self::Events => 2,
        }
    }
}

/// What is asked of the keyboard, or shown above everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Rows.
    #[default]
    Rows,
    /// Letters go into the filter.
    Filter,
    /// The keys.
    Help,
    /// Why a node or a job is as it is: what was asked, and the answer once it is there.
    Explain(String, Option<Result<Box<Explanation>, String>>),
}

/// What has to be done for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing more.
    Nothing,
    /// End.
    Quit,
    /// Have the plugin explain a job or a node.
    Explain(String),
}

/// How one view's rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The row that is marked.
    pub row: usize,
    /// Which of the view's orders.
    pub order: usize,
    /// The other way round.
    pub reversed: bool,
}

/// Everything that is on the screen.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// The last status.
    pub status: Option<Status>,
    /// Why there is no newer one.
    pub problem: Option<String>,
    /// The last events, the newest first.
    pub events: Vec<Event>,
    /// Why there are none.
    pub events_problem: Option<String>,
    /// The time, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Whether news are kept back.
    pub frozen: bool,
    /// What is shown.
    pub view: View,
    /// What the keyboard does.
    pub mode: Mode,
    /// Rows without these letters are left out.
    pub filter: String,
    /// How many rows are seen at once; the drawing says it.
    pub page: usize,
    /// How the rows of each view are.
    pub places: [Place; 3],
}

impl App {
    /// How the view's rows are.
    pub fn place(&self) -> Place {
        self.places.get(self.view.place()).copied().unwrap_or_default()
    }

    fn change_place(&mut self, change: impl FnOnce(&mut Place)) {
        if let Some(place) = self.places.get_mut(self.view.place()) {
            change(place);
        }
    }

    /// The marked row of so many.
    pub fn marked(&self, rows: usize) -> usize {
        self.place().row.min(rows.saturating_sub(1))
    }

    /// The nodes that are shown, in order.
    pub fn nodes(&self) -> Vec<&NodeStatus> {
        let all = self.status.iter().flat_map(|status| &status.nodes);
        let fits = |node: &&NodeStatus| {
            let instance = node.instance.as_deref().unwrap_or("");
            self.passes(&[&node.name, &node.group, &node.state, instance, &node.text])
        };
        let mut nodes: Vec<_> = all.filter(fits).collect();
        let place = self.places.first().copied().unwrap_or_default();
        let order = |one: &&NodeStatus, other: &&NodeStatus| match place.order {
            1 => one.group.cmp(&other.group),
            2 => one.why.cmp(&other.why),
            // Who has waited longest comes first; who does not wait, last.
            3 => one.since_ms.unwrap_or(u64::MAX).cmp(&other.since_ms.unwrap_or(u64::MAX)),
            _ => Ordering::Equal,
        };
        let by_name = |one: &&NodeStatus, other: &&NodeStatus| natural(&one.name, &other.name);
        nodes.sort_by(|one, other| {
            let first = order(one, other).then_with(|| by_name(one, other));
            if place.reversed { first.reverse() } else { first }
        });
        nodes
    }

    /// The jobs that are shown, in order.
    pub fn jobs(&self) -> Vec<&JobStatus> {
        let all = self.status.iter().flat_map(|status| &status.jobs);
        let fits = |job: &&JobStatus| self.passes(&[&job.id.to_string(), &job.why, &job.text]);
        let mut jobs: Vec<_> = all.filter(fits).collect();
        let place = self.places.get(1).copied().unwrap_or_default();
        jobs.sort_by(|one, other| {
            let first = match place.order {
                1 => other.nodes.cmp(&one.nodes),
                2 => one.why.cmp(&other.why),
                _ => Ordering::Equal,
            };
            let first = first.then(one.id.cmp(&other.id));
            if place.reversed { first.reverse() } else { first }
        });
        jobs
    }

    /// The events that are shown, in order.
    pub fn shown_events(&self) -> Vec<&Event> {
        let fits = |event: &&Event| self.passes(&[event.event.as_str(), &event.to_string()]);
        let mut events: Vec<_> = self.events.iter().filter(fits).collect();
        if self.places.get(2).is_some_and(|place| place.reversed) {
            events.reverse();
        }
        events
    }

    /// Whether one of the texts has the filter's letters, large or small.
    fn passes(&self, texts: &[&str]) -> bool {
        let filter = self.filter.to_lowercase();
        filter.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&filter))
    }

    fn rows(&self) -> usize {
        match self.view {
            View::Nodes => self.nodes().len(),
            View::Jobs => self.jobs().len(),
            View::Events => self.shown_events().len(),
        }
    }

    /// What the marked row is about, as `explain` takes it.
    fn subject(&self) -> Option<String> {
        let marked = self.marked(self.rows());
        match self.view {
            View::Nodes => self.nodes().get(marked).map(|node| node.name.clone()),
            View::Jobs => self.jobs().get(marked).map(|job| job.id.to_string()),
            View::Events => {
                let events = self.shown_events();
                let event = events.get(marked)?;
                let job = event.job.or(event.jobs.first().copied());
                event.node.as_ref().map(ToString::to_string).or(job.map(|job| job.to_string()))
            }
        }
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key) -> Ask {
        if key == Key::Ctrl('c') {
            return Ask::Quit;
        }
        match self.mode {
            Mode::Filter => self.filter_key(key),
            Mode::Help | Mode::Explain(..) => {
                if matches!(key, Key::Esc | Key::Char('q' | '\n' | '?')) {
                    self.mode = Mode::Rows;
                }
                Ask::Nothing
            }
            Mode::Rows => self.rows_key(key),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn filter_key(&mut self, key: Key) -> Ask {
        match key {
            Key::Char('\n') => self.mode = Mode::Rows,
            Key::Esc => {
                self.filter.clear();
                self.mode = Mode::Rows;
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(c) if !c.is_control() => self.filter.push(c),
            _ => {}
        }
        self.change_place(|place| place.row = 0);
        Ask::Nothing
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn rows_key(&mut self, key: Key) -> Ask {
        let rows = self.rows();
        let marked = self.marked(rows);
        let last = rows.saturating_sub(1);
        let page = self.page.max(1);
        let go = |app: &mut Self, row: usize| app.change_place(|place| place.row = row.min(last));
        match key {
            Key::Char('q') => return Ask::Quit,
            Key::Esc if !self.filter.is_empty() => self.filter.clear(),
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char('/') => self.mode = Mode::Filter,
            Key::Char(' ') => self.frozen = !self.frozen,
            Key::Char('1') => self.view = View::Nodes,
            Key::Char('2') => self.view = View::Jobs,
            Key::Char('3') => self.view = View::Events,
            Key::Char('\t') | Key::Right => self.next_view(1),
            Key::BackTab | Key::Left => self.next_view(View::ALL.len() - 1),
            Key::Down | Key::Char('j') => go(self, marked + 1),
            Key::Up | Key::Char('k') => go(self, marked.saturating_sub(1)),
            Key::PageDown => go(self, marked + page),
            Key::PageUp => go(self, marked.saturating_sub(page)),
            Key::Home | Key::Char('g') => go(self, 0),
            Key::End | Key::Char('G') => go(self, last),
            Key::Char('s') => {
                let orders = self.view.orders().len();
                self.change_place(|place| place.order = (place.order + 1) % orders);
            }
            Key::Char('r') => self.change_place(|place| place.reversed = !place.reversed),
            Key::Char('\n') => {
                if let Some(subject) = self.subject() {
                    self.mode = Mode::Explain(subject.clone(), None);
                    return Ask::Explain(subject);
                }
            }
            _ => {}
        }
        Ask::Nothing
    }

    fn next_view(&mut self, steps: usize) {
        let next = (self.view.place() + steps) % View::ALL.len();
        self.view = View::ALL.get(next).copied().unwrap_or_default();
    }

    /// The plugin has explained what was asked for. An answer that nobody waits for any more is
    /// forgotten.
    pub fn explained(&mut self, subject: &str, answer: Result<Box<Explanation>, String>) {
        if let Mode::Explain(asked, told) = &mut self.mode
            && asked == subject
        {
            *told = Some(answer);
        }
    }
}

/// `n2` before `n10`: numbers at the end are numbers.
fn natural(one: &str, other: &str) -> Ordering {
    let split = |name: &str| {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (begin, number) = name.split_at(name.len() - digits);
        (begin.to_owned(), number.parse::<u64>().unwrap_or(0))
    };
    split(one).cmp(&split(other)).then_with(|| one.cmp(other))
}
