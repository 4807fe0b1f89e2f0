//! The file that Slurm gives the ResumeProgram: which jobs the nodes are for.

use serde_json::Value;

/// The jobs with their nodes, where they are given. The keys differ between releases (power_save.c
/// of 22.05 has `nodes`, of 23.02 and later `nodes_resume`), job_id does not. A file that is no
/// JSON, and a job without an id, say nothing: the node states tell what is wanted.
#[must_use]
pub fn jobs(file: &str) -> Vec<(u32, Option<String>)> {
    let json: Value = serde_json::from_str(file).unwrap_or_default();
    let jobs = json.get("jobs").and_then(Value::as_array);
    let job = |job: &Value| {
        let id = u32::try_from(job.get("job_id")?.as_u64()?).ok()?;
        let nodes = job.get("nodes_resume").or_else(|| job.get("nodes")).and_then(Value::as_str);
        Some((id, nodes.map(str::to_owned)))
    };
    jobs.into_iter().flatten().filter_map(job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resume_file_of_each_release_gives_its_jobs() {
        let old = r#"{"jobs":[{"job_id":1,"nodes":"c[1-2]"}],"all_nodes":"c[1-2]"}"#;
        let new =
            r#"{"jobs":[{"extra":null,"job_id":2,"nodes_resume":"c1"}],"all_nodes_resume":"c1"}"#;
        assert_eq!(jobs(old), [(1, Some("c[1-2]".to_owned()))]);
        assert_eq!(jobs(new), [(2, Some("c1".to_owned()))]);
        assert_eq!(jobs(r#"{"jobs":[{"job_id":3},{"job_id":-1},{}]}"#), [(3, None)]);
        assert_eq!(jobs("{"), []);
    }
}
