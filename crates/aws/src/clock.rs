//! AWS's clock, as its answers tell it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::DateTime;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::date_time::Format;

/// A date has whole seconds: it is half a second old, as a rule.
const HALF_SECOND_MS: i64 = 500;

/// How far this host's clock was ahead of AWS's when the last answer came. All clones know it.
#[derive(Clone, Debug, Default)]
pub struct AwsClock(Arc<Mutex<Option<i64>>>);

impl AwsClock {
    /// Milliseconds; less than zero if this host is behind. `None` before the first answer with a
    /// date.
    pub fn ahead_ms(&self) -> Option<i64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for AwsClock {
    fn name(&self) -> &'static str {
        "slurm-asg clock"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().and_then(|response| response.headers().get("date"));
        if let Some(ahead) = date.and_then(|date| ahead_of(date, SystemTime::now())) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        }
        Ok(())
    }
}

/// How far `now` is ahead of an answer's date, milliseconds.
fn ahead_of(date: &str, now: SystemTime) -> Option<i64> {
    let theirs = DateTime::from_str(date, Format::HttpDate).ok()?.to_millis().ok()?;
    let ours = DateTime::from(now).to_millis().ok()?;
    ours.checked_sub(theirs)?.checked_sub(HALF_SECOND_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_clock_is_compared_with_the_date_of_an_answer() {
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let ahead = |now| ahead_of("Thu, 01 Jan 1970 00:01:40 GMT", now);
        assert_eq!(ahead(at(100_500)), Some(0));
        assert_eq!(ahead(at(130_500)), Some(30_000));
        assert_eq!(ahead(at(90_500)), Some(-10_000));
        assert_eq!(ahead_of("soon", at(0)), None);
    }
}
