//! Commands that change something, as a new user tries them.

use serde_json::json;

use crate::plugin::{Answers, Plugin, each_is_refused_in_one_line, stderr, stdout};

#[test]
fn protect_release_and_reload_say_what_has_changed() {
    let documents = vec![
        ("protect", json!(["c-1", "c-2", "c-3"])),
        ("release", json!(["c-1"])),
        ("reload", json!({ "path": "/etc/slurm/asg.toml" })),
    ];
    let plugin = Plugin::start(Answers { documents, ..Answers::default() });
    let table: [(&[&str], &str); 6] = [
        (
            &["protect", "c-[1-3]", "--until", "2099-01-01T18:00:00Z", "--reason", "debugging"],
            "node=c-[1-3] protected until 2099-01-01 18:00 UTC: not suspended, and no instance \
             terminated\n",
        ),
        (
            &["protect", "c-[1-3]", "--until", "2099-01-01T18:00", "--json"],
            "{\"nodes\":[\"c-1\",\"c-2\",\"c-3\"],\"until\":\"2099-01-01T18:00:00.000Z\"}\n",
        ),
        (&["release", "c-1", "c-2"], "node=c-1 may be suspended again\n"),
        (&["release", "c-1", "--json"], "{\"nodes\":[\"c-1\"]}\n"),
        (&["reload"], "/etc/slurm/asg.toml is in force\n"),
        (&["reload", "--json"], "{\"path\":\"/etc/slurm/asg.toml\"}\n"),
    ];
    for (arguments, expected) in table {
        let output = plugin.run(arguments);
        assert_eq!(stdout(&output), expected, "{arguments:?}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(0));
    }
    plugin.change(|answers| {
        answers.documents = vec![("protect", json!([])), ("release", json!([]))];
    });
    for (arguments, words) in [
        (&["protect", "c-1", "--for", "2h"][..], "protected already"),
        (&["release", "c-1"], "not protected; nothing to do"),
    ] {
        assert!(stdout(&plugin.run(arguments)).contains(words), "{arguments:?}");
    }
    let refused = plugin.run(&["reload"]);
    assert_eq!((refused.status.code(), stdout(&refused).as_str()), (Some(1), ""));
    assert_eq!(stderr(&refused), "slurm-asg: the plugin refused: no reload here\n");
}

#[test]
fn what_is_wrong_is_one_line_and_the_exit_code_says_whose_fault_it_is() {
    let no_plugin = "is slurmctld running with JobSubmitPlugins=asg?";
    let table: [(&[&str], i32, &str); 10] = [
        (&["reload"], 1, no_plugin),
        (&["protect", "c-1", "--for", "2h"], 1, no_plugin),
        (&["release", "c-1"], 1, no_plugin),
        (&["explain", "i-0a1"], 1, no_plugin),
        (&["release", "c-1", "--reason", " "], 1, "--reason says nothing"),
        (&["protect", "c-1"], 2, "--until <TIME>|--for <DURATION>"),
        (&["protect", "--for", "2h"], 2, "<NODES>"),
        (&["protect", "c-1", "--for", "2 hours"], 2, "write a span as 90s, 30m, 2h or 1d"),
        (&["protect", "c-1", "--until", "2h"], 2, "for a span there is --for"),
        (&["protect", "c-1", "--for", "2h", "--until", "18:00"], 2, "cannot be used with"),
    ];
    each_is_refused_in_one_line(&table);
}
