//! Carrying out a plan: its actions by whom they go to, and how each ended.

use std::collections::BTreeMap;

use slurm_asg_core::ids::{AsgName, InstanceId};
use slurm_asg_core::memory::Outcome;
use slurm_asg_core::plan::{
    Action, AnswerHook, Bind, CloseNodes, Drain, GiveBack, Launch, MarkDown, OpenNodes, Plan,
    PowerDown, PowerDownCause, PowerUp, Protect, SetDesired, SetSizes, Terminate,
};

use crate::cloud::{Cloud, CloudError, CloudErrorKind, TerminateRequest};
use crate::scheduler::{AddressUpdate, Scheduler};

/// A plan's actions, by whom they go to.
#[derive(Default)]
pub(super) struct Work {
    pub(super) sizes: Vec<SetSizes>,
    pub(super) raises: Vec<SetDesired>,
    pub(super) launches: Vec<Launch>,
    pub(super) downs: Vec<MarkDown>,
    pub(super) power_downs: Vec<PowerDown>,
    pub(super) power_ups: Vec<PowerUp>,
    pub(super) binds: Vec<Bind>,
    pub(super) terminates: Vec<Terminate>,
    pub(super) drains: Vec<Drain>,
    pub(super) protects: Vec<Protect>,
    pub(super) answers: Vec<AnswerHook>,
    pub(super) backs: Vec<GiveBack>,
    pub(super) closes: Vec<CloseNodes>,
    pub(super) opens: Vec<OpenNodes>,
}

impl Work {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut work = Self::default();
        for action in &plan.actions {
            match action.clone() {
                Action::SetSizes(sizes) => work.sizes.push(sizes),
                Action::SetDesired(raise) => work.raises.push(raise),
                Action::Launch(launch) => work.launches.push(launch),
                Action::MarkDown(down) => work.downs.push(down),
                Action::PowerDown(down) => work.power_downs.push(down),
                Action::PowerUp(up) => work.power_ups.push(up),
                Action::Bind(bind) => work.binds.push(bind),
                Action::Terminate(terminate) => work.terminates.push(terminate),
                Action::Drain(drain) => work.drains.push(drain),
                Action::Protect(protect) => work.protects.push(protect),
                Action::AnswerHook(answer) => work.answers.push(answer),
                Action::GiveBack(back) => work.backs.push(back),
                Action::CloseNodes(close) => work.closes.push(close),
                Action::OpenNodes(open) => work.opens.push(open),
            }
        }
        work
    }
}

pub(super) fn outcome<E: std::fmt::Display>(result: &Result<(), E>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Failed { why: error.to_string() },
    }
}

pub(super) async fn set_sizes<C: Cloud>(cloud: &C, sizes: &[SetSizes]) -> Vec<(Action, Outcome)> {
    let mut outcomes = Vec::new();
    for sizes in sizes {
        let result = cloud.set_sizes(&sizes.asg, sizes.min, sizes.max).await;
        outcomes.push((Action::SetSizes(sizes.clone()), outcome(&result)));
    }
    outcomes
}

pub(super) async fn raise<C: Cloud>(cloud: &C, raises: &[SetDesired]) -> Vec<(Action, Outcome)> {
    let mut outcomes = Vec::new();
    for raise in raises {
        let result = cloud.set_desired(&raise.asg, raise.to).await;
        outcomes.push((Action::SetDesired(raise.clone()), outcome(&result)));
    }
    outcomes
}

pub(super) async fn launch<C: Cloud>(cloud: &C, launches: &[Launch]) -> Vec<(Action, Outcome)> {
    if launches.is_empty() {
        return Vec::new();
    }
    let results = cloud.launch(launches).await;
    let outcomes = results.into_iter().map(|result| match result {
        Ok(launched) => Outcome::Launched(launched),
        Err(error) => {
            let why = error.to_string();
            match error.kind {
                CloudErrorKind::NoAnswer | CloudErrorKind::Service => Outcome::Unanswered { why },
                CloudErrorKind::Unsupported => Outcome::Unsupported { why },
                CloudErrorKind::NotSent
                | CloudErrorKind::Throttled
                | CloudErrorKind::Denied
                | CloudErrorKind::Conflict
                | CloudErrorKind::Other => Outcome::Failed { why },
            }
        }
    });
    launches.iter().cloned().map(Action::Launch).zip(outcomes).collect()
}

/// What is not given back: the next plan looks again.
pub(super) fn put_off(backs: &[GiveBack]) -> Vec<(Action, Outcome)> {
    let why = || "other calls took their time, and it may have been launched".to_owned();
    let failed = |back: &GiveBack| (Action::GiveBack(back.clone()), Outcome::Failed { why: why() });
    backs.iter().map(failed).collect()
}

pub(super) async fn give_back<C: Cloud>(cloud: &C, backs: &[GiveBack]) -> Vec<(Action, Outcome)> {
    let mut outcomes = Vec::new();
    for back in backs {
        let result = cloud.set_desired(&back.asg, back.to).await;
        outcomes.push((Action::GiveBack(back.clone()), outcome(&result)));
    }
    outcomes
}

