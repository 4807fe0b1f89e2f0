//! The drawing: 80 columns and 24 lines are enough, and more are used.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use slurm_asg_core::explain::Explanation;
use slurm_asg_core::time::rfc3339;
use slurm_asg_wire::{GroupStatus, NodeStatus, Status};

use super::app::{App, Mode, View};
use crate::output::span;
use crate::status::text::{color_of, of_when, parts};
use crate::terminal;

/// Groups take no more lines than this, or a third of the screen.
const GROUPS_MAX: u16 = 12;
/// Cells of a bar.
const BAR_CELLS: usize = 16;
/// From this height on the last events are below the rows, too.
const TALL: u16 = 36;
const EVENTS_BELOW: u16 = 9;

/// Draws everything. Without `colors` what is wrong is bold.
pub fn draw(frame: &mut Frame<'_>, app: &mut App, colors: bool) {
    let paint = Paint { colors };
    let area = frame.area();
    let groups = app.status.as_ref().map_or(0, |status| group_lines(status, paint).len());
    let groups = u16::try_from(groups).unwrap_or(u16::MAX) + 1;
    let groups = groups.min(GROUPS_MAX).min(area.height / 3);
    let problems = u16::from(app.problem.is_some() || config_problem(app).is_some());
    let below = if area.height >= TALL && app.view != View::Events { EVENTS_BELOW } else { 0 };
    let [head, problem, upper, tabs, rows, events, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(problems),
        Constraint::Length(groups),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(below),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(heading(app), head);
    if let Some(text) = app.problem.as_deref().or_else(|| config_problem(app)) {
        frame.render_widget(
            Line::styled(format!("! {text}"), paint.of(terminal::Color::Failed)),
            problem,
        );
    }
    if let Some(status) = &app.status {
        draw_groups(frame, status, paint, upper);
    }
    frame.render_widget(tab_line(app), tabs);
    draw_rows(frame, app, paint, rows);
    if below > 0 {
        let heading = Line::styled("EVENTS", bold());
        let lines = event_lines(app, paint);
        let text: Vec<_> = std::iter::once(heading).chain(lines).collect();
        frame.render_widget(Paragraph::new(text), events);
    }
    frame.render_widget(foot_line(app), foot);
    match &app.mode {
        Mode::Help => popup(frame, "Keys", help()),
        Mode::Explain(subject, told) => {
            popup(frame, "Why", explanation(subject, told.as_ref()));
        }
        Mode::Rows | Mode::Filter => {}
    }
}

fn config_problem(app: &App) -> Option<&str> {
    app.status.as_ref()?.problem.as_deref()
}

/// Colours, if there are any; what is wrong is bold without them.
#[derive(Clone, Copy)]
struct Paint {
    colors: bool,
}

impl Paint {
    fn of(self, color: terminal::Color) -> Style {
        let style = match color {
            terminal::Color::Failed | terminal::Color::Heading => bold(),
            terminal::Color::Busy | terminal::Color::Idle | terminal::Color::Booting => {
                Style::new()
            }
        };
        if !self.colors {
            return style;
        }
        match color {
            terminal::Color::Busy => style.fg(Color::Green),
            terminal::Color::Idle => style.fg(Color::Blue),
            terminal::Color::Booting => style.fg(Color::Yellow),
            terminal::Color::Failed => style.fg(Color::Red),
            terminal::Color::Heading => style,
        }
    }
}

const fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

const fn marked() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

fn heading(app: &App) -> Line<'_> {
    let Some(status) = &app.status else { return Line::raw("slurm-asg: asking the plugin") };
    let looked = status.looked_at_ms.map_or_else(
        || "has not looked yet".to_owned(),
        |at| format!("looked {} ago", span(app.now_ms.saturating_sub(at) / 1000)),
    );
    let frozen = if app.frozen { "  FROZEN" } else { "" };
    Line::styled(
        format!(
            "slurm-asg {} in slurmctld {}: {}, {looked}{frozen}",
            status.version, status.slurm_version, status.state
        ),
        bold(),
    )
}

