//! SAFETY.md and docs/reliability.md name the test that shows each of their rows: it has to be there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENTS: [&str; 2] =
    [include_str!("../../../SAFETY.md"), include_str!("../../../docs/reliability.md")];

/// Names of functions in all Rust files below a directory.
fn functions(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            functions(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.trim_start().split_once("fn "));
            let names = names.filter_map(|(_, rest)| Some(rest.split_once('(')?.0.to_owned()));
            found.extend(names);
        }
    }
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let mut found = BTreeSet::new();
    functions(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")), &mut found);
    let mut named = 0;
    for text in DOCUMENTS {
        let words = text.split('`').skip(1).step_by(2);
        // A test's name is a sentence.
        let tests = words.filter(|word| word.matches('_').count() >= 3 && !word.contains(' '));
        for test in tests.filter(|word| word.chars().all(|c| c == '_' || c.is_ascii_lowercase())) {
            named += 1;
            assert!(found.contains(test), "no test is called {test}");
        }
    }
    assert!(named > 60, "only {named} names were found");
}
