//! Names that are given while memory cannot be saved.
//!
//! After a crash nobody would know that an instance has a name, and it could get a second one while
//! its slurmd runs under the first. So its tag, which otherwise follows in the background, is
//! written first, and where that does not succeed either, the node waits.

use slurm_asg_core::memory::Outcome;
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
    pub(super) async fn hold_unsaved_names(&self, plan: &mut Plan) -> Vec<(Action, Outcome)> {
        let binds = plan.actions.iter().filter_map(Action::bind);
        let unsaved: Vec<Bind> = binds.filter(|bind| !self.is_saved(bind)).cloned().collect();
        if unsaved.is_empty() {
            return Vec::new();
        }
        let names = unsaved.iter().take(NAMES_MAX);
        let names: Vec<_> = names.map(|it| (it.instance.clone(), it.node.clone())).collect();
        let written = self.cloud.tag(&names).await;
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
        None => "others go first".to_owned(),
    };
    Some(format!("it has not been told its name: state cannot be saved, and {because}"))
}
