//! Reports of small logs whose figures can be reckoned by hand.

use slurm_asg_core::time::rfc3339;

use super::figures::{Figures, Prices};
use super::tally::Tally;
use super::{csv, html, text};

const CONFIG: &str = "currency = \"EUR\"\n[[group]]\nname = \"g\"\nnodes = \"n[1-9]\"\nasg = \"a\"\n\
                      price_per_hour = 0.5\n";

fn tally(lines: &[&str]) -> Tally {
    let at = |text: &str| rfc3339::parse(text).unwrap();
    let (since, until) = (at("2026-11-25T10:00:00Z"), at("2026-11-25T14:00:00Z"));
    let mut tally = Tally::new(since, until, None);
    for line in lines {
        // `11:00:00 event {...}` in short.
        let (time, rest) = line.split_once(' ').unwrap();
        let (event, fields) = rest.split_once(' ').unwrap_or((rest, ""));
        let comma = if fields.is_empty() { "" } else { "," };
        tally.add(&format!(
            "{{\"time\":\"2026-11-25T{time}.000Z\",\"event\":\"{event}\"{comma}{fields}}}"
        ));
    }
    tally.end();
    tally
}

fn figures(lines: &[&str]) -> Figures {
    let policy = slurm_asg_core::policy::parse("asg.toml".as_ref(), CONFIG).unwrap();
    Figures::of(&tally(lines), &Prices::of(&policy))
}

fn hours(figures: &Figures, state: &str) -> f64 {
    figures.groups["g"].instance_hours[state]
}

#[test]
fn hours_are_those_between_the_lines_and_within_the_time() {
    let figures = figures(&[
        // It stood so for half an hour before the report begins.
        r#"09:30:00 group_state "group":"g","busy":2,"idle":1,"demand":2"#,
        r#"10:15:00 group_state "group":"g","busy":1,"base":1,"booting":2,"demand":3"#,
        r#"10:45:00 group_state "group":"g","spare":4,"releasing":2"#,
        r#"11:00:00 group_state "group":"g""#,
        r#"12:10:00 group_state "group":"g""#,
        r#"13:20:00 group_state "group":"g""#,
    ]);
    assert_eq!(hours(&figures, "busy"), 2.0 * 0.25 + 0.5);
    assert_eq!(hours(&figures, "idle"), 0.25);
    assert_eq!(hours(&figures, "base"), 0.5);
    assert_eq!(hours(&figures, "booting"), 1.0);
    assert_eq!(hours(&figures, "spare"), 1.0);
    assert_eq!(hours(&figures, "releasing"), 0.5);
    let group = &figures.groups["g"];
    assert_eq!(group.instance_hours_total, 4.25);
    assert_eq!(group.cost_total, Some(2.125));
    assert_eq!(group.cost.as_ref().unwrap()["busy"], 0.5);
    assert_eq!(group.unknown_hours, 0.0);
}

#[test]
fn where_nobody_looked_nothing_is_counted() {
    let figures = figures(&[
        r#"10:00:00 group_state "group":"g","busy":1"#,
        // The last line holds for 70 minutes.
        r#"13:10:00 group_state "group":"g","busy":1"#,
    ]);
    assert_eq!(hours(&figures, "busy"), 2.0);
    assert_eq!(figures.groups["g"].unknown_hours, 2.0);
    // A clock that was set back adds nothing twice.
    let back = self::figures(&[
        r#"11:00:00 group_state "group":"g","busy":1"#,
        r#"10:30:00 group_state "group":"g","busy":1"#,
        r#"11:30:00 group_state "group":"g","busy":0"#,
    ]);
    assert_eq!(hours(&back, "busy"), 1.0);
}

#[test]
fn a_job_waits_from_its_count_or_its_request_until_the_last_of_its_nodes_is_up() {
    let figures = figures(&[
        r#"10:00:00 job_counted "job":7"#,
        r#"10:00:10 nodes_resumed "group":"g","nodes":"n[1-2]","jobs":[7]"#,
        r#"10:00:20 nodes_resumed "group":"g","nodes":"n3","jobs":[8]"#,
        r#"10:00:50 node_up "group":"g","node":"n1","boot_ms":40000"#,
        r#"10:01:00 node_up "group":"g","node":"n3","boot_ms":40000"#,
        r#"10:01:40 node_up "group":"g","node":"n2","boot_ms":90000"#,
        // Nobody waits for a node that is powered up by hand.
        r#"10:02:00 nodes_resumed "group":"g","nodes":"n4""#,
        r#"10:03:00 node_up "group":"g","node":"n4","boot_ms":60000"#,
        r#"10:04:00 nodes_resumed "group":"g","nodes":"n5","jobs":[9]"#,
        r#"10:05:00 node_down "group":"g","node":"n5","reason":"(Code:InstanceGone) i-5 is gone""#,
        r#"10:06:00 node_up "group":"g","node":"n5","boot_ms":1000"#,
    ]);
    assert_eq!((figures.job_waits.count, figures.job_waits.max_s), (2, 100.0));
    assert_eq!(figures.job_waits_failed, 1);
    let longest: Vec<_> =
        figures.longest_waits.iter().map(|wait| (wait.job, wait.wait_s, wait.nodes)).collect();
    assert_eq!(longest, [(7, 100.0, 2), (8, 40.0, 1)]);
    let boots = figures.groups["g"].boots;
    assert_eq!((boots.count, boots.max_s), (5, 90.0));
    assert!((39.9..=40.4).contains(&boots.p50_s), "{boots:?}");
}

