//! Token buckets on our side, so that the account's own ones never run dry because of us.
//!
//! A bucket is the theoretical arrival time of the next call (GCRA): no timer, no task.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One bucket for each bucket of AWS that we draw from.
#[derive(Debug)]
pub struct Paces {
    /// Auto Scaling, reading. Shared per account and region, its size unpublished: a look asks for
    /// all groups in one call, so this is far more than the loop needs.
    pub asg_read: Pace,
    /// Auto Scaling, changing. Plan for 1-2 calls a second; one look may well use up the burst.
    pub asg_write: Pace,
    /// EC2 Describe*: AWS gives 100 and 20 a second to everyone in the account and region; half.
    pub ec2_read: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            asg_read: Pace::new(20, Duration::from_millis(200)),
            asg_write: Pace::new(50, Duration::from_millis(500)),
            ec2_read: Pace::new(50, Duration::from_millis(100)),
        }
    }
}

/// A token bucket.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    tolerance: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// `burst` calls at once, then one each `interval`.
    #[must_use]
    pub fn new(burst: u32, interval: Duration) -> Self {
        let tolerance = interval.saturating_mul(burst.saturating_sub(1));
        Self { interval, tolerance, next: Mutex::new(None) }
    }

    /// Waits until a call may be made.
    pub async fn take(&self) {
        self.turn().wait().await;
    }

    /// Takes a token now, to be waited for elsewhere.
    pub fn turn(&self) -> Turn {
        let now = Instant::now();
        Turn(now + self.reserve(now))
    }

    /// Takes a token and says how long to wait for it.
    fn reserve(&self, now: Instant) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let arrival = next.map_or(now, |next| next.max(now));
        *next = Some(arrival + self.interval);
        arrival.saturating_duration_since(now + self.tolerance)
    }
}

/// When a call may be made.
#[derive(Debug)]
pub struct Turn(Instant);

impl Turn {
    /// Waits for it.
    pub async fn wait(self) {
        if self.0 > Instant::now() {
            tokio::time::sleep_until(self.0).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_then_calls_are_spaced_and_a_rest_fills_the_bucket() {
        let pace = Pace::new(3, Duration::from_millis(100));
        let start = Instant::now();
        let waits = |after_ms: u64, count: usize| -> Vec<u128> {
            let now = start + Duration::from_millis(after_ms);
            (0..count).map(|_| pace.reserve(now).as_millis()).collect()
        };
        assert_eq!(waits(0, 5), [0, 0, 0, 100, 200]);
        assert_eq!(waits(300, 1), [0]);
        assert_eq!(waits(10_000, 4), [0, 0, 0, 100]);
    }
}
