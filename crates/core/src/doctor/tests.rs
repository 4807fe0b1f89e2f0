//! Whole checks: a cluster that is right, and what is told of one that is not.

use std::path::Path;

use super::host::{Place, There};
use super::survey::{Answer, GroupFacts, HookFacts, Right, TemplateFacts, TypeFacts};
use super::*;
use crate::policy::parse;
use crate::snapshot::Transition;

const EXAMPLE: &str = include_str!("../../../../packaging/conf/slurm.conf.example");
const ASG_TOML: &str = include_str!("../../../../packaging/conf/asg.toml.example");

/// Makes something wrong.
type Change<T> = fn(&mut T);

fn conf(text: &str) -> SlurmConf {
    SlurmConf::read(Path::new("s"), &mut |_| Ok::<_, String>(text.to_owned())).unwrap()
}

fn host() -> Host {
    let program = There { is_dir: false, owner: 0, mode: 0o755, in_memory: false };
    let dir = There { is_dir: true, owner: 64, mode: 0o755, in_memory: false };
    let place = |path: &str, there| Place { path: path.to_owned(), there };
    let programs = ["ResumeProgram", "SuspendProgram", "ResumeFailProgram"];
    Host {
        slurm_user: Some(64),
        slurm_user_name: "slurm".to_owned(),
        programs: programs.map(|key| (key, place("/p", Some(program)))).to_vec(),
        state_dir: Some((place("/state/asg", None), place("/state", Some(dir)))),
        socket_dir: Some(place("/run/slurm-asg", Some(dir))),
        plugin: vec![place("/lib/job_submit_asg.so", Some(program))],
    }
}

fn group() -> GroupFacts {
    let hook = HookFacts {
        name: "slurm-asg-terminating".to_owned(),
        transition: Transition::Terminating,
        timeout_secs: 300,
    };
    let template = TemplateFacts {
        name: "t".to_owned(),
        version: "1".to_owned(),
        instance_type: Some("c5.large".to_owned()),
        metadata_tags: true,
        ..TemplateFacts::default()
    };
    GroupFacts {
        max: 8,
        protects_new: true,
        suspended: vec!["AZRebalance".to_owned()],
        health_check: "EC2".to_owned(),
        hooks: Some(Answer::Known(vec![hook])),
        template: Some(Answer::Known(template)),
        ..GroupFacts::default()
    }
}

fn survey(group: GroupFacts) -> Survey {
    let machine =
        TypeFacts { vcpus: 2, cores: 1, threads: 2, memory_mib: 4096, ..TypeFacts::default() };
    let allowed = rights::CALLS.iter().map(|call| (call.action.to_owned(), Right::Allowed));
    Survey {
        groups: [("hpc-compute".to_owned(), Answer::Known(group))].into(),
        types: [("c5.large".to_owned(), Answer::Known(machine))].into(),
        rights: allowed.collect(),
        clock_ahead_ms: Some(400),
    }
}

fn report(text: &str, host: &Host, survey: &Survey, keys: &str) -> Report {
    let policy = parse(Path::new("asg.toml"), &(ASG_TOML.to_owned() + keys)).unwrap();
    examine(&Facts {
        policy: &policy,
        release: Release::parse("22.05"),
        conf: Some(&conf(text)),
        host: Some(host),
        survey: Some(survey),
    })
}

fn found(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|it| it.check.as_str()).collect()
}

#[test]
fn the_example_that_packages_ship_is_right() {
    let report = report(EXAMPLE, &host(), &survey(group()), "");
    assert_eq!(report, Report::default());
}

