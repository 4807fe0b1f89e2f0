//! `slurm-asg init`: all that a group needs, from one source of truth.

mod pieces;
mod setup;
mod template;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use similar::TextDiff;

use crate::output::print;
use pieces::Piece;
use setup::{Setup, Wanted};

const ALL: [Piece; 5] =
    [Piece::AsgToml, Piece::SlurmConf, Piece::UserData, Piece::Iam, Piece::Cloudformation];

/// What is wanted.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    wanted: Wanted,
    /// Only this piece
    #[arg(long, value_name = "PIECE")]
    only: Option<Piece>,
    /// Write the pieces into files of this directory, instead of printing them
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
    /// Show what would change in the directory, and write nothing
    #[arg(long, requires = "dir")]
    diff: bool,
    /// Overwrite files that are there and differ
    #[arg(long, requires = "dir", conflicts_with = "diff")]
    force: bool,
}

/// A file, as it is and as it should be.
struct Target {
    path: PathBuf,
    text: String,
    there: Option<String>,
}

impl Target {
    fn differs(&self) -> bool {
        self.there.as_ref().is_some_and(|there| *there != self.text)
    }
}

/// Prints, writes or compares the pieces.
///
/// # Errors
/// If something is missing, or a file would be overwritten without `--force`.
pub fn run(options: Options) -> Result<ExitCode> {
    let setup = Setup::of(options.wanted)?;
    let chosen: Vec<Piece> = options.only.map_or_else(|| ALL.to_vec(), |piece| vec![piece]);
    let texts = chosen.iter().map(|piece| Ok((*piece, piece.text(&setup)?)));
    let texts: Vec<(Piece, String)> = texts.collect::<Result<_>>()?;
    let Some(dir) = options.dir else {
        print(&printed(&texts))?;
        return Ok(ExitCode::SUCCESS);
    };
    let targets = texts.into_iter().map(|(piece, text)| {
        let path = dir.join(piece.file());
        let there = read(&path)?;
        Ok(Target { path, text, there })
    });
    let targets: Vec<Target> = targets.collect::<Result<_>>()?;
    if options.diff {
        let text = differences(&targets);
        print(&text)?;
        return Ok(if text.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let differing = targets.iter().filter(|it| it.differs());
    let names: Vec<_> = differing.map(|it| it.path.display().to_string()).collect();
    if !names.is_empty() && !options.force {
        bail!(
            "{} differ; nothing was written: --diff shows how, --force overwrites",
            names.join(", ")
        );
    }
    fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let mut told = String::new();
    for target in &targets {
        let word = match &target.there {
            None => "written",
            Some(there) if *there == target.text => "unchanged",
            Some(_) => "overwritten",
        };
        if word != "unchanged" {
            write(&target.path, &target.text)?;
        }
        told += &format!("{word}: {}\n", target.path.display());
    }
    print(&(told + NEXT))?;
    Ok(ExitCode::SUCCESS)
}

const NEXT: &str = "next: asg.toml and slurm-asg.conf go beside slurm.conf, with `Include slurm-asg.conf` at its \
    end; restart slurmctld, then `slurm-asg check`\n";

/// All pieces one after the other; a single one without a heading.
fn printed(texts: &[(Piece, String)]) -> String {
    if let [(_, text)] = texts {
        return text.clone();
    }
    let mut all = String::new();
    for (piece, text) in texts {
        all += &format!("==> {} <==\n{text}\n", piece.file());
    }
    all
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// In one step: whoever reads sees the old file or the new one.
fn write(path: &Path, text: &str) -> Result<()> {
    let what = || format!("{} cannot be written", path.display());
    let new = path.with_extension("new");
    fs::write(&new, text).with_context(what)?;
    fs::rename(&new, path).with_context(what)
}

/// As `diff -u` shows them.
fn differences(targets: &[Target]) -> String {
    let mut all = String::new();
    for target in targets {
        let there = target.there.as_deref().unwrap_or_default();
        let diff = TextDiff::from_lines(there, &target.text);
        let name = target.path.display().to_string();
        let old = if target.there.is_some() { name.as_str() } else { "/dev/null" };
        if target.there.as_ref() != Some(&target.text) {
            all += &diff.unified_diff().header(old, &name).to_string();
        }
    }
    all
}

#[cfg(test)]
mod tests;
