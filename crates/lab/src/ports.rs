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

/// Blocks of ports that follow one another, as long as this value lives.
#[derive(Debug)]
pub struct Ports {
    /// The first of them.
    pub first: u16,
    _locks: Vec<File>,
}

/// Takes as many blocks as `count` ports need, all of them free.
///
/// # Errors
/// If there is none.
pub fn take(count: u32) -> Result<Ports> {
    let blocks = u16::try_from(count.div_ceil(u32::from(BLOCK))).unwrap_or(u16::MAX).max(1);
    let most = u32::from(BLOCKS) * u32::from(BLOCK);
    ensure!(blocks <= BLOCKS, "a test cluster has at most {} nodes", most - 1);
    let dir = std::env::temp_dir().join("slurm-asg-ports");
    fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    for start in 0..=BLOCKS - blocks {
        let mut locks = Vec::new();
        for block in start..start + blocks {
            let lock =
                File::options().create(true).append(true).open(dir.join(block.to_string()))?;
            if lock.try_lock().is_err() {
                break;
            }
            locks.push(lock);
        }
        let first = FIRST + start * BLOCK;
        let last = first + blocks * BLOCK;
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if locks.len() == usize::from(blocks) && (first..last).take(count as usize).all(free) {
            return Ok(Ports { first, _locks: locks });
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
        let large = take(1001).unwrap();
        assert!(large.first.abs_diff(one.first) >= 9 && large.first.abs_diff(other.first) >= 9);
        assert!(take(20_000).is_err());
    }
}
