//! What is to be set up: the one source of all pieces.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use slurm_asg_core::doctor::conf::SlurmConf;
use slurm_asg_core::doctor::machine::types_of;
use slurm_asg_core::doctor::survey::{Answer, GroupFacts, Question, Survey, TypeFacts};
use slurm_asg_core::hostlist;
use slurm_asg_core::policy;
use slurm_asg_core::snapshot::Release;

use crate::{check, survey};

/// What is said on the command line.
#[derive(Debug, Args)]
pub struct Wanted {
    /// The Auto Scaling group's name, whether it is there already or is to be made
    #[arg(long, value_name = "NAME")]
    pub asg: String,
    /// The group's name in asg.toml, and how its nodes begin
    #[arg(long, value_name = "NAME", default_value = "compute")]
    name: String,
    /// How many nodes [default: MaxSize of the Auto Scaling group]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    count: Option<u32>,
    /// The partition that the nodes are in
    #[arg(long, value_name = "NAME", default_value = "cloud")]
    partition: String,
    /// AWS region [default: that of asg.toml, or as the AWS SDK finds it]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Instance type [default: that of the Auto Scaling group]
    #[arg(long, value_name = "TYPE")]
    instance_type: Option<String>,
    /// vCPUs of an instance, if AWS is not to be asked
    #[arg(long, value_name = "NUMBER", requires = "memory", value_parser = clap::value_parser!(u32).range(1..))]
    cpus: Option<u32>,
    /// Its memory in MiB, as AWS states it
    #[arg(long, value_name = "MIB", requires = "cpus", value_parser = clap::value_parser!(u64).range(1..))]
    memory: Option<u64>,
    /// Its GPUs
    #[arg(long, value_name = "NUMBER", requires = "cpus")]
    gpus: Option<u32>,
    /// The controller's host name, for nodes without slurm.conf (configless)
    #[arg(long, value_name = "HOST")]
    controller: Option<String>,
    /// Slurm's release, as 22.05 [default: what `slurmctld -V` says]
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    release: Option<Release>,
    /// slurm.conf, whose settings are kept [default: that of SLURM_CONF or /etc/slurm, if there]
    #[arg(long, value_name = "FILE")]
    slurm_conf: Option<PathBuf>,
    /// Have CloudWatch alarms raise the capacity, not slurm-asg
    #[arg(long)]
    alarms: bool,
    /// Publish metrics to CloudWatch, and have an alarm on jobs that wait
    #[arg(long)]
    metrics: bool,
    /// Ask AWS nothing: take what the arguments say
    #[arg(long)]
    offline: bool,
}

fn release(text: &str) -> Result<Release, String> {
    Release::parse(text).ok_or_else(|| "write year and month, as in 22.05 or 24.11".to_owned())
}

/// What is to be set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The Auto Scaling group.
    pub asg: String,
    /// The group's name in asg.toml.
    pub name: String,
    /// Its nodes, as a hostlist.
    pub nodes: String,
    /// How many they are.
    pub count: u32,
    /// Their partition.
    pub partition: String,
    /// AWS region; `None` leaves it to the SDK.
    pub region: Option<String>,
    /// The account's number, if it is known.
    pub account: Option<String>,
    /// Slurm's ClusterName.
    pub cluster: String,
    /// Instance type, if it is known.
    pub instance_type: Option<String>,
    /// What an instance has.
    pub machine: TypeFacts,
    /// The image of the launch template that is there.
    pub image: Option<String>,
    /// The subnets of the group that is there.
    pub subnets: Vec<String>,
    /// The security groups of the launch template that is there.
    pub security_groups: Vec<String>,
    /// The controller's host name, in configless mode.
    pub controller: Option<String>,
    /// Slurm's release, if it is known.
    pub release: Option<Release>,
    /// slurm.conf as it is.
    pub conf: SlurmConf,
    /// CloudWatch alarms raise the capacity.
    pub alarms: bool,
    /// Metrics are published.
    pub metrics: bool,
}