#[test]
fn what_is_wrong_with_nodes_is_found() {
    for (from, to, keys, expected) in [
        ("NodeName=compute-[1-8]", "NodeName=compute-[1-6]", "", "node_missing"),
        ("RealMemory=3800 State=CLOUD", "State=UNKNOWN", "", "node_state"),
        (
            "PartitionName=cloud Nodes=compute-[1-8]",
            "PartitionName=cloud Nodes=login",
            "",
            "no_partition",
        ),
        ("NodeName=", "NodeName=x State=CLOUD\nNodeName=", "", "node_without_group"),
        ("TreeWidth", "SuspendExcParts=cloud\nTreeWidth", "", "SuspendExcNodes"),
        ("", "", "min_size = 2", "SuspendExcNodes"),
        ("", "", "scale_in = \"never\"", "partition_suspend_time"),
        ("NodeName=", "bad line\nNodeName=", "", "unreadable"),
        ("CPUs=2", "CPUs=4", "", "cpus"),
        ("RealMemory=", "RealMemory=9", "", "memory"),
        ("RealMemory=", "Gres=gpu:1 RealMemory=", "", "gpus"),
    ] {
        // Not in comments, and once.
        let at = EXAMPLE.find(&format!("\n{from}")).or_else(|| EXAMPLE.find(from)).unwrap();
        let (before, after) = EXAMPLE.split_at(at);
        let text = before.to_owned() + &after.replacen(from, to, 1);
        let report = report(&text, &host(), &survey(group()), keys);
        assert!(found(&report).contains(&expected), "{from} -> {to} {keys}: {report:#?}");
    }
    let fits = "SuspendExcNodes=compute-[1-8]:2\nTreeWidth";
    let text = EXAMPLE.replace("TreeWidth", fits);
    assert_eq!(
        found(&report(&text, &host(), &survey(group()), "min_size = 2")),
        Vec::<&str>::new()
    );
    let text = EXAMPLE.replace("MaxTime=INFINITE", "MaxTime=INFINITE SuspendTime=INFINITE");
    let never = report(&text, &host(), &survey(group()), "scale_in = \"never\"");
    assert_eq!(found(&never), Vec::<&str>::new());
}

#[test]
fn what_is_wrong_with_a_group_is_found() {
    let changes: [(&str, Change<GroupFacts>); 14] = [
        ("max_size", |it| it.max = 7),
        ("min_size", |it| it.min = 9),
        ("processes", |it| it.suspended.push("Launch".to_owned())),
        ("processes", |it| it.suspended.push("Terminate".to_owned())),
        ("suspend_az_rebalance", |it| it.suspended.clear()),
        ("protect_new", |it| it.protects_new = false),
        ("health_check", |it| it.health_check = "EC2,ELB".to_owned()),
        ("capacity_rebalance", |it| it.capacity_rebalance = true),
        ("lifetime_max", |it| it.lifetime_max_secs = Some(86_400)),
        ("terminating_hook", |it| it.hooks = Some(Answer::Known(Vec::new()))),
        ("warm_pool", |it| it.warm_pool = true),
        ("launch_template", |it| it.template = Some(Answer::Missing)),
        ("launch_configuration", |it| it.launch_configuration = Some("old".to_owned())),
        ("metadata_tags", |it| {
            let other = TemplateFacts {
                instance_type: Some("c5.large".to_owned()),
                ..TemplateFacts::default()
            };
            it.template = Some(Answer::Known(other));
        }),
    ];
    for (expected, change) in changes {
        let mut group = group();
        change(&mut group);
        let report = report(EXAMPLE, &host(), &survey(group), "");
        let min = if expected == "min_size" {
            vec!["min_size", "SuspendExcNodes"]
        } else {
            vec![expected]
        };
        let mut all = found(&report);
        all.sort_by_key(|it| *it != expected);
        assert_eq!(all, min, "{report:#?}");
    }
    let mut gone = survey(group());
    gone.groups.insert("hpc-compute".to_owned(), Answer::Missing);
    assert_eq!(found(&report(EXAMPLE, &host(), &gone, "")), ["exists"]);
    gone.groups.insert("hpc-compute".to_owned(), Answer::Unknown("denied".to_owned()));
    let report = report(EXAMPLE, &host(), &gone, "");
    assert_eq!(report.findings, []);
    assert_eq!(report.not_checked, ["Auto Scaling group hpc-compute: denied"]);
}

