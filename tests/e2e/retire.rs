//! Instances that a person lets go.

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

#[test]
fn a_retired_instance_goes_when_its_job_has_ended_and_its_node_is_available_again() -> Result<()> {
    let lab = Lab::start(Options { suspend_time_s: 300, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=1"], "for i in $(seq 20); do sleep 1; done; echo whole")?;
    let running = lab.until_job(job, "RUNNING", JOB_RUNS)?;
    let victim = lab.instances()?.remove(0).id;
    let program = lab.path("bin/slurm-asg").display().to_string();
    let refused = |arguments: &[&str], words: &str| -> Result<()> {
        let error = match lab.command(arguments[0], &arguments[1..]) {
            Ok(said) => anyhow::bail!("{arguments:?} is not refused: {said}"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(error.contains(words), "{error}");
        Ok(())
    };
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", &program, "retire", &victim];
    refused(&[&nobody[..], &["--reason", "x"]].concat(), "user 65534 may not do this")?;
    refused(&["slurm-asg", "retire", "i-0", "--reason", "x"], "i-0 is neither a node that has")?;
    refused(&["slurm-asg", "retire", &victim, "--reason", " "], "must not be empty")?;
    refused(&["slurm-asg", "retire", &victim], "--reason <TEXT>")?;
    let said = lab.command("slurm-asg", &["retire", &victim, "--reason", "bad GPU"])?;
    ensure!(said.starts_with(&format!("{} drains; {victim} goes", running.nodes)), "{said}");
    lab.until("the node drains", SOON, |lab| Ok(lab.node(&running.nodes)?.is("DRAIN")))?;
    let told = lab.command("sinfo", &["-h", "-R", "-o", "%E"])?;
    ensure!(told.contains("(Code:Retired) bad GPU (user 0)"), "{told}");
    let again = ["slurm-asg", "retire", &running.nodes, "--reason", "x"];
    refused(&again, "is on its way out already")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!((done.restarts, lab.output(job).trim()) == (0, "whole"), "the job got its time");
    lab.until_zero(BACK_TO_ZERO * 2)?;
    lab.until("the node is available again", SOON, |lab| {
        let node = lab.node(&running.nodes)?;
        Ok(!node.is("DRAIN") && !node.is("DOWN"))
    })?;
    let events = lab.command("slurm-asg", &["events", "--node", &running.nodes])?;
    let order = ["drained, to be powered down", "bad GPU (user 0)", "terminated: Slurm released"];
    let places = order.map(|words| events.find(words));
    ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "{events}");
    Ok(())
}
