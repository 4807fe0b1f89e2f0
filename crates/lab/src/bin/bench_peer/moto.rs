//! moto, the mock of AWS that ParallelCluster's programs get along with.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::{Child, wait_for};

use crate::python::Environment;

const START_MAX: Duration = Duration::from_secs(60);
/// The region of everything.
pub const REGION: &str = "eu-west-1";

/// A running moto. Dropping it ends it.
pub struct Moto<'a> {
    python: &'a Environment,
    _process: Child,
    url: String,
    log: PathBuf,
}

impl<'a> Moto<'a> {
    /// Starts one that knows nothing yet.
    pub fn start(python: &'a Environment, log: &Path) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let program = python.program("moto_server").display().to_string();
        let port = address.port().to_string();
        let mut process = Child::start(&program, &["-H", "127.0.0.1", "-p", &port], &[], log)?;
        wait_for(START_MAX, || {
            let ended = process.check().err();
            ended.map(Err).or_else(|| TcpStream::connect(address).ok().map(Ok))
        })
        .context("moto_server does not listen")??;
        Ok(Self {
            python,
            _process: process,
            url: format!("http://{address}"),
            log: log.to_owned(),
        })
    }

    /// What a program of AWS's customers needs to find it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let all = [
            ("AWS_ENDPOINT_URL", self.url.as_str()),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// Runs a script of boto3's, and returns what it prints.
    pub fn script(&self, script: &str) -> Result<String> {
        let mut command = Command::new(self.python.program("python3"));
        let output = command.args(["-c", script]).envs(self.environment()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "moto: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Requests so far.
    pub fn calls(&self) -> Result<u32> {
        let log = fs::read_to_string(&self.log)?;
        Ok(u32::try_from(log.lines().filter(|line| line.contains("\"POST ")).count())?)
    }
}
