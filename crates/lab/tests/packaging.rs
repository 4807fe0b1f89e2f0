//! What packages ship beside the programs: that it is there, and says what the rest says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(checkout().join(file)).with_context(|| file.to_owned())
}

/// AWS's names of rights in a text: `autoscaling:SetDesiredCapacity`.
fn rights(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || ":_".contains(c));
    let services = ["autoscaling", "ec2", "cloudwatch"];
    let is_right = |word: &&str| {
        let parts = word.split_once(':');
        parts.is_some_and(|(service, action)| {
            // Not the transitions of life-cycle hooks, which are all in capitals.
            let named = action.starts_with(|c: char| c.is_ascii_uppercase());
            services.contains(&service) && named && !action.contains('_')
        })
    };
    text.split(word).filter(is_right).collect()
}

#[test]
fn the_policy_for_slurmctld_gives_the_rights_that_the_readme_names_and_no_other() -> Result<()> {
    let (readme, policy) = (read("README.md")?, read("packaging/iam/slurmctld.json")?);
    serde_json::from_str::<Value>(&policy)?;
    ensure!(rights(&readme).len() > 5, "the README names no rights");
    let differ: Vec<_> = rights(&readme).symmetric_difference(&rights(&policy)).copied().collect();
    ensure!(differ.is_empty(), "{differ:?}");
    Ok(())
}

/// The names of API calls in the code that makes them: they are its constants.
fn calls() -> Result<BTreeSet<String>> {
    let verbs = [
        "Complete",
        "Create",
        "Describe",
        "Get",
        "Put",
        "Record",
        "Set",
        "Suspend",
        "Terminate",
        "Update",
    ];
    let mut calls = BTreeSet::new();
    for file in fs::read_dir(checkout().join("crates/aws/src"))? {
        let code = fs::read_to_string(file?.path())?;
        let literals = code.split('"').skip(1).step_by(2);
        let is_call = |text: &&str| {
            let a_verb = verbs.iter().any(|verb| {
                text.strip_prefix(verb)
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
            });
            a_verb && text.chars().all(|c| c.is_ascii_alphanumeric())
        };
        calls.extend(literals.filter(is_call).map(str::to_owned));
    }
    Ok(calls)
}

#[test]
fn the_policy_for_slurmctld_gives_the_rights_to_all_calls_and_no_other() -> Result<()> {
    let policy = read("packaging/iam/slurmctld.json")?;
    let rights: BTreeSet<_> = rights(&policy)
        .iter()
        .filter_map(|right| Some(right.split_once(':')?.1.to_owned()))
        .collect();
    let differ: Vec<_> = calls()?.symmetric_difference(&rights).cloned().collect();
    ensure!(differ.is_empty(), "{differ:?}");
    Ok(())
}

#[test]
fn every_file_of_the_packages_is_there() -> Result<()> {
    let list = read("packaging/files")?;
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for line in lines {
        let fields: Vec<_> = line.split_whitespace().collect();
        ensure!(fields.len() == 4, "{line}");
        let made = fields[1].starts_with("bin:") || fields[1].starts_with("gen:");
        let pattern = fields[1].contains('*');
        ensure!(made || pattern || checkout().join(fields[1]).exists(), "{} is missing", fields[1]);
        ensure!(["conf", "644", "755"].contains(&fields[3]), "{line}");
        count += 1;
    }
    ensure!(count > 20, "only {count} files");
    Ok(())
}

#[test]
fn the_page_of_the_bootstrap_describes_each_of_its_settings() -> Result<()> {
    let page = read("packaging/man/slurm-asg-node.8")?;
    let script = read("packaging/node/slurm-asg-node")?;
    let settings = script.lines().filter_map(|line| line.strip_prefix(": \"${")?.split(':').next());
    let settings: Vec<_> = settings.collect();
    ensure!(settings.len() > 5, "{settings:?}");
    for name in settings {
        ensure!(page.contains(name), "{name} is not in slurm-asg-node(8)");
    }
    Ok(())
}
