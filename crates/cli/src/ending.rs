//! Being told to end, from outside.

use tokio::signal::unix::{SignalKind, signal};

/// Returns with SIGTERM or SIGINT, which end the process no more from here on.
pub async fn told() {
    let ends = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = ends else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
