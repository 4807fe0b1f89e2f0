//! One burst: jobs are submitted, all nodes come, and all go again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Lab, now_ms, until};
use slurm_asg_sandbox::Call;

use crate::record::{Sample, bindings, count_bound, count_terminated, sample};
use crate::{MANY, REAL};

/// Nodes of a job that never runs: jobs as large as these are what a large cluster is for.
const JOB_NODES: u32 = 100;
/// Between samples; each costs the plugin a list of all nodes that are not powered down.
const PAUSE: Duration = Duration::from_millis(500);
const TERMINATE: &str = "TerminateInstanceInAutoScalingGroup";
/// For each way: up and down.
const LIMIT: Duration = Duration::from_secs(240);

/// How many nodes.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// With a slurmd.
    pub real: u32,
    /// Whose instances stay booting.
    pub many: u32,
}

impl Size {
    /// All of them.
    pub const fn nodes(self) -> u32 {
        self.real + self.many
    }
}

/// What was recorded, and when what was reached, in seconds.
#[derive(Clone, Debug)]
pub struct Burst {
    pub size: Size,
    /// When the first job was submitted.
    pub began_ms: u64,
    pub samples: Vec<Sample>,
    pub asked_s: f64,
    pub launched_s: f64,
    pub bound_s: f64,
    pub ran_s: f64,
    pub terminated_s: f64,
    pub zero_s: f64,
    pub calls: f64,
}

/// Runs a burst on a cluster at zero, and leaves it at zero.
pub fn run(lab: &Lab, size: Size) -> Result<Burst> {
    let nodes = size.nodes();
    lab.sandbox().clear_calls()?;
    let mut samples = vec![sample(lab)?];
    let began_ms = now_ms();
    let last = submit(lab, size)?;
    let bound = |it: &Sample| it.bound >= nodes && it.launched >= nodes;
    follow(lab, &mut samples, "all nodes have an instance", |_, it| Ok(bound(it)))?;
    follow(lab, &mut samples, "the real jobs have run", |lab, _| {
        let left = lab.command("squeue", &["-h", "-o", "%i", "-p", REAL])?;
        Ok(left.trim().is_empty())
    })?;
    let ran_s = seconds(began_ms, now_ms());
    let state = lab.sandbox().state()?;
    let group = state.group(&format!("hpc-{MANY}")).context("the sandbox lacks a group")?;
    let many: BTreeSet<_> = group.instances.iter().map(|it| it.id.clone()).collect();
    let down_ms = now_ms();
    lab.command("scancel", &["-p", MANY])?;
    let list = format!("NodeName={MANY}-[1-{}]", size.many);
    lab.command("scontrol", &["update", &list, "State=POWER_DOWN_FORCE"])?;
    follow(lab, &mut samples, "no instance is left, and no node is on its way", |lab, it| {
        let off = it.launched == 0 && it.bound == 0;
        Ok(off && lab.nodes()?.iter().all(|node| node.is("POWERED_DOWN")))
    })?;
    let zero_s = seconds(down_ms, now_ms());
    let calls = lab.sandbox().calls()?;
    let ends: Vec<_> = calls
        .iter()
        .filter(|it| it.action == TERMINATE && it.status == 200)
        .map(|it| Ok((it.at_ms, u32::try_from(it.instances())?)))
        .collect::<Result<_>>()?;
    count_terminated(&mut samples, &ends);
    let bindings = bindings(lab, began_ms)?;
    count_bound(&mut samples, &bindings);
    let all_bound = bindings.iter().find(|(_, count)| *count >= nodes);
    let (bound_ms, _) = all_bound.context("the event log does not have all nodes bound")?;
    let terminated: u32 = ends.iter().map(|(_, count)| count).sum();
    ensure!(terminated >= nodes, "{terminated} of {nodes} instances were terminated by a call");
    ensure!(
        lab.command("squeue", &["-h"])?.is_empty(),
        "jobs are left after the burst up to {last}"
    );
    let reached = |of: &dyn Fn(&Sample) -> u32| {
        let first = samples.iter().find(|it| of(it) >= nodes);
        first.map(|it| seconds(began_ms, it.at_ms)).context("a curve has not got there")
    };
    #[expect(clippy::cast_precision_loss, reason = "calls of one burst")]
    let count = calls.iter().filter(|it| it.action != "CreateTags").count() as f64;
    // Slurm suspends the real nodes in its own time, which is not what the order takes.
    let of_many = |call: &&Call| {
        call.action == TERMINATE && call.params.values().any(|value| many.contains(value))
    };
    let ordered = calls.iter().filter(of_many).map(|it| it.at_ms).max().unwrap_or_default();
    Ok(Burst {
        asked_s: reached(&|it| it.asked)?,
        launched_s: reached(&|it| it.launched)?,
        bound_s: seconds(began_ms, *bound_ms),
        ran_s,
        terminated_s: seconds(down_ms, ordered),
        zero_s,
        calls: count,
        size,
        began_ms,
        samples,
    })
}

/// Submits jobs for all nodes, and returns the last one's number.
fn submit(lab: &Lab, size: Size) -> Result<u32> {
    let mut last = 0;
    let (mut left, many, real) = (size.many, format!("-p{MANY}"), format!("-p{REAL}"));
    while left > 0 {
        let nodes = left.min(JOB_NODES);
        last = lab.sbatch(&["--exclusive", &many, &format!("-N{nodes}")], "true")?;
        left -= nodes;
    }
    let tasks = format!("--array=1-{}", size.real);
    last = last.max(lab.sbatch(&["--exclusive", &real, "-N1", &tasks], "sleep 2")?);
    Ok(last)
}

/// Takes samples until something holds.
fn follow(
    lab: &Lab,
    samples: &mut Vec<Sample>,
    what: &str,
    mut holds: impl FnMut(&Lab, &Sample) -> Result<bool>,
) -> Result<()> {
    let held = until(LIMIT, what, || {
        std::thread::sleep(PAUSE);
        let now = sample(lab)?;
        samples.push(now);
        holds(lab, &now)
    });
    held.with_context(|| format!("the last sample: {:?}", samples.last()))
}

/// From one time to another.
pub fn seconds(from_ms: u64, to_ms: u64) -> f64 {
    Duration::from_millis(to_ms.saturating_sub(from_ms)).as_secs_f64()
}
