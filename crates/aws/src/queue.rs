//! The queue that EventBridge puts AWS's notices in, read by long polling in the background: the loop
//! waits for nothing here, and an unreachable queue stops nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use slurm_asg_engine::{CloudError, QueuedMessage, Receipt};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::classify::Failure;
use crate::client::Clients;

const RECEIVE: &str = "ReceiveMessage";
const DELETE: &str = "DeleteMessage";
/// For how long SQS holds a request open that finds no message, and how many messages one answer may
/// have (API reference of ReceiveMessage: their maxima).
pub const WAIT_S: i32 = 20;
const MESSAGES_MAX: i32 = 10;
/// A message that is not deleted within this time comes again, seconds. A turn of the loop may take
/// half of that if AWS hangs.
const AGAIN_S: i32 = 60;
/// So many messages wait for the loop; then no more are asked for.
const WAITING_MAX: usize = 100;
const WAITING_PAUSE: Duration = Duration::from_millis(500);
/// The pause after a failure; it doubles up to the maximum.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Receipts that wait to be used. A message whose receipt is dropped comes again.
const RECEIPTS_MAX: usize = 1000;

type Outcome = Result<(), CloudError>;

/// What the loop and the background tasks hand each other.
#[derive(Debug, Default)]
struct Mailbox {
    come: Mutex<Vec<QueuedMessage>>,
    arrived: Arc<Notify>,
    done: Mutex<Vec<Receipt>>,
    to_delete: Notify,
    /// How the queue was last read, until that is asked for.
    ended: Mutex<Option<Outcome>>,
}

/// The background tasks that read the queue. End when dropped.
#[derive(Debug, Default)]
pub struct Listener {
    mailbox: Arc<Mailbox>,
    tasks: Vec<AbortHandle>,
}

impl Listener {
    /// Starts the tasks on the current tokio runtime.
    pub fn start(clients: &Clients, queue: &str) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Self::default() };
        let receive = receive_all(Arc::clone(&mailbox), clients.clone(), queue.to_owned());
        let delete = delete_all(Arc::clone(&mailbox), clients.clone(), queue.to_owned());
        let tasks =
            vec![runtime.spawn(receive).abort_handle(), runtime.spawn(delete).abort_handle()];
        Self { mailbox, tasks }
    }

    /// Rings when there are messages, or something is wrong.
    pub fn arrived(&self) -> Arc<Notify> {
        Arc::clone(&self.mailbox.arrived)
    }

    /// What has come since this was last asked.
    pub fn take(&self) -> Vec<QueuedMessage> {
        std::mem::take(&mut *lock(&self.mailbox.come))
    }

    /// Has messages deleted.
    pub fn delete(&self, receipts: Vec<Receipt>) {
        if self.tasks.is_empty() || receipts.is_empty() {
            return;
        }
        let mut done = lock(&self.mailbox.done);
        let room = RECEIPTS_MAX.saturating_sub(done.len());
        done.extend(receipts.into_iter().take(room));
        drop(done);
        self.mailbox.to_delete.notify_one();
    }

    /// How the queue was last read, once.
    pub fn ended(&self) -> Option<Outcome> {
        lock(&self.mailbox.ended).take()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive_all(mailbox: Arc<Mailbox>, clients: Clients, queue: String) {
    let mut pause = RETRY_FIRST;
    loop {
        if lock(&mailbox.come).len() >= WAITING_MAX {
            sleep(WAITING_PAUSE).await;
            continue;
        }
        match receive(&clients, &queue).await {
            Ok(messages) => {
                pause = RETRY_FIRST;
                *lock(&mailbox.ended) = Some(Ok(()));
                if !messages.is_empty() {
                    lock(&mailbox.come).extend(messages);
                    mailbox.arrived.notify_one();
                }
            }
            Err(error) => {
                *lock(&mailbox.ended) = Some(Err(error));
                mailbox.arrived.notify_one();
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}

async fn receive(clients: &Clients, queue: &str) -> Result<Vec<QueuedMessage>, CloudError> {
    let call = clients.sqs.receive_message().queue_url(queue);
    let call = call.max_number_of_messages(MESSAGES_MAX).wait_time_seconds(WAIT_S);
    let answer = call.visibility_timeout(AGAIN_S).send().await;
    let answer = answer.map_err(|error| Failure::of(RECEIVE, &error, &clients.sqs_at).error)?;
    Ok(answer.messages.unwrap_or_default().into_iter().filter_map(queued).collect())
}

/// A message without a receipt could never be deleted.
fn queued(message: Message) -> Option<QueuedMessage> {
    let receipt = Receipt(message.receipt_handle?);
    Some(QueuedMessage { body: message.body.unwrap_or_default(), receipt })
}

async fn delete_all(mailbox: Arc<Mailbox>, clients: Clients, queue: String) {
    loop {
        mailbox.to_delete.notified().await;
        let receipts = std::mem::take(&mut *lock(&mailbox.done));
        for Receipt(receipt) in receipts {
            let call = clients.sqs.delete_message().queue_url(&queue);
            let sent = call.receipt_handle(receipt).send().await;
            if let Err(error) = sent {
                // It comes again, and is deleted then.
                let error = Failure::of(DELETE, &error, &clients.sqs_at).error;
                *lock(&mailbox.ended) = Some(Err(error));
                mailbox.arrived.notify_one();
            }
        }
    }
}
