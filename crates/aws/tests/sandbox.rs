//! The contract against the project's own sandbox: with batches, and without.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;
mod contract;

use contract::Endpoint;
use slurm_asg_core::ids::AsgName;
use slurm_asg_sandbox::{Config, Sandbox};

/// Runs the contract; gives how many ids each terminate call had.
async fn keeps_the_contract(options: &str) -> Vec<usize> {
    let logs = tempfile::tempdir().unwrap();
    let text = format!(
        "boot_command = [\"/bin/sleep\", \"600\"]\nlog_dir = {:?}\nisolate = false\n\
         launch_delay_ms = 50\nboot_delay_ms = 100\nterminate_delay_ms = 300\n\
         replace_delay_ms = 100\n{options}\n[[group]]\nname = \"hpc-compute\"\nmax = 8\n",
        logs.path().display().to_string(),
    );
    let sandbox = Sandbox::start(Config::parse(&text, "test").unwrap()).unwrap();
    let cloud = common::cloud_at(&format!("http://{}", sandbox.address())).await;
    contract::contract(&Endpoint { cloud, asg: AsgName::new("hpc-compute") }).await;
    let calls = sandbox.client().calls().unwrap();
    let calls = calls.iter().filter(|call| call.action == "TerminateInstanceInAutoScalingGroup");
    calls
        .map(|call| {
            let ids = call.params.keys().filter(|key| key.starts_with("InstanceId"));
            ids.count()
        })
        .collect()
}

#[tokio::test]
async fn the_sandbox_keeps_the_contract_with_batches() {
    let sizes = keeps_the_contract("batch_terminate = true").await;
    assert!(sizes.contains(&3), "{sizes:?}");
}

#[tokio::test]
async fn the_sandbox_keeps_the_contract_without_batches() {
    keeps_the_contract("batch_terminate = false").await;
}

#[tokio::test]
async fn the_sandbox_keeps_the_contract_when_its_answers_lag() {
    keeps_the_contract("read_lag_ms = 300").await;
}
