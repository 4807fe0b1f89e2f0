//! slurm-asg: a real slurmctld with the plugin, and the sandbox, which launches at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use slurm_asg_lab::{Lab, Options, nodes_with_addresses, now_ms, until_capacity_call};

use crate::Taken;
use crate::python::{self, Environment};

const SOON: Duration = Duration::from_secs(60);

/// Resumes all nodes of a fresh cluster.
pub fn resume(python: &Environment, nodes: u32) -> Result<Taken> {
    let lab = Lab::start(Options {
        nodes,
        max: nodes,
        suspend_time_s: 3600,
        resume_timeout_s: 3600,
        launch_delay_ms: 0,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        ..Options::default()
    })?;
    lab.until_settled(SOON)?;
    let list = format!("compute-[1-{nodes}]");
    // What Slurm waits for: the program alone.
    let slurm_conf = lab.path("slurm.conf").display().to_string();
    let program = lab.path("bin").join("slurm-asg-resume");
    let set = [("SLURM_CONF".to_owned(), slurm_conf)];
    let run = python.measure(&program, &[&list], &set)?;
    let memory_mb = python::memory(&program, &[&list], &set)?;
    lab.sandbox().clear_calls()?;
    let called = note_calls(&lab, &program)?;
    lab.command("scontrol", &["update", &format!("NodeName={list}"), "State=POWER_UP"])?;
    lab.until("each node has its address", SOON, |lab| {
        Ok(nodes_with_addresses(lab)? == nodes as usize)
    })?;
    let ended = SystemTime::now();
    // Slurm's own pass, up to a second or two before, is the same for every ResumeProgram.
    let began = fs::metadata(called)?.modified()?;
    let all_bound_s = ended.duration_since(began)?.as_secs_f64();
    let calls = lab.sandbox().calls()?;
    let calls = calls.iter().filter(|call| call.action != "CreateTags").count();
    Ok(Taken {
        nodes,
        program_s: run.wall_s,
        cpu_s: run.cpu_s,
        memory_mb,
        all_bound_s,
        calls: u32::try_from(calls)?,
    })
}

/// The seconds from a submission to the capacity call, for submissions one after the other.
pub fn submissions(runs: u32) -> Result<Vec<f64>> {
    let lab = Lab::start(Options {
        nodes: runs,
        max: runs,
        suspend_time_s: 3600,
        boot_command: Some(vec!["/bin/true".to_owned()]),
        ..Options::default()
    })?;
    lab.until_settled(SOON)?;
    let mut times = Vec::new();
    for _ in 0..runs {
        std::thread::sleep(Duration::from_secs(4));
        let began = now_ms();
        lab.sbatch(&["--exclusive"], "true")?;
        times.push(until_capacity_call(&lab, began, SOON)? / 1e3);
    }
    Ok(times)
}

/// Has the time of Slurm's first call of a program noted, in the file that is returned.
fn note_calls(lab: &Lab, program: &Path) -> Result<PathBuf> {
    let (real, called) = (program.with_extension("real"), lab.dir().join("called"));
    fs::rename(program, &real)?;
    let (note, real) = (called.display(), real.display());
    fs::write(program, format!("#!/bin/sh\n[ -e {note} ] || : > {note}\nexec {real} \"$@\"\n"))?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    // Slurm's programs run as SlurmUser.
    fs::set_permissions(lab.dir(), fs::Permissions::from_mode(0o777))?;
    Ok(called)
}
