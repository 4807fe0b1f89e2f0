//! Ports for a cluster of its own.
//!
//! A node's port is in use only while its slurmd runs, so looking who listens is not enough:
//! clusters of other processes would be given the same. Whoever holds the lock of a block of
//! ports owns it; the kernel lets go of it with the process.

use std::fs::{self, File};
use std::net::TcpListener;

use anyhow::{Context, Result, bail, ensure};

/// Below the kernel's ephemeral ports, so that no outgoing connection takes one.
const FIRST: u16 = 12_000;
/// Ports in a block: one for slurmctld and one for each node.
const BLOCK: u16 = 256;
/// How many blocks there are.
const BLOCKS: u16 = 70;

/// A block of ports, as long as this value lives.
#[derive(Debug)]
pub struct Ports {
    /// The first of them.
    pub first: u16,
    _lock: File,
}

/// Takes a block in which `count` ports are free.
///
/// # Errors
/// If there is none.
pub fn take(count: u32) -> Result<Ports> {
    ensure!(count <= u32::from(BLOCK), "a test cluster has at most {} nodes", BLOCK - 1);
    let dir = std::env::temp_dir().join("slurm-asg-ports");
    fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    for block in 0..BLOCKS {
        let lock = File::options().create(true).append(true).open(dir.join(block.to_string()))?;
        let first = FIRST + block * BLOCK;
        let last = first + BLOCK;
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if lock.try_lock().is_ok() && (first..last).take(count as usize).all(free) {
            return Ok(Ports { first, _lock: lock });
        }
    }
    bail!("all blocks of ports from {FIRST} on are in use; are test clusters left over?")
}

#[cfg(test)]
mod tests {
    use super::take;

    #[test]
    fn no_two_clusters_share_a_port() {
        let (one, other) = (take(9).unwrap(), take(9).unwrap());
        assert!(one.first.abs_diff(other.first) >= 9);
        assert!(take(10_000).is_err());
    }
}
