//! Reading the consoles of instances that never registered, in the background: nothing waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_types::base64;
use slurm_asg_core::memory::FailedBoot;
use slurm_asg_engine::{CloudError, ReadConsole};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::classify::{Failure, odd_answer};
use crate::client::Clients;

const GET: &str = "GetConsoleOutput";
/// Instances whose consoles wait to be read. Many boots that fail together fail alike.
const QUEUE_MAX: usize = 8;
/// How much of a console is kept: the end, bytes. EC2 gives up to 64 KiB.
const KEPT_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Queue {
    wanted: Mutex<VecDeque<FailedBoot>>,
    added: Notify,
    read: Mutex<Vec<ReadConsole>>,
}

/// The background task that reads consoles. Ends when dropped.
#[derive(Debug)]
pub struct Consoles {
    queue: Arc<Queue>,
    task: Option<AbortHandle>,
}

impl Consoles {
    /// Starts the task on the current tokio runtime.
    pub fn start(clients: Clients) -> Self {
        let queue = Arc::new(Queue::default());
        let runtime = tokio::runtime::Handle::try_current().ok();
        let work = read_consoles(Arc::clone(&queue), clients);
        let task = runtime.map(|runtime| runtime.spawn(work).abort_handle());
        Self { queue, task }
    }

    /// Has consoles read, as far as not too many wait.
    pub fn add(&self, boots: Vec<FailedBoot>) {
        let mut wanted = lock(&self.queue.wanted);
        let room = QUEUE_MAX.saturating_sub(wanted.len());
        wanted.extend(boots.into_iter().take(room));
        drop(wanted);
        self.queue.added.notify_one();
    }

    /// What has been read since this was last asked.
    pub fn take(&self) -> Vec<ReadConsole> {
        std::mem::take(&mut *lock(&self.queue.read))
    }
}

impl Drop for Consoles {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_consoles(queue: Arc<Queue>, clients: Clients) {
    loop {
        queue.added.notified().await;
        loop {
            let next = lock(&queue.wanted).pop_front();
            let Some(boot) = next else { break };
            let console = read(&clients, &boot).await;
            lock(&queue.read).push(ReadConsole { boot, console });
        }
    }
}

/// The end of an instance's console. The newest is had of Nitro instances only; of others the one
/// that EC2 has kept (API reference of GetConsoleOutput, Latest).
async fn read(clients: &Clients, boot: &FailedBoot) -> Result<Option<String>, CloudError> {
    let ask = async |latest| {
        let call = clients.ec2.get_console_output().instance_id(boot.instance.as_str());
        call.set_latest(latest).send().await
    };
    let answer = match ask(Some(true)).await {
        Ok(answer) => answer,
        Err(_) => {
            let answer = ask(None).await;
            answer.map_err(|error| Failure::of(GET, &error, &clients.ec2_at).error)?
        }
    };
    let Some(text) = answer.output().filter(|text| !text.is_empty()) else { return Ok(None) };
    let bytes = base64::decode(text).map_err(|_| odd_answer(GET, "no base64"))?;
    Ok(Some(end_of(&String::from_utf8_lossy(&bytes))))
}

fn end_of(text: &str) -> String {
    let text = text.trim_end();
    let from = text.ceil_char_boundary(text.len().saturating_sub(KEPT_MAX));
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_console_is_kept() {
        assert_eq!(end_of("a\nb\n\n"), "a\nb");
        let long = "ä".repeat(KEPT_MAX);
        assert_eq!(end_of(&long), "ä".repeat(KEPT_MAX / 2));
    }
}
