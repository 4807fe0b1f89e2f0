//! The rules, fed with what the fuzzer begins with, and with that changed at random: what `make fuzz`
//! looks for with more time and more skill.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use slurm_asg_bad_input::{RULES, Rule};

/// Changed inputs for each kind; SLURM_ASG_CASES is another number.
const CASES: usize = 10_000;
/// Bytes of a changed input, as for the fuzzer.
const BYTES_MAX: usize = 16_384;

fn fuzz(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(place)
}

/// What the fuzzer begins with, in the order of its names.
fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(fuzz("corpus").join(name)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The words of the fuzzer's dictionary, if there is one; without their escapes.
fn words(name: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(fuzz("dictionaries").join(name)).unwrap_or_default();
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    let plain = |word: &str| word.replace("\\x0a", "\n").replace("\\\"", "\"").into_bytes();
    quoted.map(plain).collect()
}

fn feed(rule: Rule, input: &[u8], from: &str) {
    let held = catch_unwind(|| rule(input));
    assert!(held.is_ok(), "{from} breaks a rule: \"{}\"", input.escape_ascii());
}

#[test]
fn what_the_fuzzer_begins_with_breaks_no_rule() {
    for (name, rule) in RULES {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "fuzz/corpus/{name} is empty");
        for (path, input) in seeds {
            feed(rule, &input, &path.display().to_string());
        }
    }
}

#[test]
fn every_fuzz_target_has_its_rules_and_every_rule_its_target() {
    let targets = fs::read_dir(fuzz("fuzz_targets")).unwrap();
    let mut targets: Vec<_> =
        targets.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect();
    targets.sort();
    assert_eq!(targets, RULES.map(|(name, _)| name));
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    for (name, _) in RULES {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is not built");
    }
}

/// One change, as a fuzzer makes it.
fn change(input: &mut Vec<u8>, others: &[Vec<u8>], words: &[Vec<u8>], rng: &mut Rng) {
    /// What means something to those who read numbers and text.
    const SPECIAL: [&str; 12] = [
        "0",
        "-1",
        "4294967294",
        "4294967295",
        "18446744073709551615",
        "1e999",
        "null",
        "\u{0}",
        "\u{85}",
        "[",
        "\n",
        "é",
    ];
    let at = rng.usize(0..=input.len());
    let end = rng.usize(at..=input.len());
    let short = at + rng.usize(0..=16).min(input.len() - at);
    match rng.u8(0..8) {
        0 if at < input.len() => input[at] ^= 1 << rng.u8(0..8),
        1 if at < input.len() => input[at] = rng.u8(..),
        2 => drop(input.drain(at..short)),
        3 => drop(input.drain(at..end)),
        4 => {
            let part = input[at..short].to_vec();
            for _ in 0..rng.usize(1..20) {
                input.splice(at..at, part.iter().copied());
            }
        }
        5 => {
            let other = &others[rng.usize(0..others.len())];
            let from = rng.usize(0..=other.len());
            input.splice(at..end, other[from..].iter().copied());
        }
        6 if !words.is_empty() => {
            input.splice(at..at, words[rng.usize(0..words.len())].iter().copied());
        }
        _ => {
            input.splice(at..short, SPECIAL[rng.usize(0..SPECIAL.len())].bytes());
        }
    }
    input.truncate(BYTES_MAX);
}

#[test]
fn what_is_changed_at_random_breaks_no_rule() {
    let cases = std::env::var("SLURM_ASG_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases: usize = cases.unwrap_or(CASES);
    for (name, rule) in RULES {
        let seeds: Vec<Vec<u8>> = seeds(name).into_iter().map(|(_, input)| input).collect();
        let words = words(name);
        for case in 0..cases {
            let mut rng = Rng::with_seed(case as u64);
            let mut input = seeds[rng.usize(0..seeds.len())].clone();
            for _ in 0..rng.usize(1..6) {
                change(&mut input, &seeds, &words, &mut rng);
            }
            feed(rule, &input, &format!("{name}, case {case}"));
        }
    }
}
