//! `slurm-asg check` and `slurm-asg init` with a real slurmctld: what is right is found right, what is
//! wrong is named with what to write, and what init writes makes a cluster.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::Fault;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// A group as it should be, in the sandbox.
const GOOD_GROUP: &str = "new_instances_protected = true\n\
    hooks = [{ name = \"slurm-asg-terminating\", transition = \"terminating\", \
    heartbeat_timeout_s = 300 }]\n";

fn slurm_asg(lab: &Lab, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(lab.path("bin/slurm-asg"));
    command.args(arguments).env("SLURM_CONF", lab.path("slurm.conf"));
    command.env("AWS_ENDPOINT_URL", lab.endpoint()).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "sandbox").env("AWS_SECRET_ACCESS_KEY", "sandbox");
    Ok(command.output()?)
}

fn check(lab: &Lab, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let output = slurm_asg(lab, &[&["check", "--json"], arguments].concat())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_str(&said).with_context(|| format!("{said}{complaint}"))?;
    Ok((output.status.code(), json))
}

/// What is found, as level and check.
fn findings(report: &Value) -> Vec<String> {
    let all = report["findings"].as_array().cloned().unwrap_or_default();
    let word = |it: &Value, key: &str| it[key].as_str().unwrap_or("?").to_owned();
    all.iter().map(|it| format!("{} {}", word(it, "level"), word(it, "check"))).collect()
}

fn looked(lab: &Lab) -> Result<()> {
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))
}

/// slurm.conf of a running lab with something changed in it, as a file of its own.
fn changed(lab: &Lab, from: &str, to: &str) -> Result<String> {
    let text = fs::read_to_string(lab.path("slurm.conf"))?;
    ensure!(from.is_empty() || text.contains(from), "{from} is not in slurm.conf");
    let path = lab.path("changed.conf");
    fs::write(&path, if from.is_empty() { text + to } else { text.replace(from, to) })?;
    Ok(path.display().to_string())
}

#[test]
fn a_cluster_that_is_right_has_nothing_wrong_and_each_fault_is_named() -> Result<()> {
    let lab = Lab::start(Options {
        asg_keys: GOOD_GROUP.to_owned(),
        suspend_timeout_s: 30,
        resume_timeout_s: 600,
        ..Options::default()
    })?;
    looked(&lab)?;
    let facts = "CPUs=2 RealMemory=3800 State=CLOUD";
    let right = changed(&lab, "CPUs=2 State=CLOUD", facts)?;
    let (code, report) = check(&lab, &["--slurm-conf", &right, "--strict"])?;
    // The lab keeps its state below /tmp, which may be in memory.
    let rest: Vec<_> = findings(&report);
    let rest: Vec<_> = rest.iter().filter(|it| *it != "warning state_in_memory").collect();
    ensure!(rest.is_empty(), "{report:#}");
    ensure!(code == Some(i32::from(report["ok"] == false)), "{code:?} {report:#}");
    // What only a call of AWS's would show is told.
    let unknown = report["not_checked"].to_string();
    ensure!(unknown.contains("autoscaling:SetDesiredCapacity: AWS has no dry run"), "{unknown}");
    for (from, to, finding) in [
        ("JobSubmitPlugins=asg", "JobSubmitPlugins=lua", "error JobSubmitPlugins"),
        ("SuspendProgram=", "#SuspendProgram=", "error SuspendProgram"),
        ("SuspendTime=5", "SuspendTime=INFINITE", "error SuspendTime"),
        ("ReturnToService=2", "ReturnToService=0", "warning ReturnToService"),
        ("CPUs=2", "CPUs=4", "error cpus"),
        ("CPUs=2", "CPUs=2 RealMemory=8000", "error memory"),
        ("CPUs=2", "CPUs=2 Gres=gpu:1", "error gpus"),
        ("State=CLOUD", "State=UNKNOWN", "error node_state"),
        ("compute-[1-8]", "compute-[1-6]", "error node_missing"),
    ] {
        let (code, report) = check(&lab, &["--slurm-conf", &changed(&lab, from, to)?])?;
        ensure!(findings(&report).contains(&finding.to_owned()), "{from} -> {to}: {report:#}");
        ensure!(code == Some(i32::from(finding.starts_with("error"))), "{code:?} {report:#}");
    }
    let program = lab.path("bin/slurm-asg-resume");
    let mode = |mode: &str| Command::new("chmod").arg(mode).arg(&program).status();
    mode("775")?;
    let (_, report) = check(&lab, &[])?;
    mode("755")?;
    ensure!(findings(&report).contains(&"error program".to_owned()), "{report:#}");
    let release = lab.status()?.slurm_version;
    let hidden = changed(&lab, "PrivateData=cloud", "PrivateData=jobs")?;
    let (_, report) = check(&lab, &["--slurm-conf", &hidden])?;
    let is_needed = findings(&report).contains(&"error PrivateData".to_owned());
    ensure!(is_needed == release.starts_with("22.05"), "{release}: {report:#}");
    Ok(())
}

