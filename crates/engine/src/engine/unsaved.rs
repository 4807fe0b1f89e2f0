//! Names that are given while memory cannot be saved.
//!
//! After a crash nobody would know that an instance has a name, and it could get a second one while
//! its slurmd runs under the first. So its tag, which otherwise follows in the background, is
//! written first, and where that does not succeed either, the node waits.

use std::collections::BTreeMap;

use slurm_asg_core::ids::InstanceId;
use slurm_asg_core::memory::{Outcome, Retry};
use slurm_asg_core::plan::{Action, Bind, Plan};

use super::Engine;
use crate::Clock;
use crate::cloud::{Cloud, CloudError};
use crate::journal::Journal;
use crate::scheduler::Scheduler;
use crate::store::Store;

/// Names that one turn writes so: a call each, and the loop waits for them.
const NAMES_MAX: usize = 50;

impl<C: Cloud, S: Scheduler, K: Clock, T: Store, J: Journal> Engine<C, S, K, T, J> {
    /// Takes names out of the plan that neither the state directory nor AWS has taken down. How
    /// that ended is returned for each.
    pub(super) async fn hold_unsaved_names(&mut self, plan: &mut Plan) -> Vec<(Action, Outcome)> {
        let binds = plan.actions.iter().filter_map(Action::bind);
        let unsaved: Vec<Bind> = binds.filter(|bind| !self.is_saved(bind)).cloned().collect();
        if unsaved.is_empty() {
            return Vec::new();
        }
        let written = self.write_names(unsaved.iter().take(NAMES_MAX)).await;
        let held: Vec<_> = unsaved
            .into_iter()
            .filter_map(|bind| {
                let why = why_held(written.get(&bind.instance))?;
                Some((Action::Bind(bind), Outcome::Failed { why }))
            })
            .collect();
        plan.actions.retain(|action| held.iter().all(|(put_off, _)| put_off != action));
        held
    }

    /// Writes names on their instances. After a failure nothing is written for a while, longer with
    /// each further one.
    async fn write_names(
        &mut self,
        binds: impl Iterator<Item = &Bind>,
    ) -> BTreeMap<InstanceId, Result<(), CloudError>> {
        let is_due = |retry: &Retry| retry.not_before <= self.clock.now();
        if !self.name_retry.as_ref().is_none_or(is_due) {
            return BTreeMap::new();
        }
        let names: Vec<_> = binds.map(|it| (it.instance.clone(), it.node.clone())).collect();
        let written = self.cloud.tag(&names).await;
        let fails = written.values().any(Result::is_err);
        let now = self.clock.now();
        self.name_retry = fails.then(|| Retry::after_failure(self.name_retry, now));
        written
    }

    fn is_saved(&self, bind: &Bind) -> bool {
        let bindings = self.saved.as_ref().map(|memory| &memory.bindings);
        let saved = bindings.and_then(|bindings| bindings.get(&bind.node));
        saved.is_some_and(|saved| saved.instance == bind.instance)
    }
}

fn why_held(written: Option<&Result<(), CloudError>>) -> Option<String> {
    let because = match written {
        Some(Ok(())) => return None,
        Some(Err(error)) => format!("nor can its tag be written ({error})"),
        None => "its tag will be written later".to_owned(),
    };
    Some(format!("it has not been told its name: state cannot be saved, and {because}"))
}
