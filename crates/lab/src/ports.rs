//! Free ports for a cluster of its own.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// A range below the kernel's ephemeral ports, so that no outgoing connection takes one.
const FIRST: u16 = 12_000;
const LAST: u16 = 30_000;

/// Finds `count` consecutive free ports. Clusters of one process never get the same; those of
/// others are seen because they listen.
///
/// # Errors
/// If there are none.
pub fn find(count: u16) -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes start at different places, so that they rarely look at the same ports.
    let start = usize::try_from(std::process::id()).unwrap_or(0);
    for _ in 0..200 {
        let offset = start + usize::from(NEXT.fetch_add(count, Ordering::Relaxed));
        let Some(base) = (FIRST..LAST).nth(offset % usize::from(LAST - FIRST)) else { break };
        let free = base.checked_add(count).is_some_and(|end| {
            (base..end).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        });
        if free {
            return Ok(base);
        }
    }
    bail!("no {count} free ports in a row between {FIRST} and {LAST}")
}
