//! One line in the log for each decision, with key=value for those who search.

use std::collections::BTreeMap;

use slurm_asg_core::hostlist;
use slurm_asg_core::ids::NodeName;
use slurm_asg_core::memory::Outcome;
use slurm_asg_core::plan::{Action, PowerDownCause, PowerUpCause, TerminateCause};
use slurm_asg_core::policy::Policy;

/// Logs how a plan's actions ended.
pub fn tell(outcomes: &[(Action, Outcome)], policy: &Policy) {
    let mut woken: BTreeMap<&str, Vec<NodeName>> = BTreeMap::new();
    for (action, outcome) in outcomes {
        let line = line(action, policy);
        match outcome {
            Outcome::Done => {
                let many = match action {
                    Action::PowerDown(down) => Some((down.node.clone(), reason(down.cause))),
                    Action::PowerUp(up) => Some((up.node.clone(), purpose(up.cause))),
                    Action::SetSizes(_)
                    | Action::SetDesired(_)
                    | Action::MarkDown(_)
                    | Action::Bind(_)
                    | Action::Terminate(_) => None,
                };
                match many {
                    Some((node, what)) => woken.entry(what).or_default().push(node),
                    None => tracing::info!("{line}"),
                }
            }
            Outcome::Failed { why } => tracing::error!("{line} failed: {why}; will be tried again"),
        }
    }
    for (what, nodes) in woken {
        tracing::info!("node={} {what}", hostlist::compress(&nodes));
    }
}

const fn reason(cause: PowerDownCause) -> &'static str {
    match cause {
        PowerDownCause::Recover => "power down asked, to make it available again",
        PowerDownCause::BillingHour => "power down asked: idle, and its instance's hour ends",
    }
}

const fn purpose(cause: PowerUpCause) -> &'static str {
    match cause {
        PowerUpCause::Base => "power up asked, as the group keeps so many nodes",
        PowerUpCause::Initial => "power up asked, as the group begins with so many nodes",
    }
}

fn line(action: &Action, policy: &Policy) -> String {
    let group = |node: &NodeName| policy.group_of(node).map_or("?", |group| group.as_str());
    match action {
        Action::SetSizes(sizes) => format!(
            "asg={} minimum {} -> {}, maximum {} -> {}, as in asg.toml",
            sizes.asg, sizes.from.0, sizes.min, sizes.from.1, sizes.max
        ),
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
        Action::PowerUp(up) => {
            format!("group={} node={} power up", group(&up.node), up.node)
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
