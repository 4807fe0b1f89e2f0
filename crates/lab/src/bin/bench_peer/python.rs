//! The virtual environments with the other programs, and a program that measures programs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The last release whose slurm_resume Slurm 22.05 understands, and the mock of AWS.
pub const RESUME: (&str, &[&str]) =
    ("peer-3.11.1", &["aws-parallelcluster-node==3.11.1", "moto[server]==5.2.5"]);
/// The last release with jobwatcher, and what it calls AWS with: it asks for any.
pub const JOBWATCHER: (&str, &[&str]) =
    ("peer-2.8.0", &["aws-parallelcluster-node==2.8.0", "boto3==1.44.8"]);

/// Runs a program and prints wall and CPU seconds and the most memory in KiB, on the last line.
const MEASURE: &str = "
import resource, subprocess, sys, time
began = time.monotonic()
ended = subprocess.run(sys.argv[1:], stdout=sys.stderr)
took = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(took, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(ended.returncode)
";

/// What running a program took.
pub struct Run {
    pub wall_s: f64,
    pub cpu_s: f64,
    pub memory_mb: f64,
}

/// A virtual environment.
pub struct Environment {
    home: PathBuf,
}

impl Environment {
    /// Installs these packages under this name, unless that was done before.
    pub fn prepare((name, packages): (&str, &[&str])) -> Result<Self> {
        let cache = std::env::var_os("XDG_CACHE_HOME").filter(|cache| !cache.is_empty());
        let cache = cache
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
            .context("HOME is not set")?;
        let home = cache.join("slurm-asg").join(name);
        fs::create_dir_all(home.parent().unwrap_or(Path::new("/")))?;
        let lock = File::create(cache.join("slurm-asg").join(format!("{name}.lock")))?;
        lock.lock()?;
        let finished = home.join("finished");
        if !finished.exists() {
            if home.exists() {
                fs::remove_dir_all(&home)?;
            }
            run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
            run(Command::new(home.join("bin/pip")).args(["install", "--quiet"]).args(packages))?;
            fs::write(finished, "")?;
        }
        Ok(Self { home })
    }

    /// A program of the environment.
    pub fn program(&self, name: &str) -> PathBuf {
        self.home.join("bin").join(name)
    }

    /// Runs `command` and says what it took.
    pub fn measure(
        &self,
        program: &Path,
        arguments: &[&str],
        set: &[(String, String)],
    ) -> Result<Run> {
        let mut command = Command::new(self.program("python3"));
        command.arg("-c").arg(MEASURE).arg(program).args(arguments);
        let output = command.env_clear().envs(set.iter().cloned()).stdin(Stdio::null()).output()?;
        let (said, errors) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        ensure!(output.status.success(), "{}: {}\n{errors}", program.display(), output.status);
        let last = said.lines().last().context("no figures")?;
        let figures: Vec<f64> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
        let &[wall_s, cpu_s, kib] = figures.as_slice() else {
            anyhow::bail!("odd figures: {last}")
        };
        Ok(Run { wall_s, cpu_s, memory_mb: kib * 1024.0 / 1e6 })
    }
}

/// The most memory of a program that is smaller than the interpreter which measures it, in MB.
pub fn memory(program: &Path, arguments: &[&str], set: &[(String, String)]) -> Result<f64> {
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%M"]).arg(program).args(arguments).env_clear().envs(set.iter().cloned());
    let output = command.stdin(Stdio::null()).output();
    let output = output.context("/usr/bin/time cannot be run; install Debian's package time")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {}\n{said}", program.display(), output.status);
    let kib: f64 = said.lines().last().unwrap_or_default().parse().context("no figure of time")?;
    Ok(kib * 1024.0 / 1e6)
}

fn run(command: &mut Command) -> Result<()> {
    let help = "this needs Debian's python3-venv, and PyPI";
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{command:?} ({help})"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}\n{errors}\n{help}", output.status);
    Ok(())
}
