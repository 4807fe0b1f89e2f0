//! AWS for slurm-asg: the only crate that names the AWS SDK.
//!
//! It carries [`slurm_asg_engine::Cloud`] to the Auto Scaling, EC2, CloudWatch and SQS APIs and decides nothing. A
//! partial answer is an error, never a shorter truth; every number of calls, pages and retries
//! has a limit; and error codes are known in one module only (`classify`).
#![forbid(unsafe_code)]

mod at_once;
mod calls;
mod classify;
mod client;
mod clock;
mod consoles;
mod groups;
mod hooks;
mod instances;
mod launch;
mod launches;
mod metrics;
mod pace;
mod queue;
mod refusal;
mod settings;
mod survey;
mod tags;
mod terminate;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use slurm_asg_core::advice::Advice;
use slurm_asg_core::ids::{AsgName, InstanceId, NodeName};
use slurm_asg_core::memory::{FailedBoot, Launched};
use slurm_asg_core::plan::{AnswerHook, Launch};
use slurm_asg_core::snapshot::{Asg, Hook, LaunchFailure, Machine};
use slurm_asg_core::time::Timestamp;
use slurm_asg_engine::{
    Cloud, CloudError, Publication, QueuedMessage, ReadConsole, Receipt, TerminateRequest,
};
use tokio::sync::Notify;

pub use calls::Calls;
pub use client::{Settings, loader};
pub use survey::Surveyor;
pub use tags::NODE_TAG;

use at_once::Limits;
use client::Clients;
use consoles::Consoles;
use metrics::Publisher;
use pace::Paces;
use queue::Listener;
use tags::Tagger;

/// The Auto Scaling, EC2 and CloudWatch APIs of one account and region.
#[derive(Debug)]
pub struct AwsCloud {
    clients: Clients,
    paces: Paces,
    /// Whether TerminateInstanceInAutoScalingGroup takes InstanceIds here, as far as is known.
    batches: AtomicBool,
    limits: Limits,
    tagger: Tagger,
    consoles: Consoles,
    publisher: Publisher,
    listener: Listener,
}

impl AwsCloud {
    /// Reads the SDK's configuration: environment, profile files, web identity, instance metadata.
    /// Never fails: without region or credentials each request fails and says what to do. Call
    /// within a tokio runtime; the background tasks that write tags and publish metrics run there.
    pub async fn connect(settings: Settings) -> Self {
        let cloud = Self::from_sdk_config(&loader(&settings).load().await);
        match &settings.events_queue {
            Some(queue) => cloud.listening_to(queue),
            None => cloud,
        }
    }

    /// With a configuration that was made elsewhere, best from [`loader`]: its time-outs and
    /// retries are part of how this crate behaves. Call within a tokio runtime.
    #[must_use]
    pub fn from_sdk_config(config: &aws_config::SdkConfig) -> Self {
        let clients = Clients::new(config);
        let tagger = Tagger::start(clients.clone());
        let publisher = Publisher::start(clients.clone());
        let consoles = Consoles::start(clients.clone());
        Self {
            clients,
            paces: Paces::default(),
            batches: AtomicBool::new(true),
            limits: Limits::default(),
            tagger,
            consoles,
            publisher,
            listener: Listener::default(),
        }
    }

    /// The same, with an SQS queue that AWS's notices come from. Call within a tokio runtime: the
    /// background tasks that read it run there.
    #[must_use]
    pub fn listening_to(self, queue: &str) -> Self {
        let listener = Listener::start(&self.clients, queue);
        Self { listener, ..self }
    }

    /// Rings when messages have come over the queue.
    #[must_use]
    pub fn arrived(&self) -> Arc<Notify> {
        self.listener.arrived()
    }

    /// The count of calls.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.clients.calls.clone()
    }

    /// Asks for more than the loop does.
    #[must_use]
    pub fn surveyor(&self) -> Surveyor {
        Surveyor::new(self.clients.clone())
    }

    /// The same for an endpoint that can serve one call at a time only, as some mocks of AWS.
    #[must_use]
    pub fn one_call_at_a_time(self) -> Self {
        let limits = Limits { at_once: 1, ..self.limits };
        Self { limits, ..self }
    }

    /// The same, with the calls of a request beginning for so long; those that are left were not sent.
    #[must_use]
    pub fn beginning_calls_for(self, begin_for: Duration) -> Self {
        let limits = Limits { begin_for, ..self.limits };
        Self { limits, ..self }
    }
}

impl Cloud for AwsCloud {
    async fn describe_groups(
        &self,
        names: &[AsgName],
    ) -> Result<BTreeMap<AsgName, Asg>, CloudError> {
        groups::describe(self, names).await
    }

    async fn describe_instances(
        &self,
        ids: &[InstanceId],
    ) -> Result<BTreeMap<InstanceId, Machine>, CloudError> {
        instances::describe(self, ids).await
    }

    async fn set_desired(&self, asg: &AsgName, desired: u32) -> Result<(), CloudError> {
        groups::set_desired(self, asg, desired).await
    }

    async fn launch(&self, requests: &[Launch]) -> Vec<Result<Launched, CloudError>> {
        launch::launch(self, requests).await
    }

    async fn set_sizes(&self, asg: &AsgName, min: u32, max: u32) -> Result<(), CloudError> {
        groups::set_sizes(self, asg, min, max).await
    }

    async fn terminate(
        &self,
        request: &TerminateRequest,
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        terminate::terminate(self, request).await
    }

    async fn last_failure(
        &self,
        asg: &AsgName,
        since: Timestamp,
    ) -> Result<Option<LaunchFailure>, CloudError> {
        launches::last_failure(self, asg, since).await
    }

    async fn protect(
        &self,
        asg: &AsgName,
        instances: &[InstanceId],
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        settings::protect(self, asg, instances).await
    }

    async fn describe_hooks(&self, asg: &AsgName) -> Result<Vec<Hook>, CloudError> {
        hooks::describe(self, asg).await
    }

    async fn answer_hooks(&self, answers: &[AnswerHook]) -> Vec<Result<(), CloudError>> {
        hooks::answer(self, answers).await
    }

    async fn follow(&self, advice: &Advice) -> Result<(), CloudError> {
        settings::follow(self, advice).await
    }

    async fn tag(
        &self,
        names: &[(InstanceId, NodeName)],
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        tags::write(self, names).await
    }

    fn tag_later(&self, names: Vec<(InstanceId, NodeName)>) {
        self.tagger.add(names);
    }

    fn read_consoles_later(&self, boots: Vec<FailedBoot>) {
        self.consoles.add(boots);
    }

    fn consoles(&self) -> Vec<ReadConsole> {
        self.consoles.take()
    }

    fn publish_later(&self, publication: Publication) {
        self.publisher.put(publication);
    }

    fn published(&self) -> Option<Result<(), CloudError>> {
        self.publisher.ended()
    }

    fn messages(&self) -> Vec<QueuedMessage> {
        self.listener.take()
    }

    fn delete_later(&self, receipts: Vec<Receipt>) {
        self.listener.delete(receipts);
    }

    fn listened(&self) -> Option<Result<(), CloudError>> {
        self.listener.ended()
    }
}