#[test]
fn what_keeps_a_group_from_launching_by_zone_is_found_where_that_is_wanted() {
    let changes: [Change<GroupFacts>; 2] =
        [|it| it.warm_pool = true, |it| it.launch_configuration = Some("old".to_owned())];
    for change in changes {
        let mut group = group();
        change(&mut group);
        let of = |lines| found(&report(EXAMPLE, &host(), &survey(group.clone()), lines)).len();
        assert_eq!((of(""), of("api = \"launch-instances\"")), (1, 2));
    }
}

#[test]
fn what_is_wrong_on_the_host_is_found() {
    let changes: [(&str, Change<Host>); 8] = [
        ("slurm_user", |it| it.slurm_user = None),
        ("program", |it| it.programs[0].1.there = None),
        ("program", |it| it.programs[1].1.there.as_mut().unwrap().mode = 0o775),
        ("program", |it| it.programs[1].1.there.as_mut().unwrap().mode = 0o600),
        ("program", |it| it.programs[1].1.path = "slurm-asg-suspend".to_owned()),
        ("state_dir", |it| it.state_dir.as_mut().unwrap().1.there.as_mut().unwrap().owner = 7),
        ("state_in_memory", |it| {
            it.state_dir.as_mut().unwrap().1.there.as_mut().unwrap().in_memory = true;
        }),
        ("socket", |it| it.socket_dir.as_mut().unwrap().there = None),
    ];
    for (expected, change) in changes {
        let mut host = host();
        change(&mut host);
        let report = report(EXAMPLE, &host, &survey(group()), "");
        assert_eq!(found(&report), [expected], "{report:#?}");
    }
    let mut without = host();
    without.plugin[0].there = None;
    assert_eq!(found(&report(EXAMPLE, &without, &survey(group()), "")), ["plugin"]);
}

#[test]
fn a_clock_that_is_wrong_is_an_error_only_where_aws_would_refuse() {
    let of = |ahead_ms| {
        let survey = Survey { clock_ahead_ms: Some(ahead_ms), ..survey(group()) };
        let report = report(EXAMPLE, &host(), &survey, "");
        report.findings.first().map(|it| (it.level, it.what.clone()))
    };
    assert_eq!(of(-1900), None);
    let behind = "the clock is 20 s behind AWS's".to_owned();
    assert_eq!(of(-20_000), Some((Level::Warning, behind)));
    assert_eq!(of(600_000).map(|it| it.0), Some(Level::Error));
}

#[test]
fn a_denied_call_is_as_bad_as_the_need_for_it() {
    let denied = |action: &str, keys: &str| {
        let mut survey = survey(group());
        survey.rights.insert(action.to_owned(), Right::Denied("no".to_owned()));
        let report = report(EXAMPLE, &host(), &survey, keys);
        report.findings.first().map(|it| it.level)
    };
    assert_eq!(denied("autoscaling:SetDesiredCapacity", ""), Some(Level::Error));
    assert_eq!(denied("ec2:CreateTags", ""), Some(Level::Warning));
    assert_eq!(denied("autoscaling:UpdateAutoScalingGroup", ""), None);
    let sizes = "max_size = 8\n";
    assert_eq!(denied("autoscaling:UpdateAutoScalingGroup", sizes), Some(Level::Error));
    assert_eq!(denied("cloudwatch:PutMetricData", ""), None);
    let metrics = "[metrics]\npublish = true\n";
    assert_eq!(denied("cloudwatch:PutMetricData", metrics), Some(Level::Error));
}

#[test]
fn a_finding_reads_as_what_why_and_what_to_write() {
    let text = EXAMPLE.replace("PrivateData=cloud", "PrivateData=jobs");
    let report = report(&text, &host(), &survey(group()), "");
    assert_eq!(
        report.findings[0].to_string(),
        "error: slurm.conf: PrivateData=jobs is without cloud\n  \
         why:   before 23.02 Slurm hides powered-down nodes from everybody, slurm-asg too\n  \
         write: PrivateData=jobs,cloud"
    );
}
