//! From no machine to a job's output and back to no machine.

use std::collections::BTreeSet;

use anyhow::Result;
use slurm_asg_lab::{Lab, NodeLine, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// The ids that terminate calls have named, one entry each time.
fn terminated(lab: &Lab) -> Result<Vec<String>> {
    let calls = lab.sandbox().calls()?;
    let calls = calls.iter().filter(|call| call.action == "TerminateInstanceInAutoScalingGroup");
    let named = calls.filter(|call| call.status == 200).flat_map(|call| {
        call.params
            .iter()
            .filter(|(key, _)| key.starts_with("InstanceId"))
            .map(|(_, id)| id.clone())
    });
    Ok(named.collect())
}

/// Whether desired capacity was ever set to less than before.
fn capacity_was_lowered_by_number(lab: &Lab) -> Result<bool> {
    let mut set = Vec::new();
    for call in lab.sandbox().calls()? {
        match call.action.as_str() {
            "SetDesiredCapacity" => set.push(call.params["DesiredCapacity"].parse::<u32>()?),
            "TerminateInstanceInAutoScalingGroup" => set.clear(),
            _ => {}
        }
    }
    Ok(set.windows(2).any(|pair| pair[1] < pair[0]))
}

#[test]
fn a_job_gets_a_machine_runs_and_the_group_returns_to_zero() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    assert_eq!(lab.desired()?, 0);
    let job = lab.sbatch(&["--ntasks=2"], "echo on $SLURMD_NODENAME")?;
    lab.until("one instance serves the job", SOON, |lab| {
        Ok(lab.desired()? == 1 && lab.instances()?.len() == 1)
    })?;
    let machine = lab.instances()?.remove(0);
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    assert_eq!(lab.output(job).trim(), format!("on {}", done.nodes));
    assert_eq!(lab.machine_of(&done.nodes)?, machine.id);
    lab.until("the instance has its tags", SOON, |lab| {
        let instances = lab.instances()?;
        let tags = &instances.first().map(|instance| instance.tags.clone()).unwrap_or_default();
        Ok(["Name", "slurm-asg:node"].iter().all(|key| tags.get(*key) == Some(&done.nodes)))
    })?;
    lab.until_zero(BACK_TO_ZERO)?;
    assert_eq!(terminated(&lab)?, [machine.id]);
    assert!(!capacity_was_lowered_by_number(&lab)?);
    Ok(())
}

