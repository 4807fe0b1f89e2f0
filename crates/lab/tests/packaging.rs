//! What packages ship beside the programs: that it is there, and says what the rest says.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(checkout().join(file)).with_context(|| file.to_owned())
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
