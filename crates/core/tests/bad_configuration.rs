//! Configurations that nobody should write: a policy, or one line that says what is wrong, where,
//! and what to write.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;

use slurm_asg_core::policy;

/// A file with one group, in which `key` has a value with a line feed.
fn error(key: &str, value: &str) -> String {
    let mut keys = vec![("name", "c"), ("nodes", "c1"), ("asg", "a")];
    keys.retain(|(name, _)| *name != key);
    keys.push((key, value));
    let lines: String = keys.iter().map(|(key, value)| format!("{key} = \"{value}\"\n")).collect();
    policy::parse(Path::new("asg.toml"), &format!("[[group]]\n{lines}")).unwrap_err().to_string()
}

#[test]
fn line_feeds_in_what_an_error_quotes_are_written_as_escapes() {
    for (key, value, message) in [
        ("name", r"a\nb", r"asg.toml:4: group name `a\nb` may have "),
        ("nodes", r"a\nb", r"asg.toml:4: nodes: `a\nb` is not a node name; "),
        ("nodes", r"a[\n", r"asg.toml:4: nodes: `a[\n` has a bracket without "),
        ("scale_in", r"a\u001b[1m", r"asg.toml:5: scale_in `a\u{1b}[1m` is not known; "),
        ("scale_out", r"a\r\nb", r"asg.toml:5: scale_out `a\r\nb` is not known; "),
        (r#""a\nb""#, "", r"asg.toml:5: unknown field `a"),
    ] {
        let error = error(key, value);
        assert!(error.starts_with(message), "{error}");
        assert!(!error.contains(char::is_control), "{error:?}");
    }
    let top = "region = \"\"\"\na\"\"\"\nsocket = \"x\ty\"\n";
    let error = policy::parse(Path::new("asg.toml"), top).unwrap_err().to_string();
    assert!(!error.contains(char::is_control), "{error:?}");
}

#[test]
fn what_the_fuzzer_begins_with_are_configurations() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/configuration");
    for entry in fs::read_dir(seeds).unwrap() {
        let path = entry.unwrap().path();
        policy::parse(&path, &fs::read_to_string(&path).unwrap()).unwrap();
    }
}
