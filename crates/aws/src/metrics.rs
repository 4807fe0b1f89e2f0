//! Publishing figures to CloudWatch, in the background: the loop waits for nothing here.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use slurm_asg_core::metrics::{CLUSTER_DIMENSION, Figure, GROUP_DIMENSION, Metric};
use slurm_asg_engine::{CloudError, CloudErrorKind, Publication};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::classify::Failure;
use crate::client::Clients;

const PUT: &str = "PutMetricData";
/// Metrics in one call (API reference of PutMetricData).
const METRICS_MAX: usize = 1000;

type Outcome = Result<(), CloudError>;

/// What the loop and the background task hand each other.
#[derive(Debug, Default)]
struct Mailbox {
    /// To be sent: the newest, because older figures say nothing any more.
    next: Mutex<Option<Publication>>,
    added: Notify,
    /// How the last one ended, until that is asked for.
    ended: Mutex<Option<Outcome>>,
}

/// The background task that publishes. Ends when dropped.
#[derive(Debug)]
pub struct Publisher {
    mailbox: Arc<Mailbox>,
    task: Option<AbortHandle>,
}

impl Publisher {
    /// Starts the task on the current tokio runtime.
    pub fn start(clients: Clients) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let runtime = tokio::runtime::Handle::try_current().ok();
        let work = publish(Arc::clone(&mailbox), clients);
        let task = runtime.map(|runtime| runtime.spawn(work).abort_handle());
        Self { mailbox, task }
    }

    /// Has figures published, in the place of those that wait still.
    pub fn put(&self, publication: Publication) {
        if self.task.is_none() {
            put(&self.mailbox.ended, Some(Err(no_runtime())));
            return;
        }
        put(&self.mailbox.next, Some(publication));
        self.mailbox.added.notify_one();
    }

    /// How the last publication ended, once.
    pub fn ended(&self) -> Option<Outcome> {
        put(&self.mailbox.ended, None)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Puts something in a place and gives what was there.
fn put<T>(place: &Mutex<Option<T>>, value: Option<T>) -> Option<T> {
    std::mem::replace(&mut *place.lock().unwrap_or_else(PoisonError::into_inner), value)
}

fn no_runtime() -> CloudError {
    let (kind, message) = (CloudErrorKind::Other, "no tokio runtime to send from".to_owned());
    CloudError { operation: PUT, kind, message }
}

async fn publish(mailbox: Arc<Mailbox>, clients: Clients) {
    loop {
        mailbox.added.notified().await;
        if let Some(publication) = put(&mailbox.next, None) {
            let outcome = send(&clients, &publication).await;
            put(&mailbox.ended, Some(outcome));
        }
    }
}

async fn send(clients: &Clients, publication: &Publication) -> Outcome {
    for figures in publication.figures.chunks(METRICS_MAX) {
        let data = figures.iter().map(|figure| datum(publication, figure)).collect();
        let call = clients.cloudwatch.put_metric_data().namespace(&publication.namespace);
        let sent = call.set_metric_data(Some(data)).send().await;
        sent.map_err(|error| Failure::of(PUT, &error, &clients.cloudwatch_at).error)?;
    }
    Ok(())
}

const fn unit(metric: Metric) -> StandardUnit {
    if metric.is_seconds() { StandardUnit::Seconds } else { StandardUnit::Count }
}

fn datum(publication: &Publication, figure: &Figure) -> MetricDatum {
    let at = UNIX_EPOCH + Duration::from_millis(publication.at.millis());
    let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
    let cluster = dimension(CLUSTER_DIMENSION, &publication.cluster);
    let group = figure.group.as_ref().map(|group| dimension(GROUP_DIMENSION, group.as_str()));
    MetricDatum::builder()
        .metric_name(figure.metric.name())
        .set_dimensions(Some(std::iter::once(cluster).chain(group).collect()))
        .timestamp(DateTime::from(at))
        .value(f64::from(figure.value))
        .unit(unit(figure.metric))
        .build()
}
