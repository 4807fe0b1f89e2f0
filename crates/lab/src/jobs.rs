//! Jobs and nodes as `scontrol show -o` prints them.

use std::collections::BTreeMap;

/// A job, from `scontrol show job -o`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// JobState, as in `RUNNING`.
    pub state: String,
    /// Reason.
    pub reason: String,
    /// NodeList, a hostlist expression; empty before nodes are given.
    pub nodes: String,
    /// Restarts: how often it was requeued.
    pub restarts: u32,
}

/// A node, from `scontrol show nodes -o`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeLine {
    /// NodeName.
    pub name: String,
    /// State, as in `IDLE+CLOUD+POWERED_DOWN`.
    pub state: String,
    /// NodeAddr.
    pub address: String,
}

impl NodeLine {
    /// Whether the state has this word.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        self.state.split('+').any(|part| part.trim_end_matches(['*', '~', '#']) == word)
    }
}

/// Reads one line of a job.
#[must_use]
pub fn job(line: &str) -> Job {
    let mut fields = fields(line);
    let mut take = |key: &str| fields.remove(key).unwrap_or_default();
    Job {
        state: take("JobState"),
        reason: take("Reason"),
        nodes: take("NodeList").replace("(null)", ""),
        restarts: take("Restarts").parse().unwrap_or(0),
    }
}

/// Reads the lines of all nodes.
#[must_use]
pub fn nodes(text: &str) -> Vec<NodeLine> {
    text.lines()
        .map(fields)
        .filter(|fields| fields.contains_key("NodeName"))
        .map(|mut fields| {
            let mut take = |key: &str| fields.remove(key).unwrap_or_default();
            NodeLine { name: take("NodeName"), state: take("State"), address: take("NodeAddr") }
        })
        .collect()
}

fn fields(line: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for word in line.split_whitespace() {
        if let Some((key, value)) = word.split_once('=') {
            // The first one counts: free text further on may look like a field.
            fields.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_nodes_are_read_from_scontrol() {
        let line = "JobId=3 JobName=x JobState=RUNNING Reason=None Restarts=1 NodeList=c[1-2] Comment=JobState=X";
        let expected = Job {
            state: "RUNNING".into(),
            reason: "None".into(),
            nodes: "c[1-2]".into(),
            restarts: 1,
        };
        assert_eq!(job(line), expected);
        let lines = "NodeName=c1 Arch=x NodeAddr=127.77.0.1 State=IDLE+CLOUD+POWERED_DOWN\n\n";
        let all = nodes(lines);
        assert_eq!(all.len(), 1);
        assert!(all[0].is("IDLE") && all[0].is("POWERED_DOWN") && !all[0].is("POWERING_DOWN"));
    }
}
