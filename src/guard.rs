//! The one place where panics end: none may cross into C, where it would abort slurmctld.

use std::panic::{self, AssertUnwindSafe};

/// Runs `work`; a panic becomes a line in the log and `fallback`.
pub fn guarded<T>(entry: &str, fallback: T, work: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        // Logging must not bring the panic back.
        drop(panic::catch_unwind(AssertUnwindSafe(|| {
            tracing::error!("panic in {entry}: {}; please report it", text_of(&*payload));
        })));
        fallback
    })
}

/// What a panic said.
pub fn text_of(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_becomes_the_fallback() {
        assert_eq!(guarded("test", 7, || 8), 8);
        assert_eq!(guarded("test", 7, || panic!("on purpose")), 7);
        assert_eq!(guarded("test", 7, || std::panic::panic_any(3_u8)), 7);
    }
}
