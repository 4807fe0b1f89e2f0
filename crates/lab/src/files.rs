//! The cluster's files: slurm.conf, asg.toml, sandbox.toml, munge key, programs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::PLUGIN;
use crate::alarms::{Parameters, sandbox_alarms};
use crate::controllers;
use crate::options::{Alarms, Layout, NodeKind, Options};

/// The name of the sandbox's queue.
const QUEUE: &str = "slurm-asg-events";

/// Where everything of one cluster is.
#[derive(Clone, Debug)]
pub struct Files {
    /// The cluster's directory.
    pub dir: PathBuf,
    /// The built binaries.
    pub build_dir: PathBuf,
    /// slurmctld's port; the nodes' ports follow it.
    pub port: u16,
}

impl Files {
    /// A file or directory of the cluster.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes everything that does not depend on running processes.
    ///
    /// # Errors
    /// If something is missing or cannot be written.
    pub fn write(&self, options: &Options) -> Result<()> {
        for name in ["bin", "log", "out", "pid", "plugins", "run", "spool", "state"] {
            fs::create_dir_all(self.path(name))?;
        }
        if !options.installed {
            self.copy_programs(options)?;
        }
        self.write_key()?;
        fs::write(self.path("slurm.conf"), self.slurm_conf(options)?)?;
        if options.backup {
            fs::write(self.path("hosts"), controllers::hosts())?;
        }
        let gres_conf = options.layout().gres_conf;
        if !gres_conf.is_empty() {
            fs::write(self.path("gres.conf"), gres_conf)?;
        }
        let asg_toml = options.asg_toml.clone().unwrap_or_else(|| self.asg_toml(options));
        fs::write(self.path("asg.toml"), asg_toml)?;
        fs::write(self.path("sandbox.toml"), self.sandbox_toml(options)?)?;
        if options.slurm_user != "root" {
            self.give_to(&options.slurm_user)?;
        }
        Ok(())
    }

