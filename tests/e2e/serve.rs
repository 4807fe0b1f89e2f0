//! What `slurm-asg serve` and `slurm-asg report` say of a real cluster.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The value of a metric with its labels, as a scrape has it now.
fn metric(at: &str, name: &str) -> Result<Option<f64>> {
    let output = Command::new("curl").args(["-sS", "-m", "10", at]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    Ok(text.lines().find_map(value))
}

#[test]
fn a_jobs_life_is_in_the_metrics_and_in_the_report() -> Result<()> {
    let lab = Lab::start(Options {
        group_keys: "price_per_hour = 3.6\n".to_owned(),
        ..Options::default()
    })?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    // A port of the loopback that nothing else here has: the process says which it got.
    let mut child = Command::new(lab.path("bin/slurm-asg"))
        .args(["serve", "--listen", "127.0.0.1:0", "--interval", "1"])
        .env("SLURM_CONF", lab.path("slurm.conf"))
        .stderr(Stdio::piped())
        .spawn()?;
    let said = child.stderr.take().context("no stderr")?;
    let _served = Served(child);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line)?;
    let at = line.split_whitespace().find(|word| word.ends_with("/metrics"));
    let at = at.with_context(|| line.clone())?;
    lab.until("it serves the plugin's status", SOON, |_| {
        Ok(metric(at, "slurm_asg_group_max{group=\"compute\"}")? == Some(8.0))
    })?;
    let looked = metric(at, "slurm_asg_look_seconds_count")?;
    ensure!(looked > Some(0.0), "{looked:?}");
    let job = lab.sbatch(&["--nodes=1"], "true")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until("the boot is counted", SOON, |_| {
        Ok(metric(at, "slurm_asg_boot_seconds_count{group=\"compute\"}")? == Some(1.0))
    })?;
    let waited = metric(at, "slurm_asg_job_wait_seconds_count")?;
    ensure!(waited == Some(1.0), "{waited:?}");
    let shut =
        |why: &str| metric(at, &format!("slurm_asg_group_shut{{group=\"compute\",why=\"{why}\"}}"));
    lab.command("slurm-asg", &["pause", "compute", "--reason", "looking at it"])?;
    lab.until("the pause is seen", SOON, |_| Ok(shut("paused")? == Some(1.0)))?;
    ensure!(shut("protected")? == Some(0.0) && shut("cooldown")? == Some(0.0));
    ensure!(lab.status()?.groups[0].paused);
    lab.command("slurm-asg", &["resume-scaling", "compute"])?;
    lab.until("and its end", SOON, |_| Ok(shut("paused")? == Some(0.0)))?;
    lab.until_zero(BACK_TO_ZERO)?;
    let call = |operation: &str, outcome: &str| {
        let labels = format!("{{operation=\"{operation}\",outcome=\"{outcome}\"}}");
        metric(at, &format!("slurm_asg_api_calls_total{labels}"))
    };
    lab.until("the calls are counted", SOON, |_| {
        Ok(call("SetDesiredCapacity", "ok")? > Some(0.0)
            && call("TerminateInstanceInAutoScalingGroup", "ok")? > Some(0.0)
            && call("DescribeAutoScalingGroups", "ok")? > Some(0.0))
    })?;
    ensure!(call("SetDesiredCapacity", "denied")? == Some(0.0));
    let cost = metric(at, "slurm_asg_cost_total{group=\"compute\",currency=\"USD\"}")?;
    ensure!(cost > Some(0.0), "{cost:?}");
    let report = lab.command("slurm-asg", &["report", "--since", "1h", "--json"])?;
    let report: Value = serde_json::from_str(&report)?;
    ensure!(report["groups"]["compute"]["boots"]["count"] == 1, "{report:#}");
    ensure!(report["groups"]["compute"]["instances_terminated"]["node_released"] == 1);
    ensure!(report["job_waits"]["count"] == 1 && report["longest_waits"][0]["job"] == job);
    ensure!(report["total"]["cost_total"].as_f64() > Some(0.0), "{report:#}");
    ensure!(report["failures"] == Value::Array(Vec::new()), "{report:#}");
    Ok(())
}
