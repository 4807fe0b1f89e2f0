//! `slurm-asg explain`: why a job's nodes come or do not come, why a node stays up or goes, what an
//! instance is there for, and how a group stands.

use std::fmt::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use slurm_asg_core::explain::{Explanation, Subject, explain};
use slurm_asg_wire::Request;

use crate::asking;
use crate::offline::Offline;
use crate::output::{print, span};

/// Asks the plugin.
pub fn live(socket: &Path, what: &str, json: bool) -> anyhow::Result<ExitCode> {
    let request = Request::Explain { what: what.to_owned() };
    show(&asking::document(socket, &request)?, json)
}

/// Explains from a saved snapshot.
pub fn offline(snapshot: &Path, config: &Path, what: &str, json: bool) -> anyhow::Result<ExitCode> {
    let Offline { policy, snapshot, memory, plan } = Offline::read(snapshot, config)?;
    show(&explain(&Subject::parse(what), &policy, &memory, &snapshot, &plan), json)
}

fn show(told: &Explanation, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(told)?))?;
    } else {
        print(&text(told)?)?;
    }
    Ok(if told.known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The explanation as a person reads it.
pub fn text(told: &Explanation) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let usually = told.usually_secs.map(|secs| format!(", usually {}", span(secs)));
    let usually = usually.unwrap_or_default();
    let since = told.for_secs.map(|secs| format!(" (for {}{usually})", span(secs)));
    let since = since.unwrap_or_default();
    writeln!(out, "{}: {}{since}", told.subject, told.answer)?;
    for detail in &told.details {
        writeln!(out, "  {detail}")?;
    }
    if let Some(waits_for) = &told.waits_for {
        let limit =
            told.at_most_secs.map_or_else(String::new, |secs| format!(", {} at most", span(secs)));
        writeln!(out, "  waits for {waits_for}{limit}")?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_reads_as_sentences() {
        let told = Explanation {
            subject: "node compute-1".into(),
            known: true,
            why: "idle".into(),
            answer: "idle; Slurm's SuspendTime decides".into(),
            details: vec!["its state is IDLE+CLOUD".into()],
            waits_for: Some("a job, or Slurm's SuspendTime".into()),
            for_secs: Some(200),
            at_most_secs: Some(400),
            usually_secs: None,
        };
        let expected = "\
node compute-1: idle; Slurm's SuspendTime decides (for 3 min)
  its state is IDLE+CLOUD
  waits for a job, or Slurm's SuspendTime, 6 min at most
";
        assert_eq!(text(&told).unwrap(), expected);
        let told = Explanation { for_secs: Some(41), usually_secs: Some(55), ..told };
        assert!(text(&told).unwrap().contains(" (for 41 s, usually 55 s)\n"));
    }
}
