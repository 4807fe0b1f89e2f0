//! What is seen of a burst against time: samples of the plugin's glance and of the sandbox's state, and
//! the calls that arrived.

use std::time::Duration;

use anyhow::{Result, bail};
use slurm_asg_lab::{Lab, now_ms};
use slurm_asg_wire::{Request, Response, Status, ask};

/// The cluster at one moment, in instances or nodes of all groups together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// What nodes and pending jobs need, as the plugin's last look has it.
    pub wanted: u32,
    /// Desired capacity at AWS.
    pub asked: u32,
    /// Living instances at AWS.
    pub launched: u32,
    /// Nodes with an instance, as of the plugin's last look: that may be half a minute ago, so the curve
    /// is late.
    pub bound: u32,
    /// Instances for which a terminate call was answered, since the record was cleared.
    pub terminated: u32,
}

/// Looks once. A glance is what the plugin knows already: nobody looks anew for it.
pub fn sample(lab: &Lab) -> Result<Sample> {
    let status = glance(lab)?;
    let state = lab.sandbox().state()?;
    let alive = |group: &slurm_asg_sandbox::GroupState| {
        group.instances.iter().filter(|instance| instance.alive).count()
    };
    let bound = status.nodes.iter().filter(|node| node.instance.is_some()).count();
    Ok(Sample {
        at_ms: now_ms(),
        wanted: status.groups.iter().map(|group| group.demand).sum(),
        asked: state.groups.iter().map(|group| group.desired).sum(),
        launched: u32::try_from(state.groups.iter().map(alive).sum::<usize>())?,
        bound: u32::try_from(bound)?,
        terminated: 0,
    })
}

/// How things stood with the last look.
fn glance(lab: &Lab) -> Result<Status> {
    match ask(&lab.path("run/asg.sock"), &Request::Glance {}, Duration::from_secs(30))? {
        Response::Status(status) => Ok(*status),
        other @ (Response::Ok | Response::Refused { .. } | Response::Document { .. }) => {
            bail!("no status: {other:?}")
        }
    }
}

/// Puts into each sample how many instances had been terminated by then. Calls are few beside tags.
pub fn count_terminated(samples: &mut [Sample], ends: &[(u64, u32)]) {
    for sample in samples {
        let before = ends.iter().filter(|(at_ms, _)| *at_ms <= sample.at_ms);
        sample.terminated = before.map(|(_, count)| count).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_terminated_adds_up_with_time() {
        let at = |at_ms| Sample { at_ms, ..Sample::default() };
        let mut samples = [at(1), at(5), at(9)];
        count_terminated(&mut samples, &[(5, 100), (7, 20)]);
        assert_eq!(samples.map(|sample| sample.terminated), [0, 100, 120]);
    }
}
