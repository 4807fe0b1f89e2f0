//! Calls made at once, but never more than a few.

use std::future::Future;

use tokio::task::JoinSet;

/// Runs the calls, at most `at_once_max` at a time, and gathers what they answer, in the order in
/// which they end. A call that does not end (its task was cancelled) is missing. Dropping the
/// future drops the calls.
pub async fn all<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
    at_once_max: usize,
) -> Vec<T> {
    let mut running = JoinSet::new();
    let mut answers = Vec::new();
    for call in calls {
        if running.len() >= at_once_max {
            answers.extend(running.join_next().await.and_then(Result::ok));
        }
        running.spawn(call);
    }
    while let Some(ended) = running.join_next().await {
        answers.extend(ended);
    }
    answers
}
