//! Programs on a real terminal: tmux shows them, types for them, and says what is on the screen.

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::plugin::{Answers, Plugin, status};

/// For what a busy machine may take to draw.
const SOON: Duration = Duration::from_secs(20);

/// A terminal of 80 columns and 24 lines, with a tmux server of its own.
pub struct Screen {
    dir: tempfile::TempDir,
}

impl Screen {
    /// Runs the command line for a plugin, with what `env` says (`NO_COLOR=1`).
    pub fn run(plugin: &Plugin, env: &str, arguments: &[&str]) -> Self {
        let screen = Self { dir: tempfile::tempdir().unwrap() };
        let program = env!("CARGO_BIN_EXE_slurm-asg");
        let socket = plugin.socket();
        // It stays when the program has ended, so that its last words can be read.
        let line = format!(
            "env TZ=UTC {env} {program} --socket {} {}; echo \"ended with $?\"; sleep 60",
            socket.display(),
            arguments.join(" ")
        );
        let began = screen.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &line]);
        assert!(began.status.success(), "is tmux installed? {began:?}");
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let socket = self.dir.path().join("tmux");
        let mut command = Command::new("tmux");
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").arg("-S").arg(socket);
        command.args(["-f", "/dev/null"]).args(arguments).output().unwrap()
    }

    /// What is on the screen, with colours as escape sequences if asked for.
    pub fn text(&self, with_colors: bool) -> String {
        let mut arguments = vec!["capture-pane", "-p"];
        arguments.extend(with_colors.then_some("-e"));
        String::from_utf8(self.tmux(&arguments).stdout).unwrap()
    }

    /// Types keys, by tmux's names.
    pub fn keys(&self, keys: &[&str]) {
        assert!(self.tmux(&[&["send-keys"], keys].concat()).status.success());
    }

    pub fn resize(&self, columns: u16, lines: u16) {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let resized = self.tmux(&["resize-window", "-x", &columns, "-y", &lines]);
        assert!(resized.status.success(), "{resized:?}");
    }

    /// Waits until the screen has these words, and gives it.
    pub fn until(&self, words: &str) -> String {
        let began = Instant::now();
        loop {
            let text = self.text(false);
            if text.contains(words) {
                return text;
            }
            assert!(began.elapsed() < SOON, "no {words:?} on the screen:\n{text}");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The server ends, and with it what runs on its terminal.
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn watching_draws_in_place_with_colours_and_goes_on_when_the_plugin_is_gone() {
    let plugin = Plugin::start(Answers { status: status(), ..Answers::default() });
    let screen = Screen::run(&plugin, "A=1", &["status", "--watch=1"]);
    screen.until("[#=+!....]");
    assert!(screen.text(true).contains("\x1b[32m#"), "{}", screen.text(true));
    plugin.change(|answers| answers.status["groups"][0]["busy"] = 3.into());
    let text = screen.until("[###=+!..]");
    assert_eq!(text.matches("GROUP").count(), 1, "{text}");
    plugin.change(|answers| answers.status = serde_json::json!({}));
    screen.until("cannot be read");
    plugin.change(|answers| answers.status = status());
    let text = screen.until("[#=+!....]");
    assert!(!text.contains("cannot be read"), "{text}");
    screen.resize(60, 8);
    screen.until("more lines");
}

#[test]
fn without_colours_a_terminal_shows_none() {
    let plugin = Plugin::start(Answers { status: status(), ..Answers::default() });
    let screen = Screen::run(&plugin, "NO_COLOR=1", &["status"]);
    screen.until("ended with 0");
    let text = screen.text(true);
    assert!(text.contains("[#=+!....]") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn top_is_worked_with_by_keys_and_leaves_the_terminal_as_it_was() {
    let told = serde_json::json!({
        "subject": "node compute-3", "known": true, "why": "booting",
        "answer": "waits for its instance to register", "details": ["instance i-0a3 serves it"],
        "waits_for": "slurmd on its instance to register", "for_secs": 41, "at_most_secs": 859,
    });
    let documents = vec![("explain", told)];
    let plugin = Plugin::start(Answers { status: status(), documents });
    let log = plugin.dir().join("events.jsonl");
    let line = r#"{"time":"2026-11-25T10:00:05.000Z","event":"node_up","group":"compute","node":"compute-1","boot_ms":41000}"#;
    std::fs::write(&log, format!("{line}\n")).unwrap();
    plugin.change(|answers| answers.status["events"] = serde_json::json!(log));
    let screen = Screen::run(&plugin, "A=1", &["top", "--interval", "1"]);
    let text = screen.until("compute-3 i-0a3");
    assert_eq!(text.lines().count(), 24, "{text}");
    assert!(text.contains("compute [#=+!....]") && text.contains("8 min"), "{text}");
    assert!(screen.text(true).contains("\x1b[32m#"), "{}", screen.text(true));
    screen.keys(&["2"]);
    screen.until("held; scontrol release");
    screen.keys(&["3"]);
    screen.until("up after 41.0 s");
    screen.keys(&["1", "/", "c", "o", "m", "p", "u", "t", "e", "-", "3", "Enter"]);
    let text = screen.until("1 Nodes (1)");
    assert!(!text.contains("compute-2 i-0a2"), "{text}");
    screen.keys(&["Enter"]);
    screen.until("waits for slurmd on its instance to register, 14 min at most");
    screen.keys(&["Escape"]);
    plugin.change(|answers| answers.status["nodes"][2]["instance"] = "i-0a33".into());
    screen.until("compute-3 i-0a33");
    screen.resize(60, 12);
    screen.until("Enter why");
    screen.resize(80, 24);
    plugin.change(|answers| answers.status = serde_json::json!({}));
    screen.until("! the plugin's answer");
    screen.keys(&["q"]);
    let text = screen.until("ended with 0");
    assert!(!text.contains("compute"), "the first screen is there again: {text}");
}

#[test]
fn a_signal_ends_top_and_leaves_the_terminal_as_it_was() {
    let plugin = Plugin::start(Answers { status: status(), ..Answers::default() });
    let screen = Screen::run(&plugin, "A=1", &["top"]);
    screen.until("compute-3 i-0a3");
    let shell = screen.tmux(&["list-panes", "-F", "#{pane_pid}"]);
    let shell = String::from_utf8(shell.stdout).unwrap().trim().to_owned();
    let child = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let child = child.trim();
    let name = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap();
    assert_eq!(name.trim(), "slurm-asg");
    assert!(Command::new("kill").arg(child).status().unwrap().success());
    let text = screen.until("ended with 0");
    assert!(!text.contains("compute"), "{text}");
}

#[test]
fn without_a_terminal_top_says_what_to_use_instead() {
    let plugin = Plugin::start(Answers { status: status(), ..Answers::default() });
    let output = plugin.run(&["top"]);
    assert_eq!(output.status.code(), Some(1));
    let said = crate::plugin::stderr(&output);
    let expected = "slurm-asg: top needs a terminal; `slurm-asg status --watch` does without\n";
    assert_eq!(said, expected);
}