impl Setup {
    /// Puts together what is said, what slurm.conf has and what AWS tells.
    ///
    /// # Errors
    /// If something is missing or does not fit, with the argument that helps.
    pub fn of(wanted: Wanted) -> Result<Self> {
        for (argument, name) in [("--name", &wanted.name), ("--partition", &wanted.partition)] {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if name.is_empty() || !name.chars().all(is_plain) {
                bail!("{argument} {name}: a name has letters, digits, - and _ only");
            }
        }
        if wanted.asg.is_empty() || wanted.asg.chars().any(|c| c.is_control() || "\"\\".contains(c))
        {
            bail!("--asg {:?} is no name of an Auto Scaling group", wanted.asg);
        }
        let conf = read_conf(wanted.slurm_conf.as_ref())?;
        let wanted = Wanted { region: wanted.region.clone().or_else(region_of_asg_toml), ..wanted };
        let survey = ask(&wanted)?;
        let group = match survey.groups.get(&wanted.asg) {
            Some(Answer::Known(group)) => Some(group),
            Some(Answer::Unknown(why)) => {
                bail!(
                    "AWS does not tell of {}: {why}; --region names the region, and --offline does \
                     without AWS",
                    wanted.asg
                )
            }
            Some(Answer::Missing) | None => None,
        };
        let template = group.and_then(|it| it.template.as_ref()).and_then(Answer::known);
        let of_group = group.and_then(|it| types_of(it).into_iter().next());
        let instance_type = wanted.instance_type.clone().or(of_group);
        let machine = machine(&wanted, instance_type.as_deref(), &survey)?;
        let cpu = template.filter(|_| wanted.instance_type.is_none()).and_then(|it| it.cpu);
        let count = wanted.count.or_else(|| group.map(|it| it.max).filter(|max| *max > 0));
        let count = count.with_context(|| {
            format!("how many nodes? {} says nothing of it; write --count 8", wanted.asg)
        })?;
        let nodes = match count {
            1 => format!("{}-1", wanted.name),
            more => format!("{}-[1-{more}]", wanted.name),
        };
        hostlist::expand(&nodes)?;
        let is_configless =
            conf.words("SlurmctldParameters").iter().any(|it| it == "enable_configless");
        let host = conf.value("SlurmctldHost").filter(|_| is_configless);
        let host = host.map(|it| it.split('(').next().unwrap_or(it).to_owned());
        let (of_arn, account) = group.map(arn).unwrap_or_default();
        Ok(Self {
            nodes,
            count,
            region: wanted.region.or(of_arn),
            account,
            cluster: conf.value("ClusterName").unwrap_or("cluster").to_owned(),
            machine: machine.with_cpu(cpu),
            instance_type,
            image: template.and_then(|it| it.image.clone()),
            subnets: group.map(|it| it.subnets.clone()).unwrap_or_default(),
            security_groups: template.map(|it| it.security_groups.clone()).unwrap_or_default(),
            controller: wanted.controller.or(host),
            release: wanted.release.or_else(check::release_of_slurmctld),
            conf,
            alarms: wanted.alarms,
            metrics: wanted.metrics || wanted.alarms,
            asg: wanted.asg,
            name: wanted.name,
            partition: wanted.partition,
        })
    }
}

/// The region of the asg.toml that is there, if there is one.
fn region_of_asg_toml() -> Option<String> {
    let path = slurm_asg_wire::config_path();
    let text = std::fs::read_to_string(&path).ok()?;
    policy::parse(&path, &text).ok()?.region
}

/// slurm.conf, if it is there. One that is named must be.
fn read_conf(named: Option<&PathBuf>) -> Result<SlurmConf> {
    let path = named.cloned().unwrap_or_else(slurm_asg_wire::slurm_conf_path);
    match SlurmConf::read(&path, &mut |path| std::fs::read_to_string(path)) {
        Ok(conf) => Ok(conf),
        Err(why) if named.is_some() => bail!("{} cannot be read: {why}", path.display()),
        Err(_) => Ok(SlurmConf::default()),
    }
}

/// Asks AWS for what the arguments do not say.
fn ask(wanted: &Wanted) -> Result<Survey> {
    let is_enough = wanted.cpus.is_some() && wanted.count.is_some();
    if wanted.offline || is_enough {
        return Ok(Survey::default());
    }
    let types = wanted.instance_type.iter().cloned().collect();
    let question =
        Question { region: wanted.region.clone(), groups: vec![wanted.asg.clone()], types };
    survey::ask(&question)
}

fn machine(wanted: &Wanted, instance_type: Option<&str>, survey: &Survey) -> Result<TypeFacts> {
    if let (Some(vcpus), Some(memory_mib)) = (wanted.cpus, wanted.memory) {
        let gpus = wanted.gpus.unwrap_or(0);
        return Ok(TypeFacts { vcpus, memory_mib, gpus, ..TypeFacts::default() });
    }
    let Some(name) = instance_type else {
        bail!(
            "what are the instances? {} is not there, or does not name its type; write \
             --instance-type c6i.large, or --cpus 2 --memory 4096",
            wanted.asg
        );
    };
    match survey.types.get(name) {
        Some(Answer::Known(machine)) => Ok(machine.clone()),
        Some(Answer::Missing) => bail!("EC2 knows no instance type {name} in this region"),
        Some(Answer::Unknown(why)) => {
            bail!("AWS does not tell of {name}: {why}; write --cpus 2 --memory 4096")
        }
        None => bail!("--offline needs --cpus and --memory, as AWS states them for {name}"),
    }
}

/// Region and account of a group's ARN.
fn arn(group: &GroupFacts) -> (Option<String>, Option<String>) {
    let mut parts = group.arn.split(':').skip(3).map(str::to_owned).map(Some);
    let mut part = || parts.next().flatten().filter(|it| !it.is_empty());
    (part(), part())
}
