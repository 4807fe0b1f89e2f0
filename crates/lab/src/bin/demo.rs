//! The classic first contact with an elastic cluster, with a real slurmctld and slurmd on this
//! machine and a sandbox in AWS's place. Prints what happens, and after how many milliseconds.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use slurm_asg_lab::{Lab, Options, exit_code, now_ms, say};

/// Shows slurm-asg at work: from no machine to a job's output and back to no machine.
#[derive(Debug, Parser)]
#[command(name = "slurm-asg-demo", version, after_help = "Example:\n  make demo")]
struct Arguments {
    /// Keep the cluster's directory with its logs
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    exit_code("demo", &demo(&Arguments::parse()))
}

fn demo(arguments: &Arguments) -> Result<()> {
    say("slurm-asg demo: a real slurmctld with the plugin, a sandbox in the place of AWS.\n");
    let options = Options {
        suspend_time_s: 6,
        launch_delay_ms: 400,
        boot_delay_ms: 1000,
        keep: arguments.keep,
        ..Options::default()
    };
    let lab = Lab::start(options)?;
    if arguments.keep {
        say(&format!("The cluster is in {} and stays there.", lab.dir().display()));
    }
    let mut story = Story::new(&lab);
    story.until("the plugin has looked at the group", Duration::from_secs(20), |lab| {
        Ok(lab.status()?.looked_at_ms.is_some())
    })?;
    say("Group \"compute\": desired 0, min 0, max 8, 2 cores an instance. No machine runs.\n");
    show(&lab, "slurm-asg", &["status"])?;

    say("\n$ sbatch --ntasks=2 --wrap 'echo \"hello from $SLURMD_NODENAME\"; sleep 3'");
    story.begin();
    let script = "echo \"hello from $SLURMD_NODENAME with $SLURM_NTASKS tasks\"; sleep 3";
    let first = lab.sbatch(&["--ntasks=2"], script)?;
    story.follow(first)?;
    show(&lab, "slurm-asg", &["status"])?;

    say("\n$ sbatch --nodes=4 --wrap 'srun -l sh -c \"echo running on \\$SLURMD_NODENAME\"'");
    story.begin();
    let script = "srun --mpi=none -l sh -c 'echo running on $SLURMD_NODENAME'";
    let second = lab.sbatch(&["--nodes=4"], script)?;
    story.follow(second)?;

    say("\nNothing is left to do. Slurm suspends idle nodes after SuspendTime (6 s here).");
    story.begin();
    story.until("the group is back at zero", Duration::from_secs(60), |lab| {
        Ok(lab.desired()? == 0 && lab.instances()?.is_empty())
    })?;
    let nodes = "the nodes are powered down";
    story.until(nodes, Duration::from_secs(30), |lab| {
        Ok(lab.nodes()?.iter().all(|node| node.is("POWERED_DOWN")))
    })?;
    say("\nWhat the plugin wrote to slurmctld's log:");
    for line in lab.plugin_log() {
        say(&format!("  {}", line.split_once("job_submit/asg: ").map_or(line.as_str(), |it| it.1)));
    }
    say("\nDone: every instance is gone, exactly those behind idle nodes, and nothing is left.");
    Ok(())
}

/// What has been seen, so that only news is told.
struct Story<'a> {
    lab: &'a Lab,
    began_ms: u64,
    desired: u32,
    instances: BTreeMap<String, String>,
    nodes: BTreeMap<String, (String, String)>,
}

impl<'a> Story<'a> {
    fn new(lab: &'a Lab) -> Self {
        let mut story = Self {
            lab,
            began_ms: now_ms(),
            desired: 0,
            instances: BTreeMap::new(),
            nodes: BTreeMap::new(),
        };
        // What is there at the start is no news.
        if let Ok(nodes) = lab.nodes() {
            let known = nodes.into_iter().map(|node| (node.name, (node.state, node.address)));
            story.nodes = known.collect();
        }
        story
    }

    fn begin(&mut self) {
        self.began_ms = now_ms();
    }

    fn tell(&self, what: &str) {
        say(&format!("  {:>6} ms  {what}", now_ms().saturating_sub(self.began_ms)));
    }

    fn look(&mut self) -> Result<()> {
        let desired = self.lab.desired()?;
        if desired != self.desired {
            self.tell(&format!("desired capacity {} -> {desired}", self.desired));
            self.desired = desired;
        }
        self.look_at_instances()?;
        for node in self.lab.nodes()? {
            let seen = (node.state.clone(), node.address.clone());
            let before = self.nodes.insert(node.name.clone(), seen);
            let (state, address) = before.unwrap_or_default();
            if address != node.address {
                self.tell(&format!("{} has the address {}", node.name, node.address));
            }
            if state != node.state {
                self.tell(&format!("{} is {}", node.name, node.state));
            }
        }
        Ok(())
    }

    fn look_at_instances(&mut self) -> Result<()> {
        let mut seen = BTreeMap::new();
        for instance in self.lab.instances()? {
            if self.instances.get(&instance.id) != Some(&instance.lifecycle) {
                self.tell(&format!("{} at {} is {}", instance.id, instance.ip, instance.lifecycle));
            }
            seen.insert(instance.id, instance.lifecycle);
        }
        for gone in self.instances.keys().filter(|id| !seen.contains_key(*id)) {
            self.tell(&format!("{gone} is terminated"));
        }
        self.instances = seen;
        Ok(())
    }

    fn until(
        &mut self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut(&Lab) -> Result<bool>,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            self.look()?;
            if holds(self.lab).unwrap_or(false) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("not within {limit:?}: {what}\n{}", self.lab.plugin_log().join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Follows a job to its end and shows what it wrote.
    fn follow(&mut self, id: u32) -> Result<()> {
        let mut state = String::new();
        let end = Instant::now() + Duration::from_secs(90);
        self.tell(&format!("job {id} is submitted"));
        while state != "COMPLETED" {
            self.look()?;
            let job = self.lab.job(id)?;
            if job.state != state {
                let place =
                    if job.nodes.is_empty() { String::new() } else { format!(" on {}", job.nodes) };
                self.tell(&format!("job {id} is {}{place}", job.state));
                state = job.state;
            }
            if Instant::now() > end || ["FAILED", "CANCELLED", "TIMEOUT"].contains(&&*state) {
                bail!("job {id} is {state}\n{}", self.lab.plugin_log().join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        say("  its output:");
        for line in self.lab.output(id).lines() {
            say(&format!("    {line}"));
        }
        Ok(())
    }
}

fn show(lab: &Lab, program: &str, arguments: &[&str]) -> Result<()> {
    say(&format!("$ {program} {}", arguments.join(" ")));
    for line in lab.command(program, arguments)?.lines() {
        say(&format!("  {line}"));
    }
    Ok(())
}
