//! asg.toml: a policy in which each node and each Auto Scaling group has one group, or one line
//! with the place.

use std::collections::BTreeSet;
use std::path::Path;

use crate::check_line;
use slurm_asg_core::policy::{self, GROUPS_MAX};

pub fn holds(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let policy = match policy::parse(Path::new("asg.toml"), text) {
        Ok(policy) => policy,
        Err(error) => return check_place(&error.to_string(), text),
    };
    for warning in &policy.warnings {
        check_place(warning, text);
    }
    assert!((1..=GROUPS_MAX).contains(&policy.groups.len()));
    let (mut nodes, mut asgs) = (BTreeSet::new(), BTreeSet::new());
    for (name, group) in &policy.groups {
        assert!(!group.nodes.is_empty() && !group.asgs.is_empty(), "{name}");
        for node in &group.nodes {
            assert!(nodes.insert(node), "{node} is there twice");
            assert_eq!(policy.group_of(node), Some(name));
        }
        for asg in &group.asgs {
            assert!(asgs.insert(asg), "{asg} is there twice");
            assert_eq!(policy.group_of_asg(asg).map(|(name, _)| name), Some(name));
        }
    }
}

/// A line begins with the file and a line that the text has.
fn check_place(line: &str, text: &str) {
    check_line(line);
    let number = line.strip_prefix("asg.toml:").and_then(|rest| rest.split_once(": "));
    let number = number.and_then(|(number, _)| number.parse().ok());
    let lines = text.matches('\n').count() + 1;
    assert!(number.is_some_and(|number: usize| (1..=lines).contains(&number)), "{line}");
}
