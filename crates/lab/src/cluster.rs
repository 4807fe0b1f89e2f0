//! The cluster: its processes, and what a user does with it.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail, ensure};
use slurm_asg_sandbox::{InstanceState, SandboxClient};
use slurm_asg_wire::{Request, Response, Status, ask};
use tempfile::TempDir;

use crate::child::Child;
use crate::controllers::{Controller, on_its_host};
use crate::files::Files;
use crate::jobs::{self, Job, NodeLine};
use crate::options::Options;
use crate::ports::{self, Ports};
use crate::release::Release;

/// How long a process may take to serve.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running cluster. Dropping it ends everything that belongs to it.
#[derive(Debug)]
pub struct Lab {
    // Fields are dropped in this order: nobody is left without what it needs.
    slurmctld: Option<Child>,
    backup: Option<Child>,
    sandbox: Child,
    munged: Child,
    files: Files,
    options: Options,
    address: SocketAddr,
    release: Release,
    _dir: Option<TempDir>,
    _ports: Ports,
}

impl Lab {
    /// Starts a cluster and waits until slurmctld serves.
    ///
    /// # Errors
    /// If something is missing on this machine or does not start; the message says what.
    pub fn start(options: Options) -> Result<Self> {
        let release = Release::installed()?;
        let dir = tempfile::Builder::new().prefix("slurm-asg-lab-").tempdir()?;
        let build_dir = options.build_dir.clone().map_or_else(beside_this_program, Ok)?;
        let ports = ports::take(options.nodes_in_all().saturating_add(1))?;
        let files = Files { dir: dir.path().to_owned(), build_dir, port: ports.first };
        files.write(&options)?;
        let munged = start_munged(&files)?;
        let (sandbox, address) = start_sandbox(&files)?;
        let kept = if options.keep {
            let path = dir.keep();
            drop(path);
            None
        } else {
            Some(dir)
        };
        let mut lab = Self {
            slurmctld: None,
            backup: None,
            sandbox,
            munged,
            files,
            options,
            address,
            release,
            _dir: kept,
            _ports: ports,
        };
        lab.start_slurmctld()?;
        if lab.options.backup {
            lab.start_backup()?;
        }
        Ok(lab)
    }

    /// Starts slurmctld, again after [`Lab::crash_slurmctld`], and waits until it answers.
    ///
    /// # Errors
    /// If it does not; the end of its log is in the message.
    pub fn start_slurmctld(&mut self) -> Result<()> {
        self.slurmctld = Some(self.start_controller(Controller::Primary)?);
        self.until_it_serves(Controller::Primary)
    }

    /// Starts the backup slurmctld and waits until it answers. The primary runs already.
    fn start_backup(&mut self) -> Result<()> {
        self.backup = Some(self.start_controller(Controller::Backup)?);
        self.until_it_serves(Controller::Backup)
    }

