//! What an API call is refused with.

/// A refusal as AWS words it; the protocol in force decides the XML around it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// AWS's error code, e.g. `ValidationError`.
    pub code: &'static str,
    /// AWS's message text; the autoscaler tells some errors apart by it.
    pub message: String,
}

impl ApiError {
    /// A refusal with the given parts.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Auto Scaling's answer to everything that is wrong with a request.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// A required parameter that is missing.
    #[must_use]
    pub fn missing(parameter: &str) -> Self {
        let mut chars = parameter.chars();
        let member: String =
            chars.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(chars).collect();
        Self::validation(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    }

    /// What the query protocols' services answer to an action that they do not have in an API's `version`.
    #[must_use]
    pub fn unknown_operation(action: &str, version: &str) -> Self {
        let message = format!("Could not find operation {action} for version {version}");
        Self::new(400, "InvalidAction", message)
    }
}
