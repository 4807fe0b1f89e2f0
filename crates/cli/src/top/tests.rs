//! Screens without a terminal.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use slurm_asg_core::explain::Explanation;
use termion::event::Key;

use super::app::{App, Ask, Mode, View};
use super::ui;
use crate::status::example;

fn app() -> App {
    let mut status = example();
    let mut node = status.nodes[0].clone();
    node.name = "compute-10".to_owned();
    node.since_ms = Some(200_000);
    node.until_ms = Some(1_300_000);
    status.nodes.insert(0, node);
    let line = r#"{"time":"2026-11-25T10:00:05.000Z","event":"node_up","group":"compute","node":"compute-1","boot_ms":41000}"#;
    let failed = r#"{"time":"2026-11-25T10:00:00.000Z","event":"capacity_raised_failed","group":"gpu","asg":"hpc-gpu","from":0,"to":2,"error":"Throttling"}"#;
    let events = [line, failed].map(|line| serde_json::from_str(line).unwrap());
    App { status: Some(status), events: events.into(), now_ms: 1_005_000, ..App::default() }
}

fn screen(app: &mut App, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| ui::draw(frame, app, true)).unwrap();
    terminal.backend().to_string()
}

fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        assert_eq!(app.key(Key::Char(key)), Ask::Nothing, "{key}");
    }
}

#[test]
fn a_screen_of_80_columns_and_24_lines_has_everything() {
    let mut app = app();
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    press(&mut app, "2");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    press(&mut app, "3");
    insta::assert_snapshot!(screen(&mut app, 80, 24));
}

#[test]
fn a_tall_screen_shows_the_last_events_below() {
    insta::assert_snapshot!(screen(&mut app(), 100, 40));
}

#[test]
fn no_size_and_no_emptiness_is_too_small() {
    for (width, height) in [(1, 1), (5, 2), (20, 6), (200, 3), (3, 100), (300, 100)] {
        for mode in [Mode::Rows, Mode::Filter, Mode::Help, Mode::Explain("x".to_owned(), None)] {
            screen(&mut App { mode: mode.clone(), ..app() }, width, height);
            screen(&mut App { mode, ..App::default() }, width, height);
        }
    }
}

#[test]
fn rows_are_sorted_by_each_order_and_numbers_in_names_are_numbers() {
    let mut app = app();
    let names =
        |app: &App| -> Vec<String> { app.nodes().iter().map(|node| node.name.clone()).collect() };
    assert_eq!(names(&app), ["compute-1", "compute-2", "compute-10"]);
    press(&mut app, "r");
    assert_eq!(names(&app), ["compute-10", "compute-2", "compute-1"]);
    // By group, why and time.
    press(&mut app, "rss");
    assert_eq!(names(&app), ["compute-1", "compute-10", "compute-2"]);
    press(&mut app, "s");
    assert_eq!(names(&app), ["compute-10", "compute-1", "compute-2"]);
    press(&mut app, "s");
    assert_eq!(names(&app), ["compute-1", "compute-2", "compute-10"]);
}

#[test]
fn a_filter_keeps_rows_with_its_letters_until_it_is_cleared() {
    let mut app = app();
    press(&mut app, "/GONE");
    assert_eq!(app.nodes().len(), 1);
    assert!(screen(&mut app, 80, 24).contains("/GONE"));
    app.key(Key::Backspace);
    press(&mut app, "x");
    assert!(screen(&mut app, 80, 24).contains("nothing has these letters"));
    // Letters that are keys elsewhere are letters here.
    press(&mut app, "q\n");
    assert_eq!((app.mode.clone(), app.filter.as_str()), (Mode::Rows, "GONxq"));
    app.key(Key::Esc);
    assert_eq!(app.nodes().len(), 3);
}

#[test]
fn the_mark_stays_within_the_rows_and_on_the_screen() {
    let mut app = app();
    let node = app.status.as_ref().unwrap().nodes[0].clone();
    let nodes = (0..100).map(|nth| {
        let mut node = node.clone();
        node.name = format!("n{nth}");
        node
    });
    app.status.as_mut().unwrap().nodes = nodes.collect();
    screen(&mut app, 80, 24);
    let shows = |app: &mut App, name: &str| screen(app, 80, 24).contains(name);
    app.key(Key::End);
    assert!(shows(&mut app, "n99 ") && !shows(&mut app, "n0 "));
    app.key(Key::Down);
    assert_eq!(app.marked(100), 99);
    app.key(Key::PageUp);
    assert!(app.marked(100) < 99);
    app.key(Key::Home);
    app.key(Key::Up);
    assert_eq!(app.marked(100), 0);
    assert!(shows(&mut app, "n0 "));
    // Rows may go away below the mark.
    app.key(Key::End);
    app.status.as_mut().unwrap().nodes.truncate(2);
    assert!(shows(&mut app, "n1 "));
}

#[test]
fn enter_asks_why_and_shows_the_answer_to_the_last_question_only() {
    let mut app = app();
    let told = |answer: &str| {
        Ok(Box::new(Explanation {
            subject: "node compute-1".to_owned(),
            known: true,
            answer: answer.to_owned(),
            details: vec!["its state is IDLE".to_owned()],
            ..Explanation::default()
        }))
    };
    assert_eq!(app.key(Key::Char('\n')), Ask::Explain("compute-1".to_owned()));
    assert!(screen(&mut app, 80, 24).contains("compute-1: asking the plugin"));
    app.explained("compute-2", told("of before"));
    app.explained("compute-1", told("idle, as nobody wants it"));
    insta::assert_snapshot!(screen(&mut app, 80, 24));
    app.key(Key::Esc);
    press(&mut app, "2");
    assert_eq!(app.key(Key::Char('\n')), Ask::Explain("7".to_owned()));
    app.explained("7", Err("the plugin does not listen".to_owned()));
    assert!(screen(&mut app, 80, 24).contains("the plugin does not listen"));
    app.key(Key::Esc);
    press(&mut app, "3");
    assert_eq!(app.key(Key::Char('\n')), Ask::Explain("compute-1".to_owned()));
    // An event of a group has nothing to explain.
    app.key(Key::Esc);
    app.key(Key::Down);
    assert_eq!(app.key(Key::Char('\n')), Ask::Nothing);
}

#[test]
fn views_go_round_and_keys_end_it() {
    let mut app = app();
    for view in [View::Jobs, View::Events, View::Nodes] {
        press(&mut app, "\t");
        assert_eq!(app.view, view);
    }
    app.key(Key::BackTab);
    assert_eq!(app.view, View::Events);
    press(&mut app, "?");
    assert!(screen(&mut app, 80, 24).contains("Ctrl-C"));
    // It closes the window first.
    press(&mut app, "q");
    assert_eq!(app.key(Key::Char('q')), Ask::Quit);
    press(&mut app, "/");
    assert_eq!(app.key(Key::Ctrl('c')), Ask::Quit);
}