    fn start_controller(&self, controller: Controller) -> Result<Child> {
        let environment = self.environment();
        let out = self.files.path("log/slurmctld.out");
        let path = |name: &str| self.files.path(name).display().to_string();
        let slurmctld = "/usr/sbin/slurmctld";
        if self.options.memcheck {
            let findings = format!("--log-file={}", path("log/memcheck.log"));
            // What is reachable at the end is held by the loop's thread, which never ends.
            let arguments =
                ["-v", "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=40"];
            let command = [findings.as_str(), slurmctld, "-D"];
            let arguments: Vec<_> = arguments.into_iter().chain(command).collect();
            return Child::start("/usr/bin/valgrind", &arguments, &environment, &out);
        }
        if !self.options.backup {
            return Child::start(slurmctld, &["-D"], &environment, &out);
        }
        let log = path(controller.log());
        let command = [slurmctld, "-D", "-L", &log].map(str::to_owned);
        let (program, arguments) = on_its_host(controller, path("hosts"), path("pid"), &command);
        Child::start(program, &arguments, &environment, &out)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut environment = vec![
            ("SLURM_CONF".to_owned(), self.files.path("slurm.conf").display().to_string()),
            ("AWS_ENDPOINT_URL".to_owned(), self.endpoint()),
            // The machine's own AWS configuration has no business here.
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
            ("AWS_CONFIG_FILE".to_owned(), "/nonexistent".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE".to_owned(), "/nonexistent".to_owned()),
        ];
        if self.options.credentials {
            environment.push(("AWS_ACCESS_KEY_ID".to_owned(), "sandbox".to_owned()));
            environment.push(("AWS_SECRET_ACCESS_KEY".to_owned(), "sandbox".to_owned()));
        }
        environment.extend(self.options.environment.iter().cloned());
        environment
    }

    /// Waits until one of the controllers answers, or has ended.
    fn until_it_serves(&mut self, controller: Controller) -> Result<()> {
        // With one controller the line begins with `Slurmctld(primary) at`, too.
        let which = match controller {
            Controller::Primary => "Slurmctld(primary",
            Controller::Backup => "Slurmctld(backup",
        };
        let answers = |line: &str| line.starts_with(which) && line.trim_end().ends_with("UP");
        let limit = if self.options.memcheck { START_LIMIT * 6 } else { START_LIMIT };
        let up = wait_for(limit, || {
            let process = match controller {
                Controller::Primary => &mut self.slurmctld,
                Controller::Backup => &mut self.backup,
            };
            if process.as_mut().is_some_and(|process| !process.is_alive()) {
                return Some(false);
            }
            self.ping().filter(|text| text.lines().any(answers)).map(|_| true)
        });
        if up != Some(true) {
            bail!("slurmctld does not serve:\n{}", tail(&self.log_of(controller)));
        }
        Ok(())
    }

    /// What `scontrol ping` says; it fails as long as any controller does not answer.
    fn ping(&self) -> Option<String> {
        let mut ping = Command::new("scontrol");
        ping.arg("ping").env("SLURM_CONF", self.files.path("slurm.conf"));
        Some(String::from_utf8_lossy(&ping.output().ok()?.stdout).into_owned())
    }

    /// Kills slurmctld with SIGKILL.
    pub fn crash_slurmctld(&mut self) {
        if let Some(mut slurmctld) = self.slurmctld.take() {
            slurmctld.crash();
        }
    }

    /// Ends slurmctld as an administrator would, and waits for that up to so long.
    pub fn stop_slurmctld(&mut self, limit: Duration) {
        if let Some(mut slurmctld) = self.slurmctld.take() {
            slurmctld.end_within(limit);
        }
    }

    /// slurmctld's process id, while it runs.
    #[must_use]
    pub fn slurmctld_pid(&self) -> Option<u32> {
        self.slurmctld.as_ref().map(Child::id)
    }

    /// slurmctld's resident memory, MB.
    ///
    /// # Errors
    /// If it does not run.
    pub fn slurmctld_memory_mb(&self) -> Result<f64> {
        let pid = self.slurmctld_pid().context("slurmctld does not run")?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        Ok(kib.context("no VmRSS")? * 1024.0 / 1e6)
    }

    /// Whether slurmctld runs.
    pub fn slurmctld_is_alive(&mut self) -> bool {
        self.slurmctld.as_mut().is_some_and(Child::is_alive)
    }

    /// The AWS endpoint that slurmctld is given.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.options.endpoint.clone().unwrap_or_else(|| format!("http://{}", self.address))
    }

    /// The sandbox's control.
    #[must_use]
    pub fn sandbox(&self) -> SandboxClient {
        SandboxClient::new(self.address)
    }

