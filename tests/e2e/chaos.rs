//! Everything goes wrong at once, and every job runs all the same.
//!
//! `SLURM_ASG_CHAOS_JOBS` says how many jobs there are (`make chaos`: 200), `SLURM_ASG_CHAOS_KEYS` has
//! further lines of the group.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::Fault;

/// From one blow to the next.
const STEP: Duration = Duration::from_secs(4);
/// After the last blow, for jobs to end and the group to come down.
const AFTERWARDS: Duration = Duration::from_secs(240);
const GROUP: &str = "hpc-compute";

struct Chaos {
    lab: Lab,
    rng: Rng,
    /// Instances that were seen, and those that the test has ended itself.
    seen: BTreeSet<String>,
    ended: BTreeSet<String>,
    kills: u32,
}

impl Chaos {
    /// One blow; what it needs to be over is over with the next.
    fn strike(&mut self) -> Result<()> {
        let sandbox = self.lab.sandbox();
        sandbox.clear_faults()?;
        let all = Vec::new;
        match self.rng.u8(0..10) {
            0..3 => {
                self.kills += 1;
                self.lab.crash_slurmctld();
                self.lab.start_slurmctld()?;
            }
            3 | 4 => {
                let living: Vec<_> = self.lab.instances()?;
                let Some(at) = living.len().checked_sub(1) else { return Ok(()) };
                let Some(instance) = living.get(self.rng.usize(0..=at)) else { return Ok(()) };
                self.ended.insert(instance.id.clone());
                if self.rng.bool() {
                    sandbox.die(&instance.id)?;
                } else {
                    sandbox.terminate(&instance.id)?;
                }
            }
            5 => {
                sandbox.fault(&Fault::Throttle { actions: all(), count: Some(20), rate: None })?;
            }
            6 => {
                sandbox.fault(&Fault::Hang { actions: all() })?;
            }
            7 => {
                let group = GROUP.to_owned();
                sandbox.fault(&Fault::NoCapacity { group, zone: None, after: 1, message: None })?;
            }
            8 => {
                sandbox.fault(&Fault::LostReply { count: 3, actions: all() })?;
            }
            _ => {
                sandbox.fault(&Fault::ServerError {
                    actions: all(),
                    count: Some(6),
                    rate: None,
                })?;
            }
        }
        Ok(())
    }

    /// Notes which instances there are, and lets requeued jobs begin at once: Slurm would have
    /// each wait for two minutes.
    fn look(&mut self) {
        let instances = self.lab.instances().unwrap_or_default();
        self.seen.extend(instances.into_iter().map(|instance| instance.id));
        let pending = self.lab.command("squeue", &["-h", "-t", "PD", "-o", "%i %r"]);
        for line in pending.unwrap_or_default().lines() {
            if let Some((id, "BeginTime")) = line.split_once(' ') {
                let job = format!("JobId={id}");
                // It may have begun meanwhile, or slurmctld may be away.
                drop(self.lab.command("scontrol", &["update", &job, "StartTime=now"]));
            }
        }
    }

    fn jobs_left(&self) -> Result<usize> {
        let left = self.lab.command("squeue", &["-h", "-o", "%i"])?;
        Ok(left.lines().count())
    }

    /// Every instance that the plugin could know is in the event log.
    fn is_explained(&self) -> Result<()> {
        let log = self.lab.command("slurm-asg", &["events", "--json"])?;
        for id in self.seen.difference(&self.ended) {
            ensure!(log.contains(id), "the event log says nothing of {id}");
        }
        Ok(())
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "how much went wrong is told to whoever runs it")]
fn every_job_runs_while_everything_goes_wrong() -> Result<()> {
    let jobs: u32 =
        std::env::var("SLURM_ASG_CHAOS_JOBS").ok().map_or(Ok(24), |text| text.parse())?;
    let seed: u64 =
        std::env::var("SLURM_ASG_CHAOS_SEED").ok().map_or(Ok(1), |text| text.parse())?;
    let keys = std::env::var("SLURM_ASG_CHAOS_KEYS").unwrap_or_default();
    let lab = Lab::start(Options {
        resume_timeout_s: 30,
        group_keys: format!("capacity_cooldown = 5\nboot_failures_max = 0\n{keys}\n"),
        slurm_conf: "MinJobAge=3600\n".to_owned(),
        ..Options::default()
    })?;
    let mut rng = Rng::with_seed(seed);
    let mut ids = Vec::new();
    for _ in 0..jobs {
        let nodes = format!("--nodes={}", rng.u32(1..=4));
        ids.push(lab.sbatch(&[&nodes, "--exclusive", "--requeue"], "sleep 1; echo done")?);
    }
    let (seen, ended) = (BTreeSet::new(), BTreeSet::new());
    let mut chaos = Chaos { lab, rng, seen, ended, kills: 0 };
    // As long as the jobs would need without any of this, and two steps at least.
    let blows = Duration::from_secs(u64::from(jobs) * 3 / 2).max(2 * STEP);
    let (began, mut next) = (Instant::now(), Instant::now() + STEP);
    while began.elapsed() < blows {
        if Instant::now() >= next {
            chaos.strike().context("a blow")?;
            next = Instant::now() + STEP;
        }
        chaos.look();
        std::thread::sleep(Duration::from_secs(1));
    }
    chaos.lab.sandbox().clear_faults()?;
    let end = Instant::now() + AFTERWARDS + blows;
    while chaos.jobs_left()? > 0 {
        chaos.look();
        ensure!(Instant::now() < end, "jobs are left:\n{}", chaos.lab.command("squeue", &[])?);
        std::thread::sleep(Duration::from_secs(1));
    }
    for id in &ids {
        let state = chaos.lab.job(*id)?.state;
        ensure!(state == "COMPLETED", "job {id} has ended as {state}");
        let output = chaos.lab.output(*id);
        ensure!(output.contains("done"), "job {id} has written {output:?}");
    }
    chaos.look();
    chaos.lab.until_zero(AFTERWARDS)?;
    chaos.is_explained()?;
    eprintln!(
        "seed {seed}: {jobs} jobs, slurmctld killed {} times, {} instances, {} of them ended by \
         the test, {} s",
        chaos.kills,
        chaos.seen.len(),
        chaos.ended.len(),
        began.elapsed().as_secs()
    );
    Ok(())
}
