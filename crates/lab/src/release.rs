//! Which release of Slurm this machine has, and what is different with it in a cluster on one host.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::beside_this_program;

/// The plugin, as cargo calls it.
pub const PLUGIN: &str = "libjob_submit_asg.so";

/// A release of Slurm: year and month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    major: u32,
    minor: u32,
}

/// As packages and directories are named: `22.05`.
impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}.{:02}", self.major, self.minor)
    }
}

impl Release {
    /// From this release on a node's address is where its registration came from, with or without
    /// `cloud_reg_addrs`.
    const ADDRESSES_FROM_PEERS: Self = Self { major: 23, minor: 11 };

    /// The release of the slurmctld that is installed.
    ///
    /// # Errors
    /// If there is none, or it does not say.
    pub fn installed() -> Result<Self> {
        let output = Command::new("/usr/sbin/slurmctld").arg("-V").output();
        let output = output.context("slurmctld is not installed; apt-get install slurmctld")?;
        ensure!(output.status.success(), "slurmctld -V fails: {}", output.status);
        let said = String::from_utf8_lossy(&output.stdout);
        Self::read(&said).with_context(|| format!("slurmctld -V says {said}"))
    }

    /// Where the files are that packages for this release have, if they have been built beside this
    /// program.
    ///
    /// # Errors
    /// If this program has no directory.
    pub fn packaged(self) -> Result<Option<PathBuf>> {
        let packaged = beside_this_program()?.join(format!("../releases/{self}/dist"));
        Ok(packaged.join(PLUGIN).exists().then_some(packaged))
    }

    /// Reads `slurm-wlm 22.05.8`.
    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().nth(1)?.split('.');
        let mut number = || numbers.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()? })
    }

    /// Whether a node that has registered is at 127.0.0.1, where all slurmd of one host call from.
    #[must_use]
    pub fn takes_addresses_from_peers(self) -> bool {
        self >= Self::ADDRESSES_FROM_PEERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared() {
        let read = |text| Release::read(text).map(Release::takes_addresses_from_peers);
        assert_eq!(read("slurm-wlm 22.05.8\n"), Some(false));
        assert_eq!(read("slurm 23.11.0-0rc1"), Some(true));
        assert_eq!(read("slurm-wlm 26.05.5"), Some(true));
        assert_eq!(read("slurm-wlm"), None);
    }
}
