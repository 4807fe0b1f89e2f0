//! Who comes in at the plugin's socket, and what they cannot do there.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::SOON;

/// Users and groups that every Debian has.
const DAEMON: u32 = 1;
const SYS: u32 = 3;
const GAMES: u32 = 60;
const NOBODY: u32 = 65534;

/// A cluster whose files everybody may read, as on a real host.
fn open_to_all() -> Result<Lab> {
    let lab = Lab::start(Options { slurm_user: "slurm".to_owned(), ..Options::default() })?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    Ok(lab)
}

#[test]
fn operators_change_readers_read_and_a_change_of_who_is_who_is_taken_up() -> Result<()> {
    let lab = open_to_all()?;
    let status = |user, groups: &[u32]| lab.command_as(user, groups, "slurm-asg", &["status"]);
    let fix = |user, groups: &[u32]| lab.command_as(user, groups, "slurm-asg", &["check", "--fix"]);
    let why = |result: Result<String>| result.err().map(|e| e.to_string()).unwrap_or_default();
    let events = |user| lab.command_as(user, &[], "slurm-asg", &["events"]);
    status(NOBODY, &[])?;
    events(NOBODY)?;
    let refused = why(fix(NOBODY, &[]));
    ensure!(
        refused.contains("user 65534 may not do this; only root, SlurmUser and the"),
        "{refused}"
    );
    for program in ["slurm-asg-resume", "slurm-asg-suspend"] {
        let refused = why(lab.command_as(NOBODY, &[], program, &["compute-1"]));
        ensure!(refused.contains("user 65534 may not do this"), "{refused}");
    }
    let slurm: u32 = lab.command("id", &["-u", "slurm"])?.trim().parse()?;
    fix(slurm, &[])?;

    let keys = "operators = [\"daemon\", \"@sys\", \"nobody-knows\"]\nreaders = [\"@games\"]\n";
    std::fs::write(lab.path("asg.toml"), format!("{keys}{}", lab.asg_toml()))?;
    lab.until("the names are in force", SOON, |_| Ok(status(NOBODY, &[]).is_err()))?;
    let refused = why(status(NOBODY, &[]));
    ensure!(
        refused.contains("user 65534 may not read; only root, SlurmUser, and the"),
        "{refused}"
    );
    for (user, groups) in [(DAEMON, &[][..]), (NOBODY, &[NOBODY, SYS])] {
        status(user, groups)?;
        fix(user, groups)?;
    }
    status(NOBODY, &[GAMES])?;
    // The event log is a file: it is closed to those who may not read.
    lab.until("the event log is closed", SOON, |_| Ok(events(NOBODY).is_err()))?;
    ensure!(why(events(NOBODY)).contains("Permission denied"), "{}", why(events(NOBODY)));
    events(slurm)?;
    ensure!(why(fix(NOBODY, &[GAMES])).contains("may not do this"));
    lab.status()?;
    let unknown = "operators in asg.toml: this host has no user `nobody-knows`";
    lab.until("the slip of the pen is named", SOON, |lab| {
        Ok(lab.plugin_log().iter().any(|line| line.contains(unknown)))
    })?;
    let check = lab.command("slurm-asg", &["check"])?;
    ensure!(check.contains(unknown), "{check}");
    Ok(())
}

#[test]
fn a_socket_that_is_removed_is_made_again() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin listens", SOON, |lab| Ok(lab.status().is_ok()))?;
    std::fs::remove_file(lab.path("run/asg.sock"))?;
    ensure!(lab.status().is_err());
    lab.until("it listens again", SOON, |lab| Ok(lab.status().is_ok()))?;
    std::fs::remove_dir_all(lab.path("run"))?;
    lab.until("also without the directory", SOON, |lab| Ok(lab.status().is_ok()))?;
    lab.command("slurm-asg-resume", &["compute-1"])?;
    let removed = format!("the socket {} was removed", lab.path("run/asg.sock").display());
    let log = lab.plugin_log();
    let said = log.iter().filter(|line| line.ends_with(&removed)).count();
    // Each time that it was removed, and each time that it was over.
    ensure!(said == 4, "{log:#?}");
    let events = lab.command("slurm-asg", &["events", "--event", "problem_over"])?;
    ensure!(events.contains(&removed), "{events}");
    Ok(())
}

fn connect(path: &Path) -> Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    Ok(stream)
}

fn answer(stream: UnixStream) -> Result<String> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}

/// Holds as many connections as it is allowed, and says how the last one was turned away.
const HOARDER: &str = "
import socket, sys, time
held = []
for _ in range(40):
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    client.settimeout(0.2)
    try:
        print(len(held), client.makefile().readline(), flush=True)
        break
    except TimeoutError:
        held.append(client)
time.sleep(60)
";

#[test]
fn no_client_keeps_the_plugin_from_serving_others() -> Result<()> {
    let mut lab = open_to_all()?;
    let socket = lab.path("run/asg.sock");
    // Whatever is no request gets a line back: also what has no end,
    for (bytes, words) in [
        (vec![b'x'; (4 << 20) + 1], "a request is one line of at most 4194304 bytes"),
        (b"\xff\x00nonsense\n".to_vec(), "not a request"),
        ([&[b'['; 100_000][..], b"\n"].concat(), "not a request"),
        (b"{\"request\":\"status\"".to_vec(), "no request within 5 s"),
    ] {
        let mut stream = connect(&socket)?;
        // It may be told before it has said all.
        stream.write_all(&bytes).ok();
        let said = answer(stream)?;
        ensure!(said.contains(words), "{words}: {said}");
    }
    // and who asks and does not read is let go.
    let deaf: Vec<_> = (0..8).map(|_| connect(&socket)).collect::<Result<_>>()?;
    for mut stream in &deaf {
        stream.write_all(b"{\"request\":\"snapshot\"}\n")?;
    }
    // A user who holds all connections that there are for others keeps neither root out,
    let mut hoarder = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "--pdeathsig", "KILL"])
        // Not one of a developer's home, which others may not read.
        .args(["/usr/bin/python3", "-c", HOARDER])
        .arg(&socket)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    let out = hoarder.stdout.take().context("no output")?;
    BufReader::new(out).read_line(&mut said)?;
    ensure!(said.starts_with("8 ") && said.contains("user 65534 has 8 connections"), "{said}");
    lab.command("slurm-asg-resume", &["compute-1"])?;
    lab.status()?;
    // nor other users.
    lab.command_as(DAEMON, &[], "slurm-asg", &["status"])?;
    // Those who say nothing are let go, while the hoarder still runs.
    lab.until("there is a place again", SOON, |lab| {
        Ok(lab.command_as(NOBODY, &[], "slurm-asg", &["status"]).is_ok())
    })?;
    hoarder.kill()?;
    hoarder.wait()?;
    for mut stream in deaf {
        stream.read_to_end(&mut Vec::new()).ok();
    }
    ensure!(lab.slurmctld_is_alive());
    let job = lab.sbatch(&[], "true")?;
    lab.until("a job is served as ever", Duration::from_secs(30), |lab| Ok(lab.desired()? == 1))?;
    lab.command("scancel", &[&job.to_string()])?;
    Ok(())
}
