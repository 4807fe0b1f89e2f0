//! Refusals of AWS: the HTTP status, the code and the words, each on a line; the words may have more.

use std::collections::BTreeSet;

use slurm_asg_core::ids::InstanceId;
use slurm_asg_engine::CloudErrorKind;

use crate::check_line;
use crate::classify::{Failure, code_and_kind, zone};

/// Characters of a message with its advice; EC2 may send kilobytes.
const MESSAGE_CHARS_MAX: usize = 1500;

pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (status, rest) = text.split_once('\n').unwrap_or(("400", &text));
    let (code, words) = rest.split_once('\n').unwrap_or((rest, ""));
    let status = status.trim().parse().unwrap_or(400);

    let failure = Failure::from_answer("TerminateInstanceInAutoScalingGroup", status, code, words);
    check_message(&failure);
    // Its words repeat the signed request with the session token.
    if code == "SignatureDoesNotMatch" {
        let same = Failure::from_answer("TerminateInstanceInAutoScalingGroup", status, code, "");
        assert_eq!(failure.error, same.error);
    }
    let asked: BTreeSet<InstanceId> = ["i-01", "i-012", "i-9"].map(InstanceId::new).into();
    let named = failure.named(&asked);
    assert!(named.iter().all(|id| asked.contains(id) && words.contains(id.as_str())));
    // Each call that asks is answered; a refusal is for one reason.
    let reasons = [failure.is_gone(), failure.is_batch_unknown(), failure.is_no_longer_held()];
    let refused = failure.is_nameless() || failure.is_invalid_or_conflict();
    assert!(!(failure.is_nameless() && reasons.contains(&true)), "{failure:?}");
    assert!(!failure.is_gone() || refused, "{failure:?}");

    let chain: Vec<String> = text.lines().map(str::to_owned).collect();
    let unsent = Failure::from_chain("DescribeInstances", code, &chain);
    check_message(&unsent);
    assert!(matches!(unsent.error.kind, CloudErrorKind::Denied | CloudErrorKind::NoAnswer));

    let (code, _) = code_and_kind(words);
    check_line(&code);
    assert!(code.len() <= 100 && !code.contains(' '), "{code}");
    let zone = zone(words);
    assert!(zone.len() <= 100 && !zone.contains(char::is_control), "{zone:?}");
}

fn check_message(failure: &Failure) {
    let message = &failure.error.message;
    check_line(message);
    assert!(message.chars().count() <= MESSAGE_CHARS_MAX, "{message}");
}
