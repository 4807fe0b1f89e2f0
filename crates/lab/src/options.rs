//! What a test or the demo may want different.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a cluster is set up. The default is the classic first contact: group "compute", eight
/// nodes of two cores, nothing running.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes there are: `compute-[1-N]`.
    pub nodes: u32,
    /// Other nodes and partitions than those.
    pub layout: Option<Layout>,
    /// MinSize of the Auto Scaling group.
    pub min: u32,
    /// MaxSize of the Auto Scaling group; with a layout it is the number of nodes of each.
    pub max: u32,
    /// SuspendTime, seconds.
    pub suspend_time_s: u32,
    /// SuspendTimeout, seconds.
    pub suspend_timeout_s: u32,
    /// ResumeTimeout, seconds.
    pub resume_timeout_s: u32,
    /// From SetDesiredCapacity to an instance with an address, milliseconds.
    pub launch_delay_ms: u64,
    /// From there to the bootstrap script, milliseconds.
    pub boot_delay_ms: u64,
    /// Whether the endpoint takes InstanceIds in a terminate call.
    pub batch_terminate: bool,
    /// SlurmUser.
    pub slurm_user: String,
    /// Whether there is a backup slurmctld. It has a host's name and an address of its own, in
    /// namespaces that only root can make.
    pub backup: bool,
    /// slurmctld runs under Valgrind's memcheck, whose findings are in `log/memcheck.log`. It takes
    /// many times as long.
    pub memcheck: bool,
    /// Whether slurm.conf names the plugin.
    pub plugin: bool,
    /// Further lines of the group in asg.toml.
    pub group_keys: String,
    /// Further lines of the Auto Scaling group in the sandbox.
    pub asg_keys: String,
    /// The same for the Auto Scaling groups of single kinds of nodes, by the kinds' names.
    pub kind_asg_keys: BTreeMap<String, String>,
    /// Further lines of slurm.conf.
    pub slurm_conf: String,
    /// asg.toml names a queue, which the sandbox has: AWS's notices come over it.
    pub events_queue: bool,
    /// Capacity is raised by alarms alone; `None` is directly.
    pub alarms: Option<Alarms>,
    /// asg.toml; `None` is the right one.
    pub asg_toml: Option<String>,
    /// `false` leaves credentials out of slurmctld's environment.
    pub credentials: bool,
    /// What else slurmctld has in its environment; it overrides what the lab gives it.
    pub environment: Vec<(String, String)>,
    /// The endpoint that slurmctld is given, if it is not the sandbox.
    pub endpoint: Option<String>,
    /// What instances run, if it is not the bootstrap script.
    pub boot_command: Option<Vec<String>>,
    /// Where binaries are; `None` is beside the running one.
    pub build_dir: Option<PathBuf>,
    /// The plugin's file; `None` is that of the binaries. SLURM_ASG_PLUGIN sets it, for a cluster of
    /// another release than the machine's.
    pub plugin_file: Option<PathBuf>,
    /// Take plugin, programs and bootstrap from where the packages have put them, as
    /// SLURM_ASG_INSTALLED says.
    pub installed: bool,
    /// Keep the directory afterwards, for a look at the logs.
    pub keep: bool,
}

/// Nodes of several kinds, each with an Auto Scaling group, and their partitions.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The kinds of nodes.
    pub kinds: Vec<NodeKind>,
    /// slurm.conf's `PartitionName=` lines.
    pub partitions: String,
    /// gres.conf; empty is none.
    pub gres_conf: String,
    /// SelectTypeParameters.
    pub select: String,
}

/// Nodes that are alike: `NAME-[1-COUNT]`, in the group NAME, which has the Auto Scaling group
/// `hpc-NAME`.
#[derive(Clone, Debug)]
pub struct NodeKind {
    /// The group's name.
    pub name: String,
    /// How many there are.
    pub count: u32,
    /// What they have, as on slurm.conf's `NodeName=` line: `CPUs=2 RealMemory=1000`.
    pub facts: String,
}

impl NodeKind {
    /// The nodes as a hostlist.
    #[must_use]
    pub fn nodes(&self) -> String {
        format!("{}-[1-{}]", self.name, self.count)
    }
}

/// The alarms of packaging/cloudformation, at a quicker pace.
#[derive(Clone, Copy, Debug)]
pub struct Alarms {
    /// Period of the metric and of the alarms, seconds.
    pub period_s: u32,
    /// From a launch to the next one, seconds.
    pub cooldown_s: u32,
    /// From how many pending instances on the second alarm goes off.
    pub threshold2: u32,
    /// How many instances it adds.
    pub adjustment2: u32,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { period_s: 3, cooldown_s: 4, threshold2: 200, adjustment2: 20 }
    }
}

impl Options {
    /// The layout that is asked for, or the one kind of nodes of the first contact.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout.clone().unwrap_or_else(|| {
            let kind =
                NodeKind { name: "compute".into(), count: self.nodes, facts: "CPUs=2".into() };
            let partitions = format!(
                "PartitionName=cloud Nodes={} Default=YES MaxTime=60 State=UP\n",
                kind.nodes()
            );
            Layout {
                kinds: vec![kind],
                partitions,
                gres_conf: String::new(),
                select: "CR_Core".into(),
            }
        })
    }

    /// How many nodes there are in all.
    #[must_use]
    pub fn nodes_in_all(&self) -> u32 {
        self.layout().kinds.iter().map(|kind| kind.count).sum()
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            nodes: 8,
            layout: None,
            min: 0,
            max: 8,
            suspend_time_s: 5,
            suspend_timeout_s: 3,
            resume_timeout_s: 60,
            launch_delay_ms: 300,
            boot_delay_ms: 700,
            batch_terminate: true,
            slurm_user: "root".to_owned(),
            backup: false,
            memcheck: false,
            plugin: true,
            group_keys: String::new(),
            asg_keys: String::new(),
            kind_asg_keys: BTreeMap::new(),
            slurm_conf: String::new(),
            events_queue: false,
            alarms: None,
            asg_toml: None,
            credentials: true,
            environment: Vec::new(),
            endpoint: None,
            boot_command: None,
            build_dir: None,
            plugin_file: std::env::var_os("SLURM_ASG_PLUGIN").map(PathBuf::from),
            installed: std::env::var_os("SLURM_ASG_INSTALLED").is_some(),
            keep: std::env::var_os("SLURM_ASG_KEEP").is_some(),
        }
    }
}
