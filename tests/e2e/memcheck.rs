//! A cluster's life with slurmctld under Valgrind's memcheck: `make memcheck`.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

/// Valgrind runs one thread at a time, some twenty times as slowly.
const LONG: Duration = Duration::from_secs(400);

/// The findings that have a function of the plugin in their stacks.
fn of_the_plugin(log: &str) -> Vec<String> {
    // `==1234== ` begins every line, and an empty one ends a finding.
    let text = |line: &str| line.splitn(3, "==").nth(2).unwrap_or_default().trim().to_owned();
    let lines: Vec<_> = log.lines().map(text).collect();
    let findings = lines.split(String::is_empty).map(|lines| lines.join("\n"));
    // With a line of the source, or with the file that the code is in.
    let is_ours = |it: &String| it.contains("job_submit_asg") || it.contains("slurm_asg_");
    findings.filter(|it| it.contains("at 0x") && is_ours(it)).collect()
}

#[test]
#[ignore = "takes minutes: make memcheck"]
fn memcheck_finds_no_error_and_no_leak_of_the_plugin_in_a_clusters_life() -> Result<()> {
    let options = Options {
        memcheck: true,
        events_queue: true,
        resume_timeout_s: 300,
        slurm_conf: "MessageTimeout=60\n".to_owned(),
        ..Options::default()
    };
    let mut lab = Lab::start(options)?;
    lab.until("the plugin has looked", LONG, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    let job = lab.sbatch(&["--nodes=2"], "true")?;
    lab.until_job(job, "COMPLETED", LONG)?;
    // A configuration that is refused, and one that is taken up.
    fs::write(lab.path("asg.toml"), "regoin = 1\n")?;
    lab.until("it is refused", LONG, |lab| Ok(lab.status()?.problem.is_some()))?;
    fs::write(lab.path("asg.toml"), lab.asg_toml())?;
    lab.until("it is taken up", LONG, |lab| Ok(lab.status()?.problem.is_none()))?;
    lab.until_zero(LONG)?;
    lab.stop_slurmctld(Duration::from_secs(120));
    let log = fs::read_to_string(lab.path("log/memcheck.log"))?;
    let is_whole = log.contains("job_submit_asg.so") && log.contains("ERROR SUMMARY");
    ensure!(is_whole, "Valgrind has not seen the plugin, or not come to its end:\n{log}");
    let findings = of_the_plugin(&log);
    ensure!(findings.is_empty(), "{}", findings.join("\n\n"));
    Ok(())
}

#[test]
fn findings_are_told_from_those_of_slurm() {
    let log = "==7== Memcheck\n==7== Reading syms from /tmp/job_submit_asg.so\n==7== \n\
        ==7== Invalid read\n==7==    at 0x1: f (slurmctld)\n==7== \n\
        ==7== Invalid write\n==7==    at 0x2: g (in /tmp/plugins/job_submit_asg.so)\n==7== \n\
        ==7== 8 bytes are definitely lost\n==7==    at 0x3: malloc\n\
        ==7==    by 0x4: slurm_asg_engine::turn (engine.rs:1)\n==7== \n\
        ==7== ERROR SUMMARY: 3 errors\n";
    let lost = "8 bytes are definitely lost\nat 0x3: malloc\n\
        by 0x4: slurm_asg_engine::turn (engine.rs:1)";
    let write = "Invalid write\nat 0x2: g (in /tmp/plugins/job_submit_asg.so)";
    assert_eq!(of_the_plugin(log), [write, lost]);
}