fn draw_groups(frame: &mut Frame<'_>, status: &Status, paint: Paint, area: Rect) {
    let width = name_width(status);
    let heading = format!(
        "{:width$} {:bar$} {:>5} {:>5} {:>5} {:>5} {:>6} {:>7} MIN-MAX",
        "GROUP",
        "NODES",
        "BUSY",
        "IDLE",
        "BOOT",
        "FAIL",
        "DEMAND",
        "DESIRED",
        bar = BAR_CELLS + 2
    );
    let mut lines = vec![Line::styled(heading, bold())];
    lines.extend(group_lines(status, paint));
    let room = usize::from(area.height);
    if lines.len() > room && room > 0 {
        let more = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(Line::raw(format!("… {more} more lines: slurm-asg status")));
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn name_width(status: &Status) -> usize {
    status.groups.iter().map(|group| group.name.chars().count()).max().unwrap_or(0).clamp(5, 16)
}

fn group_lines(status: &Status, paint: Paint) -> Vec<Line<'static>> {
    let width = name_width(status);
    let mut lines = Vec::new();
    for group in &status.groups {
        lines.push(group_line(group, status, width, paint));
        if let Some(problem) = &group.problem {
            let style = paint.of(terminal::Color::Failed);
            lines.push(Line::styled(format!("{:width$} ! {problem}", ""), style));
        }
    }
    lines
}

fn group_line(group: &GroupStatus, status: &Status, width: usize, paint: Paint) -> Line<'static> {
    let parts = parts(group, &status.nodes);
    let cells = parts.cells(BAR_CELLS);
    let name: String = group.name.chars().take(width).collect();
    let mut spans = vec![Span::raw(format!("{name:width$} ["))];
    for ((_, sign, color), count) in parts.in_order().into_iter().zip(cells.parts) {
        spans.push(Span::styled(sign.to_string().repeat(count), paint.of(color)));
    }
    let drawn: usize = cells.parts.iter().sum::<usize>() + cells.room;
    let rest = " ".repeat(BAR_CELLS.saturating_sub(drawn));
    spans.push(Span::raw(format!("{}]{rest}", ".".repeat(cells.room))));
    for (count, _, color) in parts.in_order() {
        let style = if count > 0 { paint.of(color) } else { Style::new() };
        spans.push(Span::styled(format!(" {count:>5}"), style));
    }
    let rest = format!(" {:>6} {:>7} {}-{}", group.demand, group.desired, group.min, group.max);
    spans.push(Span::raw(rest));
    Line::from(spans)
}

fn tab_line(app: &App) -> Line<'static> {
    let names = [
        (View::Nodes, "1 Nodes", app.nodes().len()),
        (View::Jobs, "2 Pending jobs", app.jobs().len()),
        (View::Events, "3 Events", app.shown_events().len()),
    ];
    let mut spans = Vec::new();
    for (view, name, count) in names {
        let style = if view == app.view { marked() } else { Style::new() };
        spans.push(Span::styled(format!(" {name} ({count}) "), style));
        spans.push(Span::raw(" "));
    }
    let place = app.place();
    let order = app.view.orders().get(place.order).copied().unwrap_or("");
    let reversed = if place.reversed { ", reversed" } else { "" };
    spans.push(Span::raw(format!(" by {order}{reversed}")));
    if !app.filter.is_empty() || app.mode == Mode::Filter {
        spans.push(Span::styled(format!("  /{}", app.filter), bold()));
    }
    Line::from(spans)
}

fn foot_line(app: &App) -> Line<'static> {
    Line::raw(match app.mode {
        Mode::Filter => "Type to filter; Enter keeps it, Esc clears it",
        Mode::Help | Mode::Explain(..) => "Esc closes",
        Mode::Rows => {
            "q quit  Tab view  Enter why  / filter  s sort  r reverse  Space freeze  ? keys"
        }
    })
}

fn draw_rows(frame: &mut Frame<'_>, app: &mut App, paint: Paint, area: Rect) {
    let (heading, lines) = match app.view {
        View::Nodes => (node_heading(app), node_lines(app, paint)),
        View::Jobs => (job_heading(app), job_lines(app)),
        View::Events => ("TIME      EVENT                WHAT".to_owned(), event_lines(app, paint)),
    };
    let room = usize::from(area.height).saturating_sub(1);
    app.page = room;
    let row = app.marked(lines.len());
    // The marked row is on the screen, and as much as possible before it.
    let first = (row + 1).saturating_sub(room);
    let mut text = vec![Line::styled(heading, bold())];
    for (nth, line) in lines.into_iter().enumerate().skip(first).take(room) {
        text.push(if nth == row { line.style(marked()) } else { line });
    }
    if text.len() == 1 {
        text.push(Line::raw(match (app.view, &app.events_problem) {
            _ if !app.filter.is_empty() => {
                "  nothing has these letters; Esc clears the filter".to_owned()
            }
            (View::Events, Some(problem)) => format!("  {problem}"),
            (View::Nodes, _) => "  no node has a machine or waits for one".to_owned(),
            (View::Jobs, _) => "  no jobs are pending".to_owned(),
            (View::Events, None) => "  no events yet".to_owned(),
        }));
    }
    frame.render_widget(Paragraph::new(text), area);
}

