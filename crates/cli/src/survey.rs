//! Asking AWS by slurm-asg-survey, the program that has the AWS SDK, with the caller's own credentials.

use std::env;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use slurm_asg_core::doctor::survey::{Question, Survey};

const PROGRAM: &str = "slurm-asg-survey";
/// Where packages put it.
const DIRECTORY: &str = "/usr/libexec/slurm-asg";
/// A group takes some calls, and AWS half a second for each; without credentials the SDK looks for
/// some in several places first.
const LIMIT: Duration = Duration::from_secs(60);

/// What AWS says.
///
/// # Errors
/// If the program is missing, or does not answer.
pub fn ask(question: &Question) -> Result<Survey> {
    let path = program()?;
    let run = || format!("{} cannot be run", path.display());
    let mut command = Command::new(&path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(run)?;
    let line = serde_json::to_string(question)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(line.as_bytes()).with_context(run)?;
    }
    let answer = read(&mut child)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("{}", answer.complaint.trim());
    }
    serde_json::from_str(&answer.text).context("slurm-asg-survey is of another version")
}

struct Answer {
    text: String,
    complaint: String,
}

/// Reads all that the program says; ends it if that takes too long.
fn read(child: &mut Child) -> Result<Answer> {
    let (send, receive) = mpsc::channel();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    thread::spawn(move || {
        let mut answer = Answer { text: String::new(), complaint: String::new() };
        // It says little on the one before it ends the other.
        let read = out.map(|mut out| out.read_to_string(&mut answer.text));
        let rest = err.map(|mut err| err.read_to_string(&mut answer.complaint));
        if read.is_none_or(|it| it.is_ok()) && rest.is_none_or(|it| it.is_ok()) {
            // Nobody waits any more if this fails.
            drop(send.send(answer));
        }
    });
    receive.recv_timeout(LIMIT).or_else(|_| {
        child.kill()?;
        child.wait()?;
        bail!("AWS did not answer within {} s", LIMIT.as_secs())
    })
}

/// Beside this program, or where packages put it.
fn program() -> Result<PathBuf> {
    let beside = env::current_exe().ok().and_then(|path| Some(path.parent()?.join(PROGRAM)));
    let places = beside.into_iter().chain([Path::new(DIRECTORY).join(PROGRAM)]);
    places
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| format!("{PROGRAM} is not in {DIRECTORY}; install the package slurm-asg"))
}
