//! Snapshots that nobody should write: there is a plan that holds to its bounds, or one line
//! that says what is wrong and where. Overflow checks are on in tests, so wrong arithmetic panics.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail")]

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use slurm_asg_core::explain::{Subject, explain};
use slurm_asg_core::plan::plan;
use slurm_asg_core::policy::{self, Policy};
use slurm_asg_core::snapshot::file;
use slurm_asg_core::view::PlanView;

/// Numbers that mean something special to Slurm: none, NO_VAL and INFINITE of 16 and 32 bits.
const SPECIAL: [u64; 6] = [0, 1, 0xfffe, 0xffff, 0xffff_fffe, 0xffff_ffff];
/// The lists of records whose numbers are changed.
const LISTS: [&str; 5] = ["jobs", "nodes", "partitions", "reservations", "licenses"];

fn policy() -> Policy {
    let text = "[[group]]\nname = \"cpu\"\nnodes = \"c[1-4]\"\nasg = \"cpu-asg\"\n\
                [[group]]\nname = \"gpu\"\nnodes = \"g[1-2]\"\nasg = [\"gpu-a\", \"gpu-b\"]\n";
    policy::parse(Path::new("asg.toml"), text).unwrap()
}

/// A queue with something of every kind; `other` is a node of no group.
fn written() -> Value {
    json!({
        "now": 1_700_000_600,
        "slurm": {"version": "23.02", "select_type_param": 20},
        "jobs": [
            {"job_id": 1, "num_nodes": 1, "max_nodes": 2, "num_cpus": 4, "num_tasks": 2,
             "cpus_per_task": 2, "pn_min_memory": 500, "partition": "main", "time_limit": 60,
             "state_reason": "Resources", "bitflags": 16384},
            {"job_id": 2, "array_job_id": 2, "array_task_str": "0-9:2%4", "features": "a|b",
             "partition": "main,gpu", "pn_min_memory": 1_u64 << 63 | 1000},
            {"job_id": 3, "tres_per_job": "gres:gpu:3", "cpus_per_tres": "gres:gpu:1",
             "partition": "gpu", "num_tasks": 2, "shared": 0},
            {"job_id": 4, "het_job_id": 4, "req_nodes": "c3", "partition": "main"},
            {"job_id": 5, "het_job_id": 4, "het_job_offset": 1, "partition": "gpu",
             "tres_per_node": "gres:gpu:1"},
            {"job_id": 6, "job_state": "RUNNING+CONFIGURING", "nodes": "c2"},
            {"job_id": 7, "resv_name": "r", "licenses": "l:1", "start_time": 1_700_000_900},
        ],
        "nodes": [
            {"name": "c1", "node_state": "IDLE+CLOUD", "cpus": 4, "sockets": 1, "cores": 2,
             "threads": 2, "real_memory": 2000, "features": "a", "last_busy": 1_700_000_000,
             "alloc_cpus": 0, "alloc_memory": 0},
            {"name": "c2", "node_state": "ALLOCATED+CLOUD+POWERING_UP", "cpus": 4,
             "real_memory": 2000, "alloc_cpus": 1, "alloc_memory": 100},
            {"name": "c3", "node_state": "IDLE+CLOUD+POWERED_DOWN", "cpus": 4,
             "real_memory": 2000, "features": "b"},
            {"name": "c4", "node_state": "DOWN+CLOUD", "cpus": 4},
            {"name": "g1", "node_state": "IDLE+CLOUD+POWERED_DOWN", "cpus": 4,
             "real_memory": 2000, "gres": "gpu:tesla:2"},
            {"name": "g2", "node_state": "MIXED+CLOUD", "cpus": 4, "gres": "gpu:2",
             "gres_used": "gpu:1(IDX:0)", "alloc_cpus": 2},
            {"name": "other", "node_state": "IDLE"},
        ],
        "partitions": [
            {"name": "main", "nodes": "c[1-4],other", "flags": 1, "max_time": 120},
            {"name": "gpu", "nodes": ["g1", "g2"], "max_share": 0, "max_nodes": 2},
        ],
        "reservations": [{"name": "r", "node_list": "c3", "start_time": 1_700_000_000}],
        "licenses": [{"name": "l", "total": 2, "in_use": 1}],
        "groups": {"cpu": {"min": 0, "max": 4, "desired": 1, "instances": [
            {"instance_id": "i-1", "node": "c1", "launch_time": 1_699_999_000}]}},
    })
}

