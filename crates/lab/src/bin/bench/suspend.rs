//! Many nodes are powered up and suspended at once, in clusters of several sizes.
//!
//! No slurmd runs, and instances stay booting: Slurm is asked to power nodes up and, before they have
//! registered, down again, and calls both programs for them. Instances get their names at the pace that
//! EC2 allows, ten a second: what is waited for is their addresses in Slurm.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use slurm_asg_lab::figures::{Figure, Figures, median};
use slurm_asg_lab::processor::Meter;
use slurm_asg_lab::{Lab, Options, nodes_with_addresses, until};

use crate::SOON;
use crate::functions::grouped;

/// The size for which the figures are asked.
const MANY: u32 = 1000;
/// How far the cost of a node is asked to stay the same.
const MOST: u32 = 10_000;
/// An instance that is so long on its way starts no process.
const NEVER_MS: u64 = 3_600_000;
const LIMIT: Duration = Duration::from_secs(240);

/// What one pass took.
#[derive(Clone, Copy, Debug)]
struct Pass {
    up_s: f64,
    down_s: f64,
    cpu_s: f64,
    calls: f64,
}

/// Suspends all nodes of clusters of these sizes, and says what each costs for a node.
pub fn measure(figures: &mut Figures, sizes: &[u32], runs: u32) -> Result<()> {
    let mut costs = Vec::new();
    for &nodes in sizes {
        let runs = if nodes > MANY { 1 } else { runs };
        // Slurm may keep the addresses of nodes that it has powered down: each pass has a new cluster.
        let passes: Vec<_> =
            (0..runs).map(|_| pass(&start(nodes)?, nodes)).collect::<Result<_>>()?;
        let of = |figure: &dyn Fn(&Pass) -> f64| passes.iter().map(figure).collect::<Vec<f64>>();
        let (many, key) = (grouped(nodes), format!("suspend.{nodes}"));
        let down = format!("{many} nodes suspended, to all terminate calls answered, s");
        let down = Figure::new(&format!("{key}.s"), down, of(&|it| it.down_s));
        let calls = format!("{many} nodes suspended: terminate calls");
        let calls = Figure::new(&format!("{key}.calls"), calls, of(&|it| it.calls));
        let asked = nodes == MANY;
        figures.add(if asked { down.at_most(2.0) } else { down });
        figures.add(if asked { calls.at_most(12.0) } else { calls });
        let up = format!("{many} nodes powered up, to all addresses in Slurm, s");
        figures.add(Figure::new(&format!("resume.{nodes}.s"), up, of(&|it| it.up_s)));
        let each = of(&|it| it.cpu_s * 1e6 / f64::from(nodes));
        costs.push((nodes, median(&each)));
        let what = format!("{many} nodes up and down: the plugin's processor time for each, us");
        figures.add(Figure::new(&format!("cost.{nodes}.us"), what, each));
    }
    if let (Some((least, first)), Some((most_nodes, last))) = (costs.first(), costs.last()) {
        let (least, most) = (grouped(*least), grouped(*most_nodes));
        let what = format!("processor time for a node, of {most} to of {least}");
        let growth = Figure::new("cost.growth", what, vec![last / first]);
        let asked = *most_nodes == MOST;
        figures.add(if asked { growth.at_most(1.5) } else { growth });
    }
    Ok(())
}

fn start(nodes: u32) -> Result<Lab> {
    let lab = Lab::start(Options {
        nodes,
        max: nodes,
        suspend_time_s: 36_000,
        resume_timeout_s: 36_000,
        suspend_timeout_s: 5,
        launch_delay_ms: 0,
        boot_delay_ms: NEVER_MS,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        ..Options::default()
    })?;
    lab.until_settled(SOON)?;
    Ok(lab)
}

fn pass(lab: &Lab, nodes: u32) -> Result<Pass> {
    let list = format!("NodeName=compute-[1-{nodes}]");
    let mut meter = Meter::start(lab.slurmctld_pid().context("slurmctld does not run")?)?;
    let used = meter.seconds()?;
    let began = Instant::now();
    lab.command("scontrol", &["update", &list, "State=POWER_UP"])?;
    watched(&mut meter, "each node has its instance", || {
        Ok(nodes_with_addresses(lab)? == nodes as usize)
    })?;
    let up_s = began.elapsed().as_secs_f64();
    lab.sandbox().clear_calls()?;
    let began = Instant::now();
    lab.command("scontrol", &["update", &list, "State=POWER_DOWN_FORCE"])?;
    let mut made = 0;
    watched(&mut meter, "all are terminated", || {
        let all = lab.sandbox().calls()?;
        let meant = all.iter().filter(|it| it.action == "TerminateInstanceInAutoScalingGroup");
        let answered: Vec<_> = meant.filter(|call| call.status == 200).collect();
        made = answered.len();
        Ok(answered.iter().map(|call| call.instances()).sum::<usize>() >= nodes as usize)
    })?;
    let down_s = began.elapsed().as_secs_f64();
    // This pass pays for all of its own.
    watched(&mut meter, "the nodes are off", || {
        Ok(lab.instances()?.is_empty() && lab.status()?.nodes.is_empty())
    })?;
    let cpu_s = meter.seconds()? - used;
    #[expect(clippy::cast_precision_loss, reason = "a number of calls")]
    let calls = made as f64;
    Ok(Pass { up_s, down_s, cpu_s, calls })
}

/// Waits by asking Slurm and the sandbox, as answers of the plugin's would be among what is measured.
fn watched(meter: &mut Meter, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    until(LIMIT, what, || meter.seconds().and_then(|_| holds()))
}