    /// A file of the cluster: `slurm.conf`, `asg.toml`, `log/slurmctld.log`, `out`, …
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path(name)
    }

    /// The right asg.toml of this cluster.
    #[must_use]
    pub fn asg_toml(&self) -> String {
        self.files.asg_toml(&self.options)
    }

    /// Runs one of Slurm's commands, or one from the cluster's `bin`, as a user of this cluster.
    ///
    /// # Errors
    /// If it fails, with what it said.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let own = self.files.path("bin").join(program);
        let program = if own.exists() { own } else { PathBuf::from(program) };
        let output = Command::new(&program)
            .args(arguments)
            .env("SLURM_CONF", self.files.path("slurm.conf"))
            .current_dir(self.files.path("out"))
            .output()
            .with_context(|| format!("{} cannot be run", program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            bail!("{} {}: {said}", program.display(), arguments.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The same by several clients at the same time.
    ///
    /// # Errors
    /// If one of them fails, with what it said.
    pub fn command_by_several(
        &self,
        clients: u32,
        program: &str,
        arguments: &[&str],
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..clients).map(|_| scope.spawn(|| self.command(program, arguments))).collect();
            clients.into_iter().try_for_each(|client| {
                let ended = client.join().map_err(|_| anyhow!("a client has died"))?;
                ended.map(drop)
            })
        })
    }

    /// Runs a program from the cluster's `bin` as another user, in these groups; `user` and
    /// `groups` are numbers. The cluster's files must be another user's than root's.
    ///
    /// # Errors
    /// If it fails, with what it said.
    pub fn command_as(
        &self,
        user: u32,
        groups: &[u32],
        program: &str,
        arguments: &[&str],
    ) -> Result<String> {
        let groups: Vec<_> = groups.iter().map(ToString::to_string).collect();
        let groups = match groups.as_slice() {
            [] => "--clear-groups".to_owned(),
            some => format!("--groups={}", some.join(",")),
        };
        let ids = [format!("--reuid={user}"), format!("--regid={user}"), groups];
        let program = self.files.path("bin").join(program).display().to_string();
        let own = ids.iter().map(String::as_str).chain([program.as_str()]);
        let all: Vec<_> = own.chain(arguments.iter().copied()).collect();
        self.command("setpriv", &all)
    }

    /// Submits a shell command as a batch job; its output is read with [`Lab::output`].
    ///
    /// # Errors
    /// If sbatch refuses it.
    pub fn sbatch(&self, options: &[&str], script: &str) -> Result<u32> {
        let wrap = format!("--wrap={script}");
        let mut arguments = vec!["--parsable", "--output=%j.out"];
        arguments.extend(options);
        arguments.push(&wrap);
        let said = self.command("sbatch", &arguments)?;
        said.trim().parse().with_context(|| format!("sbatch said {said}"))
    }

    /// What a job has written.
    #[must_use]
    pub fn output(&self, job: u32) -> String {
        fs::read_to_string(self.files.path("out").join(format!("{job}.out"))).unwrap_or_default()
    }

    /// How a job stands.
    ///
    /// # Errors
    /// If Slurm does not know it.
    pub fn job(&self, id: u32) -> Result<Job> {
        Ok(jobs::job(&self.command("scontrol", &["show", "job", "-o", &id.to_string()])?))
    }

    /// How the nodes stand.
    ///
    /// # Errors
    /// If Slurm does not answer.
    pub fn nodes(&self) -> Result<Vec<NodeLine>> {
        Ok(jobs::nodes(&self.command("scontrol", &["show", "nodes", "-o"])?))
    }

    /// One node.
    ///
    /// # Errors
    /// If Slurm does not answer or has no such node.
    pub fn node(&self, name: &str) -> Result<NodeLine> {
        let nodes = self.nodes()?;
        nodes.into_iter().find(|node| node.name == name).with_context(|| format!("no node {name}"))
    }

    /// The living instances of the Auto Scaling group.
    ///
    /// # Errors
    /// If the sandbox does not answer.
    pub fn instances(&self) -> Result<Vec<InstanceState>> {
        let state = self.sandbox().state()?;
        let group = state.group("hpc-compute").context("the sandbox has no group hpc-compute")?;
        Ok(group.instances.iter().filter(|instance| instance.alive).cloned().collect())
    }

    /// The id of the living instance that serves a node: the one at the node's address in Slurm,
    /// or what the plugin says where Slurm has the address that all of them call from.
    ///
    /// # Errors
    /// If there is none, or somebody does not answer.
    pub fn machine_of(&self, node: &str) -> Result<String> {
        let told = self.status()?.nodes.into_iter().find(|it| it.name == node);
        let told = told.and_then(|it| it.instance).with_context(|| format!("{node} has none"))?;
        if self.release.takes_addresses_from_peers() {
            return Ok(told);
        }
        let address = self.node(node)?.address;
        let there = self.instances()?.into_iter().find(|it| it.ip.to_string() == address);
        let there = there.with_context(|| format!("no instance is at {address}"))?;
        ensure!(there.id == told, "{node} is at {address} of {}, not of {told}", there.id);
        Ok(told)
    }

    /// The group's desired capacity.
    ///
    /// # Errors
    /// If the sandbox does not answer.
    pub fn desired(&self) -> Result<u32> {
        let state = self.sandbox().state()?;
        Ok(state.group("hpc-compute").context("the sandbox has no group hpc-compute")?.desired)
    }

    /// The plugin's status.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn status(&self) -> Result<Status> {
        let socket = self.files.path("run/asg.sock");
        match ask(&socket, &Request::Status {}, Duration::from_secs(5))? {
            Response::Status(status) => Ok(*status),
            other @ (Response::Ok | Response::Refused { .. } | Response::Document { .. }) => {
                bail!("no status: {other:?}")
            }
        }
    }

    /// slurmctld's log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log_of(Controller::Primary)
    }

    /// The ends of all slurmctld's logs.
    fn logs(&self) -> String {
        if !self.options.backup {
            return tail(&self.log());
        }
        let (primary, backup) = (self.log(), self.log_of(Controller::Backup));
        format!("{}\n--- backup\n{}", last_lines(&primary, 20), last_lines(&backup, 60))
    }

    /// The log of one of two slurmctld.
    #[must_use]
    pub fn log_of(&self, controller: Controller) -> String {
        let log = fs::read_to_string(self.files.path(controller.log())).unwrap_or_default();
        let early = fs::read_to_string(self.files.path("log/slurmctld.out")).unwrap_or_default();
        if log.is_empty() { early } else { log }
    }

    /// What the plugin has written to slurmctld's log.
    #[must_use]
    pub fn plugin_log(&self) -> Vec<String> {
        self.plugin_log_of(Controller::Primary)
    }

    /// What the plugin of one of two slurmctld has written to its log.
    #[must_use]
    pub fn plugin_log_of(&self, controller: Controller) -> Vec<String> {
        let log = self.log_of(controller);
        log.lines().filter(|line| line.contains("job_submit/asg:")).map(str::to_owned).collect()
    }

    /// Waits until something holds; without success the logs are in the message.
    ///
    /// # Errors
    /// If it does not hold in time.
    pub fn until(
        &self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        let mut last = None;
        let held = wait_for(limit, || match holds(self) {
            Ok(true) => Some(()),
            Ok(false) => None,
            Err(error) => {
                last = Some(error);
                None
            }
        });
        if held.is_some() {
            return Ok(());
        }
        bail!(
            "not within {limit:?}: {what}{}\n--- nodes\n{}\n--- sandbox\n{:?}\n--- instances\n{}\n--- plugin\n{}\n--- slurmctld\n{}",
            last.map_or_else(String::new, |error| format!(" ({error:#})")),
            self.command("sinfo", &["-N", "-o", "%N %T %E"]).unwrap_or_default(),
            self.sandbox().state().map(|state| (state.groups, state.alarms)),
            self.instance_logs(),
            self.plugin_log().join("\n"),
            self.logs(),
        )
    }

    /// Waits until the plugin has looked at Slurm and AWS.
    ///
    /// # Errors
    /// If it has not in time.
    pub fn until_looked(&self, limit: Duration) -> Result<()> {
        let has_looked = |lab: &Self| Ok(lab.status()?.looked_at_ms.is_some());
        self.until("the plugin has looked", limit, has_looked)
    }

    /// Waits until the plugin has looked and its loop is as any that has been at work for a while: for
    /// its first five seconds it gives no name to what a loop before it may have named.
    ///
    /// # Errors
    /// If it has not looked in time.
    pub fn until_settled(&self, limit: Duration) -> Result<()> {
        self.until_looked(limit)?;
        std::thread::sleep(SETTLED);
        Ok(())
    }

    /// The last lines that each instance has written.
    fn instance_logs(&self) -> String {
        let files = fs::read_dir(self.files.path("log")).into_iter().flatten().flatten();
        let instances = files.filter(|file| file.file_name().to_string_lossy().starts_with("i-"));
        let lines = instances.map(|file| {
            let text = fs::read_to_string(file.path()).unwrap_or_default();
            format!("{}:\n{}", file.file_name().to_string_lossy(), last_lines(&text, 8))
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Waits until a job is in a state.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub fn until_job(&self, id: u32, state: &str, limit: Duration) -> Result<Job> {
        self.until(&format!("job {id} is {state}"), limit, |lab| Ok(lab.job(id)?.state == state))?;
        self.job(id)
    }

    /// Waits until the group has no instance, wants none, and all nodes are powered down.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub fn until_zero(&self, limit: Duration) -> Result<()> {
        self.until("the group is back at zero", limit, |lab| {
            let nodes_off = lab.nodes()?.iter().all(|node| node.is("POWERED_DOWN"));
            Ok(lab.desired()? == 0 && lab.instances()?.is_empty() && nodes_off)
        })
    }

    /// The directory, which is kept if [`Options::keep`] says so.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        &self.files.dir
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // slurmctld first: it must not see the sandbox's machines die.
        if let Some(mut backup) = self.backup.take() {
            backup.end();
        }
        if let Some(mut slurmctld) = self.slurmctld.take() {
            slurmctld.end();
        }
        self.sandbox.end();
        self.munged.end();
    }
}

