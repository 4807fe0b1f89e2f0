//! Calls made at once, but never more than a few.

use std::future::Future;
use std::time::Duration;

use slurm_asg_engine::CloudError;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::classify::{cut_short, not_sent};

/// How much of what one request asks for is done at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Single calls under way at the same time.
    pub at_once: usize,
    /// Calls begin for so long. The loop waits for them, and what it sees meanwhile must not wait for
    /// a thousand paced calls: what is left is asked for again by its next turn.
    pub begin_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { at_once: 8, begin_for: Duration::from_secs(5) }
    }
}

impl Limits {
    /// When the calls of a request that comes now have to have begun.
    pub fn end(&self) -> Instant {
        Instant::now() + self.begin_for
    }
}

/// Runs the calls, at most `at_once_max` at a time, and gathers what they answer, in the order in
/// which they end. A call that does not end (its task was cancelled) is missing. Dropping the
/// future drops the calls.
pub async fn all<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    at_once_max: usize,
) -> Vec<T> {
    let mut running = JoinSet::new();
    let mut answers = Vec::new();
    let mut calls = calls.into_iter();
    loop {
        if running.len() >= at_once_max {
            answers.extend(running.join_next().await.and_then(Result::ok));
        }
        // Whether there is one more may depend on the time.
        let Some(call) = calls.next() else { break };
        running.spawn(call);
    }
    while let Some(ended) = running.join_next().await {
        answers.extend(ended);
    }
    answers
}

/// The same, with an answer for each call, in their order: those that would have begun after `end`
/// were not sent.
pub async fn in_order<T: Send + 'static>(
    operation: &'static str,
    calls: impl ExactSizeIterator<Item = impl Future<Output = Result<T, CloudError>> + Send + 'static>,
    at_once_max: usize,
    end: Option<Instant>,
) -> Vec<Result<T, CloudError>> {
    let count = calls.len();
    let mut begun = 0;
    let numbered = calls
        .take_while(|_| end.is_none_or(|end| Instant::now() < end))
        .inspect(|_| begun += 1)
        .enumerate()
        .map(|(nth, call)| async move { (nth, call.await) });
    let answers = all(numbered, at_once_max).await;
    let unanswered = |nth| if nth < begun { cut_short(operation) } else { not_sent(operation) };
    let mut results: Vec<_> = (0..count).map(|nth| Err(unanswered(nth))).collect();
    for (nth, answer) in answers {
        if let Some(result) = results.get_mut(nth) {
            *result = answer;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use slurm_asg_engine::CloudErrorKind;

    use super::*;

    /// Calls that take so long each, two at a time, and the kinds of those that were not answered.
    async fn ended(
        calls: u64,
        each_ms: u64,
        end_ms: Option<u64>,
    ) -> Vec<Result<u64, CloudErrorKind>> {
        let calls: Vec<_> = (0..calls)
            .map(|nth| async move {
                // The later ones end before the earlier ones.
                tokio::time::sleep(Duration::from_millis(each_ms + 10 - nth)).await;
                Ok(nth)
            })
            .collect();
        let end = end_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        let results = in_order("Op", calls.into_iter(), 2, end).await;
        results.into_iter().map(|result| result.map_err(|error| error.kind)).collect()
    }

    #[tokio::test]
    async fn answers_are_in_order_and_what_would_begin_late_is_not_sent() {
        let late = Err(CloudErrorKind::NotSent);
        assert_eq!(ended(5, 0, None).await, [Ok(0), Ok(1), Ok(2), Ok(3), Ok(4)]);
        assert_eq!(ended(4, 400, Some(200)).await, [Ok(0), Ok(1), late, late]);
        assert_eq!(ended(2, 0, Some(0)).await, [late, late]);
        assert_eq!(ended(0, 0, None).await, []);
    }

    #[tokio::test]
    async fn a_call_that_dies_was_cut_short() {
        let calls = [true, false].map(|dies| async move {
            assert!(!dies, "as it should");
            Ok(())
        });
        let results = in_order("Op", calls.into_iter(), 2, None).await;
        let kinds: Vec<_> =
            results.into_iter().map(|result| result.map_err(|error| error.kind)).collect();
        assert_eq!(kinds, [Err(CloudErrorKind::NoAnswer), Ok(())]);
    }
}
