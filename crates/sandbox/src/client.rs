//! A blocking client of the control interface, for tests. HTTP/1.1 by hand: one request, one connection.

use crate::calls::Call;
use crate::control::State;
use crate::faults::Fault;
use crate::world::{GroupChange, Notice};
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take; longer than the longest injected delay.
const TIMEOUT: Duration = Duration::from_secs(130);

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke; `UnexpectedEof` if it was closed without an answer.
    #[error("the sandbox does not answer")]
    Io(#[from] io::Error),
    /// The sandbox refused.
    #[error("{status}: {line}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        line: String,
    },
    /// Not the JSON expected.
    #[error("the sandbox's answer cannot be read")]
    Json(#[from] serde_json::Error),
}

/// A client of one sandbox.
#[derive(Debug, Clone, Copy)]
pub struct SandboxClient {
    address: SocketAddr,
}

impl SandboxClient {
    /// A client of the sandbox listening there. Connects anew for each request.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Groups, instances, faults in force.
    pub fn state(&self) -> Result<State, ClientError> {
        self.json("GET", "/sandbox/state", "")
    }

    /// The calls on record, oldest first.
    pub fn calls(&self) -> Result<Vec<Call>, ClientError> {
        self.json("GET", "/sandbox/calls", "")
    }

    /// Empties the record of calls.
    pub fn clear_calls(&self) -> Result<(), ClientError> {
        self.json("DELETE", "/sandbox/calls", "")
    }

    /// Puts a fault in force; returns its number.
    pub fn fault(&self, fault: &Fault) -> Result<u64, ClientError> {
        self.json("POST", "/sandbox/faults", &serde_json::to_string(fault)?)
    }

    /// Ends all faults.
    pub fn clear_faults(&self) -> Result<(), ClientError> {
        self.json("DELETE", "/sandbox/faults", "")
    }

    /// The machine loses power now.
    pub fn die(&self, id: &str) -> Result<(), ClientError> {
        self.json("POST", &format!("/sandbox/instances/{id}/die"), "")
    }

    /// The group is told to terminate the instance, as somebody would at the console: it passes the terminating hooks, and
    /// is replaced, as the desired capacity stays.
    pub fn terminate(&self, id: &str) -> Result<(), ClientError> {
        self.json("POST", &format!("/sandbox/instances/{id}/terminate"), "")
    }

    /// Sends a notice of what becomes of an instance to all SQS queues.
    pub fn notify(&self, id: &str, notice: Notice) -> Result<(), ClientError> {
        let notice = serde_json::to_string(&notice)?;
        self.json("POST", &format!("/sandbox/instances/{id}/notice"), &notice)
    }

    /// Puts any message into all SQS queues.
    pub fn post(&self, body: &str) -> Result<(), ClientError> {
        self.json("POST", "/sandbox/messages", body)
    }

    /// Changes a group's sizes, as another actor would.
    pub fn set_group(&self, name: &str, change: GroupChange) -> Result<(), ClientError> {
        self.json("POST", &format!("/sandbox/groups/{name}"), &serde_json::to_string(&change)?)
    }

    /// Any request to the sandbox: status and body. `headers` are whole lines without their end.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let (host, length) = (self.address, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        Ok((status, body.to_owned()))
    }

    fn json<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<T, ClientError> {
        let (status, text) = self.request(method, path, &[], body)?;
        if status != 200 {
            return Err(ClientError::Refused { status, line: text.trim_end().to_owned() });
        }
        Ok(serde_json::from_str(&text)?)
    }
}