/// The same with every field of every record, as `slurm-asg snapshot` writes it.
fn full() -> Value {
    serde_json::to_value(file::read(&written().to_string()).unwrap().file).unwrap()
}

/// Plans a snapshot, holds the plan to its bounds and gives it as JSON, or the error's line.
fn planned(text: &str) -> Result<Value, String> {
    let read = file::read(text).map_err(|error| {
        let line = error.to_string();
        assert!(!line.is_empty() && !line.contains('\n'), "{line:?} is not one line");
        line
    })?;
    let policy = policy();
    let job = read.file.jobs.first().map_or(1, |job| job.job_id);
    let (snapshot, mut memory) = read.file.into_snapshot(&policy);
    memory.notice(&snapshot);
    let made = plan(&policy, &memory, &snapshot);
    let view = PlanView::of(&policy, &made, snapshot.now);
    for (name, group) in &policy.groups {
        let demand = view.groups[name].demand;
        assert!(demand as usize <= group.nodes.len(), "{name} needs {demand}: {text}");
    }
    for (id, job) in &view.jobs {
        assert!(job.counted || (job.nodes, job.launch) == (0, 0), "{id} {job:?}: {text}");
        assert!(job.launch <= job.nodes, "{id} {job:?}: {text}");
    }
    for subject in [Subject::Job(job), Subject::parse("c1"), Subject::parse("i-1")] {
        assert!(!explain(&subject, &policy, &memory, &snapshot, &made).answer.is_empty());
    }
    let again = PlanView::of(&policy, &plan(&policy, &memory, &snapshot), snapshot.now);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json, serde_json::to_value(&again).unwrap(), "{text}");
    Ok(json)
}

/// Where the numbers of all records are, as JSON pointers. Ids and names stay as they are.
fn numbers(snapshot: &Value) -> Vec<String> {
    let mut places = Vec::new();
    for list in LISTS {
        for (at, record) in snapshot[list].as_array().unwrap().iter().enumerate() {
            let fields = record.as_object().unwrap().iter();
            let numbers = fields.filter(|(name, value)| value.is_number() && *name != "job_id");
            places.extend(numbers.map(|(name, _)| format!("/{list}/{at}/{name}")));
        }
    }
    places
}

fn set(snapshot: &mut Value, place: &str, value: Value) {
    *snapshot.pointer_mut(place).unwrap() = value;
}

#[test]
fn a_good_snapshot_is_planned() {
    let plan = planned(&written().to_string()).unwrap();
    assert_eq!(plan, planned(&full().to_string()).unwrap());
    assert_eq!(plan["jobs"]["1"]["counted"], true, "{plan}");
    assert!(plan["groups"]["cpu"]["demand"].as_u64() >= Some(2), "{plan}");
}

#[test]
fn a_snapshot_that_is_cut_off_anywhere_is_one_line_with_the_place() {
    let text = serde_json::to_string_pretty(&written()).unwrap();
    for end in 0..text.len() {
        let error = planned(text.get(..end).unwrap()).unwrap_err();
        let placed = error.contains(" at line ") && error.contains(" column ");
        assert!(placed || end == 0, "{end}: {error}");
    }
}

#[test]
fn a_number_that_means_nothing_or_everything_keeps_the_plan_within_its_bounds() {
    let good = full();
    for place in numbers(&good) {
        for number in SPECIAL {
            let mut bad = good.clone();
            set(&mut bad, &place, json!(number));
            if let Err(error) = planned(&bad.to_string()) {
                panic!("{place} = {number}: {error}");
            }
        }
    }
}

