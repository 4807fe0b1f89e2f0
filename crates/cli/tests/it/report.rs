//! `slurm-asg report` as a program.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::plugin::{program, stderr, stdout};

const LOG: &str = r#"{"time":"2026-11-25T10:00:00.000Z","event":"group_state","group":"g","busy":2,"idle":1,"demand":2}
{"time":"2026-11-25T10:30:00.000Z","event":"group_state","group":"g","busy":0,"idle":0,"demand":0}
{"torn
{"time":"2026-11-25T10:40:00.000Z","event":"group_state","group":"h","busy":0,"idle":0,"demand":0}
"#;
const CONFIG: &str =
    "[[group]]\nname = \"g\"\nnodes = \"n[1-3]\"\nasg = \"a\"\nprice_per_hour = 2\n";

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        // An earlier file is read as well.
        let (first, rest) = LOG.split_once('\n').unwrap();
        fs::write(files.path("e.1"), format!("{first}\n")).unwrap();
        fs::write(files.path("e"), rest).unwrap();
        fs::write(files.path("asg.toml"), CONFIG).unwrap();
        files
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.args(["--socket", "/nonexistent/s", "report", "--file", &self.path("e")]);
        command.args(["--since", "2026-11-25T10:00:00Z", "--until", "2026-11-25T11:00:00Z"]);
        command.args(arguments).output().unwrap()
    }
}

#[test]
fn hours_and_money_come_from_all_files_of_the_log_and_asg_toml() {
    let files = Files::new();
    let config = files.path("asg.toml");
    let text = stdout(&files.run(&["--config", &config]));
    assert!(text.contains("g         1.00     0.50") && text.contains("3.00"), "{text}");
    let json = stdout(&files.run(&["--json", "--config", &config]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["groups"]["g"]["cost"]["busy"], 2.0);
    assert_eq!(json["groups"]["g"]["cost_total"], 3.0);
    assert_eq!(json["groups"]["h"]["cost_total"], Value::Null);
    let csv = stdout(&files.run(&["--csv", "--config", &config]));
    assert!(csv.contains("g,instance_hours,idle,0.5,h\n") && csv.contains("g,cost,idle,1,USD\n"));
    let without = stdout(&files.run(&["--csv"]));
    assert!(!without.contains(",cost,"), "{without}");
    let one = stdout(&files.run(&["--json", "--group", "g"]));
    assert!(!one.contains("\"h\""), "{one}");
}

#[test]
fn a_page_is_written_where_it_is_wanted() {
    let files = Files::new();
    let page = files.path("page.html");
    let output = files.run(&["--html", "--output", &page]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg"), "{page}");
}

#[test]
fn what_is_wrong_is_one_line_and_the_exit_code_says_whose_fault_it_is() {
    let files = Files::new();
    let bad = files.path("bad.toml");
    fs::write(&bad, CONFIG.replace("= 2\n", "= -2\n")).unwrap();
    let table: [(&[&str], i32, &str); 6] = [
        (&["--csv", "--html"], 2, "cannot be used with"),
        (&["--file", "/nonexistent/e"], 2, "cannot be used multiple times"),
        (&["--config", "/nonexistent/c"], 1, "/nonexistent/c cannot be read"),
        (&["--config", &bad], 1, "bad.toml:5: price_per_hour is what an instance costs"),
        (&["-o", "/nonexistent/x/y"], 1, "/nonexistent/x/y cannot be written"),
        (&["--group", "x"], 0, "the event log says nothing of a group x in that time"),
    ];
    for (arguments, code, words) in table {
        let output = files.run(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(code == 2 || said.trim_end().lines().count() == 1, "{said}");
    }
    let table = [
        (["--file", "/nonexistent/e", "--since", "1d"], "/nonexistent/e cannot be read"),
        (["--since", "1d", "--until", "2d"], "--since is not before --until"),
    ];
    for (arguments, words) in table {
        let mut command = program();
        let output = command.args(["--socket", "/x", "report"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}
