//! packaging/iam allows what the code can call in AWS, and nothing else. What it calls is read
//! from the sources, so that a new call without a line in the policies fails here.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use slurm_asg_core::doctor::rights::CALLS;
use slurm_asg_core::policy::MetricsPolicy;

const POLICIES: [&str; 2] = ["controller.json", "controller-by-tag.json"];
/// The clients as crates/aws names them, which is also how IAM names the services.
const SERVICES: [&str; 4] = ["autoscaling", "ec2", "cloudwatch", "sqs"];

/// What Auto Scaling calls in the caller's name, for LaunchInstances (its user guide).
const IN_OUR_NAME: &str = "ec2:CreateFleet";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(path: &str) -> String {
    let path = workspace().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn statements(policy: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(&text(&format!("packaging/iam/{policy}"))).unwrap();
    policy["Statement"].as_array().unwrap().clone()
}

fn actions(statement: &Value) -> Vec<String> {
    let list = statement["Action"].as_array().unwrap().iter();
    list.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// All code of crates/aws without comments and white space: a call may be broken into lines.
fn code() -> String {
    let mut code = String::new();
    let mut left = vec![workspace().join("crates/aws/src")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            code.extend(lines.flat_map(|line| line.chars().filter(|c| !c.is_whitespace())));
        }
    }
    code
}

/// The action that a client's method stands for.
fn action(service: &str, method: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(letters).collect()
    };
    let name: String = method.split('_').map(capital).collect::<Vec<String>>().concat();
    format!("{service}:{name}")
}

/// Every use of a client in `code`, as an action.
fn calls(code: &str) -> Vec<String> {
    let of = |service: &'static str| {
        let client = format!(".{service}.");
        let uses: Vec<&str> = code.split(client.as_str()).skip(1).collect();
        uses.into_iter().map(move |rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            action(service, rest.get(..end.unwrap_or(rest.len())).unwrap())
        })
    };
    SERVICES.into_iter().flat_map(of).collect()
}

#[test]
fn the_policies_allow_what_the_code_calls_and_nothing_else() {
    let calls: BTreeSet<String> = calls(&code()).into_iter().collect();
    for policy in POLICIES {
        let mut allowed: BTreeSet<String> = statements(policy).iter().flat_map(actions).collect();
        assert!(allowed.remove(IN_OUR_NAME), "{policy}");
        assert_eq!(allowed, calls, "{policy} on the left, crates/aws on the right");
    }
}

#[test]
fn the_doctor_knows_what_each_call_is_for() {
    let known: BTreeSet<String> = CALLS.iter().map(|call| call.action.to_owned()).collect();
    let allowed: BTreeSet<String> = statements(POLICIES[0]).iter().flat_map(actions).collect();
    assert_eq!(known, allowed, "crates/core/src/doctor/rights.rs on the left");
    assert_eq!(known.len(), CALLS.len(), "each once");
}

#[test]
fn no_call_is_made_in_a_way_that_this_test_does_not_see() {
    let code = code();
    let (calls, sent) = (calls(&code), code.matches(".send()").count());
    assert_eq!(
        calls.len(),
        sent,
        "write each call as clients.SERVICE.METHOD() once, with one .send(): {calls:?}"
    );
    for client in SERVICES {
        // A client under another name could call anything.
        let borrowed = code.matches(&format!("clients.{client}")).count();
        let known = [".", "_at"].map(|end| code.matches(&format!("clients.{client}{end}")).count());
        assert_eq!(borrowed, known.iter().sum::<usize>(), "clients.{client} is given another name");
    }
}

#[test]
fn no_other_crate_has_the_sdk() {
    for entry in fs::read_dir(workspace().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("aws") {
            continue;
        }
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        let shipped = manifest.split("[dev-dependencies]").next().unwrap();
        assert!(!shipped.contains("aws-sdk-"), "{}", path.display());
    }
}

#[test]
fn a_call_is_found_and_named_however_it_is_laid_out() {
    let code = "cloud.clients.ec2.describe_instances().filters(f);self.ec2.create_tags()";
    assert_eq!(calls(code), ["ec2:DescribeInstances", "ec2:CreateTags"]);
}

