//! Processes that end with their owner.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A process of this cluster. Dropping it kills it, and waits until it is gone.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: process::Child,
}

impl Child {
    /// Starts a program with an environment of its own; its output goes to `log`.
    ///
    /// setpriv has the kernel kill it if this process dies without a word.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        program: &str,
        arguments: &[S],
        environment: &[(String, String)],
        log: &Path,
    ) -> Result<Self> {
        let name = Path::new(program).file_name().map_or(program.into(), OsStr::to_string_lossy);
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", program])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{program} cannot be started (setpriv is in util-linux)"))?;
        Ok(Self { name: name.into_owned(), process })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Fails if it has ended already.
    ///
    /// # Errors
    /// If it has, with the exit status.
    pub fn check(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// Sends SIGKILL, as a crash would, and waits for the end.
    pub fn crash(&mut self) {
        // Already gone is as good.
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// Sends SIGTERM, waits a while, and kills it if that does not help.
    pub fn end(&mut self) {
        self.end_within(Duration::from_secs(5));
    }

    /// The same, with another time to end by itself.
    pub fn end_within(&mut self, limit: Duration) {
        if self.is_alive() {
            let pid = self.process.id().to_string();
            drop(Command::new("kill").args(["-TERM", &pid]).status());
            let limit = Instant::now() + limit;
            while self.is_alive() && Instant::now() < limit {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.crash();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}
