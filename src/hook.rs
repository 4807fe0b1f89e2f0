//! What a hook does: count, and wake the loop. No allocation, no lock, no call into Slurm.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

static CALLS: AtomicU64 = AtomicU64::new(0);
static WAKE: Notify = Notify::const_new();

/// A submission or a change of a job: the queue may be about to move.
pub fn ring() {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // At most one write to an eventfd, and none while an earlier ring has not been heard.
    WAKE.notify_one();
}

/// How often [`ring`] was called.
pub fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

/// Waits for the next ring; several since the last wait count as one.
pub async fn heard() {
    WAKE.notified().await;
}