#[test]
fn failures_are_counted_by_code() {
    let figures = figures(&[
        r#"10:00:00 capacity_raised_failed "group":"g","error":"SetDesiredCapacity: Throttling: Rate exceeded; later""#,
        r#"10:10:00 capacity_raised_failed "group":"g","error":"SetDesiredCapacity: Throttling: Rate exceeded; later""#,
        r#"10:20:00 capacity_raised_failed "group":"g","error":"SetDesiredCapacity: no answer in time""#,
        r#"10:21:00 node_down "group":"g","node":"n1","reason":"(Code:InstanceGone) i-1 is gone""#,
        r#"09:00:00 node_down "group":"g","node":"n1","reason":"(Code:InstanceGone) before""#,
        r#"10:21:30 launches_fail "group":"g","reason":"launches fail: (Code:InsufficientInstanceCapacity) none; AWS says: no""#,
        r#"10:21:40 node_drained "group":"g","node":"n1","reason":"(Code:Retired) bad GPU (user 0)""#,
        r#"10:22:00 events_dropped "dropped":3"#,
    ]);
    let told: Vec<_> = figures
        .failures
        .iter()
        .map(|failure| format!("{} {} {}", failure.count, failure.event, failure.code))
        .collect();
    assert_eq!(
        told,
        [
            "2 capacity_raised_failed Throttling",
            "1 capacity_raised_failed ",
            "1 launches_fail InsufficientInstanceCapacity",
            "1 node_down InstanceGone"
        ]
    );
    assert_eq!((figures.events, figures.events_dropped), (7, 3));
}

const DAY: [&str; 10] = [
    r#"10:00:00 group_state "group":"g","demand":3"#,
    r#"10:30:00 job_counted "group":"g","job":12"#,
    r#"10:30:02 nodes_resumed "group":"g","nodes":"n[1-2]","jobs":[12]"#,
    r#"10:30:03 group_state "group":"g","booting":2,"demand":2"#,
    r#"10:30:05 node_bound "group":"g","node":"n1","instance":"i-1""#,
    r#"10:31:03 node_up "group":"g","node":"n1","boot_ms":58000"#,
    r#"10:31:09 node_up "group":"g","node":"n2","boot_ms":64000"#,
    r#"10:31:10 group_state "group":"g","busy":2,"demand":2"#,
    r#"11:31:10 group_state "group":"g","idle":2"#,
    r#"11:41:10 instance_terminated "group":"g","node":"n1","reason":"node_released","error":"<script>""#,
];

#[test]
fn a_report_reads_as_tables() {
    insta::assert_snapshot!(text::text(&figures(&DAY)).unwrap());
    insta::assert_snapshot!(csv::table(&figures(&DAY)));
    assert!(text::text(&figures(&[])).unwrap().contains("says nothing of any group"));
}

#[test]
fn a_page_has_charts_and_tables_and_nothing_from_elsewhere() {
    let page = html::page(&figures(&DAY), &tally(&DAY)).unwrap();
    for part in ["<svg", "class=\"busy\"", "class=\"booting\"", "Cost, EUR"] {
        assert!(page.contains(part), "{part}");
    }
    for foreign in ["http:", "https:", "<script", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn what_is_kept_does_not_grow_with_the_log() {
    let at = |text: &str| rfc3339::parse(text).unwrap();
    let (since, until) = (at("2026-11-25T10:00:00Z"), at("2026-11-25T14:00:00Z"));
    let mut tally = Tally::new(since, until, None);
    for nth in 0..300_000 {
        tally.add(&format!(
            "{{\"time\":\"2026-11-25T11:00:00.000Z\",\"event\":\"job_counted\",\"job\":{nth}}}"
        ));
        tally.add(&format!(
            "{{\"time\":\"2026-11-25T11:00:00.000Z\",\"event\":\"x{nth}_failed\",\"error\":\"a: b: c\"}}"
        ));
    }
    assert!(tally.size() <= 202_000, "{}", tally.size());
}
