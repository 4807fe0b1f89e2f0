//! When the loop looks next.

use std::time::Duration;

use tokio::time::Instant;

/// Rings are gathered for this long: a look soon after the first serves them all.
const SOON: Duration = Duration::from_millis(100);
/// After the last ring there are more looks: the hook comes before the job exists, and
/// Slurm takes some time to place it.
const LATER: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(2)];

/// The looks that are due.
#[derive(Debug, Default)]
pub struct Pace {
    /// What the last look asked for.
    planned: Option<Instant>,
    /// After the first ring since the last look.
    soon: Option<Instant>,
    /// After the last ring.
    later: Vec<Instant>,
    /// Until then rings bring no look.
    quiet: Option<Instant>,
}

impl Pace {
    /// The hook rang.
    pub fn ring(&mut self, now: Instant) {
        self.soon.get_or_insert(now + SOON);
        self.later = LATER.iter().map(|after| now + *after).collect();
    }

    /// A look ended at `now`, and asks for another after `pause`, and for none because of rings
    /// within `quiet`. Rings are not forgotten meanwhile.
    pub fn looked(&mut self, now: Instant, pause: Duration, quiet: Duration) {
        self.quiet = Some(now + quiet);
        self.soon = None;
        self.later.retain(|at| *at > now);
        self.planned = Some(now + pause);
    }

    /// When the next look is due; `None` is at once.
    pub fn next(&self) -> Option<Instant> {
        self.planned.map(|planned| {
            let rung = self.soon.iter().chain(&self.later).min();
            let rung = rung.map(|rung| self.quiet.map_or(*rung, |quiet| quiet.max(*rung)));
            rung.map_or(planned, |rung| planned.min(rung))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(pace: &Pace, from: Instant) -> u128 {
        pace.next().unwrap().duration_since(from).as_millis()
    }

    #[test]
    fn a_ring_brings_some_looks_and_then_rest() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.next(), None);
        pace.looked(start, Duration::from_secs(30), Duration::ZERO);
        assert_eq!(millis(&pace, start), 30_000);
        pace.ring(start);
        for due in [100, 300, 1000, 2000] {
            assert_eq!(millis(&pace, start), due);
            let then = start + Duration::from_millis(u64::try_from(due).unwrap());
            pace.looked(then, Duration::from_secs(30), Duration::ZERO);
        }
        assert_eq!(millis(&pace, start), 32_000);
    }

    #[test]
    fn rings_without_end_neither_put_the_look_off_nor_pile_up() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.looked(start, Duration::from_secs(30), Duration::ZERO);
        for nth in 0..1000 {
            pace.ring(start + Duration::from_millis(nth));
        }
        assert_eq!(millis(&pace, start), 100);
        assert_eq!(pace.later.len(), LATER.len());
    }

    #[test]
    fn rings_within_the_quiet_wait_for_its_end_and_planned_looks_do_not() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.looked(start, Duration::from_secs(30), Duration::from_secs(20));
        assert_eq!(millis(&pace, start), 30_000);
        pace.ring(start + Duration::from_secs(5));
        assert_eq!(millis(&pace, start), 20_000);
        pace.looked(
            start + Duration::from_secs(20),
            Duration::from_secs(1),
            Duration::from_secs(20),
        );
        assert_eq!(millis(&pace, start), 21_000);
        pace.ring(start + Duration::from_secs(50));
        assert_eq!(millis(&pace, start), 21_000);
    }
}
