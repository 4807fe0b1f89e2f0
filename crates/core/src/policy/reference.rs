//! The keys of asg.toml, described once: for asg.toml(5), the command line and the README.
//!
//! The tests compare this list with what the parser takes.

/// A key of asg.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The table that it is in, as it is written: `[[group]]`; empty at the top.
    pub table: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it says, in a few words, with the unit and the range.
    pub text: &'static str,
    /// What holds without it.
    pub default: Default,
}

/// What holds without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Nothing: it must be there.
    Required,
    /// This value, as it is written in the file.
    Value(&'static str),
    /// What these words say.
    Text(&'static str),
}

/// The tables, in the order in which they are described, and what they are for.
pub const TABLES: [(&str, &str); 4] = [
    ("", "at the top of the file"),
    ("[metrics]", "what is published to CloudWatch"),
    ("[events]", "the event log"),
    ("[[group]]", "one for each set of nodes"),
];

/// All keys, table by table.
pub const KEYS: &[Key] = &[
    Key {
        table: "",
        name: "region",
        text: "AWS region",
        default: Default::Text("the AWS SDK's own chain"),
    },
    Key {
        table: "",
        name: "state_dir",
        text: "where the plugin remembers what it has begun; a backup controller needs the same",
        default: Default::Text("asg below StateSaveLocation"),
    },
    Key {
        table: "",
        name: "socket",
        text: "for the programs and the command line",
        default: Default::Text("/run/slurm-asg/asg.sock"),
    },
    Key {
        table: "",
        name: "operators",
        text: "users, or groups as \"@hpc-admins\", who may change something, beside root and SlurmUser",
        default: Default::Value("[]"),
    },
    Key {
        table: "",
        name: "readers",
        text: "users, or groups as \"@hpc\", who may look (SECURITY.md)",
        default: Default::Text("everybody on the host"),
    },
    Key {
        table: "",
        name: "events_queue",
        text: "URL of an SQS queue with AWS's notices of instances that it takes away (below)",
        default: Default::Text("none"),
    },
    Key { table: "", name: "currency", text: "of prices", default: Default::Value("\"USD\"") },
    Key {
        table: "",
        name: "job_notices",
        text: "write into the AdminComment of jobs that wait why no instances come for them",
        default: Default::Value("false"),
    },
    Key {
        table: "[metrics]",
        name: "publish",
        text: "publish pending, desired, in_service, busy, idle, oldest_idle",
        default: Default::Value("false"),
    },
    Key {
        table: "[metrics]",
        name: "namespace",
        text: "CloudWatch's namespace",
        default: Default::Value("\"SlurmAsg\""),
    },
    Key {
        table: "[metrics]",
        name: "period",
        text: "seconds from one publication to the next, 1 to 3600",
        default: Default::Value("60"),
    },
    Key { table: "[events]", name: "enabled", text: "write one", default: Default::Value("true") },
    Key {
        table: "[events]",
        name: "path",
        text: "its current file",
        default: Default::Text("events.jsonl in the state directory"),
    },
    Key {
        table: "[events]",
        name: "max_size_mib",
        text: "a file that would grow beyond this is put aside, MiB",
        default: Default::Value("16"),
    },
    Key {
        table: "[events]",
        name: "keep",
        text: "so many files that were put aside are kept, 1 to 100",
        default: Default::Value("4"),
    },
    Key {
        table: "[events]",
        name: "heartbeat",
        text: "seconds from one heartbeat event of a group to the next, 1 to 3600",
        default: Default::Value("60"),
    },
    Key {
        table: "[[group]]",
        name: "name",
        text: "for people and logs",
        default: Default::Required,
    },
    Key {
        table: "[[group]]",
        name: "nodes",
        text: "Slurm's node list, compute-[1-8]",
        default: Default::Required,
    },
    Key {
        table: "[[group]]",
        name: "asg",
        text: "the Auto Scaling group, or a list in order of preference",
        default: Default::Required,
    },
    Key {
        table: "[[group]]",
        name: "prelaunch",
        text: "raise capacity for pending jobs before Slurm gives them nodes",
        default: Default::Value("true"),
    },
    Key {
        table: "[[group]]",
        name: "scale_out",
        text: "\"direct\", or \"alarm\": CloudWatch alarms raise the capacity (below)",
        default: Default::Value("\"direct\""),
    },
    Key {
        table: "[[group]]",
        name: "api",
        text: "\"set-desired-capacity\", or \"launch-instances\": by zone, and answered at once (below)",
        default: Default::Value("\"set-desired-capacity\""),
    },
    Key {
        table: "[[group]]",
        name: "launch",
        text: "\"best-effort\", or \"all-or-nothing\": a job that cannot have all of its nodes gets \
               none (below)",
        default: Default::Value("\"best-effort\""),
    },
    Key {
        table: "[[group]]",
        name: "launch_limit",
        text: "with \"all-or-nothing\": seconds that a job's nodes may lack instances, 10 to 86400",
        default: Default::Value("120"),
    },
    Key {
        table: "[[group]]",
        name: "scale_in",
        text: "\"slurm\": its SuspendTime; \"billing-hour\" or \"never\" (below)",
        default: Default::Value("\"slurm\""),
    },
    Key {
        table: "[[group]]",
        name: "cooldown",
        text: "with \"billing-hour\": seconds that a node is idle at least before it goes",
        default: Default::Value("600"),
    },
    Key {
        table: "[[group]]",
        name: "billing_window_percent",
        text: "with \"billing-hour\": the last part of the hour, in which nodes go",
        default: Default::Value("5"),
    },
    Key {
        table: "[[group]]",
        name: "billing_period",
        text: "with \"billing-hour\": what is billed at once, in seconds",
        default: Default::Value("3600"),
    },
    Key {
        table: "[[group]]",
        name: "orphan_grace",
        text: "seconds that an instance may live that serves no node and is not wanted",
        default: Default::Value("300"),
    },
    Key {
        table: "[[group]]",
        name: "drain_limit",
        text: "for so many seconds a life-cycle hook is told to wait for jobs (below), at most 172800",
        default: Default::Value("172800"),
    },
    Key {
        table: "[[group]]",
        name: "price_per_hour",
        text: "what an instance costs for an hour, for slurm-asg report",
        default: Default::Text("no money in reports"),
    },
    Key {
        table: "[[group]]",
        name: "capacity_cooldown",
        text: "after a launch has failed, seconds for which the group is asked for nothing (below)",
        default: Default::Value("600"),
    },
    Key {
        table: "[[group]]",
        name: "boot_failures_max",
        text: "after so many boots in a row that fail nothing is launched any more (below); 0 is never",
        default: Default::Value("10"),
    },
    Key {
        table: "[[group]]",
        name: "min_size",
        text: "so many nodes are kept up, with or without jobs; written to the group's MinSize",
        default: Default::Text("the group's own MinSize"),
    },
    Key {
        table: "[[group]]",
        name: "max_size",
        text: "at most so many instances; written to the group's MaxSize",
        default: Default::Text("the group's own MaxSize"),
    },
    Key {
        table: "[[group]]",
        name: "initial_size",
        text: "so many nodes come up once, when the group is first seen",
        default: Default::Value("0"),
    },
    Key {
        table: "[[group]]",
        name: "maintain_initial_size",
        text: "initial_size is kept always: it is the minimum",
        default: Default::Value("false"),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::policy::parse;

    const README: &str = include_str!("../../../../README.md");

    /// The names that the parser takes in a table: it names them when it is given another one.
    fn taken(table: &str) -> BTreeSet<String> {
        let text = format!("{table}\nno_such_key = 1\n");
        let error = parse(Path::new("asg.toml"), &text).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected one of ").unwrap();
        expected.split(", ").map(|name| name.trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn every_key_that_the_parser_takes_is_described_and_no_other() {
        // Tables are keys at the top; names of old cluster configurations are only taken.
        let others = [
            ("", &["metrics", "events", "group"][..]),
            ("[metrics]", &[]),
            ("[events]", &[]),
            ("[[group]]", &["min_queue_size", "initial_queue_size", "max_queue_size"]),
        ];
        for (table, other) in others {
            let keys = KEYS.iter().filter(|key| key.table == table);
            let names = keys.map(|key| key.name).chain(other.iter().copied());
            assert_eq!(names.map(str::to_owned).collect::<BTreeSet<_>>(), taken(table), "{table}");
        }
        assert!(KEYS.iter().all(|key| TABLES.iter().any(|(table, _)| *table == key.table)));
    }

    #[test]
    fn the_defaults_are_values_of_their_keys() {
        let group = "[[group]]\nname = \"a\"\nnodes = \"a[1-8]\"\nasg = \"a\"\n";
        for key in KEYS {
            let Default::Value(value) = key.default else { continue };
            let line = format!("{} = {value}\n", key.name);
            let text = match key.table {
                "" => format!("{line}{group}"),
                "[[group]]" => format!("{group}{line}"),
                table => format!("{group}{table}\n{line}"),
            };
            // These go with other settings only.
            let refused = parse(Path::new("asg.toml"), &text).err().map(|error| error.to_string());
            let others = ["billing-hour", "all-or-nothing"];
            let refused = refused.filter(|why| !others.iter().any(|other| why.contains(other)));
            assert_eq!(refused, None, "{line}");
        }
    }

    #[test]
    fn the_readme_describes_each_key_in_the_same_words() {
        let plain = README.replace('`', "");
        for key in KEYS {
            let line = format!("| {} | {} | ", key.name, key.text);
            assert!(plain.contains(&line), "README.md has no line {line}");
        }
    }
}
