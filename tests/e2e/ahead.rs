//! Capacity for pending jobs, before Slurm gives them nodes.
#![expect(clippy::print_stdout, reason = "the test prints its figures")]

use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, SOON};

fn ready() -> Result<Lab> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    Ok(lab)
}

#[test]
fn capacity_that_is_raised_ahead_is_not_counted_twice() -> Result<()> {
    let lab = ready()?;
    let job = lab.sbatch(&["--nodes=3"], "echo done")?;
    lab.until("the capacity is asked for", SOON, |lab| Ok(lab.desired()? == 3))?;
    lab.until("three nodes are up", SOON, |lab| {
        let status = lab.status()?;
        Ok(status.groups.first().is_some_and(|group| group.busy == 3))
    })?;
    ensure!(lab.desired()? == 3, "nothing is counted twice");
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn jobs_that_cannot_start_launch_nothing_and_say_why() -> Result<()> {
    let lab = ready()?;
    let table: [(&[&str], &str); 5] = [
        (&["--hold"], "held"),
        (&["--begin=now+1hour"], "not_yet"),
        (&["--dependency=afterok:1"], "held_back"),
        (&["--dependency=singleton", "--hold"], "held"),
        (&["--nodes=8", "--ntasks=64", "--hold"], "held"),
    ];
    for (options, why) in table {
        // What Slurm refuses at once is no pending job.
        let Ok(job) = lab.sbatch(options, "true") else { continue };
        lab.until(&format!("job {job} ({options:?}) is {why}"), SOON, |lab| {
            let status = lab.status()?;
            let said = status.jobs.iter().find(|it| it.id == job).map(|it| it.why.clone());
            Ok(said.is_some_and(|said| said == why))
        })?;
    }
    std::thread::sleep(Duration::from_secs(3));
    ensure!(lab.desired()? == 0, "{}", lab.command("squeue", &[])?);
    ensure!(lab.sandbox().calls()?.iter().all(|call| call.action != "SetDesiredCapacity"));
    Ok(())
}

#[test]
fn what_was_launched_for_a_job_that_vanished_is_given_back() -> Result<()> {
    // Slurm has no time to give nodes: the job is gone before.
    let lab = ready()?;
    let job = lab.sbatch(&["--nodes=2"], "true")?;
    lab.until("the capacity is asked for", SOON, |lab| Ok(lab.desired()? == 2))?;
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO * 2)
}

/// Numbers that look random and are the same on every run (a 64-bit linear congruence).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    /// A job that the count understands.
    fn job(&mut self) -> Vec<String> {
        let few = self.roll(4) + 1;
        let mut options = match self.roll(6) {
            0 => vec![format!("--ntasks={}", few * 2 - 1)],
            1 => vec![format!("--nodes={few}")],
            2 => vec![format!("--ntasks={few}"), "--cpus-per-task=2".to_owned()],
            3 => vec![format!("--nodes={few}"), "--ntasks-per-node=2".to_owned()],
            4 => vec![format!("--array=0-{few}")],
            _ => vec!["--ntasks=1".to_owned()],
        };
        if self.roll(3) == 0 {
            options.push("--exclusive".to_owned());
        }
        options
    }
}

#[test]
fn for_random_mixes_of_plain_jobs_exactly_what_slurm_takes_is_asked_for() -> Result<()> {
    let mixes: u64 = std::env::var("SLURM_ASG_MIXES").ok().map_or(Ok(4), |mixes| mixes.parse())?;
    let mut story = Vec::new();
    let mut equal = 0;
    for seed in 1..=mixes {
        let lab = Lab::start(Options {
            nodes: 12,
            max: 12,
            // Nodes that never register keep their jobs: what Slurm gave stays to be seen.
            boot_command: Some(vec!["/bin/true".to_owned()]),
            resume_timeout_s: 600,
            ..Options::default()
        })?;
        lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
        let mut dice = Dice(seed);
        let count = 1 + dice.roll(6);
        let jobs: Vec<_> = (0..count).map(|_| dice.job()).collect();
        for options in &jobs {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            lab.sbatch(&options, "sleep 100")?;
        }
        // Two of Slurm's passes, and what the plugin does after them.
        std::thread::sleep(Duration::from_secs(8));
        let taken = lab.nodes()?.iter().filter(|node| !node.is("IDLE")).count();
        // The highest number ever: what was too much may have been given back already.
        let calls = lab.sandbox().calls()?;
        let asked = calls.iter().filter_map(|call| call.params.get("DesiredCapacity"));
        let asked = asked.filter_map(|number| number.parse().ok()).max().unwrap_or(0);
        equal += u64::from(asked == taken);
        let line = format!("seed {seed}: Slurm took {taken}, asked for {asked}, of {jobs:?}");
        ensure!(asked >= taken, "{line}");
        story.push(line);
    }
    println!("{equal} of {mixes} mixes equal\n{}", story.join("\n"));
    ensure!(equal == mixes, "{}", story.join("\n"));
    Ok(())
}
