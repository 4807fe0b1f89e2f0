//! What is served of a small world.

use std::time::Duration;

use super::collector::World;
use super::{metrics, page};
use crate::status::example;

fn world() -> World {
    let mut world = World::default();
    world.note_status(example(), Duration::ZERO);
    let mut status = example();
    status.groups[0].price_micros = Some(3_600_000_000);
    status.currency = "EUR".to_owned();
    world.note_status(status, Duration::from_secs(2));
    world.note_event(
        r#"{"time":"2026-11-25T10:00:00.000Z","event":"nodes_resumed","group":"compute","nodes":"n[1-2]","jobs":[7]}"#,
        false,
    );
    for line in [
        r#"{"time":"2026-11-25T10:00:04.000Z","event":"node_bound","group":"compute","node":"n1"}"#,
        r#"{"time":"2026-11-25T10:00:05.000Z","event":"node_bound","group":"compute","node":"n2"}"#,
        r#"{"time":"2026-11-25T10:00:44.000Z","event":"node_up","group":"compute","node":"n1","boot_ms":40000}"#,
        r#"{"time":"2026-11-25T10:00:46.000Z","event":"node_up","group":"compute","node":"n2","boot_ms":41000}"#,
        r#"{"time":"2026-11-25T10:01:00.000Z","event":"capacity_raised_failed","group":"compute","error":"SetDesiredCapacity: Throttling: <b>Rate</b>"}"#,
    ] {
        world.note_event(line, true);
    }
    world
}

#[test]
fn metrics_are_of_the_status_and_of_what_was_added_up() {
    insta::assert_snapshot!(metrics::exposition(&world()).unwrap());
}

#[test]
fn numbers_of_a_plugin_that_does_not_answer_are_not_served_as_new() {
    let mut world = world();
    world.problem = Some("the plugin does not listen".to_owned());
    let text = metrics::exposition(&world).unwrap();
    assert!(text.contains("slurm_asg_up 0.0\n") && !text.contains("slurm_asg_group_"), "{text}");
    assert!(text.contains("slurm_asg_boot_seconds_count{group=\"compute\"} 2\n"), "{text}");
    let nothing = metrics::exposition(&World::default()).unwrap();
    assert!(nothing.contains("slurm_asg_up 0.0\n") && nothing.ends_with("# EOF\n"), "{nothing}");
}

/// What a screen reader needs, as far as it can be seen in the page's text.
#[test]
fn the_page_can_be_read_by_those_who_do_not_see_it() {
    let page = page::whole(&world(), Duration::from_secs(5), 1_005_000).unwrap();
    let count = |part: &str| page.matches(part).count();
    assert!(page.contains("<html lang=\"en\">") && page.contains("<title>slurm-asg</title>"));
    assert!(page.contains("width=device-width") && !page.contains("user-scalable"));
    assert_eq!((count("<h1"), count("<main"), count("<header>")), (1, 1, 1));
    assert_eq!(count("<th "), count("scope=\"col\"") + count("scope=\"row\""));
    assert_eq!(count("<svg "), count("role=\"img\" aria-label=\""));
    // What scrolls can be reached by the keyboard, and has a name.
    assert_eq!(count("class=\"scroll\""), count("tabindex=\"0\" role=\"region\" aria-label=\""));
    assert_eq!(count("<table>"), count("class=\"scroll\""));
    let levels: Vec<u32> = page
        .match_indices("<h")
        .filter_map(|(at, _)| page[at + 2..].chars().next()?.to_digit(10))
        .collect();
    assert!(levels.windows(2).all(|two| two[1] <= two[0] + 1), "{levels:?}");
}

#[test]
fn the_page_has_everything_without_scripts_and_takes_nobodys_words_for_markup() {
    let mut world = world();
    world.problem = Some("<script>alert(1)</script>".to_owned());
    let page = page::whole(&world, Duration::from_secs(5), 1_005_000).unwrap();
    for part in ["compute-1", "throttled", "gets 1 node; 1 to be powered up", "node_up", "70 s"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<b>") && !page.contains("<script>"), "{page}");
    assert!(!page.contains("http:") && !page.contains("https:"), "{page}");
}
