//! Instances as processes: start a boot command, cut its power, learn of its end.

use crate::config::Config;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// PATH of a boot command.
pub const BOOT_PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The init of an isolated instance: runs the boot command and reaps what it leaves behind. slurmd's slurmstepds are
/// orphans by design, and slurmd as process 1 would leave them as zombies.
const INIT: &str = "\"$@\"; exit $?";

/// The processes of all instances. Use from one thread only, which must outlive them: instances die with it.
#[derive(Debug, Default)]
pub struct Processes {
    running: BTreeMap<String, Pid>,
    isolated: bool,
    waits: JoinSet<(String, io::Result<ExitStatus>)>,
}

impl Processes {
    /// None yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { isolated: config.isolate, ..Self::default() }
    }

    /// Runs the boot command of instance `id`, which finds its own metadata at `metadata`. Returns the process id.
    pub fn start(&mut self, config: &Config, id: &str, metadata: &str) -> io::Result<u32> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(config.log_dir.join(format!("{id}.log")))?;
        let mut command = command(config);
        command
            .env_clear()
            .env("PATH", BOOT_PATH)
            .envs(&config.boot_env)
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = command.spawn()?;
        let raw = child.id().ok_or_else(|| io::Error::other("ended at once"))?;
        let pid = i32::try_from(raw)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("not a process id"))?;
        self.running.insert(id.into(), pid);
        self.waits.spawn(wait(id.to_owned(), child));
        Ok(raw)
    }

    /// Cuts the power of instance `id`, if its boot command runs.
    pub fn kill(&self, id: &str) {
        if let Some(pid) = self.running.get(id) {
            self.cut(*pid);
        }
    }

    /// Cuts the power of all of them.
    pub fn kill_all(&self) {
        self.running.values().for_each(|pid| self.cut(*pid));
    }

    /// The next boot command to end, and how; None if none runs.
    pub async fn ended(&mut self) -> Option<(String, String)> {
        let (id, status) = self.waits.join_next().await?.ok()?;
        if let Some(pid) = self.running.remove(&id)
            && !self.isolated
        {
            // As in a PID namespace, what the boot command leaves behind does not outlive it.
            gone_is_fine(kill_process_group(pid, Signal::KILL));
        }
        Some((id, status.map_or_else(|error| error.to_string(), |status| status.to_string())))
    }

    /// With isolation the instance's init is killed first: the kernel then kills everything in the namespace, and unshare,
    /// which waits for that, ends last and is reaped here. Killing unshare first would orphan init.
    fn cut(&self, pid: Pid) {
        let inits = if self.isolated { children(pid) } else { Vec::new() };
        if inits.is_empty() {
            gone_is_fine(kill_process_group(pid, Signal::KILL));
        }
        for init in inits {
            gone_is_fine(kill_process(init, Signal::KILL));
        }
    }
}

async fn wait(id: String, mut child: Child) -> (String, io::Result<ExitStatus>) {
    (id, child.wait().await)
}

/// The boot command in its wrappings. setpriv has the kernel end it should the sandbox itself be killed.
fn command(config: &Config) -> Command {
    let mut words: Vec<&OsStr> = ["setpriv", "--pdeathsig", "KILL", "--"].map(OsStr::new).to_vec();
    if config.isolate {
        let unshare = [
            "unshare",
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            "--mount-proc",
            "--",
            "/bin/sh",
            "-c",
            INIT,
            "init",
        ];
        words.extend(unshare.map(OsStr::new));
    }
    words.extend(config.boot_command.iter().map(OsStr::new));
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or(OsStr::new("setpriv")));
    command.args(words);
    command
}

fn children(pid: Pid) -> Vec<Pid> {
    let pid = pid.as_raw_nonzero();
    let list =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_ascii_whitespace()
        .filter_map(|word| word.parse().ok().and_then(Pid::from_raw))
        .collect()
}

fn gone_is_fine(result: rustix::io::Result<()>) {
    if let Err(error) = result
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!("kill: {error}");
    }
}
