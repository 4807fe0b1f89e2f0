//! Reads the SDK's errors, and has `classify` say what they mean.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::classify::Failure;
use crate::client::Endpoint;

impl Failure {
    /// Reads the SDK's error.
    pub fn of<E>(
        operation: &'static str,
        error: &SdkError<E, HttpResponse>,
        endpoint: &Endpoint,
    ) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
    {
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        match error {
            SdkError::ServiceError(refusal) => {
                let (code, words) = (refusal.err().code(), refusal.err().message());
                Self::from_answer(operation, status, code.unwrap_or(""), words.unwrap_or(""))
            }
            SdkError::TimeoutError(_) => {
                Self::without_answer(operation, &endpoint.name(), "no answer in time")
            }
            SdkError::ResponseError(_) if status >= 500 => {
                Self::from_answer(operation, status, "", "")
            }
            SdkError::ResponseError(_) => {
                Self::without_answer(operation, &endpoint.name(), "the answer cannot be read")
            }
            SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => {
                Self::from_chain(operation, &endpoint.name(), &chain(error))
            }
            _ => Self::without_answer(operation, &endpoint.name(), &chain(error).join(": ")),
        }
    }
}

/// The error's causes, outermost first.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}
