//! The loop's own time: the machine's clock, that nobody sets during a turn.

use slurm_asg_core::time::Timestamp;

use crate::Clock;

/// Somebody has set the machine's clock, if it is off by so many milliseconds: by itself it is not
/// within a turn and a pause.
const SET_MIN: u64 = 1000;

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

    /// Sets it by the machine's clock again. If somebody has set that, by how much, milliseconds. For
    /// less it never goes back.
    pub fn set(&mut self) -> Option<i64> {
        let (wall, own) = (self.clock.now().millis(), self.now().millis());
        let apart = wall.abs_diff(own);
        let was_set = apart >= SET_MIN;
        let apart = i64::try_from(apart).unwrap_or(i64::MAX);
        let moved = if wall < own { -apart } else { apart };
        if was_set || moved > 0 {
            self.zero = self.zero.moved(moved);
        }
        was_set.then_some(moved)
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
        assert_eq!(steady.set(), Some(5_999_800));
        assert_eq!(steady.now(), Timestamp::from_millis(7_000_000));
        fake.wall.set(1_000_000);
        assert_eq!(steady.set(), Some(-6_000_000));
        assert_eq!(steady.now(), Timestamp::from_millis(1_000_000));
        for (wall, then) in [(999_500, 1_000_000), (1_000_900, 1_000_900)] {
            fake.wall.set(wall);
            assert_eq!(steady.set(), None, "clocks drift");
            assert_eq!(steady.now(), Timestamp::from_millis(then));
        }
    }
}
