//! A plugin that says what a test wants, on a real socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// Answers until the test is over.
pub struct Plugin {
    dir: tempfile::TempDir,
    answers: Arc<Mutex<Answers>>,
}

/// What it says, by the request's name.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub status: Value,
    pub documents: Vec<(&'static str, Value)>,
}

impl Plugin {
    pub fn start(answers: Answers) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let answers = Arc::new(Mutex::new(answers));
        let shared = Arc::clone(&answers);
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let answers = Arc::clone(&shared);
                thread::spawn(move || answer(&stream.unwrap(), &answers));
            }
        });
        Self { dir, answers }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.answers.lock().unwrap());
    }

    /// The command line as a program that asks this plugin.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.arg("--socket").arg(self.socket()).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

/// The command line without anything of this machine.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slurm-asg"));
    command.env_clear().env("SLURM_CONF", "/nonexistent/slurm.conf").env("TZ", "UTC");
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn answer(stream: &UnixStream, answers: &Mutex<Answers>) {
    let mut line = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
    let request: Value = serde_json::from_str(&line).unwrap();
    let name = request["request"].as_str().unwrap();
    let answers = answers.lock().unwrap().clone();
    let response = if matches!(name, "status" | "glance") {
        let mut status = answers.status;
        status["response"] = json!("status");
        status
    } else {
        match answers.documents.into_iter().find(|(known, _)| *known == name) {
            Some((_, content)) => json!({"response": "document", "content": content}),
            None => json!({"response": "refused", "why": format!("no {name} here")}),
        }
    };
    // Whoever asked may be gone.
    drop(writeln!(&*stream, "{response}"));
}

/// A status of a small cluster.
pub fn status() -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    json!({
        "version": "0.1.0", "slurm_version": "22.05.8", "state": "active", "problem": null,
        "config": "/etc/slurm/asg.toml", "events": null, "looked_at_ms": now, "hook_calls": 3,
        "groups": [
            {"name": "compute", "asgs": ["hpc-compute"], "min": 0, "desired": 3, "max": 8,
             "in_service": 3, "pending": 1, "busy": 1, "idle": 1, "booting": 1, "ahead": 0,
             "demand": 4, "pending_instances": 0, "spare": 0, "releasing": 0, "problem": null},
            {"name": "gpu", "asgs": ["hpc-gpu"], "min": 0, "desired": 0, "max": 4,
             "in_service": 0, "pending": 0, "busy": 0, "idle": 0, "booting": 0, "ahead": 0,
             "demand": 0, "pending_instances": 2, "spare": 0, "releasing": 0,
             "problem": "hpc-gpu: InsufficientInstanceCapacity <b>none</b> \"left\""},
        ],
        "nodes": [
            {"name": "compute-1", "group": "compute", "state": "ALLOCATED+CLOUD",
             "instance": "i-0a1", "why": "busy", "text": "jobs run on it", "since_ms": null},
            {"name": "compute-2", "group": "compute", "state": "IDLE+CLOUD", "instance": "i-0a2",
             "why": "idle", "text": "idle; Slurm's SuspendTime decides", "since_ms": now - 65_000,
             "until_ms": now + 535_000},
            {"name": "compute-3", "group": "compute", "state": "ALLOCATED+CLOUD+POWERING_UP",
             "instance": "i-0a3", "why": "booting", "text": "waits for its instance to register",
             "since_ms": now - 41_000},
            {"name": "compute-4", "group": "compute", "state": "DOWN+CLOUD", "instance": null,
             "why": "never_registered", "text": "never registered; made available again",
             "since_ms": null},
        ],
        "advice": [],
        "jobs": [
            {"id": 12, "nodes": 2, "launch": 1, "why": "counted",
             "text": "gets 2 nodes; 1 to be powered up for it"},
            {"id": 13, "nodes": 0, "launch": 0, "why": "held",
             "text": "held; scontrol release lets it go"},
        ],
    })
}

/// Each of these arguments ends with the code, and says the words in one line, or clap's usage with
/// it. No plugin runs.
pub fn each_is_refused_in_one_line(table: &[(&[&str], i32, &str)]) {
    for &(arguments, code, words) in table {
        let output = program().args(["--socket", "/nonexistent/s"]).args(arguments).output();
        let output = output.unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words) && output.stdout.is_empty(), "{arguments:?}: {said}");
        assert!(code == 2 || said.trim_end().lines().count() == 1, "{said}");
    }
}
