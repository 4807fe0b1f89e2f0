//! One line in the log for each decision, with key=value for those who search.

use std::collections::BTreeMap;

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::memory::Outcome;
use slurm_asg_core::plan::{Action, TerminateCause};
use slurm_asg_core::policy::Policy;

/// Logs how a plan's actions ended.
pub fn tell(outcomes: &[(Action, Outcome)], policy: &Policy) {
    let mut woken: BTreeMap<String, Vec<NodeName>> = BTreeMap::new();
    for (action, outcome) in outcomes {
        let line = line(action, policy);
        match outcome {
            Outcome::Done => {
                if let Action::PowerDown(down) = action {
                    woken.entry("power down".to_owned()).or_default().push(down.node.clone());
                } else {
                    tracing::info!("{line}");
                }
            }
            Outcome::Failed { why } => tracing::error!("{line} failed: {why}; will be tried again"),
        }
    }
    for (what, nodes) in woken {
        tracing::info!(
            "node={} {what} asked, to make it available again",
            hostlist::compress(&nodes)
        );
    }
}

fn line(action: &Action, policy: &Policy) -> String {
    let group = |node: &NodeName| policy.group_of(node).map_or("?", |group| group.as_str());
    match action {
        Action::SetDesired(raise) => {
            format!("asg={} desired capacity {} -> {}", raise.asg, raise.from, raise.to)
        }
        Action::Bind(bind) => format!(
            "group={} node={} instance={} address={} bound",
            group(&bind.node),
            bind.node,
            bind.instance,
            bind.address
        ),
        Action::MarkDown(down) => {
            format!("group={} node={} set down: {}", group(&down.node), down.node, down.reason)
        }
        Action::PowerDown(down) => {
            format!("group={} node={} power down", group(&down.node), down.node)
        }
        Action::Terminate(terminate) => {
            let node = terminate.node.as_ref().map_or("-", |node| node.as_str());
            let cause = match terminate.cause {
                TerminateCause::NodeReleased => "Slurm released the node",
                TerminateCause::Outdated => "Slurm wants the node anew",
                TerminateCause::Orphan => "it serves no node and none wants it",
            };
            let capacity = if terminate.decrement { "capacity goes down" } else { "is replaced" };
            format!(
                "asg={} node={node} instance={} terminated: {cause}; {capacity}",
                terminate.asg, terminate.instance
            )
        }
    }
}
