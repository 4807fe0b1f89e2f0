//! packaging/cloudformation/events.json has EventBridge send what the plugin reads, and lets the
//! controller do with the queue what the IAM policies let it do.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use slurm_asg_core::notice::{Message, read};
use slurm_asg_core::time::Timestamp;

const STACK: &str = include_str!("../../../packaging/cloudformation/events.json");
const POLICY: &str = include_str!("../../../packaging/iam/controller.json");

fn stack() -> Value {
    serde_json::from_str(STACK).unwrap()
}

/// Every string in a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(map) => map.values().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// The lists under a key, wherever that is.
fn under(value: &Value, key: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Value::Object(map) = value {
        found.extend(map.get(key).into_iter().flat_map(strings).map(str::to_owned));
    }
    let inner: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    found.extend(inner.into_iter().flat_map(|value| under(value, key)));
    found
}

#[test]
fn what_the_rules_let_through_is_what_is_read() {
    let stack = stack();
    let rules = json!([stack["Resources"]["Ec2Rule"], stack["Resources"]["HealthRule"]]);
    let kinds = under(&rules, "detail-type");
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    let states = under(&rules, "state");
    assert_eq!(states.len(), 4, "{states:?}");
    for kind in &kinds {
        for state in &states {
            let body = json!({
                "detail-type": kind,
                "detail": {
                    "instance-id": "i-0123456789abcdef0", "state": state,
                    "service": strings(&under_one(&rules, "service"))[0],
                    "eventTypeCategory": strings(&under_one(&rules, "eventTypeCategory"))[0],
                    "eventTypeCode": "AWS_EC2_INSTANCE_STOP_SCHEDULED",
                    "affectedEntities": [{"entityValue": "i-0123456789abcdef0"}],
                },
            });
            let said = read(&body.to_string(), Timestamp::from_millis(0)).unwrap();
            assert_ne!(said, Message::Other, "{kind} {state}");
        }
    }
}

fn under_one(value: &Value, key: &str) -> Value {
    json!(under(value, key))
}

#[test]
fn only_the_two_rules_may_send_and_the_controller_may_do_what_its_policy_says() {
    let stack = stack();
    let may_send = &stack["Resources"]["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"];
    assert_eq!(may_send.as_array().unwrap().len(), 1);
    let sources = under(may_send, "Fn::GetAtt");
    assert_eq!(sources, ["Arn", "Ec2Rule", "HealthRule", "Queue"].map(str::to_owned).into());
    let policy: Value = serde_json::from_str(POLICY).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let ours = statements.iter().find(|it| it["Sid"] == "OptionalEventsQueue").unwrap();
    let read = &stack["Resources"]["ReadQueue"]["Properties"]["PolicyDocument"]["Statement"][0];
    assert_eq!(read["Action"], ours["Action"]);
}