pub(super) async fn tell_slurm<S: Scheduler>(
    scheduler: &mut S,
    work: &Work,
) -> Vec<(Action, Outcome)> {
    let mut outcomes = Vec::new();
    if !work.binds.is_empty() {
        let updates: Vec<_> = work
            .binds
            .iter()
            .map(|bind| AddressUpdate {
                node: bind.node.clone(),
                instance: bind.instance.clone(),
                address: bind.address,
            })
            .collect();
        let told = outcome(&scheduler.set_addresses(&updates).await);
        outcomes.extend(work.binds.iter().map(|bind| (Action::Bind(bind.clone()), told.clone())));
    }
    let (to_make_room, to_recover): (Vec<_>, Vec<_>) =
        work.power_downs.iter().partition(|down| down.cause == PowerDownCause::MakeRoom);
    // Before their job is requeued and another one gets them.
    outcomes.extend(power_down(scheduler, &to_make_room).await);
    for down in &work.downs {
        let result = scheduler.mark_down(std::slice::from_ref(&down.node), &down.reason).await;
        outcomes.push((Action::MarkDown(down.clone()), outcome(&result)));
    }
    for close in &work.closes {
        let result = scheduler.close(&close.nodes, &close.reason).await;
        outcomes.push((Action::CloseNodes(close.clone()), outcome(&result)));
    }
    for open in &work.opens {
        let result = scheduler.open(&open.nodes).await;
        outcomes.push((Action::OpenNodes(open.clone()), outcome(&result)));
    }
    for drain in &work.drains {
        let result = scheduler.drain(std::slice::from_ref(&drain.node), &drain.reason).await;
        outcomes.push((Action::Drain(drain.clone()), outcome(&result)));
    }
    outcomes.extend(power_down(scheduler, &to_recover).await);
    if !work.power_ups.is_empty() {
        let nodes: Vec<_> = work.power_ups.iter().map(|up| up.node.clone()).collect();
        let told = outcome(&scheduler.power_up(&nodes).await);
        let actions = work.power_ups.iter().cloned().map(Action::PowerUp);
        outcomes.extend(actions.map(|action| (action, told.clone())));
    }
    outcomes
}

async fn power_down<S: Scheduler>(
    scheduler: &mut S,
    downs: &[&PowerDown],
) -> Vec<(Action, Outcome)> {
    if downs.is_empty() {
        return Vec::new();
    }
    let nodes: Vec<_> = downs.iter().map(|down| down.node.clone()).collect();
    let told = outcome(&scheduler.power_down(&nodes).await);
    downs.iter().map(|down| (Action::PowerDown((*down).clone()), told.clone())).collect()
}

pub(super) async fn protect<C: Cloud>(cloud: &C, protects: &[Protect]) -> Vec<(Action, Outcome)> {
    let mut by_asg: BTreeMap<AsgName, Vec<&Protect>> = BTreeMap::new();
    for protect in protects {
        by_asg.entry(protect.asg.clone()).or_default().push(protect);
    }
    let mut outcomes = Vec::new();
    for (asg, members) in by_asg {
        let instances: Vec<_> = members.iter().map(|protect| protect.instance.clone()).collect();
        let results = cloud.protect(&asg, &instances).await;
        outcomes.extend(members.into_iter().filter_map(|member| {
            let outcome = outcome_of(&results, &member.instance)?;
            Some((Action::Protect(member.clone()), outcome))
        }));
    }
    outcomes
}

pub(super) async fn answer_hooks<C: Cloud>(
    cloud: &C,
    answers: &[AnswerHook],
) -> Vec<(Action, Outcome)> {
    if answers.is_empty() {
        return Vec::new();
    }
    let results = cloud.answer_hooks(answers).await;
    let pairs = answers.iter().zip(&results).filter(|(_, result)| was_sent(result));
    pairs.map(|(told, result)| (Action::AnswerHook(told.clone()), outcome(result))).collect()
}

/// What was not sent has no outcome: the next plan has it again.
const fn was_sent(result: &Result<(), CloudError>) -> bool {
    !matches!(result, Err(CloudError { kind: CloudErrorKind::NotSent, .. }))
}

/// What AWS said of one instance of several; nothing if it was not asked.
fn outcome_of(
    results: &BTreeMap<InstanceId, Result<(), CloudError>>,
    instance: &InstanceId,
) -> Option<Outcome> {
    let silent = || Outcome::Failed { why: "AWS did not answer for it".to_owned() };
    match results.get(instance) {
        Some(result) => was_sent(result).then(|| outcome(result)),
        None => Some(silent()),
    }
}

pub(super) async fn terminate<C: Cloud>(
    cloud: &C,
    terminates: &[Terminate],
) -> Vec<(Action, Outcome)> {
    let mut by_call: BTreeMap<(AsgName, bool), Vec<&Terminate>> = BTreeMap::new();
    for terminate in terminates {
        by_call.entry((terminate.asg.clone(), terminate.decrement)).or_default().push(terminate);
    }
    let mut outcomes = Vec::new();
    for ((asg, decrement), members) in by_call {
        let instances = members.iter().map(|terminate| terminate.instance.clone()).collect();
        let results = cloud.terminate(&TerminateRequest { asg, instances, decrement }).await;
        outcomes.extend(members.into_iter().filter_map(|member| {
            let outcome = outcome_of(&results, &member.instance)?;
            Some((Action::Terminate(member.clone()), outcome))
        }));
    }
    outcomes
}
