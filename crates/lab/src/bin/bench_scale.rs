//! What the plugin costs a large and busy slurmctld: memory and processor time with 10,000 nodes, and
//! how fast jobs are submitted with it and without it.
#![forbid(unsafe_code)]

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use slurm_asg_lab::{Lab, Options, say};

/// Prints what the plugin costs with many nodes and many jobs.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-bench-scale", version, after_help = "Example:\n  make bench-scale")]
struct Arguments {
    /// Nodes of the large cluster
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=17_000))]
    nodes: u32,
    /// For how long the large cluster is watched while nothing happens, seconds
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(30..=3600))]
    watch: u64,
    /// Jobs that are submitted with and without the plugin
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(8..=50_000))]
    jobs: u32,
    /// How often
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    runs: u32,
}

/// Clients that submit at the same time.
const CLIENTS: u32 = 8;
const SOON: Duration = Duration::from_secs(60);
/// Clock ticks in a second, as /proc has them on Linux (proc(5), `sysconf(_SC_CLK_TCK)`).
const TICKS: f64 = 100.0;

fn main() -> ExitCode {
    match bench(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("bench-scale: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> Result<()> {
    large(arguments.nodes, Duration::from_secs(arguments.watch))?;
    submit(arguments.jobs, arguments.runs)
}

/// A cluster of which nothing runs: Slurm suspends nothing, and instances would only be launched.
fn start(nodes: u32, plugin: bool) -> Result<Lab> {
    let lab = Lab::start(Options {
        nodes,
        max: nodes,
        plugin,
        suspend_time_s: 36_000,
        resume_timeout_s: 36_000,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        slurm_conf: "MaxJobCount=100000\n".to_owned(),
        ..Options::default()
    })?;
    if plugin {
        lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    }
    Ok(lab)
}

fn large(nodes: u32, watch: Duration) -> Result<()> {
    let without = {
        let lab = start(nodes, false)?;
        std::thread::sleep(Duration::from_secs(5));
        lab.slurmctld_memory_mb()?
    };
    let lab = start(nodes, true)?;
    // The first looks are over.
    std::thread::sleep(Duration::from_secs(35));
    lab.sandbox().clear_calls()?;
    let before = ticks(&lab)?;
    std::thread::sleep(watch);
    let share = (ticks(&lab)? - before) / TICKS / watch.as_secs_f64() * 100.0;
    let calls = f64::from(u32::try_from(lab.sandbox().calls()?.len())?);
    let minutes = watch.as_secs_f64() / 60.0;
    figure(&format!("{nodes} nodes, slurmctld without the plugin, MB"), without);
    let more = lab.slurmctld_memory_mb()? - without;
    figure(&format!("{nodes} nodes, more with the plugin, MB (expected: at most 40)"), more);
    figure(&format!("{nodes} nodes, idle, % of a core (expected: at most 0.2)"), share);
    figure(
        &format!("{nodes} nodes, idle, calls to AWS a minute (expected: at most 4)"),
        calls / minutes,
    );
    Ok(())
}

/// Submits jobs, with the plugin and without it in turn, and compares the pairs.
fn submit(jobs: u32, runs: u32) -> Result<()> {
    let (mut ratios, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let without = rate(jobs, false)?;
        let with = rate(jobs, true)?;
        ratios.push(with / without);
        rates.push(with);
    }
    figure(&format!("{jobs} jobs by {CLIENTS} clients, jobs a second with it"), median(&mut rates));
    figure("the same, with it to without it (expected: at least 0.98)", median(&mut ratios));
    Ok(())
}

/// Jobs a second that slurmctld takes from clients that submit one after the other.
fn rate(jobs: u32, plugin: bool) -> Result<f64> {
    let lab = start(100, plugin)?;
    let each = jobs / CLIENTS;
    let script = lab.path("submit");
    fs::write(
        &script,
        format!(
            "i=0\nwhile [ $i -lt {each} ]; do\n    sbatch -Q --exclusive -o /dev/null --wrap true \
             || exit\n    i=$((i + 1))\ndone\n"
        ),
    )?;
    let script = script.display().to_string();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| lab.command("sh", &[&script]))).collect();
        clients.into_iter().try_for_each(|client| {
            let ended = client.join().map_err(|_| anyhow::anyhow!("a client has died"))?;
            ended.map(drop)
        })
    })?;
    let took = began.elapsed().as_secs_f64();
    let queued = lab.command("squeue", &["-h", "-o", "%i"])?.lines().count();
    ensure!(queued >= (each * CLIENTS) as usize, "only {queued} jobs are there");
    Ok(f64::from(each * CLIENTS) / took)
}

/// Processor time of the plugin's threads in slurmctld, in ticks.
fn ticks(lab: &Lab) -> Result<f64> {
    let pid = lab.slurmctld_pid().context("slurmctld does not run")?;
    let mut sum = 0.0;
    let mut seen = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        let (name, rest) = stat.rsplit_once(')').context("odd /proc/PID/stat")?;
        // The plugin's own, its event log's, and those that its runtime makes for blocking work.
        if !name.contains("(slurm-asg") && !name.contains("(tokio") {
            continue;
        }
        seen += 1;
        // proc(5): utime and stime are the 14th and 15th field, the 3rd is the first here.
        let fields: Vec<&str> = rest.split_whitespace().collect();
        for field in fields.iter().skip(11).take(2) {
            sum += field.parse::<f64>()?;
        }
    }
    ensure!(seen > 0, "the plugin has no thread");
    Ok(sum)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn figure(name: &str, value: f64) {
    say(&format!("{name:<72} {value:>10.2}"));
}
