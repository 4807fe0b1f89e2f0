//! What is remembered when the clock is set: each time in it is moved along, so that what was ten
//! seconds ago still was, and a pause lasts as long as it was to.

use super::{Accepted, Cooldown, Held, Memory, Retry};
use crate::time::Timestamp;

/// What a time in memory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Something that was.
    Past,
    /// The end of a pause.
    Pause,
}

impl Memory {
    /// Moves all times by so many milliseconds. Times that AWS or a person has said stay.
    pub fn move_times(&mut self, millis: i64) {
        self.each_time(&mut |time, _| *time = time.moved(millis));
    }

    /// Moves all times back if there are later ones than `now`: what is read may have been written
    /// when the clock was ahead. Whether it did, milliseconds.
    pub fn leave_the_future(&mut self, now: Timestamp) -> Option<u64> {
        let mut last = Timestamp::default();
        self.each_time(&mut |time, of| {
            if of == Of::Past {
                last = last.max(*time);
            }
        });
        let ahead = last.millis().checked_sub(now.millis()).filter(|ahead| *ahead > 0)?;
        self.move_times(i64::try_from(ahead).map_or(i64::MIN, |ahead| -ahead));
        Some(ahead)
    }

    fn each_time(&mut self, visit: &mut impl FnMut(&mut Timestamp, Of)) {
        // Whoever adds a field decides here whether it has a time.
        let Self {
            bindings,
            releases,
            spare_since,
            counted_since,
            incomplete,
            raise_retry,
            launches,
            zone_failures,
            launch_refusals,
            levels,
            begun: _,
            powered_up,
            sizes_retry,
            protect_retry,
            cooldowns,
            boots: _,
            failed_boots: _,
            paused: _,
            held,
            kept: _,
            expired: _,
            boot_times: _,
            watch,
            notices: _,
            stirred,
        } = self;
        for binding in bindings.values_mut() {
            visit(&mut binding.bound_at, Of::Past);
            binding.missing_since.iter_mut().for_each(|time| visit(time, Of::Past));
        }
        for release in releases.values_mut() {
            visit(&mut release.decided_at, Of::Past);
            if let Some(Accepted { at, .. }) = &mut release.accepted {
                visit(at, Of::Past);
            }
            release.retry.iter_mut().for_each(|retry| retry.times(visit));
        }
        let times = spare_since.values_mut().chain(stirred.values_mut());
        let times = times.chain(counted_since.values_mut()).chain(incomplete.values_mut());
        times.for_each(|time| visit(time, Of::Past));
        let retries = raise_retry.values_mut().chain(sizes_retry.values_mut());
        let retries = retries.chain(protect_retry.values_mut()).chain(powered_up.values_mut());
        retries.for_each(|retry| retry.times(visit));
        for launching in launches.values_mut() {
            visit(&mut launching.asked_at, Of::Past);
            launching.retry.iter_mut().for_each(|retry| retry.times(visit));
        }
        // LaunchInstances says no time: it is ours.
        let failures = zone_failures.values_mut().flat_map(|zones| zones.values_mut());
        failures.for_each(|failure| visit(&mut failure.at, Of::Past));
        launch_refusals.values_mut().for_each(|refusal| visit(&mut refusal.at, Of::Past));
        levels.values_mut().for_each(|level| visit(&mut level.at, Of::Past));
        for Cooldown { failure: _, noticed_at, until } in cooldowns.values_mut() {
            visit(noticed_at, Of::Past);
            visit(until, Of::Pause);
        }
        for Held { at: _, since, beaten_at, retry } in held.values_mut() {
            visit(since, Of::Past);
            beaten_at.iter_mut().for_each(|time| visit(time, Of::Past));
            retry.iter_mut().for_each(|retry| retry.times(visit));
        }
        watch.times().for_each(|time| visit(time, Of::Past));
    }
}

impl Retry {
    fn times(&mut self, visit: &mut impl FnMut(&mut Timestamp, Of)) {
        visit(&mut self.not_before, Of::Pause);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::memory::{Binding, Level};

    fn remembered(secs: i64) -> Memory {
        let at = Timestamp::from_secs(secs);
        let mut memory = Memory::default();
        memory.bindings.insert("n1".into(), Binding::new(&"i-1".into(), &"a".into(), at));
        memory.levels.insert("a".into(), Level { to: 1, at: Timestamp::from_secs(secs - 10) });
        let retry = Retry { failures: 1, not_before: at.after(Duration::from_secs(60)) };
        memory.raise_retry.insert("a".into(), retry);
        memory
    }

    #[test]
    fn all_times_move_together() {
        for by in [3600, -3600] {
            let mut memory = remembered(10_000);
            memory.move_times(by * 1000);
            assert_eq!(memory, remembered(10_000 + by));
        }
    }

    #[test]
    fn what_was_written_by_a_clock_ahead_is_moved_to_now() {
        let mut memory = remembered(10_000);
        assert_eq!(memory.leave_the_future(Timestamp::from_secs(10_000)), None);
        assert_eq!(memory.leave_the_future(Timestamp::from_secs(4000)), Some(6_000_000));
        assert_eq!(memory, remembered(4000));
        assert_eq!(Memory::default().leave_the_future(Timestamp::default()), None);
    }
}
