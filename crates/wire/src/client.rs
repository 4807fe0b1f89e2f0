//! Ask, and wait a limited time for the answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::message::{Request, Response};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "the plugin does not listen on {}: {cause}; is slurmctld running with \
         JobSubmitPlugins=asg? its log says what the plugin does", path.display()
    )]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The system's word; part of the message, and so no source.
        cause: std::io::Error,
    },
    /// The line broke, or what came is not an answer.
    #[error("the plugin's answer on {} cannot be read: {why}", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It took too long.
    #[error("the plugin did not answer on {} within {} ms", path.display(), limit.as_millis())]
    Late {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        limit: Duration,
    },
}

/// Asks the plugin behind `path`. Waits no longer than `limit` in all, whatever happens:
/// connecting to a full socket would otherwise block without end.
///
/// # Errors
/// [`AskError`] says what failed and what to look at.
pub fn ask(path: &Path, request: &Request, limit: Duration) -> Result<Response, AskError> {
    let (send, receive) = mpsc::channel();
    let line = serde_json::to_string(request)
        .map_err(|error| AskError::Answer { path: path.to_owned(), why: error.to_string() })?;
    let socket = path.to_owned();
    thread::spawn(move || {
        // Nobody waits for the answer any more if this fails.
        drop(send.send(exchange(&socket, &line)));
    });
    receive
        .recv_timeout(limit)
        .unwrap_or_else(|_| Err(AskError::Late { path: path.to_owned(), limit }))
}

fn exchange(path: &Path, line: &str) -> Result<Response, AskError> {
    let broken = |why: String| AskError::Answer { path: path.to_owned(), why };
    let mut stream = UnixStream::connect(path)
        .map_err(|cause| AskError::Connect { path: path.to_owned(), cause })?;
    let sent = stream.write_all(line.as_bytes()).and_then(|()| stream.write_all(b"\n"));
    let mut answer = String::new();
    let limit = crate::RESPONSE_BYTES_MAX as u64;
    // Who is turned away may be told so before all is said: the answer comes first.
    let read = BufReader::new(stream.take(limit)).read_line(&mut answer);
    if answer.is_empty() {
        sent.and(read).map_err(|error| broken(error.to_string()))?;
        return Err(broken("the connection was closed".to_owned()));
    }
    read.map_err(|error| broken(error.to_string()))?;
    serde_json::from_str(&answer).map_err(|error| broken(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn answering(answer: &'static str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
            assert_eq!(line, "{\"request\":\"status\"}\n");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        (dir, path)
    }

    #[test]
    fn a_question_is_answered() {
        let (_dir, path) = answering("{\"response\":\"ok\"}\n");
        let answer = ask(&path, &Request::Status {}, Duration::from_secs(5)).unwrap();
        assert_eq!(answer, Response::Ok);
    }

    #[test]
    fn who_is_turned_away_before_all_is_said_is_told_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"{\"response\":\"refused\",\"why\":\"full\"}\n").unwrap();
        });
        // More than fits into a socket that nobody reads.
        let request = Request::Suspend { nodes: "n".repeat(4 << 20) };
        let answer = ask(&path, &request, Duration::from_secs(5)).unwrap();
        assert_eq!(answer, Response::Refused { why: "full".to_owned() });
    }

    #[test]
    fn each_failure_says_what_it_is() {
        let limit = Duration::from_secs(5);
        let nobody = ask(Path::new("/nonexistent/s"), &Request::Status {}, limit).unwrap_err();
        assert!(nobody.to_string().contains("JobSubmitPlugins=asg"), "{nobody}");
        let (_dir, path) = answering("nonsense\n");
        let garbled = ask(&path, &Request::Status {}, limit).unwrap_err();
        assert!(garbled.to_string().contains("cannot be read"), "{garbled}");
        let (_dir, path) = answering("");
        let closed = ask(&path, &Request::Status {}, limit).unwrap_err();
        assert!(closed.to_string().contains("closed"), "{closed}");
        let dir = tempfile::tempdir().unwrap();
        let silent = dir.path().join("s");
        let _listener = UnixListener::bind(&silent).unwrap();
        let late = ask(&silent, &Request::Status {}, Duration::from_millis(50)).unwrap_err();
        assert!(late.to_string().contains("within 50 ms"), "{late}");
    }
}
