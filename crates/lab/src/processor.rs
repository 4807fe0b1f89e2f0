//! What slurmctld's threads have used of the processor, as the kernel counts it.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

/// Seconds on a processor, by thread, with the thread's name.
type Used = BTreeMap<u32, (String, f64)>;

/// Seconds that each living thread of a process has been on a processor.
fn threads(pid: u32) -> Result<Used> {
    let mut used = Used::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let Ok(id) = task.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended since the directory was read.
        let Ok(name) = fs::read_to_string(task.path().join("comm")) else { continue };
        let Ok(stat) = fs::read_to_string(task.path().join("schedstat")) else { continue };
        // Documentation/scheduler/sched-stats.rst: the first field is time on the processor, ns.
        let nanoseconds = stat.split(' ').next().and_then(|word| word.parse::<f64>().ok());
        let seconds = nanoseconds.context("odd /proc/PID/task/TID/schedstat")? / 1e9;
        used.insert(id, (name.trim_end().to_owned(), seconds));
    }
    Ok(used)
}

/// Whether a thread of slurmctld is the plugin's own: the loop, its event log, and those that its
/// runtime makes for blocking work.
fn is_the_plugins(name: &str) -> bool {
    name.starts_with("slurm-asg") || name.starts_with("tokio")
}

/// What the plugin's threads of one slurmctld use. Threads come and go: whoever looks every few
/// seconds misses nothing, as those that do nothing end after ten.
#[derive(Debug)]
pub struct Meter {
    pid: u32,
    seen: Used,
}

impl Meter {
    /// Begins to look at a slurmctld.
    ///
    /// # Errors
    /// If there is no such process, or the plugin has no thread there.
    pub fn start(pid: u32) -> Result<Self> {
        let mut meter = Self { pid, seen: Used::new() };
        meter.seconds()?;
        ensure!(!meter.seen.is_empty(), "the plugin has no thread");
        Ok(meter)
    }

    /// Seconds on a processor so far, of all threads that were ever seen.
    ///
    /// # Errors
    /// If there is no such process any more.
    pub fn seconds(&mut self) -> Result<f64> {
        let own = threads(self.pid)?.into_iter().filter(|(_, (name, _))| is_the_plugins(name));
        self.seen.extend(own);
        Ok(self.seen.values().map(|(_, secs)| secs).sum())
    }
}

/// Seconds that all threads of a process have been on a processor, with those that have ended.
///
/// # Errors
/// If there is no such process.
pub fn process_seconds(pid: u32) -> Result<f64> {
    /// Clock ticks in a second, as /proc has them on Linux (proc(5), `sysconf(_SC_CLK_TCK)`).
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("odd /proc/PID/stat")?;
    // proc(5): utime and stime are the 14th and 15th field, the 3rd is the first here.
    let fields = rest.split_whitespace().skip(11).take(2);
    let mut ticks = 0.0;
    for field in fields {
        ticks += field.parse::<f64>()?;
    }
    Ok(ticks / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_s_work_is_counted_under_its_name_and_for_its_process() {
        let pid = std::process::id();
        let before = process_seconds(pid).unwrap();
        let worker = std::thread::Builder::new().name("slurm-asg".to_owned());
        let work = move || {
            let mut meter = Meter::start(pid).unwrap();
            let mut sum = 0_u64;
            while meter.seconds().unwrap() < 0.1 {
                sum = (0..1_000_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
            }
            (sum, meter)
        };
        let (_, mut meter) = worker.spawn(work).unwrap().join().unwrap();
        // The thread has ended, and its time is not forgotten.
        assert!(meter.seconds().unwrap() >= 0.1);
        assert!(process_seconds(pid).unwrap() - before >= 0.05);
        assert!(!is_the_plugins("slurmctld"));
    }
}
