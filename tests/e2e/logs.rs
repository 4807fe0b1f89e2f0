//! What slurmctld's log has of the plugin.

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

#[test]
fn a_decision_is_one_line_with_its_keys_and_details_follow_slurmctld_debug() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let job = lab.sbatch(&["--nodes=1", "--exclusive"], "true")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)?;
    let log = lab.plugin_log();
    let once = |keys: &[&str], words: &str| -> Result<()> {
        let lines: Vec<_> = log.iter().filter(|line| line.contains(words)).collect();
        ensure!(lines.len() == 1, "{words}: {lines:#?}");
        let named = |key: &&str| lines.iter().all(|line| line.contains(&format!(" {key}=")));
        ensure!(keys.iter().all(named), "{keys:?}: {lines:?}");
        Ok(())
    };
    once(&["group", "asg"], "desired capacity 0 -> 1")?;
    once(&["group", "node"], "wanted by Slurm job=")?;
    once(&["group", "asg", "node", "instance", "address"], " bound")?;
    once(&["group", "asg", "node", "instance"], "terminated: Slurm released the node")?;
    ensure!(!log.iter().any(|line| line.contains("looked: ")), "details are not for info");
    lab.command("scontrol", &["setdebug", "debug"])?;
    lab.command("slurm-asg", &["status"])?;
    lab.until("details are logged", SOON * 3, |lab| {
        Ok(lab.plugin_log().iter().any(|line| line.contains("looked: 8 nodes, 0 jobs; 0 actions")))
    })
}
