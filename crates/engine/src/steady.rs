//! The loop's own time: the machine's clock, that nobody sets during a turn.

use slurm_asg_core::time::Timestamp;

use crate::Clock;

/// A clock that goes on evenly, whatever becomes of the one it was set by.
#[derive(Debug)]
pub struct Steady<K> {
    clock: K,
    /// What time it was when `clock` had no ticks yet.
    zero: Timestamp,
}

impl<K: Clock> Steady<K> {
    /// Set by a clock.
    pub fn new(clock: K) -> Self {
        let mut steady = Self { clock, zero: Timestamp::default() };
        steady.set();
        steady
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.zero.after(self.clock.ticks())
    }

    /// Sets it by the machine's clock again. By how much that has moved it, milliseconds.
    pub fn set(&mut self) -> i64 {
        let (wall, own) = (self.clock.now().millis(), self.now().millis());
        let ahead = i64::try_from(wall.abs_diff(own)).unwrap_or(i64::MAX);
        let moved = if wall < own { -ahead } else { ahead };
        self.zero = self.zero.moved(moved);
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Fake {
        wall: Cell<u64>,
        ticks: Cell<u64>,
    }

    impl Clock for &Fake {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.get())
        }

        fn ticks(&self) -> Duration {
            Duration::from_millis(self.ticks.get())
        }
    }

    #[test]
    fn it_goes_on_evenly_until_it_is_set() {
        let fake = Fake::default();
        fake.wall.set(1_000_000);
        fake.ticks.set(50);
        let mut steady = Steady::new(&fake);
        assert_eq!(steady.now(), Timestamp::from_millis(1_000_000));
        fake.ticks.set(250);
        for wall in [400_000, 7_000_000] {
            fake.wall.set(wall);
            assert_eq!(steady.now(), Timestamp::from_millis(1_000_200), "nobody sets it");
        }
        assert_eq!(steady.set(), 5_999_800);
        assert_eq!(steady.now(), Timestamp::from_millis(7_000_000));
        fake.wall.set(1_000_000);
        assert_eq!(steady.set(), -6_000_000);
        assert_eq!(steady.now(), Timestamp::from_millis(1_000_000));
    }
}
