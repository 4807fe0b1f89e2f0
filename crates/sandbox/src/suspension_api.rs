//! The suspended processes' part of the Auto Scaling API.

use crate::autoscaling::empty_answer;
use crate::error::ApiError;
use crate::query::Params;
use crate::world::{Suspension, World};
use crate::xml::Xml;

pub(crate) fn suspend(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let (group, processes) = processes_of(params)?;
    world.suspend(group, &processes, now_ms)?;
    Ok(empty_answer("SuspendProcesses", &world.fresh_id()))
}

pub(crate) fn resume(world: &mut World, params: &Params, now_ms: u64) -> Result<String, ApiError> {
    let (group, processes) = processes_of(params)?;
    world.resume(group, &processes, now_ms)?;
    Ok(empty_answer("ResumeProcesses", &world.fresh_id()))
}

fn processes_of(params: &Params) -> Result<(&str, Vec<&str>), ApiError> {
    Ok((params.required("AutoScalingGroupName")?, params.list("ScalingProcesses.member")))
}

/// An element of DescribeAutoScalingGroups' SuspendedProcesses.
pub(crate) fn suspension_xml(xml: &mut Xml, suspension: &Suspension) {
    xml.leaf("ProcessName", suspension.process.name()).leaf("SuspensionReason", &suspension.reason);
}
