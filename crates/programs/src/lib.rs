//! What slurm-asg-resume and slurm-asg-suspend have in common.
//!
//! Slurm runs them as SlurmUser with SLURM_CONF and, for the resume program, SLURM_RESUME_FILE
//! as their whole environment, on 22.05 with file descriptors 0 to 2 closed. They hand on what
//! they were given and end. Nothing is lost if that fails: the plugin sees the nodes' states.
#![forbid(unsafe_code)]

use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::time::Duration;

use slurm_asg_wire::{Request, Response, ask, socket_path};

/// How long the plugin may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Hands a request on and turns the answer into an exit code. What goes wrong goes to syslog,
/// because Slurm throws a program's output away, and to standard error for whoever runs it by
/// hand.
#[must_use]
pub fn hand_on(program: &str, request: &Request) -> ExitCode {
    match ask(&socket_path(), request, ANSWER_LIMIT) {
        Ok(Response::Refused { why }) => fail(program, &format!("the plugin refused: {why}")),
        Ok(Response::Ok | Response::Status(_) | Response::Document { .. }) => ExitCode::SUCCESS,
        Err(error) => fail(program, &error.to_string()),
    }
}

/// The arguments of a program that takes one hostlist expression.
#[derive(Debug, PartialEq, Eq)]
pub enum Call {
    /// Do it, for these nodes.
    Nodes(String),
    /// Say what the program is.
    Help,
    /// Say which version it is.
    Version,
    /// It was called wrongly.
    Wrong,
}

/// Reads the arguments, without the program's name.
#[must_use]
pub fn read_arguments(arguments: impl IntoIterator<Item = String>) -> Call {
    let mut arguments = arguments.into_iter();
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("-h" | "--help"), _) => Call::Help,
        (Some("-V" | "--version"), _) => Call::Version,
        (Some(nodes), None) if !nodes.starts_with('-') && !nodes.is_empty() => {
            Call::Nodes(nodes.to_owned())
        }
        _ => Call::Wrong,
    }
}

/// Runs a program: `request` makes the request from the hostlist expression.
pub fn run(program: &str, help: &str, request: impl FnOnce(String) -> Request) -> ExitCode {
    match read_arguments(std::env::args().skip(1)) {
        Call::Nodes(nodes) => hand_on(program, &request(nodes)),
        Call::Help => say(help),
        Call::Version => say(&format!("{program} {}\n", env!("CARGO_PKG_VERSION"))),
        Call::Wrong => {
            warn(&format!("{program}: expected one node list, as in: {program} compute-[1-4]"));
            ExitCode::from(2)
        }
    }
}

fn fail(program: &str, why: &str) -> ExitCode {
    warn(&format!("{program}: {why}"));
    // <27> is daemon.err (RFC 3164). Without syslog there is nobody left to tell.
    let line = format!("<27>{program}[{}]: {why}", std::process::id());
    let sent =
        UnixDatagram::unbound().and_then(|socket| socket.send_to(line.as_bytes(), "/dev/log"));
    drop(sent);
    ExitCode::FAILURE
}

fn say(text: &str) -> ExitCode {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn warn(line: &str) {
    use std::io::Write;
    // Standard error may be closed; there is no other place for it.
    drop(writeln!(std::io::stderr(), "{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_list_is_what_the_programs_take() {
        let read = |words: &[&str]| read_arguments(words.iter().map(ToString::to_string));
        assert_eq!(read(&["n[1-2]"]), Call::Nodes("n[1-2]".to_owned()));
        assert_eq!(read(&["--help"]), Call::Help);
        assert_eq!(read(&["-V"]), Call::Version);
        for wrong in [&[][..], &[""], &["n1", "n2"], &["--nodes"]] {
            assert_eq!(read(wrong), Call::Wrong, "{wrong:?}");
        }
    }
}