#[test]
fn the_same_special_number_everywhere_keeps_the_plan_within_its_bounds() {
    for number in SPECIAL.into_iter().chain([2, 0x7fff_ffff, 0x8000_0000]) {
        for list in LISTS {
            let mut bad = full();
            for place in numbers(&bad) {
                if place.starts_with(&format!("/{list}/")) {
                    set(&mut bad, &place, json!(number));
                }
            }
            planned(&bad.to_string()).unwrap();
        }
        let mut bad = full();
        for place in numbers(&bad) {
            set(&mut bad, &place, json!(number));
        }
        planned(&bad.to_string()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn random_numbers_everywhere_keep_the_plan_within_its_bounds(
        numbers_of in proptest::collection::vec(
            prop_oneof![
                2 => proptest::sample::select(SPECIAL.to_vec()),
                2 => 0_u64..8,
                1 => 0_u64..=0xffff_ffff,
            ],
            64..400,
        ),
        every in 1_usize..8,
    ) {
        let mut bad = full();
        let places = numbers(&bad);
        for (place, number) in places.iter().step_by(every).zip(numbers_of.iter().cycle()) {
            set(&mut bad, place, json!(number));
        }
        prop_assert!(planned(&bad.to_string()).is_ok());
    }

    #[test]
    fn random_bytes_in_a_good_snapshot_give_a_plan_or_one_line(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), "[0-9\\[\\]{}\",:a-]"), 1..6),
    ) {
        let mut text = written().to_string();
        for (at, with) in edits {
            let at = at.index(text.len());
            text.replace_range(at..=at, &with);
        }
        if let Err(line) = planned(&text) {
            prop_assert!(line.len() < 400, "{}", line);
        }
    }
}

#[test]
fn a_number_beyond_its_field_is_one_line_with_the_place() {
    for number in ["-1", "4294967296", "18446744073709551616", "1.5", "1e3", "\"2\"", "[]"] {
        for text in [
            format!("{{\"jobs\": [{{\"job_id\": 1, \"num_nodes\": {number}}}]}}"),
            format!("{{\"nodes\": [{{\"name\": \"c1\", \"cpus\": {number}}}]}}"),
            format!("{{\"partitions\": [{{\"name\": \"p\", \"max_nodes\": {number}}}]}}"),
        ] {
            let error = planned(&text).unwrap_err();
            assert!(error.contains(" at line 1 column "), "{text}: {error}");
        }
    }
}

#[test]
fn nodes_of_no_group_add_nothing() {
    let nodes = json!([{"name": "x1", "node_state": "IDLE+CLOUD+POWERED_DOWN", "cpus": 2}]);
    let text = json!({"jobs": [{"job_id": 1}], "nodes": nodes}).to_string();
    let plan = planned(&text).unwrap();
    assert_eq!(plan["groups"]["cpu"]["demand"], 0);
    assert_eq!(plan["actions"], json!([]));
}

fn of_job(job: &Value) -> Value {
    let off =
        |name: &str| json!({"name": name, "node_state": "IDLE+CLOUD+POWERED_DOWN", "cpus": 2});
    let nodes: Vec<_> = ["c1", "c2", "c3", "c4"].map(off).into();
    planned(&json!({"jobs": [job], "nodes": nodes}).to_string()).unwrap()
}

#[test]
fn a_job_of_no_nodes_adds_nothing() {
    let plan = of_job(&json!({"job_id": 1, "num_nodes": 0}));
    assert_eq!(plan["jobs"]["1"]["why"], "no_nodes_asked", "{plan}");
    assert_eq!(plan["groups"]["cpu"]["demand"], 0, "{plan}");
}

#[test]
fn an_array_of_all_numbers_fills_the_group_and_no_more() {
    for tasks in ["0-4294967294", "0-4294967295", "0-4294967294:1%4294967295"] {
        let plan =
            of_job(&json!({"job_id": 1, "array_job_id": 1, "array_task_str": tasks, "shared": 0}));
        assert_eq!(plan["groups"]["cpu"]["demand"], 4, "{tasks}: {plan}");
    }
}

