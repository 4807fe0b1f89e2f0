//! Asking the plugin for something.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use slurm_asg_wire::{Request, Response, Status, ask};

/// The plugin looks again first if its last look is old, and a large cluster takes some time to
/// write down.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const DOCUMENT_LIMIT: Duration = Duration::from_secs(60);

/// The plugin's status.
///
/// # Errors
/// If there is no answer, or another one.
pub fn status(socket: &Path) -> anyhow::Result<Status> {
    status_by(socket, &Request::Status {})
}

/// The plugin's status as of its last look.
///
/// # Errors
/// If there is no answer, or another one.
pub fn glance(socket: &Path) -> anyhow::Result<Status> {
    status_by(socket, &Request::Glance {})
}

fn status_by(socket: &Path, request: &Request) -> anyhow::Result<Status> {
    match ask(socket, request, ANSWER_LIMIT)? {
        Response::Status(status) => Ok(*status),
        Response::Refused { why } => bail!("the plugin refused: {why}"),
        Response::Ok | Response::Document { .. } => bail!("{OTHER_VERSION}"),
    }
}

/// A document of the plugin's.
///
/// # Errors
/// If there is no answer, or another one.
pub fn document<T: DeserializeOwned>(socket: &Path, request: &Request) -> anyhow::Result<T> {
    match ask(socket, request, DOCUMENT_LIMIT)? {
        Response::Document { content } => serde_json::from_value(content).context(OTHER_VERSION),
        Response::Refused { why } => bail!("the plugin refused: {why}"),
        Response::Ok | Response::Status(_) => bail!("{OTHER_VERSION}"),
    }
}

const OTHER_VERSION: &str =
    "the plugin's answer is not what was asked for; is slurmctld's plugin of another version?";
