//! Writing node names on instances, in the background: nothing waits for it, but where state cannot
//! be saved.
//!
//! Every instance has a name of its own, so there is one CreateTags call for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_ec2::types::Tag;
use slurm_asg_core::ids::{InstanceId, NodeName};
use slurm_asg_engine::{CloudError, CloudErrorKind};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::classify::Failure;
use crate::client::Clients;
use crate::pace::Pace;
use crate::{AwsCloud, at_once};

/// The tag that holds an instance's node name.
pub const NODE_TAG: &str = "slurm-asg:node";
/// The tag that the EC2 console shows.
const NAME_TAG: &str = "Name";
const CREATE_TAGS: &str = "CreateTags";
/// EC2's own bucket for CreateTags: 100 calls at once, then 10 a second (EC2 API throttling).
const CALLS_BURST: u32 = 100;
const CALL_INTERVAL: Duration = Duration::from_millis(100);
/// Calls under way at once.
const AT_ONCE_MAX: usize = 8;
/// Names waiting to be written; more than any cluster has nodes.
const QUEUE_MAX: usize = 20_000;
/// Rounds for one name, each with the SDK's own attempts. A young instance may not yet be known.
const ROUNDS_MAX: u32 = 6;
/// Rest between two rounds.
const ROUND_PAUSE: Duration = Duration::from_secs(2);

/// The tag that gives an instance its node.
pub fn node_tag(node: &str) -> Tag {
    Tag::builder().key(NODE_TAG).value(node).build()
}

/// Names to be written: the last one for an instance holds.
type Names = BTreeMap<InstanceId, Wanted>;

#[derive(Clone, Debug)]
struct Wanted {
    node: NodeName,
    rounds: u32,
}

#[derive(Debug, Default)]
struct Queue {
    names: Mutex<Names>,
    added: Notify,
}

/// The background task that writes names. Ends when dropped.
#[derive(Debug)]
pub struct Tagger {
    queue: Arc<Queue>,
    task: Option<AbortHandle>,
}

impl Tagger {
    /// Starts the task on the current tokio runtime.
    pub fn start(clients: Clients) -> Self {
        let queue = Arc::new(Queue::default());
        let task = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                Some(runtime.spawn(write_names(Arc::clone(&queue), clients)).abort_handle())
            }
            Err(_) => {
                tracing::warn!("no tokio runtime: node names are not written on instances");
                None
            }
        };
        Self { queue, task }
    }

    /// Puts names in the queue.
    pub fn add(&self, names: Vec<(InstanceId, NodeName)>) {
        let names = names.into_iter().map(|(id, node)| (id, Wanted { node, rounds: 0 }));
        self.queue.put(names, true);
    }
}

impl Drop for Tagger {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Queue {
    /// `newer` names replace those that wait; names that failed do not.
    fn put(&self, wanted: impl IntoIterator<Item = (InstanceId, Wanted)>, newer: bool) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, wanted) in wanted {
            if names.contains_key(&id) {
                if newer {
                    names.insert(id, wanted);
                }
            } else if names.len() < QUEUE_MAX {
                names.insert(id, wanted);
            } else {
                tracing::debug!("{id}: too many names wait to be written: {} is not", wanted.node);
            }
        }
        drop(names);
        self.added.notify_one();
    }

    fn take(&self) -> Names {
        std::mem::take(&mut *self.names.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes names and waits for that, one attempt each beside the SDK's own.
pub async fn write(
    cloud: &AwsCloud,
    names: &[(InstanceId, NodeName)],
) -> BTreeMap<InstanceId, Result<(), CloudError>> {
    let calls = names.iter().cloned().map(|(id, node)| {
        let clients = cloud.clients.clone();
        async move {
            let written = write_name(&clients, &id, &node).await;
            (id, written)
        }
    });
    at_once::all(calls, cloud.limits.at_once.min(AT_ONCE_MAX)).await.into_iter().collect()
}

async fn write_names(queue: Arc<Queue>, clients: Clients) {
    let pace = Pace::new(CALLS_BURST, CALL_INTERVAL);
    let mut complained = false;
    loop {
        queue.added.notified().await;
        let names = queue.take();
        let calls = names.into_iter().map(|(id, wanted)| {
            let (clients, turn) = (clients.clone(), pace.turn());
            async move {
                turn.wait().await;
                let written = write_name(&clients, &id, &wanted.node).await;
                (id, wanted, written)
            }
        });
        let mut again = Vec::new();
        for (id, wanted, written) in at_once::all(calls, AT_ONCE_MAX).await {
            let Err(error) = written else { continue };
            let rounds = wanted.rounds + 1;
            if may_be_cured(&error) && rounds < ROUNDS_MAX {
                tracing::debug!("{id}: node name {} is not written yet: {error}", wanted.node);
                again.push((id, Wanted { rounds, ..wanted }));
            } else if complained {
                tracing::debug!("{id}: node name {} is not written: {error}", wanted.node);
            } else {
                tracing::warn!("{id}: node name {} is not written: {error}", wanted.node);
                complained = true;
            }
        }
        if !again.is_empty() {
            tokio::time::sleep(ROUND_PAUSE).await;
            queue.put(again, false);
        }
    }
}

/// Conflict: the instance is not known, perhaps not yet.
fn may_be_cured(error: &CloudError) -> bool {
    match error.kind {
        CloudErrorKind::NotSent
        | CloudErrorKind::Throttled
        | CloudErrorKind::NoAnswer
        | CloudErrorKind::Service
        | CloudErrorKind::Conflict => true,
        CloudErrorKind::Denied | CloudErrorKind::Unsupported | CloudErrorKind::Other => false,
    }
}

async fn write_name(clients: &Clients, id: &InstanceId, node: &NodeName) -> Result<(), CloudError> {
    let tag = |key: &str| Tag::builder().key(key).value(node.as_str()).build();
    let call = clients.ec2.create_tags().resources(id.as_str());
    let sent = call.tags(tag(NAME_TAG)).tags(tag(NODE_TAG)).send().await;
    sent.map_err(|error| Failure::of(CREATE_TAGS, &error, &clients.ec2_at).error)?;
    Ok(())
}
