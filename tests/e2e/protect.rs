//! Nodes that a person protects from suspension, and asg.toml read at a person's word.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// The command is refused, with these words and a code that is not 0.
fn refused(lab: &Lab, arguments: &[&str], words: &str) -> Result<()> {
    let error = match lab.command(arguments[0], &arguments[1..]) {
        Ok(said) => anyhow::bail!("{arguments:?} is not refused: {said}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(error.contains(words), "{error}");
    Ok(())
}

#[test]
fn a_protected_node_outlives_suspend_time_and_a_restart_and_goes_once_released() -> Result<()> {
    let mut lab = Lab::start(Options { suspend_time_s: 8, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=2", "--exclusive"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    let said = lab
        .command("slurm-asg", &["protect", "compute-1", "--for", "1h", "--reason", "debugging"])?;
    ensure!(said.starts_with("node=compute-1 protected until "), "{said}");
    let again = lab.command("slurm-asg", &["protect", "compute-1", "--for", "1h"])?;
    ensure!(again.contains("protected until"), "without its reason it is another word: {again}");
    lab.command("slurm-asg", &["protect", "compute-1", "--for", "1h", "--reason", "debugging"])?;
    let program = lab.path("bin/slurm-asg").display().to_string();
    let nobody = ["setpriv", "--reuid=65534", "--clear-groups", &program];
    let arguments = ["protect", "compute-2", "--for", "1h"];
    refused(&lab, &[&nobody[..], &arguments].concat(), "user 65534 may not do this")?;
    refused(&lab, &[&nobody[..], &["reload"]].concat(), "user 65534 may not do this")?;
    refused(&lab, &["slurm-asg", "protect", "other-1", "--for", "1h"], "no node of a group")?;
    let past = ["slurm-asg", "protect", "compute-1", "--until", "2020-01-01T00:00"];
    refused(&lab, &past, "is over already")?;
    refused(&lab, &["slurm-asg", "protect", "compute-1"], "--for <DURATION>")?;
    let retire = ["slurm-asg", "retire", "compute-1", "--reason", "x"];
    refused(&lab, &retire, "slurm-asg release compute-1 ends that")?;

    lab.until("the other node goes", BACK_TO_ZERO, |lab| Ok(lab.instances()?.len() == 1))?;
    // It has been idle for as long.
    std::thread::sleep(Duration::from_secs(15));
    let node = lab.node("compute-1")?;
    ensure!(node.is("IDLE") && !node.is("POWERING_DOWN") && !node.is("POWERED_DOWN"), "{node:?}");
    let kept = lab.instances()?.remove(0).id;
    let status = lab.command("slurm-asg", &["status"])?;
    ensure!(status.contains("idle; protected by user 0 until "), "{status}");
    ensure!(
        status.contains("PROTECTED  UNTIL") && status.contains("user 0: debugging"),
        "{status}"
    );
    let told = lab.command("slurm-asg", &["explain", "compute-1"])?;
    ensure!(told.contains("protected by user 0") && told.contains(": debugging"), "{told}");

    // A restart keeps the word.
    lab.crash_slurmctld();
    lab.start_slurmctld()?;
    lab.until("it is protected still", SOON, |lab| Ok(lab.status()?.protected.len() == 1))?;
    std::thread::sleep(Duration::from_secs(12));
    ensure!(lab.instances()?.iter().any(|it| it.id == kept), "it is there after the restart");

    // Slurm powers it down at an administrator's word, and the instance stays all the same.
    lab.command("scontrol", &["update", "NodeName=compute-1", "State=POWER_DOWN"])?;
    lab.until("Slurm has powered it down", BACK_TO_ZERO, |lab| {
        Ok(lab.node("compute-1")?.is("POWERED_DOWN"))
    })?;
    std::thread::sleep(Duration::from_secs(3));
    ensure!(lab.instances()?.iter().any(|it| it.id == kept), "its instance stays");
    let status = lab.command("slurm-asg", &["status"])?;
    ensure!(status.contains("powered down by Slurm; its instance stays"), "{status}");

    let said = lab.command("slurm-asg", &["release", "compute-[1-2]", "--reason", "enough"])?;
    ensure!(said == "node=compute-1 may be suspended again\n", "{said}");
    let said = lab.command("slurm-asg", &["release", "compute-1"])?;
    ensure!(said.contains("nothing to do"), "{said}");
    lab.until_zero(BACK_TO_ZERO)?;
    let events = lab.command("slurm-asg", &["events", "--node", "compute-1"])?;
    let order = [
        "by user 0: debugging",
        "may be suspended again, by user 0: enough",
        "terminated: Slurm released",
    ];
    let places = order.map(|words| events.find(words));
    ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "{events}");
    Ok(())
}

#[test]
fn a_protection_ends_by_itself() -> Result<()> {
    let lab = Lab::start(Options { suspend_time_s: 5, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=1"], "sleep 10; echo done")?;
    lab.until_job(job, "RUNNING", JOB_RUNS)?;
    let said = lab.command("slurm-asg", &["protect", "compute-1", "--for", "25s", "--json"])?;
    ensure!(said.contains(r#""nodes":["compute-1"]"#), "{said}");
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)?;
    let events = lab.command("slurm-asg", &["events", "--event", "node_released"])?;
    ensure!(events.contains("the time of its protection by user 0 is over"), "{events}");
    ensure!(lab.status()?.protected.is_empty());
    Ok(())
}

#[test]
fn a_configuration_is_read_at_once_and_one_that_is_wrong_leaves_the_old_in_force() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    let file = lab.path("asg.toml");
    let good = fs::read_to_string(&file)?;
    let said = lab.command("slurm-asg", &["reload"])?;
    ensure!(said == format!("{} is in force\n", file.display()), "{said}");
    fs::write(&file, good.replace("[[group]]", "[[group]]\nflavour = 1"))?;
    refused(&lab, &["slurm-asg", "reload"], "unknown field `flavour`")?;
    refused(&lab, &["slurm-asg", "reload"], "the configuration in force is kept")?;
    let status = lab.command("slurm-asg", &["status"])?;
    ensure!(status.contains("unknown field `flavour`") && status.contains("compute"), "{status}");
    let job = lab.sbatch(&["--nodes=1"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    fs::write(&file, good.replace("[[group]]", "[[group]]\nprice_per_hour = 0.5"))?;
    let said = lab.command("slurm-asg", &["reload", "--json"])?;
    ensure!(said.contains("asg.toml"), "{said}");
    lab.until("the price is in force", SOON, |lab| {
        Ok(lab.status()?.groups[0].price_micros == Some(500_000))
    })?;
    let events = lab.command("slurm-asg", &["events", "--json"])?;
    let by_user = |name: &str| {
        let mut lines = events.lines().filter(|line| line.contains(name));
        lines.any(|line| line.contains(r#""user":0"#))
    };
    ensure!(by_user("configuration_read") && by_user("configuration_refused"), "{events}");
    Ok(())
}