    /// What slurmctld writes to belongs to its user, and the rest can be read by it.
    fn give_to(&self, user: &str) -> Result<()> {
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o755))?;
        let places = ["log", "state", "run"].map(|name| self.path(name));
        let status = Command::new("chown").arg("-R").arg(user).args(places).status()?;
        ensure!(status.success(), "the files cannot be given to {user}");
        Ok(())
    }

    fn copy_programs(&self, options: &Options) -> Result<()> {
        let mut programs = vec!["slurm-asg-resume", "slurm-asg-suspend", "slurm-asg"];
        if options.plugin {
            programs.push(PLUGIN);
        }
        for name in programs {
            let built = self.build_dir.join(name);
            let (from, to) = match name {
                PLUGIN => (
                    options.plugin_file.clone().unwrap_or(built),
                    self.path("plugins/job_submit_asg.so"),
                ),
                other => (built, self.path("bin").join(other)),
            };
            // A link would do, but Slurm wants the programs to be files not writable for others.
            fs::copy(&from, &to).with_context(|| {
                format!("{} is not built; run `cargo build --workspace`", from.display())
            })?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
        }
        // It is large, and nothing of Slurm's.
        let survey = "slurm-asg-survey";
        std::os::unix::fs::symlink(self.build_dir.join(survey), self.path("bin").join(survey))?;
        let bootstrap = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/node/slurm-asg-node");
        fs::copy(bootstrap, self.path("bin/slurm-asg-node"))?;
        Ok(())
    }

    /// The directory of slurm-asg's programs.
    fn programs(&self, options: &Options) -> String {
        if options.installed { "/usr/sbin".to_owned() } else { self.text("bin") }
    }

    fn write_key(&self) -> Result<()> {
        let mut key = [0_u8; 128];
        fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        fs::write(self.path("munge.key"), key)?;
        fs::set_permissions(self.path("munge.key"), fs::Permissions::from_mode(0o400))?;
        Ok(())
    }

    fn slurm_conf(&self, options: &Options) -> Result<String> {
        let controllers = if options.backup {
            controllers::slurm_conf()
        } else {
            let host = fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
            format!("SlurmctldHost={host}(127.0.0.1)\n")
        };
        let stock = stock_plugins()?;
        let layout = options.layout();
        let job_submit = if options.plugin { "JobSubmitPlugins=asg\n" } else { "" };
        Ok(format!(
            "ClusterName=lab\n\
             {controllers}\
             SlurmctldPort={port}\n\
             SlurmUser={slurm_user}\n\
             AuthType=auth/munge\n\
             AuthInfo=socket={munge}\n\
             StateSaveLocation={state}\n\
             SlurmdSpoolDir={spool}/%n\n\
             SlurmctldPidFile={pid}/slurmctld.pid\n\
             SlurmdPidFile={spool}/%n.pid\n\
             SlurmctldLogFile={log}/slurmctld.log\n\
             SlurmdLogFile={log}/slurmd.%n.log\n\
             SlurmctldDebug=info\n\
             LogTimeFormat=iso8601_ms\n\
             PluginDir={plugins}{stock}\n\
             {job_submit}\
             ProctrackType=proctrack/pgid\n\
             TaskPlugin=task/none\n\
             JobAcctGatherType=jobacct_gather/none\n\
             MpiDefault=none\n\
             SelectType=select/cons_tres\n\
             SelectTypeParameters={select}\n\
             PrivateData=cloud\n\
             ReturnToService=2\n\
             TreeWidth=65533\n\
             ResumeProgram={bin}/slurm-asg-resume\n\
             SuspendProgram={bin}/slurm-asg-suspend\n\
             ResumeFailProgram={bin}/slurm-asg-suspend\n\
             SuspendTime={suspend_time}\n\
             SuspendTimeout={suspend_timeout}\n\
             ResumeTimeout={resume_timeout}\n\
             ResumeRate=0\n\
             SuspendRate=0\n\
             SlurmctldParameters=idle_on_node_suspend\n\
             {nodes}\
             {partitions}\
             {more}",
            port = self.port,
            slurm_user = options.slurm_user,
            munge = self.text("munge.sock"),
            pid = self.text("pid"),
            state = self.text("state"),
            spool = self.text("spool"),
            log = self.text("log"),
            plugins = if options.installed { String::new() } else { self.text("plugins") + ":" },
            stock = stock.display(),
            bin = self.programs(options),
            suspend_time = options.suspend_time_s,
            suspend_timeout = options.suspend_timeout_s,
            resume_timeout = options.resume_timeout_s,
            select = layout.select,
            nodes = self.node_lines(&layout),
            partitions = layout.partitions,
            more = options.slurm_conf,
        ))
    }

    /// `NodeName=` lines; each node has a port of its own.
    fn node_lines(&self, layout: &Layout) -> String {
        let mut first = u32::from(self.port) + 1;
        let lines = layout.kinds.iter().map(|kind| {
            let (nodes, facts) = (kind.nodes(), &kind.facts);
            let last = first + kind.count - 1;
            let ports = format!("[{first}-{last}]");
            first = last + 1;
            format!("NodeName={nodes} NodeAddr=127.0.0.1 Port={ports} {facts} State=CLOUD\n")
        });
        lines.collect()
    }

    /// The right asg.toml for the cluster.
    #[must_use]
    pub fn asg_toml(&self, options: &Options) -> String {
        let by_alarm = options.alarms.map_or_else(String::new, |alarms| {
            format!("scale_out = \"alarm\"\n\n[metrics]\nperiod = {}\n", alarms.period_s)
        });
        let groups = options.layout().kinds.into_iter().map(|kind| {
            format!(
                "\n[[group]]\n\
                 name = \"{name}\"\n\
                 nodes = \"{nodes}\"\n\
                 asg = \"hpc-{name}\"\n\
                 orphan_grace = 5\n\
                 {keys}",
                nodes = kind.nodes(),
                name = kind.name,
                keys = options.group_keys,
            )
        });
        let groups: String = groups.collect();
        let run = self.text("run");
        let queue = if options.events_queue {
            // The sandbox knows it by its name; requests go where AWS_ENDPOINT_URL says.
            format!("events_queue = \"http://127.0.0.1/123456789012/{QUEUE}\"\n")
        } else {
            String::new()
        };
        format!("region = \"eu-west-1\"\nsocket = \"{run}/asg.sock\"\n{queue}{groups}{by_alarm}")
    }

    fn sandbox_toml(&self, options: &Options) -> Result<String> {
        let script = self.programs(options) + "/slurm-asg-node";
        let boot_command =
            options.boot_command.clone().unwrap_or_else(|| vec!["/bin/sh".into(), script]);
        let boot_env = BTreeMap::from([("SLURM_CONF", self.text("slurm.conf"))]);
        let further: toml::Table = toml::from_str(&options.asg_keys)?;
        let own = |kind: &str| options.kind_asg_keys.get(kind).map_or("", String::as_str);
        let group = |kind: NodeKind| {
            let max = if options.layout.is_some() { kind.count } else { options.max };
            let mut group = further.clone();
            group.extend(toml::from_str::<toml::Table>(own(&kind.name))?);
            group.insert("name".into(), format!("hpc-{}", kind.name).into());
            group.insert("min".into(), i64::from(options.min).into());
            group.insert("max".into(), i64::from(max).into());
            Ok(toml::Value::from(group))
        };
        let groups: Result<Vec<_>> = options.layout().kinds.into_iter().map(group).collect();
        let mut table = toml::Table::new();
        table.insert("queues".into(), vec![QUEUE].into());
        table.insert("batch_terminate".into(), options.batch_terminate.into());
        table.insert("boot_command".into(), boot_command.into());
        table.insert("boot_env".into(), toml::Value::try_from(boot_env)?);
        table.insert("launch_delay_ms".into(), i64::try_from(options.launch_delay_ms)?.into());
        table.insert("boot_delay_ms".into(), i64::try_from(options.boot_delay_ms)?.into());
        table.insert("log_dir".into(), self.text("log").into());
        table.insert("group".into(), toml::Value::Array(groups?));
        if let Some(alarms) = options.alarms {
            table.insert("alarm".into(), sandbox_alarms(&parameters(alarms))?.into());
        }
        Ok(toml::to_string(&table)?)
    }
}

/// The template's parameters for the lab's group.
fn parameters(alarms: Alarms) -> Parameters {
    Parameters::from([
        ("AutoScalingGroupName", "hpc-compute".to_owned()),
        ("ClusterName", "lab".to_owned()),
        ("GroupName", "compute".to_owned()),
        ("ScalingPeriod", alarms.period_s.to_string()),
        ("ScalingEvaluationPeriods", "1".to_owned()),
        ("ScalingCooldown", alarms.cooldown_s.to_string()),
        ("ScalingThreshold2", alarms.threshold2.to_string()),
        ("ScalingAdjustment2", alarms.adjustment2.to_string()),
    ])
}

/// The directory of Slurm's own plugins, wherever the distribution put it.
fn stock_plugins() -> Result<PathBuf> {
    let roots = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(Path::new);
    let below = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten();
    let places = roots.iter().map(|root| root.to_path_buf()).chain(below.map(|entry| entry.path()));
    for place in places {
        for name in ["slurm-wlm", "slurm"] {
            let dir = place.join(name);
            if dir.join("auth_munge.so").exists() {
                return Ok(dir);
            }
        }
    }
    bail!("Slurm's plugins are not installed; apt-get install slurmctld slurmd")
}
