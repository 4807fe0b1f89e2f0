//! Messages of AWS: a notice, nothing, or one line that says why it cannot be read.

use slurm_asg_core::notice::{Message, read};
use slurm_asg_core::time::Timestamp;

use crate::check_line;

pub fn holds(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    match read(text, Timestamp::from_millis(1_700_000_000_000)) {
        Ok(Message::Notice(notice, instances)) => {
            assert!(!instances.is_empty());
            for instance in &instances {
                let reason = notice.reason(instance);
                check_line(&reason);
                assert!(reason.starts_with("(Code:") && reason.len() < 250, "{reason}");
                assert!(!notice.supersedes(&notice));
            }
        }
        Ok(Message::StateChange(instance)) => check_line(instance.as_str()),
        Ok(Message::Other) => {}
        Err(why) => check_line(&why.to_string()),
    }
}
