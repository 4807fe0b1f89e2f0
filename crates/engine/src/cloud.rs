//! What the loop needs of AWS.

use std::collections::BTreeMap;
use std::future::Future;

use slurm_asg_core::advice::Advice;
use slurm_asg_core::ids::{AsgName, InstanceId, NodeName};
use slurm_asg_core::memory::{FailedBoot, Launched};
use slurm_asg_core::metrics::Figure;
use slurm_asg_core::plan::{AnswerHook, Launch};
use slurm_asg_core::snapshot::{Asg, Hook, LaunchFailure, Machine};
use slurm_asg_core::time::Timestamp;

/// AWS, as far as the loop needs it. Calls may be made twice: "already so" is success.
pub trait Cloud {
    /// The named Auto Scaling groups with their instances. A group that does not exist is
    /// missing from the answer.
    ///
    /// # Errors
    /// If not all of them could be read: a partial answer would be taken for the truth.
    fn describe_groups(
        &self,
        names: &[AsgName],
    ) -> impl Future<Output = Result<BTreeMap<AsgName, Asg>, CloudError>>;

    /// What EC2 knows of the named instances: every id is in the answer, unknown ones as
    /// [`Machine::NotFound`].
    ///
    /// # Errors
    /// If not all of them could be asked for.
    fn describe_instances(
        &self,
        ids: &[InstanceId],
    ) -> impl Future<Output = Result<BTreeMap<InstanceId, Machine>, CloudError>>;

    /// Sets DesiredCapacity to an absolute number of instances.
    ///
    /// # Errors
    /// If AWS refused, or did not answer.
    fn set_desired(
        &self,
        asg: &AsgName,
        desired: u32,
    ) -> impl Future<Output = Result<(), CloudError>>;

    /// Launches instances in one zone each (LaunchInstances); an answer for each request, in their
    /// order. A request with a token that AWS has had launches nothing more. An error says by its
    /// kind what is known: after [`CloudErrorKind::NoAnswer`] and [`CloudErrorKind::Service`] it may
    /// have been carried out, after [`CloudErrorKind::Unsupported`] it never will be.
    fn launch(
        &self,
        requests: &[Launch],
    ) -> impl Future<Output = Vec<Result<Launched, CloudError>>>;

    /// Writes MinSize and MaxSize, instances. AWS raises DesiredCapacity to the minimum by itself,
    /// and lowers it to the maximum, ending instances of its choice: `max` is not less than what
    /// is desired.
    ///
    /// # Errors
    /// If AWS refused, or did not answer.
    fn set_sizes(
        &self,
        asg: &AsgName,
        min: u32,
        max: u32,
    ) -> impl Future<Output = Result<(), CloudError>>;

    /// Terminates instances of one group, by id, in as few calls as the endpoint takes. The
    /// answer has every id of the request: [`CloudErrorKind::NotSent`] for those that would have
    /// kept the caller waiting. An instance that is gone already is a success.
    fn terminate(
        &self,
        request: &TerminateRequest,
    ) -> impl Future<Output = BTreeMap<InstanceId, Result<(), CloudError>>>;

    /// The last launch of a group that failed, of those that began not before `since`.
    ///
    /// # Errors
    /// If the group's activities could not be read.
    fn last_failure(
        &self,
        asg: &AsgName,
        since: Timestamp,
    ) -> impl Future<Output = Result<Option<LaunchFailure>, CloudError>>;

    /// Protects instances of one group from scale-in. The answer has every id of the request.
    fn protect(
        &self,
        asg: &AsgName,
        instances: &[InstanceId],
    ) -> impl Future<Output = BTreeMap<InstanceId, Result<(), CloudError>>>;

    /// The life-cycle hooks of a group.
    ///
    /// # Errors
    /// If they could not be read.
    fn describe_hooks(&self, asg: &AsgName) -> impl Future<Output = Result<Vec<Hook>, CloudError>>;