#[test]
fn faults_of_the_group_and_missing_rights_are_named() -> Result<()> {
    let asg_keys = "hooks = []\nhealth_check_type = \"ELB\"\ncapacity_rebalance = true\n\
                    metadata_tags = false\nsuspended_processes = [\"Launch\"]\n";
    let lab = Lab::start(Options { asg_keys: asg_keys.to_owned(), max: 6, ..Options::default() })?;
    looked(&lab)?;
    let actions = ["DescribeScalingActivities", "DescribeInstanceTypes"];
    let actions = actions.map(str::to_owned).to_vec();
    lab.sandbox().fault(&Fault::Denied { actions })?;
    let (code, report) = check(&lab, &[])?;
    let found = findings(&report);
    for expected in [
        "error processes",
        "warning suspend_az_rebalance",
        "warning protect_new",
        "warning health_check",
        "warning capacity_rebalance",
        "warning terminating_hook",
        "warning metadata_tags",
        "warning max_size",
        "warning autoscaling:DescribeScalingActivities",
    ] {
        ensure!(found.contains(&expected.to_owned()), "{expected}: {report:#}");
    }
    ensure!(code == Some(1));
    let unknown = report["not_checked"].to_string();
    ensure!(unknown.contains("NodeName lines against c5.large"), "{unknown}");
    let text = String::from_utf8_lossy(&slurm_asg(&lab, &["check"])?.stdout).into_owned();
    let write = "write: aws autoscaling resume-processes --auto-scaling-group-name hpc-compute \
                 --scaling-processes Launch";
    ensure!(text.contains(write), "{text}");
    // Looking has changed nothing.
    let calls = lab.sandbox().calls()?;
    let changes = calls.iter().filter(|call| !call.action.starts_with("Describe"));
    let changes: Vec<_> =
        changes.filter(|call| call.params.get("DryRun").is_none_or(|it| it != "true")).collect();
    ensure!(changes.is_empty(), "{changes:?}");
    Ok(())
}

#[test]
fn before_the_plugin_runs_aws_is_asked_with_the_caller_s_credentials() -> Result<()> {
    let lab = Lab::start(Options { plugin: false, ..Options::default() })?;
    let (code, report) = check(&lab, &[])?;
    ensure!(code == Some(1) && findings(&report).contains(&"error JobSubmitPlugins".to_owned()));
    ensure!(report["not_checked"].to_string().contains("--aws asks"), "{report:#}");
    let (_, report) = check(&lab, &["--aws"])?;
    ensure!(findings(&report).contains(&"warning terminating_hook".to_owned()), "{report:#}");
    Ok(())
}

