//! Groups that AWS gives no instances.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Layout, NodeKind, Options};
use slurm_asg_sandbox::Fault;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// Slurm lets a requeued job begin after two minutes (job_mgr.c, 22.05).
const REQUEUED: Duration = Duration::from_secs(150);
const CODE: &str = "(Code:InsufficientInstanceCapacity)";

fn no_capacity(group: &str) -> Fault {
    Fault::NoCapacity { group: group.to_owned(), zone: None, after: 0, message: None }
}

#[test]
fn without_capacity_jobs_requeue_nodes_are_closed_and_later_all_of_it_runs() -> Result<()> {
    let lab = Lab::start(Options {
        nodes: 3,
        group_keys: "capacity_cooldown = 30\n".to_owned(),
        ..Options::default()
    })?;
    lab.sandbox().fault(&no_capacity("hpc-compute"))?;
    let job = lab.sbatch(&["--nodes=1"], "echo done")?;
    lab.until("the job is back in the queue, long before ResumeTimeout", SOON, |lab| {
        let job = lab.job(job)?;
        Ok(job.restarts == 1 && job.state == "PENDING")
    })?;
    lab.until("all nodes are closed with the reason", SOON, |lab| {
        let told = lab.command("sinfo", &["-h", "-N", "-o", "%N %T %E"])?;
        Ok(told.lines().filter(|line| line.contains("drained") && line.contains(CODE)).count() == 3)
    })?;
    ensure!(lab.desired()? == 0, "what will not come is given back");
    let status = lab.status()?;
    let problem = status.groups.first().and_then(|group| group.problem.clone());
    ensure!(problem.is_some_and(|it| it.contains("InsufficientInstanceCapacity")));
    // A controller that is restarted goes on waiting.
    let mut lab = lab;
    lab.crash_slurmctld();
    lab.start_slurmctld()?;
    lab.sandbox().clear_faults()?;
    lab.until("the nodes are open again", Duration::from_secs(60), |lab| {
        Ok(lab.nodes()?.iter().all(|node| !node.is("DRAIN") && !node.is("DOWN")))
    })?;
    lab.until_job(job, "COMPLETED", REQUEUED + JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)?;
    let events = lab.command("slurm-asg", &["events", "--group", "compute"])?;
    for word in ["launches_fail", "node_down", "nodes_closed", "nodes_opened"] {
        ensure!(events.contains(word), "{word} in\n{events}");
    }
    Ok(())
}

#[test]
fn the_next_group_of_the_list_is_asked_at_once() -> Result<()> {
    let kind = |name: &str, count| NodeKind { name: name.into(), count, facts: "CPUs=2".into() };
    let lab = Lab::start(Options {
        layout: Some(Layout {
            kinds: vec![kind("compute", 4), kind("other", 4)],
            partitions: "PartitionName=cloud Nodes=compute-[1-4] Default=YES State=UP\n".into(),
            gres_conf: String::new(),
            select: "CR_Core".into(),
        }),
        ..Options::default()
    })?;
    let (first, _) = lab.asg_toml().split_once("\n[[group]]\nname = \"other\"").map_or_else(
        || (lab.asg_toml(), String::new()),
        |(first, rest)| (first.to_owned(), rest.to_owned()),
    );
    let both = "asg = [\"hpc-compute\", \"hpc-other\"]";
    fs::write(lab.path("asg.toml"), first.replace("asg = \"hpc-compute\"", both))?;
    lab.until("the file is read again", SOON, |lab| {
        Ok(lab.status()?.groups.iter().any(|group| group.asgs.len() == 2))
    })?;
    lab.sandbox().fault(&no_capacity("hpc-compute"))?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    ensure!(done.restarts == 0, "the job has waited for the second group, and for nothing else");
    let calls = lab.sandbox().calls()?;
    let raised: Vec<_> = calls
        .iter()
        .filter(|call| call.action == "SetDesiredCapacity")
        .map(|call| {
            let of = |key: &str| call.params.get(key).map_or("?", String::as_str);
            format!("{} {}", of("AutoScalingGroupName"), of("DesiredCapacity"))
        })
        .collect();
    ensure!(
        raised == ["hpc-compute 2", "hpc-compute 0", "hpc-other 2"]
            || raised == ["hpc-compute 2", "hpc-other 2", "hpc-compute 0"],
        "{raised:?}"
    );
    Ok(())
}
