//! `slurm-asg status`, into a pipe and on a real terminal.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::plugin::{Answers, Plugin, each_is_refused_in_one_line, status, stdout};

fn plugin() -> Plugin {
    Plugin::start(Answers { status: status(), ..Answers::default() })
}

#[test]
fn the_status_is_a_table_without_colours_in_a_pipe_and_json_for_programs() {
    let plugin = plugin();
    let output = plugin.run(&["status"]);
    let text = stdout(&output);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(text.contains("compute  [#=+!....]     1     1       1      1       4"), "{text}");
    assert!(text.contains("! hpc-gpu: InsufficientInstanceCapacity"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    assert!(text.lines().take(10).all(|line| line.chars().count() <= 80), "{text}");
    let colored = stdout(&plugin.run(&["status", "--color", "always"]));
    assert!(colored.contains("\x1b[32m#\x1b[0m"), "{colored}");
    let json: Value = serde_json::from_str(&stdout(&plugin.run(&["status", "--json"]))).unwrap();
    assert_eq!(json["groups"][1]["pending_instances"], 2);
}

#[test]
fn watching_into_a_pipe_prints_one_status_after_the_other_until_nobody_reads() {
    let plugin = plugin();
    let mut child =
        plugin.command(&["status", "--watch=1", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for calls in [3, 4] {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let status: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(status["hook_calls"], calls);
        plugin.change(|answers| answers.status["hook_calls"] = 4.into());
    }
    drop(out);
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_is_wrong_is_one_line_and_the_exit_code_says_whose_fault_it_is() {
    let table: [(&[&str], i32, &str); 5] = [
        (&["status"], 1, "is slurmctld running with JobSubmitPlugins=asg?"),
        (&["status", "--watch"], 1, "is slurmctld running with JobSubmitPlugins=asg?"),
        (&["status", "--watch=0"], 2, "0 is not in 1..=3600"),
        (&["status", "--color", "red"], 2, "possible values: auto, always, never"),
        (&["status", "--jsno"], 2, "--json"),
    ];
    each_is_refused_in_one_line(&table);
}

/// Every field that a program may meet is in the document, and none that it does not.
#[test]
fn the_document_lists_exactly_the_fields_that_there_are() {
    const DOCUMENT: &str = include_str!("../../../../docs/status.md");
    let mut status = status();
    status["advice"] =
        serde_json::json!([{"asg": "a", "setting": "protect_new", "text": "t", "error": "e"}]);
    status["protected"] = serde_json::json!(
        [{"node": "n", "since_ms": 1, "until_ms": 2, "user": 0, "reason": null}]
    );
    let plugin = Plugin::start(Answers { status, ..Answers::default() });
    let json: Value = serde_json::from_str(&stdout(&plugin.run(&["status", "--json"]))).unwrap();
    let mut fields = Vec::new();
    for (name, value) in json.as_object().unwrap() {
        fields.push(name.clone());
        let inner = value.as_array().and_then(|list| list.first()).and_then(Value::as_object);
        fields.extend(inner.into_iter().flatten().map(|(key, _)| format!("{name}[].{key}")));
        let inner = value.as_object().into_iter().flatten();
        fields.extend(inner.map(|(key, _)| format!("{name}.{key}")));
    }
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut listed: Vec<_> = rows.map(|(name, _)| name.to_owned()).collect();
    fields.sort();
    listed.sort();
    assert_eq!(listed, fields);
}
