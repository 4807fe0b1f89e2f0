//! Publishing figures to CloudWatch, once in each period.

use slurm_asg_core::metrics::{figures, is_due, is_wanted, next_due};
use slurm_asg_core::plan::Plan;
use slurm_asg_core::policy::Policy;
use slurm_asg_core::time::Timestamp;

use crate::cloud::{Cloud, Publication};
use crate::troubles::{About, Troubles};

/// Remembers of when the last published figures were. A restart forgets it: one more publication then
/// does no harm, because no alarm adds figures up.
#[derive(Debug, Default)]
pub struct Publisher {
    last: Option<Timestamp>,
}

impl Publisher {
    /// Publishes the figures of a plan that was made `at` this time, if one is due. Waits for
    /// nothing.
    pub fn publish<C: Cloud>(
        &mut self,
        cloud: &C,
        cluster: &str,
        policy: &Policy,
        plan: &Plan,
        at: Timestamp,
    ) {
        if !is_wanted(policy) || !is_due(self.last, at, policy.metrics.period) {
            return;
        }
        let figures = figures(policy, plan, at);
        if !figures.is_empty() || self.last.is_some() {
            self.last = Some(at);
        }
        if figures.is_empty() {
            // Nothing is known. At the start, the first that is goes out at once.
            return;
        }
        cloud.publish_later(Publication {
            namespace: policy.metrics.namespace.clone(),
            cluster: cluster.to_owned(),
            at,
            figures,
        });
    }

    /// Says how publications have gone. Nothing else depends on it.
    pub fn note<C: Cloud>(cloud: &C, troubles: &mut Troubles, now: Timestamp) {
        if let Some(result) = cloud.published() {
            troubles.note(&About::Metrics, now, result.err().as_ref());
        }
    }

    /// When the next publication is due, if there are any.
    pub fn next(&self, policy: &Policy) -> Option<Timestamp> {
        let last = self.last.filter(|_| is_wanted(policy))?;
        Some(next_due(last, policy.metrics.period))
    }
}
