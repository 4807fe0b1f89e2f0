//! The SQS API, version 2012-11-05, in AWS JSON 1.0: receiving and deleting. What is in a queue is told by `/sandbox/state`.

use crate::error::ApiError;
use crate::query::Params;
use crate::server::Shared;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The API's version.
pub const VERSION: &str = "2012-11-05";
/// How `X-Amz-Target` begins.
pub const TARGET: &str = "AmazonSQS.";
/// Type of requests and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";
/// The longest WaitTimeSeconds, and the most messages of one answer.
const WAIT_MAX_S: u32 = 20;
const MESSAGES_MAX: u32 = 10;
/// How often a request that is held open looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Reads a request's body: the members of one JSON object, flat.
pub fn params(action: &str, body: &[u8]) -> Result<Params, ApiError> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::new(400, "SerializationException", error.to_string()))?;
    let mut flat = BTreeMap::new();
    for (key, value) in body.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        flat.insert(key.clone(), text);
    }
    flat.insert("Action".to_owned(), action.to_owned());
    flat.insert("Version".to_owned(), VERSION.to_owned());
    Ok(Params::from(flat))
}

/// How long ReceiveMessage may be held open.
pub fn wait(action: &str, params: &Params) -> Duration {
    let secs = params.number("WaitTimeSeconds").ok().flatten().unwrap_or(0);
    let held = action == "ReceiveMessage";
    Duration::from_secs(if held { u64::from(secs.min(WAIT_MAX_S)) } else { 0 })
}

/// Carries out one call; `None` if there is no message yet.
pub fn handle(shared: &Shared, action: &str, params: &Params) -> Result<Option<String>, ApiError> {
    let mut world = shared.world();
    let url = params.required("QueueUrl")?;
    match action {
        "ReceiveMessage" => {
            let count = params.number("MaxNumberOfMessages")?.unwrap_or(1).min(MESSAGES_MAX);
            let hidden_s = params.number("VisibilityTimeout")?.unwrap_or(30);
            let hidden_ms = u64::from(hidden_s) * 1000;
            let messages = world.receive(url, count as usize, hidden_ms, shared.now_ms())?;
            let messages: Vec<_> = messages
                .into_iter()
                .map(|it| json!({"MessageId": it.id, "ReceiptHandle": it.receipt, "Body": it.body}))
                .collect();
            let is_empty = messages.is_empty();
            Ok((!is_empty).then(|| json!({ "Messages": messages }).to_string()))
        }
        "DeleteMessage" => {
            world.delete_message(url, params.required("ReceiptHandle")?)?;
            Ok(Some("{}".to_owned()))
        }
        _ => Err(ApiError::unknown_operation(action, VERSION)),
    }
}

/// Looks again and again until there is a message or time is up.
pub async fn long_poll(shared: &Shared, action: &str, params: &Params) -> Result<String, ApiError> {
    let end = tokio::time::Instant::now() + wait(action, params);
    loop {
        if let Some(answer) = handle(shared, action, params)? {
            return Ok(answer);
        }
        if tokio::time::Instant::now() >= end {
            return Ok("{}".to_owned());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// An error's body.
pub fn error(error: &ApiError) -> String {
    json!({"__type": format!("com.amazonaws.sqs#{}", error.code), "message": error.message})
        .to_string()
}

/// The error code of the protocol that SQS spoke before, for `x-amzn-query-error`.
pub fn old_code(code: &str) -> String {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
        other => other.to_owned(),
    }
}
