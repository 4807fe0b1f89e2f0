//! `slurm-asg plan`: what would be done now, without doing it.

use std::fmt::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use slurm_asg_core::view::PlanView;
use slurm_asg_wire::Request;

use crate::asking;
use crate::offline::Offline;
use crate::output::print;

/// How many jobs are shown; a long queue is read as JSON.
const JOBS_SHOWN_MAX: usize = 40;
/// How many actions are shown.
const ACTIONS_SHOWN_MAX: usize = 40;

/// Prints the plan of the plugin's last look.
pub fn live(socket: &Path, json: bool) -> anyhow::Result<ExitCode> {
    show(&asking::document(socket, &Request::Plan {})?, json)
}

/// Prints the plan that is made of a saved snapshot.
pub fn offline(snapshot: &Path, config: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let offline = Offline::read(snapshot, config)?;
    show(&PlanView::of(&offline.policy, &offline.plan, offline.snapshot.now), json)
}

fn show(view: &PlanView, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(view)?))?;
    } else {
        print(&text(view)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The plan as a person reads it.
fn text(view: &PlanView) -> Result<String, fmt::Error> {
    let mut out = String::new();
    let width = view.groups.keys().map(|name| name.as_str().len()).max().unwrap_or(0).max(5);
    writeln!(
        out,
        "{:width$}  {:>6} {:>13}  {:>5} {:>5}  {:>5} {:>5} {:>7} {:>5}",
        "GROUP", "DEMAND", "DESIRED", "MIN", "MAX", "BUSY", "IDLE", "BOOTING", "SPARE"
    )?;
    for (name, group) in &view.groups {
        let desired = group.desired_text();
        writeln!(
            out,
            "{name:width$}  {:>6} {desired:>13}  {:>5} {:>5}  {:>5} {:>5} {:>7} {:>5}",
            group.demand, group.min, group.max, group.busy, group.idle, group.booting, group.spare
        )?;
        if let Some(problem) = &group.problem {
            writeln!(out, "{:width$}  ! {problem}", "")?;
        }
    }
    if view.actions.is_empty() {
        writeln!(out, "\nNothing is to be done.")?;
    } else {
        writeln!(out, "\nTO BE DONE")?;
        for action in view.actions.iter().take(ACTIONS_SHOWN_MAX) {
            writeln!(out, "  {action}")?;
        }
        more(view.actions.len(), ACTIONS_SHOWN_MAX, &mut out)?;
    }
    if !view.jobs.is_empty() {
        writeln!(out, "\n{:>10} {:>6} {:>6}  WHY", "JOB", "NODES", "LAUNCH")?;
        for (id, job) in view.jobs.iter().take(JOBS_SHOWN_MAX) {
            writeln!(out, "{id:>10} {:>6} {:>6}  {}", job.nodes, job.launch, job.text)?;
        }
        more(view.jobs.len(), JOBS_SHOWN_MAX, &mut out)?;
    }
    Ok(out)
}

fn more(all: usize, shown: usize, out: &mut String) -> fmt::Result {
    match all.checked_sub(shown).filter(|more| *more > 0) {
        Some(more) => writeln!(out, "  … {more} more: slurm-asg plan --json"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const CONFIG: &str = "[[group]]\nname = \"compute\"\nnodes = \"compute-[1-8]\"\nasg = \"a\"\n";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn view(snapshot: &str) -> Result<PlanView, String> {
        let (config, snapshot) = (file(CONFIG), file(snapshot));
        let offline = Offline::read(snapshot.path(), config.path()).map_err(|error| {
            format!("{error:#}").replace(&snapshot.path().display().to_string(), "FILE")
        })?;
        Ok(PlanView::of(&offline.policy, &offline.plan, offline.snapshot.now))
    }

    #[test]
    fn a_plan_of_a_saved_snapshot_reads_as_a_table() {
        let nodes = r#"{"name": "compute-1", "node_state": "IDLE+CLOUD", "cpus": 2},
            {"name": "compute-2", "node_state": "IDLE+CLOUD+POWERED_DOWN", "cpus": 2},
            {"name": "compute-3", "node_state": "IDLE+CLOUD+POWERED_DOWN", "cpus": 2}"#;
        let jobs = r#"{"job_id": 7, "num_nodes": 2}, {"job_id": 8, "priority": 0}"#;
        let view = view(&format!(r#"{{"nodes": [{nodes}], "jobs": [{jobs}]}}"#)).unwrap();
        let expected = "\
GROUP    DEMAND       DESIRED    MIN   MAX   BUSY  IDLE BOOTING SPARE
compute       2        1 -> 2      0     8      0     1       0     0

TO BE DONE
  raise a from 1 to 2

       JOB  NODES LAUNCH  WHY
         7      2      1  gets 2 nodes; 1 to be powered up for it
         8      0      0  held; scontrol release lets it go
";
        assert_eq!(text(&view).unwrap(), expected);
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["groups"]["compute"]["demand"], 2);
        assert_eq!(json["jobs"]["7"]["counted"], true);
        assert_eq!(json["jobs"]["8"]["why"], "held");
    }

    #[test]
    fn bytes_that_are_no_text_are_one_line_with_the_place() {
        let table: [(&[u8], &str); 4] = [
            (b"{\"jobs\": [{\"x\": \"\xff\"}]}", "it is not JSON: byte 17 is not UTF-8"),
            (b"\xff\xfe{\0}\0", "it is not JSON: byte 0 is not UTF-8"),
            (b"\0\0\0\0", "a snapshot is a JSON object with jobs, nodes and partitions"),
            (b"{\"x\": \"\0\"}", "control character"),
        ];
        for (bytes, message) in table {
            let (config, mut snapshot) = (file(CONFIG), file(""));
            snapshot.write_all(bytes).unwrap();
            let error = Offline::read(snapshot.path(), config.path()).err().unwrap();
            let line = format!("{error:#}");
            assert!(line.contains(message) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn a_bad_snapshot_is_one_line_with_the_place() {
        let table = [
            ("{", "FILE: EOF while parsing an object at line 1 column 1"),
            ("{}\n{}", "FILE: trailing characters at line 2 column 1"),
            ("[]", "FILE: a snapshot is a JSON object with jobs, nodes and partitions"),
            ("", "FILE: a snapshot is a JSON object"),
            (
                r#"{"jobs": 3}"#,
                "FILE: invalid type: integer `3`, expected a sequence at line 1 column 10",
            ),
            (r#"{"jobs": [{}]}"#, "FILE: jobs[0] has no `job_id`"),
            (r#"{"jobs": [{"job_id": 1}, {"job_id": 1}]}"#, "FILE: jobs[1]: `1` is there twice"),
            (r#"{"nodes": [{"cpus": 2}]}"#, "FILE: nodes[0] has no `name`"),
            (
                r#"{"jobs": [{"job_id": 1, "num_nodes": -1}]}"#,
                "FILE: invalid value: integer `-1`, expected u32 at line 1 column 39",
            ),
            (
                "{\"jobs\": [\n{\"job_id\": 1, \"num_cpus\": 99999999999}]}",
                "FILE: invalid value: integer `99999999999`, expected u32 at line 2 column 37",
            ),
            (
                r#"{"nodes": [{"name": "n", "node_state": "IDEL"}]}"#,
                "FILE: `IDEL` is not known; expected a node's state, as `IDLE+CLOUD+POWERED_DOWN`, \
                 or its number at line 1 column 45",
            ),
        ];
        for (snapshot, message) in table {
            let said = view(snapshot).unwrap_err();
            assert!(said.starts_with(message), "{snapshot}: {said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
