//! How many calls were made, and how they ended: every attempt counts, as AWS's limits count them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use slurm_asg_engine::CloudErrorKind;

use crate::classify::{is_dry_run, kind};

/// Counts attempts, by operation and outcome. All clones count together.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// By operation and outcome.
    numbers: BTreeMap<(String, &'static str), u64>,
    /// What the last answers say of rights, by operation.
    last: BTreeMap<String, LastAnswer>,
}

/// What the last answer to an operation that says something of rights has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAnswer {
    /// It was carried out.
    Allowed,
    /// It was refused for want of rights.
    Denied,
}

impl Calls {
    /// Operation, outcome (`ok`, `throttled`, `no_answer`, `service`, `denied`, `conflict`, `other`)
    /// and number.
    #[must_use]
    pub fn read(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let call = |((operation, outcome), count): (&(String, &'static str), &u64)| {
            (operation.clone(), *outcome, *count)
        };
        counts.numbers.iter().map(call).collect()
    }

    /// What the last answers have said of rights, by operation.
    pub fn last_answers(&self) -> BTreeMap<String, LastAnswer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last.clone()
    }

    fn count(&self, operation: &str, outcome: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The SDK has a fixed number of operations, of which few are used.
        *counts.numbers.entry((operation.to_owned(), outcome)).or_default() += 1;
        let said = match outcome {
            "ok" => LastAnswer::Allowed,
            "denied" => LastAnswer::Denied,
            _ => return,
        };
        counts.last.insert(operation.to_owned(), said);
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "slurm-asg calls"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("unknown", |metadata| metadata.name());
        self.count(operation, outcome(context.response()));
        Ok(())
    }
}

fn outcome(response: Option<&HttpResponse>) -> &'static str {
    let Some(response) = response else { return "no_answer" };
    let status = response.status().as_u16();
    if response.status().is_success() {
        return "ok";
    }
    let body = response.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    let (code, words) = (element(&body, "Code"), element(&body, "Message"));
    let code = if code.is_empty() { json_type(&body) } else { code };
    if is_dry_run(code) {
        return "ok";
    }
    match kind(code, words, status) {
        CloudErrorKind::Throttled => "throttled",
        CloudErrorKind::NoAnswer => "no_answer",
        CloudErrorKind::Service => "service",
        CloudErrorKind::Denied => "denied",
        CloudErrorKind::Conflict => "conflict",
        // What was not sent never comes here.
        CloudErrorKind::Unsupported | CloudErrorKind::NotSent | CloudErrorKind::Other => "other",
    }
}

/// What is in the first `<name>`: the query protocols of Auto Scaling and EC2 answer in XML. Other
/// answers have none, and are told apart by their HTTP status.
fn element<'a>(body: &'a str, name: &str) -> &'a str {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let rest = body.split_once(begin.as_str()).map_or("", |(_, rest)| rest);
    rest.split_once(end.as_str()).map_or("", |(text, _)| text)
}

/// The name of an error in JSON, as SQS answers: `{"__type":"com.amazonaws.sqs#QueueDoesNotExist",…`.
fn json_type(body: &str) -> &str {
    let rest = body.split_once("\"__type\":").map_or("", |(_, rest)| rest.trim_start());
    let text = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
    let name = text.map_or("", |(text, _)| text);
    name.rsplit('#').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_that_says_something_of_rights_is_remembered() {
        let calls = Calls::default();
        for outcome in ["denied", "ok", "throttled"] {
            calls.count("SetDesiredCapacity", outcome);
        }
        calls.count("CreateTags", "no_answer");
        let expected = [("SetDesiredCapacity".to_owned(), LastAnswer::Allowed)];
        assert_eq!(calls.last_answers(), expected.into());
        calls.count("SetDesiredCapacity", "denied");
        assert_eq!(calls.last_answers()["SetDesiredCapacity"], LastAnswer::Denied);
    }

    #[test]
    fn an_elements_text_is_found_and_nothing_else_is_taken_for_it() {
        let body = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate</Message></Error>";
        assert_eq!(element(body, "Code"), "Throttling");
        assert_eq!(element(body, "Message"), "Rate");
        assert_eq!(element("<Code>open", "Code"), "");
        assert_eq!(element("", "Code"), "");
        let json = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no"}"#;
        assert_eq!(json_type(json), "QueueDoesNotExist");
        assert_eq!((json_type(body), json_type(r#"{"__type": 7}"#)), ("", ""));
    }
}