#[test]
fn a_controller_that_is_not_root_does_the_same() -> Result<()> {
    let lab = Lab::start(Options { slurm_user: "slurm".to_owned(), ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    // Slurm's own calls of the programs are heard, and nobody else's.
    let log = lab.plugin_log().join("\n");
    assert!(log.contains("wanted by Slurm"), "{log}");
    let stranger = lab.command(
        "setpriv",
        &[
            "--reuid=65534",
            "--clear-groups",
            &lab.path("bin/slurm-asg-suspend").display().to_string(),
            "compute-1",
        ],
    );
    let refused = stranger.map_err(|error| error.to_string());
    assert!(refused.is_err_and(|why| why.contains("user 65534 may not do this")));
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn two_jobs_at_once_get_a_machine_each() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let jobs = [(); 2].map(|()| lab.sbatch(&["--exclusive"], "echo on $SLURMD_NODENAME; sleep 2"));
    let [first, second] = jobs;
    let (first, second) = (first?, second?);
    let first = lab.until_job(first, "COMPLETED", JOB_RUNS)?;
    let second = lab.until_job(second, "COMPLETED", JOB_RUNS)?;
    assert_ne!(first.nodes, second.nodes);
    lab.until_zero(BACK_TO_ZERO)?;
    assert_eq!(terminated(&lab)?.len(), 2);
    Ok(())
}

#[test]
fn a_job_of_four_nodes_gets_four_machines_with_one_call() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let script = "srun --mpi=none sh -c 'echo $SLURMD_NODENAME'";
    let job = lab.sbatch(&["--nodes=4"], script)?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    let output = lab.output(job);
    let nodes: BTreeSet<_> = output.lines().collect();
    assert_eq!(nodes.len(), 4, "{output}");
    let calls = lab.sandbox().calls()?;
    let raises: Vec<_> = calls
        .iter()
        .filter(|call| call.action == "SetDesiredCapacity")
        .map(|call| call.params["DesiredCapacity"].clone())
        .collect();
    assert_eq!(raises, ["4"]);
    lab.until_zero(BACK_TO_ZERO)?;
    assert_eq!(terminated(&lab)?.len(), 4);
    Ok(())
}

#[test]
fn every_task_of_an_array_runs_and_the_maximum_holds() -> Result<()> {
    // Slurm allocates all five at once; two nodes wait for machines that others leave.
    let lab = Lab::start(Options { max: 3, resume_timeout_s: 300, ..Options::default() })?;
    let job = lab.sbatch(&["--array=0-4", "--exclusive", "--output=%A_%a.out"], "echo done")?;
    let written = |task: u32| lab.path("out").join(format!("{job}_{task}.out"));
    lab.until("all five tasks have run", JOB_RUNS * 3, |lab| {
        assert!(lab.instances()?.len() <= 3);
        assert!(lab.desired()? <= 3);
        let done = |task| std::fs::read_to_string(written(task)).is_ok_and(|text| text == "done\n");
        Ok((0..5).all(done))
    })?;
    lab.until_zero(BACK_TO_ZERO * 2)?;
    Ok(())
}

#[test]
fn a_job_that_is_cancelled_while_its_nodes_boot_leaves_no_instance() -> Result<()> {
    let lab = Lab::start(Options { boot_delay_ms: 3000, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=3"], "echo never")?;
    lab.until("the instances are on their way", SOON, |lab| Ok(lab.instances()?.len() == 3))?;
    lab.command("scancel", &[&job.to_string()])?;
    lab.until_zero(BACK_TO_ZERO * 2)?;
    assert_eq!(lab.output(job), "");
    assert_eq!(terminated(&lab)?.len(), 3);
    Ok(())
}

#[test]
fn a_running_job_is_not_disturbed_while_others_are_suspended() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let long = lab.sbatch(&["--exclusive"], "for i in $(seq 60); do sleep 1; done; echo whole")?;
    let running = lab.until_job(long, "RUNNING", JOB_RUNS)?;
    let short = lab.sbatch(&["--nodes=2", "--exclusive"], "echo short")?;
    lab.until_job(short, "COMPLETED", JOB_RUNS)?;
    lab.until("only the running job's machine is left", BACK_TO_ZERO, |lab| {
        Ok(lab.instances()?.len() == 1)
    })?;
    assert_eq!(lab.instances()?[0].id, lab.machine_of(&running.nodes)?);
    assert_eq!(lab.desired()?, 1);
    let done = lab.until_job(long, "COMPLETED", JOB_RUNS)?;
    assert_eq!((done.restarts, lab.output(long).trim()), (0, "whole"));
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn a_running_job_outlives_fifty_suspensions_of_its_neighbours() -> Result<()> {
    const NEIGHBOURS: usize = 10;
    let lab = Lab::start(Options {
        nodes: 11,
        max: 11,
        suspend_time_s: 3,
        suspend_timeout_s: 2,
        ..Options::default()
    })?;
    let script = "while [ ! -e stop ]; do sleep 0.2; done; echo whole";
    let long = lab.sbatch(&["--exclusive", "--nodes=1"], script)?;
    let running = lab.until_job(long, "RUNNING", JOB_RUNS)?;
    let is_neighbour = |node: &NodeLine| node.name != running.nodes;
    let machine = lab.machine_of(&running.nodes)?;
    let mut suspended = 0;
    for round in 0..5 {
        let names: Vec<_> =
            lab.nodes()?.into_iter().filter(is_neighbour).map(|node| node.name).collect();
        assert_eq!(names.len(), NEIGHBOURS);
        let nodes = format!("nodename={}", names.join(","));
        lab.command("scontrol", &["update", &nodes, "state=power_up"])?;
        lab.until(&format!("the neighbours are up, {round}"), JOB_RUNS, |lab| {
            Ok(lab.instances()?.len() == NEIGHBOURS + 1)
        })?;
        lab.until(&format!("the neighbours are gone, {round}"), BACK_TO_ZERO * 2, |lab| {
            let off = |node: &NodeLine| node.is("POWERED_DOWN") || !is_neighbour(node);
            Ok(lab.instances()?.len() == 1 && lab.nodes()?.iter().all(off))
        })?;
        suspended += NEIGHBOURS;
        assert_eq!(lab.machine_of(&running.nodes)?, machine);
        assert_eq!(lab.instances()?[0].id, machine);
    }
    assert_eq!((suspended, terminated(&lab)?.len()), (50, 50));
    std::fs::write(lab.path("out").join("stop"), "")?;
    let done = lab.until_job(long, "COMPLETED", JOB_RUNS)?;
    assert_eq!((done.restarts, lab.output(long).trim()), (0, "whole"));
    lab.until_zero(BACK_TO_ZERO)
}

#[test]
fn a_late_request_for_a_busy_node_does_nothing() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    let job = lab.sbatch(&["--exclusive"], "sleep 12; echo whole")?;
    let running = lab.until_job(job, "RUNNING", JOB_RUNS)?;
    // A suspend of the node's life before, held up somewhere, and twice at that.
    for _ in 0..2 {
        let program = lab.path("bin/slurm-asg-suspend").display().to_string();
        lab.command(&program, &[&running.nodes])?;
    }
    let done = lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    assert_eq!((done.restarts, lab.output(job).trim()), (0, "whole"));
    lab.until_zero(BACK_TO_ZERO)?;
    assert_eq!(terminated(&lab)?.len(), 1);
    Ok(())
}

#[test]
fn an_endpoint_without_batches_is_served_one_by_one() -> Result<()> {
    let lab = Lab::start(Options { batch_terminate: false, ..Options::default() })?;
    let job = lab.sbatch(&["--nodes=2"], "echo done")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS)?;
    lab.until_zero(BACK_TO_ZERO)?;
    assert_eq!(terminated(&lab)?.len(), 2);
    Ok(())
}
