//! When capacity is asked for, and when Slurm has it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::Lab;

/// Waits for the first SetDesiredCapacity at the endpoint after `began`, milliseconds of the Unix
/// epoch, and returns how many milliseconds later it arrived.
///
/// # Errors
/// If there is none in time.
pub fn until_capacity_call(lab: &Lab, began: u64, limit: Duration) -> Result<f64> {
    let mut arrived = None;
    lab.until("capacity is asked for", limit, |lab| {
        let calls = lab.sandbox().calls()?;
        let call =
            calls.iter().find(|call| call.action == "SetDesiredCapacity" && call.at_ms >= began);
        arrived = call.map(|call| call.at_ms);
        Ok(arrived.is_some())
    })?;
    let arrived = arrived.context("no call")?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of one run")]
    Ok(arrived.saturating_sub(began) as f64)
}

/// How many nodes Slurm has the address of an instance of; at first a cluster of the lab has its own.
///
/// # Errors
/// If Slurm does not answer.
pub fn nodes_with_addresses(lab: &Lab) -> Result<usize> {
    let is_address =
        |word: &str| word.parse::<IpAddr>().is_ok_and(|address| address != Ipv4Addr::LOCALHOST);
    let told = lab.command("sinfo", &["-h", "-N", "-o", "%N %o"])?;
    let words = told.lines().filter_map(|line| line.split_whitespace().nth(1));
    Ok(words.filter(|word| is_address(word)).count())
}