fn node_widths(app: &App) -> (usize, usize) {
    let nodes = app.status.as_ref().map_or(&[][..], |status| &status.nodes);
    let longest = |length: &dyn Fn(&NodeStatus) -> usize, least: usize, most: usize| {
        nodes.iter().map(length).max().unwrap_or(0).clamp(least, most)
    };
    let name = longest(&|node| node.name.chars().count(), 4, 20);
    let instance = |node: &NodeStatus| node.instance.as_ref().map_or(1, |it| it.chars().count());
    (name, longest(&instance, 8, 19))
}

fn node_heading(app: &App) -> String {
    let (name, instance) = node_widths(app);
    format!("{:name$} {:instance$} {:>9} {:>9}  WHY", "NODE", "INSTANCE", "FOR", "AT MOST")
}

fn node_lines(app: &App, paint: Paint) -> Vec<Line<'static>> {
    let (name, instance) = node_widths(app);
    let line = |node: &NodeStatus| {
        let timer = |span_ms: Option<u64>| {
            span_ms.map_or_else(|| "-".to_owned(), |millis| span(millis / 1000))
        };
        let waited = timer(node.since_ms.map(|since| app.now_ms.saturating_sub(since)));
        let left = timer(node.until_ms.map(|until| until.saturating_sub(app.now_ms)));
        let short = |text: &str, width: usize| text.chars().take(width).collect::<String>();
        let text = format!(
            "{:name$} {:instance$} {waited:>9} {left:>9}  ",
            short(&node.name, name),
            short(node.instance.as_deref().unwrap_or("-"), instance),
        );
        let style = color_of(node).map_or(Style::new(), |color| paint.of(color));
        Line::from(vec![Span::raw(text), Span::styled(node.text.clone(), style)])
    };
    app.nodes().into_iter().map(line).collect()
}

fn job_heading(app: &App) -> String {
    let when = app.status.as_ref().map(|status| of_when(status, app.now_ms)).unwrap_or_default();
    format!("{:>10} {:>6} {:>6}  WHY{when}", "JOB", "NODES", "LAUNCH")
}

fn job_lines(app: &App) -> Vec<Line<'static>> {
    let jobs = app.jobs();
    let line = |job: &&slurm_asg_wire::JobStatus| {
        Line::raw(format!("{:>10} {:>6} {:>6}  {}", job.id, job.nodes, job.launch, job.text))
    };
    jobs.iter().map(line).collect()
}

fn event_lines(app: &App, paint: Paint) -> Vec<Line<'static>> {
    let events = app.shown_events();
    let line = |event: &&slurm_asg_core::event::Event| {
        let time = rfc3339::text(event.time);
        let time = time.get(11..19).unwrap_or("").to_owned();
        let style = match event.error {
            Some(_) => paint.of(terminal::Color::Failed),
            None => Style::new(),
        };
        let what = event.to_string().replace(char::is_control, " ");
        let text = format!("{time}Z {:20} ", event.event);
        Line::from(vec![Span::raw(text), Span::styled(what, style)])
    };
    events.iter().map(line).collect()
}

/// A window above everything.
fn popup(frame: &mut Frame<'_>, title: &str, lines: Vec<Line<'static>>) {
    let area = frame.area();
    let width = area.width.saturating_sub(6).min(100);
    let wrapped = |line: &Line<'_>| line.width() / usize::from(width.saturating_sub(2).max(1)) + 1;
    let height: usize = lines.iter().map(wrapped).sum();
    let height = u16::try_from(height).unwrap_or(u16::MAX).saturating_add(2);
    let height = height.min(area.height.saturating_sub(2));
    let area = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(format!(" {title} "));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }).block(block), area);
}

fn help() -> Vec<Line<'static>> {
    [
        "1 2 3, Tab     nodes, pending jobs, events",
        "Up Down j k    mark another row; PageUp PageDown Home End",
        "Enter          why: what explain says of the marked row",
        "/              only rows with these letters",
        "s, r           sort by something else; the other way round",
        "Space          freeze, and go on",
        "q, Ctrl-C      quit",
        "",
        "FOR is how long it has been so, AT MOST how long it still may be:",
        "by SuspendTime, ResumeTimeout, the hour that is paid for, the next try.",
    ]
    .into_iter()
    .map(Line::raw)
    .collect()
}

fn explanation(
    subject: &str,
    told: Option<&Result<Box<Explanation>, String>>,
) -> Vec<Line<'static>> {
    match told {
        None => vec![Line::raw(format!("{subject}: asking the plugin"))],
        Some(Err(problem)) => vec![Line::raw(problem.clone())],
        Some(Ok(told)) => {
            let text = crate::explain::text(told).unwrap_or_default();
            text.lines().map(|line| Line::raw(line.replace(char::is_control, " "))).collect()
        }
    }
}
