//! docs/check.md is what programs are written after: every word that a finding may have is there, and
//! every setting that is looked at.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use slurm_asg_core::doctor::settings::settings;

const TEXT: &str = include_str!("../../../docs/check.md");

/// What stands between two marks, each time.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
    text.split(from).skip(1).filter_map(|rest| rest.split(to).next()).collect()
}

/// The words that the sources give to findings: behind a level, or as a field.
fn words() -> BTreeSet<String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
    let mut words = BTreeSet::new();
    for entry in fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if path.ends_with("tests.rs") {
            continue;
        }
        let plain: String = code.split_whitespace().collect::<Vec<_>>().join("");
        for mark in ["Level::Error,\"", "Level::Warning,\"", "level,\"", "check:\""] {
            words.extend(between(&plain, mark, "\"").into_iter().map(str::to_owned));
        }
    }
    // Keys of slurm.conf stand in a table of their own.
    words.retain(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    words
}

#[test]
fn every_word_of_a_finding_is_described_and_no_other() {
    let (_, told) = TEXT.split_once("\nWords: ").unwrap();
    let told: BTreeSet<String> = told.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(told, words(), "docs/check.md on the left, the sources on the right");
}

#[test]
fn every_setting_that_is_looked_at_is_named() {
    for setting in settings(None) {
        assert!(TEXT.contains(setting.key), "docs/check.md does not name {}", setting.key);
    }
}
