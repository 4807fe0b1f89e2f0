//! JobNotices for users whose jobs wait: how often they may change.

use std::collections::BTreeMap;
use std::time::Duration;

use slurm_asg_core::time::Timestamp;

/// A job's notice changes no more often.
const REST: Duration = Duration::from_secs(60);
/// So many are written at once: each takes slurmctld's lock of the jobs for a moment.
const UPDATES_MAX: usize = 10;
/// And at most once in this time.
const ROUND: Duration = Duration::from_secs(1);

/// When notices were written.
#[derive(Debug, Default)]
pub struct JobNotices {
    written: BTreeMap<u32, Timestamp>,
    last: Option<Timestamp>,
}

impl JobNotices {
    /// Those of `wanted` that may be written now.
    pub fn due(&mut self, wanted: Vec<(u32, String)>, now: Timestamp) -> Vec<(u32, String)> {
        // The clock may have been set back.
        let is_over = |at: Timestamp, rest| now < at || now.since(at) >= rest;
        self.written.retain(|_, at| !is_over(*at, REST));
        if wanted.is_empty() || self.last.is_some_and(|last| !is_over(last, ROUND)) {
            return Vec::new();
        }
        let may = wanted.into_iter().filter(|(job, _)| !self.written.contains_key(job));
        let due: Vec<_> = may.take(UPDATES_MAX).collect();
        self.written.extend(due.iter().map(|(job, _)| (*job, now)));
        if !due.is_empty() {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_notice_changes_once_a_minute_and_few_are_written_at_once() {
        let mut notices = JobNotices::default();
        let mut due = |secs, jobs: std::ops::Range<u32>| -> Vec<u32> {
            let wanted = jobs.map(|job| (job, "text".to_owned())).collect();
            let due = notices.due(wanted, Timestamp::from_secs(secs));
            due.into_iter().map(|(job, _)| job).collect()
        };
        assert_eq!(due(100, 1..3), [1, 2]);
        assert_eq!(due(100, 3..4), [0; 0], "one round a second");
        assert_eq!(due(159, 1..4), [3]);
        assert_eq!(due(160, 1..4), [1, 2]);
        assert_eq!(due(300, 1..100), (1..11).collect::<Vec<_>>());
        assert_eq!(due(301, 1..100), (11..21).collect::<Vec<_>>());
        assert_eq!(due(200, 1..2), [1], "the clock was set back");
    }
}