#[test]
fn whatever_changes_something_is_bound_to_a_group_its_instances_or_a_namespace() {
    for policy in POLICIES {
        for statement in statements(policy) {
            let actions = actions(&statement);
            let reads = actions.iter().all(|action| action.contains(":Describe"));
            let bound = statement["Resource"] != "*" || statement["Condition"].is_object();
            assert!(reads || bound, "{policy}: {statement}");
            assert!(actions.iter().all(|action| !action.contains('*')), "{policy}: {statement}");
            if actions.contains(&IN_OUR_NAME.to_owned()) {
                // A fleet has no tag before it is there.
                let region = &statement["Condition"]["StringEquals"]["aws:RequestedRegion"];
                assert_eq!(*region, "REGION", "{policy}");
                continue;
            }
            let by_tag = statement["Condition"].to_string().contains("slurm-asg:cluster");
            let changes = statement["Resource"] != "*";
            assert_eq!(by_tag, changes && policy == "controller-by-tag.json", "{statement}");
        }
    }
}

#[test]
fn each_statement_is_told_by_a_name_that_iam_takes() {
    let read_me = text("packaging/iam/README.md");
    let mut names = BTreeMap::<String, BTreeSet<String>>::new();
    for policy in POLICIES {
        for statement in statements(policy) {
            let sid = statement["Sid"].as_str().unwrap().to_owned();
            assert!(sid.chars().all(|c| c.is_ascii_alphanumeric()), "{sid}");
            assert!(read_me.contains(&format!("`{sid}`")), "README.md does not tell of {sid}");
            assert!(names.entry(policy.to_owned()).or_default().insert(sid), "{policy}");
        }
    }
    assert_eq!(names.get(POLICIES[0]), names.get(POLICIES[1]));
}

#[test]
fn only_the_tags_that_are_written_may_be_written() {
    let source = text("crates/aws/src/tags.rs");
    let of = |name: &str| {
        let (_, rest) = source.split_once(&format!("const {name}: &str = \"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let keys = json!([of("NAME_TAG"), of("NODE_TAG")]);
    for policy in POLICIES {
        let statements = statements(policy);
        let tags = statements.iter().find(|it| it["Action"] == json!(["ec2:CreateTags"])).unwrap();
        assert_eq!(tags["Condition"]["ForAllValues:StringEquals"]["aws:TagKeys"], keys);
        // A set without members has no wrong one: there must be some.
        assert_eq!(tags["Condition"]["Null"]["aws:TagKeys"], "false");
    }
}

#[test]
fn metrics_are_allowed_as_the_stack_of_alarms_allows_them() {
    let stack: Value = serde_json::from_str(&text("packaging/cloudformation/alarms.json")).unwrap();
    let of_stack =
        &stack["Resources"]["PublishMetrics"]["Properties"]["PolicyDocument"]["Statement"][0];
    let namespace = &stack["Parameters"]["Namespace"]["Default"];
    assert_eq!(*namespace, MetricsPolicy::default().namespace);
    for policy in POLICIES {
        let statements = statements(policy);
        let ours = statements.iter().find(|it| it["Sid"] == "OptionalMetrics").unwrap();
        assert_eq!(ours["Action"], json!([of_stack["Action"]]));
        assert_eq!(ours["Resource"], of_stack["Resource"]);
        let key = "cloudwatch:namespace";
        assert_eq!(ours["Condition"]["StringEquals"][key], *namespace);
        assert_eq!(of_stack["Condition"]["StringEquals"][key], json!({"Ref": "Namespace"}));
    }
}

#[test]
fn compute_instances_call_nothing_of_aws_but_their_own_metadata() {
    let script = text("packaging/node/slurm-asg-node");
    let code: Vec<_> = script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let curl: Vec<_> = code.iter().filter(|line| line.contains("curl ")).collect();
    assert!(curl.len() >= 2 && curl.iter().all(|line| line.contains("\"$METADATA/")), "{curl:?}");
    let words = code.iter().flat_map(|line| line.split([' ', '"', '(', ';', '|']));
    assert!(words.clone().all(|word| word != "aws" && word != "wget"), "an AWS call");
    assert!(words.clone().all(|word| !word.contains("amazonaws.com")), "an AWS endpoint");
}
