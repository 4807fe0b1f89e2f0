//! What the targets have in common.

use std::path::Path;
use std::sync::LazyLock;

use slurm_asg_core::policy::{self, Policy};

/// Two groups; the seeds' nodes are theirs, and one node is nobody's.
pub static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let text = "\
        [[group]]\nname = \"cpu\"\nnodes = \"c[1-4]\"\nasg = \"cpu-asg\"\n\
        [[group]]\nname = \"gpu\"\nnodes = \"g[1-2]\"\nasg = [\"gpu-a\", \"gpu-b\"]\n";
    policy::parse(Path::new("asg.toml"), text).expect("the policy is valid")
});

/// What is said of bad input is one line.
pub fn check_line(line: &str) {
    assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
}
