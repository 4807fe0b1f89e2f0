//! What must hold of whatever is read from others: files, node lists, requests, AWS's words. It is
//! taken as it is meant, or there is one line that says what is wrong; nothing panics, and nothing
//! is endless.
//!
//! fuzz/ feeds these rules with libFuzzer; this crate's tests feed them what fuzz/ begins with, whole
//! and changed at random, with any compiler.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "a rule that is broken is a panic")]

mod aws_error;
// AWS's error codes, as crates/aws knows them. Without the SDK, which takes minutes and gigabytes to
// compile, and more with a fuzzer's counters in it.
#[path = "../../aws/src/classify.rs"]
pub mod classify;
mod configuration;
mod hostlist;
mod notice;
mod request;
mod resume_file;
mod snapshot;
mod state;

use std::path::Path;
use std::sync::LazyLock;

use slurm_asg_core::policy::{self, Policy};

/// The rules of one kind of input: they panic if it breaks one.
pub type Rule = fn(&[u8]);

/// All kinds, by the name of their fuzz target and of the directory in fuzz/corpus.
pub const RULES: [(&str, Rule); 8] = [
    ("aws_error", aws_error::holds),
    ("configuration", configuration::holds),
    ("hostlist", hostlist::holds),
    ("notice", notice::holds),
    ("request", request::holds),
    ("resume_file", resume_file::holds),
    ("snapshot", snapshot::holds),
    ("state", state::holds),
];

/// Feeds the rules of this name.
///
/// # Panics
/// If the input breaks one, or if there are no such rules.
pub fn feed(name: &str, input: &[u8]) {
    let (_, rule) = RULES.iter().find(|(known, _)| *known == name).expect("a name of RULES");
    rule(input);
}

/// Two groups; the seeds' nodes are theirs, and one node is nobody's.
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let text = "\
        [[group]]\nname = \"cpu\"\nnodes = \"c[1-4]\"\nasg = \"cpu-asg\"\n\
        [[group]]\nname = \"gpu\"\nnodes = \"g[1-2]\"\nasg = [\"gpu-a\", \"gpu-b\"]\n\
        api = \"launch-instances\"\n";
    policy::parse(Path::new("asg.toml"), text).expect("the policy is valid")
});

/// What is said of bad input is one line.
fn check_line(line: &str) {
    assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
}
