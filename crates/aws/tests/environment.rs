//! Where region, credentials and endpoint come from: each case in a process of its own, because a
//! process has one environment.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write;
use std::process::Command;

use common::{Server, done, group};
use slurm_asg_aws::{AwsCloud, Settings};
use slurm_asg_core::ids::{AsgName, InstanceId};
use slurm_asg_engine::Cloud;

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
const IN_CHILD: &str = "SLURM_ASG_TEST_CHILD";

/// Does nothing but in a child of the other tests: describes a group and an instance, and prints
/// how that went.
#[tokio::test]
async fn child() {
    if std::env::var_os(IN_CHILD).is_none() {
        return;
    }
    let cloud = AwsCloud::connect(Settings::default()).await;
    let groups = cloud.describe_groups(&[AsgName::new("g")]).await;
    let line = groups.map_or_else(|error| error.to_string(), |groups| format!("{}", groups.len()));
    let instances = cloud.describe_instances(&[InstanceId::new("i-1")]).await;
    let other =
        instances.map_or_else(|error| error.to_string(), |found| format!("{}", found.len()));
    writeln!(std::io::stdout(), "\ngroups> {line}\ninstances> {other}").unwrap();
}

/// The two lines of a child with this environment and nothing else.
fn child_in(environment: &[(&str, &str)]) -> [String; 2] {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "child", "--nocapture"]).env_clear().env(IN_CHILD, "1");
    child.env("HOME", home.path()).env("AWS_EC2_METADATA_DISABLED", "true");
    let output = child.envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}{error}");
    ["groups> ", "instances> "].map(|start| {
        let line = text.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no {start} in {text}")).to_owned()
    })
}

#[test]
fn without_a_region_the_line_says_what_to_write() {
    let expected = "no AWS region; write region = \"eu-west-1\" in asg.toml or set AWS_REGION";
    for line in child_in(&KEYS) {
        assert!(line.ends_with(expected), "{line}");
    }
}

#[test]
fn without_credentials_the_line_says_what_to_do() {
    for line in child_in(&[("AWS_REGION", "eu-west-1")]) {
        assert!(line.contains(": no AWS credentials; give the controller's instance"), "{line}");
        assert!(line.len() < 400, "{line}");
    }
}

#[test]
fn without_anything_the_line_says_the_first_thing_to_do() {
    for line in child_in(&[]) {
        assert!(line.contains(": no AWS "), "{line}");
    }
}

#[test]
fn a_profile_that_does_not_exist_is_a_matter_of_credentials() {
    for line in child_in(&[("AWS_REGION", "eu-west-1"), ("AWS_PROFILE", "nobody")]) {
        assert!(line.contains(": no AWS credentials; "), "{line}");
    }
}

#[test]
fn the_endpoint_comes_from_the_environment() {
    let server = Server::start(|_| {
        let groups = format!("<AutoScalingGroups>{}</AutoScalingGroups>", group("g", &[]));
        done("DescribeAutoScalingGroups", &groups)
    });
    let nowhere = "http://127.0.0.1:1";
    let mut environment = vec![("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", nowhere)];
    environment.extend(KEYS);
    let [groups, instances] = child_in(&environment);
    for line in [groups, instances] {
        assert!(line.contains(nowhere) && line.contains("Connection refused"), "{line}");
    }
    environment.push(("AWS_ENDPOINT_URL_AUTO_SCALING", &server.url));
    let [groups, instances] = child_in(&environment);
    assert_eq!(groups, "1");
    assert!(instances.contains(nowhere), "{instances}");
}