    /// Answers life-cycle hooks; an answer for each, in their order:
    /// [`CloudErrorKind::NotSent`] for those that would have kept the caller waiting. A hook that
    /// holds the instance no more is a success.
    fn answer_hooks(
        &self,
        answers: &[AnswerHook],
    ) -> impl Future<Output = Vec<Result<(), CloudError>>>;

    /// Gives a group a setting that was advised.
    ///
    /// # Errors
    /// If AWS refused, or did not answer.
    fn follow(&self, advice: &Advice) -> impl Future<Output = Result<(), CloudError>>;

    /// Writes the node names on instances (tags `Name` and `slurm-asg:node`); an answer for each.
    fn tag(
        &self,
        names: &[(InstanceId, NodeName)],
    ) -> impl Future<Output = BTreeMap<InstanceId, Result<(), CloudError>>>;

    /// The same. Returns at once;
    /// the writing goes on in the background, and nothing depends on it.
    fn tag_later(&self, names: Vec<(InstanceId, NodeName)>);

    /// Reads the consoles of instances that never registered, as far as not too many wait. Returns
    /// at once; the reading goes on in the background, and nothing depends on it.
    fn read_consoles_later(&self, boots: Vec<FailedBoot>);

    /// Consoles that have been read since this was last asked.
    fn consoles(&self) -> Vec<ReadConsole>;

    /// Publishes figures to CloudWatch. Returns at once: the call goes on in the background, and
    /// what has not gone out when the next figures come is dropped.
    fn publish_later(&self, publication: Publication);

    /// How the last publication ended; `None` if that was told already, or if it has not yet.
    fn published(&self) -> Option<Result<(), CloudError>>;

    /// Messages that have come over the queue since this was last asked; none if there is no queue.
    /// A message that is not deleted comes again.
    fn messages(&self) -> Vec<QueuedMessage>;

    /// Deletes messages. Returns at once; it goes on in the background, and nothing depends on it.
    fn delete_later(&self, receipts: Vec<Receipt>);

    /// How the queue was last read; `None` if that was told already, or if there is no queue.
    fn listened(&self) -> Option<Result<(), CloudError>>;
}

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Its text.
    pub body: String,
    /// To delete it with.
    pub receipt: Receipt,
}

/// A message's ReceiptHandle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt(pub String);

/// The console of an instance that never registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadConsole {
    /// Whose it is.
    pub boot: FailedBoot,
    /// Its last lines; `None` if it had nothing.
    pub console: Result<Option<String>, CloudError>,
}

/// Figures for CloudWatch, all of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// CloudWatch's namespace.
    pub namespace: String,
    /// Slurm's ClusterName, the value of the dimension `Cluster`.
    pub cluster: String,
    /// Of when they are.
    pub at: Timestamp,
    /// The figures; never none.
    pub figures: Vec<Figure>,
}

/// Instances of one group that are to be terminated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminateRequest {
    /// The Auto Scaling group.
    pub asg: AsgName,
    /// The instances, each once.
    pub instances: Vec<InstanceId>,
    /// ShouldDecrementDesiredCapacity.
    pub decrement: bool,
}

/// A call to AWS that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct CloudError {
    /// The API operation, by AWS's name.
    pub operation: &'static str,
    /// What kind of failure it is.
    pub kind: CloudErrorKind,
    /// AWS's own words, and what to do about it, in one line.
    pub message: String,
}

/// The kinds of failure that the loop tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// Nothing was asked of AWS: what was asked before took its time, and the loop is to go on.
    NotSent,
    /// Too many calls: later.
    Throttled,
    /// No answer in time, or no connection: the call may or may not have been carried out.
    NoAnswer,
    /// AWS failed (5xx): later.
    Service,
    /// No credentials, or they do not allow it: a person has to act.
    Denied,
    /// The request does not fit the group's state: look again, plan again.
    Conflict,
    /// The endpoint, or what the request is about, does not have this operation.
    Unsupported,
    /// The request is wrong for this endpoint, or anything not known.
    Other,
}
