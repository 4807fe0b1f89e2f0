//! The event log, read by a program.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::plugin::{self, stdout};

fn line(second: u32, job: u32) -> String {
    format!(
        "{{\"time\":\"2026-11-25T09:00:{second:02}.000Z\",\"event\":\"job_counted\",\"group\":\"g\",\
         \"job\":{job},\"node_count\":1,\"launch\":1}}\n"
    )
}

fn program(arguments: &[&str]) -> Command {
    let mut command = plugin::program();
    command.args(["--socket", "/nonexistent/s", "events"]).args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn log(dir: &Path) -> String {
    let path = dir.join("events.jsonl");
    fs::write(dir.join("events.jsonl.1"), [line(1, 1), line(2, 2)].concat()).unwrap();
    fs::write(&path, [line(3, 3), "{\"torn".to_owned(), "\n".to_owned(), line(4, 1)].concat())
        .unwrap();
    path.display().to_string()
}

#[test]
fn all_files_are_read_in_order_and_torn_lines_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = log(dir.path());
    let output = run(&["--file", &file, "--json"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(stdout(&output), [line(1, 1), line(2, 2), line(3, 3), line(4, 1)].concat());
    let words = |second, job| {
        format!(
            "2026-11-25T09:00:0{second}.000Z  job_counted          group=g job={job} will get 1 \
             node; 1 to be powered up for it\n"
        )
    };
    assert_eq!(stdout(&run(&["--file", &file, "--job", "1"])), words(1, 1) + &words(4, 1));
    assert_eq!(stdout(&run(&["--file", &file, "-n", "1"])), words(4, 1));
    assert_eq!(stdout(&run(&["--file", &file, "-n", "0"])), "");
    let since = "2026-11-25T09:00:03";
    assert_eq!(stdout(&run(&["--file", &file, "--since", since])), words(3, 3) + &words(4, 1));
    let none = run(&["--file", &file, "--event", "node_bound"]);
    assert!(none.status.success() && none.stdout.is_empty(), "{none:?}");
}

#[test]
fn what_is_wrong_is_one_line_and_the_exit_code_says_whose_fault_it_is() {
    let table: [(&[&str], i32, &str); 5] = [
        (&["--file", "/nonexistent/e"], 1, "the event log /nonexistent/e cannot be read"),
        (&[], 1, "the plugin does not run; name the event log with --file"),
        (&["--since", "yesterday"], 2, "write a span as 90s, 10m, 2h or 1d"),
        (&["--event", "node_bond"], 2, "the events are started, clock_set, "),
        (&["--job", "x"], 2, "invalid digit"),
    ];
    for (arguments, code, words) in table {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(code == 2 || said.trim_end().lines().count() == 1, "{said}");
    }
}

#[test]
fn following_begins_with_the_last_events_goes_on_over_rotation_and_ends_with_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let early: String = (0..12).map(|nth| line(nth, nth)).collect();
    fs::write(&path, early).unwrap();
    let mut child = program(&["--file", &path.display().to_string(), "-f", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut next = || {
        let mut text = String::new();
        out.read_line(&mut text).unwrap();
        text
    };
    for nth in 2..12 {
        assert_eq!(next(), line(nth, nth));
    }
    let write = |text: &str| {
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write(&line(13, 13));
    assert_eq!(next(), line(13, 13));
    write(&line(14, 14));
    fs::rename(&path, dir.path().join("events.jsonl.1")).unwrap();
    write(&line(15, 15));
    assert_eq!((next(), next()), (line(14, 14), line(15, 15)));
    drop(out);
    // It notices with what it prints next.
    let ended = loop {
        write(&line(16, 16));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(ended.success(), "{ended}");
}