#[test]
fn what_init_writes_makes_a_cluster_and_is_written_once() -> Result<()> {
    let lab = Lab::start(Options { plugin: false, ..Options::default() })?;
    let dir = lab.path("setup").display().to_string();
    let init = |arguments: &[&str]| {
        slurm_asg(&lab, &[&["init", "--asg", "hpc-compute", "--dir", &dir], arguments].concat())
    };
    let said = |output: &Output| {
        let both =
            [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        both.concat()
    };
    let first = init(&[])?;
    ensure!(first.status.success(), "{}", said(&first));
    let read = |name: &str| fs::read_to_string(lab.path("setup").join(name));
    // By MaxSize and instance type of the sandbox's group, which AWS has told.
    let lines = read("slurm-asg.conf")?;
    let node = "NodeName=compute-[1-8] CPUs=2 Sockets=1 CoresPerSocket=1 ThreadsPerCore=2 RealMemory=3891 State=CLOUD";
    ensure!(lines.contains(node), "{lines}");
    ensure!(read("iam-policy.json")?.contains("eu-west-1:123456789012:"));
    let again = init(&[])?;
    ensure!(again.status.success() && !said(&again).contains("written:"), "{}", said(&again));
    let same = init(&["--diff"])?;
    ensure!(same.status.success() && said(&same).is_empty(), "{}", said(&same));
    let more = init(&["--count", "6", "--diff"])?;
    ensure!(more.status.code() == Some(1), "{}", said(&more));
    ensure!(
        said(&more).contains("-nodes = \"compute-[1-8]\"\n+nodes = \"compute-[1-6]\""),
        "{}",
        said(&more)
    );
    let refused = init(&["--count", "6"])?;
    ensure!(refused.status.code() == Some(1) && said(&refused).contains("--force overwrites"));
    ensure!(read("slurm-asg.conf")? == lines, "a file was overwritten without --force");
    for (arguments, code, words) in [
        (&["--count", "0"][..], 2, "0 is not in 1..=65536"),
        (&["--instance-type", "x9.huge"], 1, "EC2 knows no instance type x9.huge"),
        (&["--offline"], 1, "write --instance-type c6i.large, or --cpus 2 --memory 4096"),
        (&["--name", "a b"], 1, "a name has letters, digits, - and _ only"),
    ] {
        let output = init(arguments)?;
        ensure!(output.status.code() == Some(code), "{arguments:?}: {}", said(&output));
        ensure!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
    drop(lab);
    made_of(&lines)
}

/// Starts a cluster with these lines in the place of the lab's own, and runs a job.
fn made_of(lines: &str) -> Result<()> {
    let first = Lab::start(Options::default())?;
    // The lab's nodes share a host: each needs a port of its own. Its programs are in its own place.
    let text = fs::read_to_string(first.path("slurm.conf"))?;
    let own = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    let node = own("NodeName=");
    let ports = node.split(' ').filter(|it| it.starts_with("NodeAddr") || it.starts_with("Port"));
    let ports: Vec<_> = ports.collect();
    let mut all: Vec<String> = text.lines().map(str::to_owned).collect();
    let keys: Vec<&str> = lines.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    all.retain(|line| !keys.iter().any(|key| line.starts_with(&format!("{key}="))));
    all.push("Include slurm-asg.conf".to_owned());
    let bin = first.path("bin").display().to_string();
    let lines = lines
        .replace("/usr/sbin", &bin)
        .replace("SuspendTime=600", "SuspendTime=5")
        .replace("SuspendTimeout=30", "SuspendTimeout=3")
        .replace(" RealMemory=3891", "")
        .replace("State=CLOUD", &format!("{} State=CLOUD", ports.join(" ")));
    fs::write(first.path("slurm.conf"), all.join("\n") + "\n")?;
    fs::write(first.path("slurm-asg.conf"), lines)?;
    let mut lab = first;
    lab.crash_slurmctld();
    lab.start_slurmctld()?;
    looked(&lab)?;
    let job = lab.sbatch(&["--partition=cloud"], "echo made")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!(lab.output(job).trim() == "made");
    lab.until_zero(BACK_TO_ZERO)
}
