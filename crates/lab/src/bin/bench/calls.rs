//! How soon capacity is asked for, on a controller that has nothing else to do.

use std::time::Duration;

use anyhow::Result;
use slurm_asg_lab::figures::{Figure, Figures, quantile};
use slurm_asg_lab::{Lab, now_ms, until_capacity_call};

use crate::SOON;

/// So many submissions are asked for.
const ENOUGH: u32 = 60;
/// Slurm's own pass, the binding and the looks after a submission are over after this.
const QUIET: Duration = Duration::from_secs(4);

/// Slurm is asked for a node, and the resume program is run as Slurm would, before Slurm does.
pub fn of_resume(figures: &mut Figures, lab: &Lab, runs: u32) -> Result<()> {
    let mut times = Vec::new();
    for run in 0..runs {
        let node = format!("compute-{}", run + 1);
        lab.command("scontrol", &["update", &format!("NodeName={node}"), "State=POWER_UP"])?;
        let began = now_ms();
        lab.command("slurm-asg-resume", &[&node])?;
        times.push(until_capacity_call(lab, began, SOON)?);
        // The next one begins in quiet.
        lab.until("the node has its instance", SOON, |lab| {
            let status = lab.status()?;
            Ok(status.nodes.iter().any(|it| it.name == node && it.instance.is_some()))
        })?;
    }
    let what = "resume program's start to the capacity call, ms";
    figures.add(Figure::new("call.resume.ms", what, times));
    Ok(())
}

/// Jobs are submitted one after the other, each for a node of its own.
pub fn of_submission(figures: &mut Figures, lab: &Lab, submissions: u32) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..submissions {
        lab.sandbox().clear_calls()?;
        let began = now_ms();
        lab.sbatch(&["--exclusive"], "true")?;
        times.push(until_capacity_call(lab, began, SOON)?);
        std::thread::sleep(QUIET);
    }
    let p99 = quantile(&times, 0.99);
    let what = format!("sbatch's start to the capacity call, {submissions} times, median, ms");
    let median = Figure::new("call.submission.ms", what, times);
    let what = "the same, 99 % of them within, ms";
    let tail = Figure::new("call.submission.p99.ms", what, vec![p99]);
    // Of a few, the slowest says nothing of one in a hundred.
    let enough = submissions >= ENOUGH;
    figures.add(if enough { median.at_most(150.0) } else { median });
    figures.add(if enough { tail.at_most(400.0) } else { tail });
    Ok(())
}