/// How a program ends, with what went wrong in one line.
#[must_use]
pub fn exit_code(program: &str, result: &Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{program}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// `TAGS_LAG` of the engine, and a second.
const SETTLED: Duration = Duration::from_secs(6);

/// Asks again until there is an answer or time is up.
pub fn wait_for<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Asks again until something holds.
///
/// # Errors
/// If it could not be asked, or time is up.
pub fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let held = wait_for(limit, || match holds() {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        Err(error) => Some(Err(error)),
    });
    held.with_context(|| format!("not within {limit:?}: {what}"))?
}

/// Prints a line. A reader that has gone away is no reason to leave a cluster behind.
pub fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Milliseconds since the Unix epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Where the programs are that were built with this one. Tests run in `deps/`, one below.
///
/// # Errors
/// If this program has no directory.
pub fn beside_this_program() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let dir = program.parent().context("this program has no directory")?;
    let deps = dir.file_name().is_some_and(|name| name == "deps");
    Ok(if deps { dir.parent().unwrap_or(dir) } else { dir }.to_owned())
}

fn start_munged(files: &Files) -> Result<Child> {
    let option = |name: &str, file: &str| format!("--{name}={}", files.path(file).display());
    let socket = files.path("munge.sock");
    let munged = Child::start(
        "/usr/sbin/munged",
        &[
            "--foreground".to_owned(),
            // The directory is below /tmp, which munged finds too open.
            "--force".to_owned(),
            option("key-file", "munge.key"),
            option("socket", "munge.sock"),
            option("pid-file", "munge.pid"),
            option("seed-file", "munge.seed"),
            option("log-file", "log/munged.log"),
        ],
        &[],
        &files.path("log/munged.out"),
    )?;
    wait_for(START_LIMIT, || socket.exists().then_some(())).context("munged does not serve")?;
    Ok(munged)
}

fn start_sandbox(files: &Files) -> Result<(Child, SocketAddr)> {
    let program = files.build_dir.join("slurm-asg-sandbox");
    let port_file = files.path("sandbox.port");
    let mut sandbox = Child::start(
        &program.display().to_string(),
        &[
            "--config".to_owned(),
            files.path("sandbox.toml").display().to_string(),
            "--port-file".to_owned(),
            port_file.display().to_string(),
        ],
        &[],
        &files.path("log/sandbox.log"),
    )?;
    let port = wait_for(START_LIMIT, || {
        let text = fs::read_to_string(&port_file).ok()?;
        text.trim().parse::<u16>().ok()
    });
    let Some(port) = port else {
        sandbox.check()?;
        let log = fs::read_to_string(files.path("log/sandbox.log")).unwrap_or_default();
        bail!("the sandbox does not serve: {log}");
    };
    Ok((sandbox, SocketAddr::from(([127, 0, 0, 1], port))))
}

fn tail(log: &str) -> String {
    last_lines(log, 60)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}