#[test]
fn deep_nesting_is_one_line_with_the_place() {
    let deep = |open: &str, times: usize| open.repeat(times);
    for text in [
        format!("{{\"x\": {}", deep("[", 100_000)),
        deep("{\"groups\": ", 100_000),
        format!("{{\"groups\": {{\"cpu\": {}", deep("{\"asgs\": {\"a\": ", 100_000)),
    ] {
        let error = planned(&text).unwrap_err();
        assert!(error.contains(" at line 1 column "), "{error}");
    }
}

#[test]
fn a_key_that_is_there_twice_is_one_line_with_the_place() {
    for text in [
        "{\"jobs\": [], \"jobs\": []}",
        "{\"jobs\": [{\"job_id\": 1, \"job_id\": 2}]}",
        "{\"nodes\": [{\"name\": \"c1\", \"cpus\": 1, \"cpus\": 2}]}",
    ] {
        let error = planned(text).unwrap_err();
        assert!(
            error.contains("duplicate field") && error.contains(" at line 1 column "),
            "{error}"
        );
    }
    let twice = "{\"nodes\": [{\"name\": \"c1\"}, {\"name\": \"c1\"}]}";
    assert_eq!(planned(twice).unwrap_err(), "nodes[1]: `c1` is there twice");
}

#[test]
fn what_is_no_json_object_is_one_line_that_says_what_a_snapshot_is() {
    for text in ["", " ", "[]", "[{}]", "null", "1", "\"jobs\"", "true", "}", "\u{feff}{}"] {
        let error = planned(text).unwrap_err();
        assert_eq!(
            error, "a snapshot is a JSON object with jobs, nodes and partitions",
            "{text:?}"
        );
    }
}

#[test]
fn line_feeds_in_what_an_error_quotes_are_written_as_escapes() {
    let error =
        planned("{\"nodes\": [{\"name\": \"c1\", \"node_state\": \"ID\\nLE\"}]}").unwrap_err();
    assert!(error.starts_with("`ID\\nLE` is not known; "), "{error}");
    let twice = planned(r#"{"nodes": [{"name": "a\nb"}, {"name": "a\nb"}]}"#);
    assert_eq!(twice.unwrap_err(), r"nodes[1]: `a\nb` is there twice");
}

#[test]
fn a_short_file_that_names_millions_of_nodes_is_one_line_with_the_place() {
    let lists = |field: &str, list: &str| {
        let records: Vec<_> =
            (0..70).map(|nth| json!({"name": format!("p{nth}"), field: "n[1-65536]"})).collect();
        json!({list: records})
    };
    let one = json!({"partitions": [{"name": "p", "nodes": vec!["n[1-65536]"; 70]}]});
    for text in [lists("nodes", "partitions"), lists("node_list", "reservations"), one] {
        let error = planned(&text.to_string()).unwrap_err();
        assert!(error.contains("more than 4000000 names in all at line 1 column "), "{error}");
    }
    let nodes: Vec<_> = (0..3000).map(|nth| json!({"name": format!("n{nth}")})).collect();
    let all: Vec<_> =
        (0..2000).map(|nth| json!({"name": format!("p{nth}"), "nodes": "ALL"})).collect();
    let error = planned(&json!({"nodes": nodes, "partitions": all}).to_string()).unwrap_err();
    assert!(error.starts_with("partitions[1333]: so many partitions"), "{error}");
    let jobs: Vec<_> =
        (1..2000).map(|id| json!({"job_id": id, "partition": format!("p{id}")})).collect();
    let error = planned(&json!({"nodes": nodes, "jobs": jobs}).to_string()).unwrap_err();
    assert!(error.ends_with("write `partitions`"), "{error}");
}

#[test]
fn a_partition_that_is_there_twice_is_one_line_with_the_record() {
    let text = r#"{"partitions": [{"name": "p"}, {"name": "q"}, {"name": "p"}]}"#;
    assert_eq!(planned(text).unwrap_err(), "partitions[2]: `p` is there twice");
}

#[test]
fn what_the_fuzzer_begins_with_are_snapshots() {
    for text in [
        include_str!("../../../fuzz/corpus/snapshot/every_kind.json"),
        include_str!("../../../fuzz/corpus/snapshot/small.json"),
    ] {
        planned(text).unwrap();
    }
}
