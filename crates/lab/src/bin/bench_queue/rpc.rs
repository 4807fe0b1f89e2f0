//! What slurmctld's threads have served, as sdiag counts it.

use anyhow::{Result, ensure};

/// What the plugin asks for, in Slurm's words.
const ASKED: [&str; 5] = [
    "REQUEST_NODE_INFO",
    "REQUEST_JOB_INFO",
    "REQUEST_PARTITION_INFO",
    "REQUEST_RESERVATION_INFO",
    "REQUEST_LICENSE_INFO",
];

/// Answers to what the plugin asks. If nobody else asks for the same, they are answers to the plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    /// The time that all of them took, with the wait for Slurm's locks.
    pub seconds: f64,
    /// Answers to the question for jobs. Those that say that nothing has changed are among them.
    pub queues: f64,
}

impl Served {
    /// Reads sdiag's lines by message type:
    /// `REQUEST_JOB_INFO ( 2003) count:12 ave_time:345 total_time:4140`, in microseconds.
    pub fn read(text: &str) -> Result<Self> {
        let (_, by_type) = text.split_once("by message type").unwrap_or_default();
        let (by_type, _) = by_type.split_once("by user").unwrap_or((by_type, ""));
        ensure!(by_type.contains("total_time:"), "sdiag does not say what was served");
        let mut served = Self::default();
        for line in by_type.lines() {
            let mut words = line.split_whitespace();
            let Some(name) = words.next().filter(|name| ASKED.contains(name)) else { continue };
            for word in words {
                let number = |prefix: &str| word.strip_prefix(prefix)?.parse::<f64>().ok();
                served.seconds += number("total_time:").unwrap_or_default() / 1e6;
                if name == "REQUEST_JOB_INFO" {
                    served.queues += number("count:").unwrap_or_default();
                }
            }
        }
        Ok(served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_plugin_asks_for_is_counted() {
        let text = "Remote Procedure Call statistics by message type\n\
             \tREQUEST_JOB_INFO                        ( 2003) count:4      ave_time:500000 total_time:2000000\n\
             \tREQUEST_SUBMIT_BATCH_JOB                ( 4003) count:9      ave_time:100    total_time:900\n\
             \tREQUEST_NODE_INFO                       ( 2007) count:4      ave_time:250000 total_time:1000000\n\
             \nRemote Procedure Call statistics by user\n\
             \troot            (       0) count:17     ave_time:1 total_time:3000900\n";
        let expected = Served { seconds: 3.0, queues: 4.0 };
        assert_eq!(Served::read(text).unwrap(), expected);
        assert!(Served::read("nothing").is_err());
    }
}
