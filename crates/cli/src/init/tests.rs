//! The pieces are right: for the parser, for the doctor, for a shell, for CloudFormation.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use slurm_asg_core::doctor::conf::SlurmConf;
use slurm_asg_core::doctor::survey::TypeFacts;
use slurm_asg_core::doctor::{Facts, examine};
use slurm_asg_core::policy;
use slurm_asg_core::snapshot::Release;

use super::*;

/// EC2 takes user data of 16 KiB (its user guide), before it is encoded.
const USER_DATA_BYTES_MAX: usize = 16_384;

fn conf(text: &str) -> SlurmConf {
    SlurmConf::read(Path::new("slurm.conf"), &mut |_| Ok::<_, String>(text.to_owned())).unwrap()
}

fn setup() -> Setup {
    Setup {
        asg: "hpc-gpu".to_owned(),
        name: "gpu".to_owned(),
        nodes: "gpu-[1-4]".to_owned(),
        count: 4,
        partition: "gpu".to_owned(),
        region: Some("eu-west-1".to_owned()),
        account: Some("123456789012".to_owned()),
        cluster: "lab".to_owned(),
        instance_type: Some("g4dn.xlarge".to_owned()),
        machine: TypeFacts {
            vcpus: 4,
            cores: 2,
            threads: 2,
            memory_mib: 16_384,
            gpus: 1,
            gpu_name: None,
        },
        image: None,
        subnets: vec!["subnet-0a".to_owned(), "subnet-0b".to_owned()],
        security_groups: Vec::new(),
        controller: Some("head-node".to_owned()),
        release: Release::parse("22.05"),
        conf: SlurmConf::default(),
        alarms: false,
        metrics: false,
    }
}

#[test]
fn asg_toml_and_slurm_conf_read_as_they_are_written() {
    insta::assert_snapshot!(Piece::AsgToml.text(&setup()).unwrap());
    insta::assert_snapshot!(Piece::SlurmConf.text(&setup()).unwrap());
    insta::assert_snapshot!(Piece::Iam.text(&setup()).unwrap());
}

#[test]
fn the_doctor_finds_nothing_wrong_with_what_is_written() {
    for release in ["22.05", "23.11", "24.11", "26.05"] {
        for alarms in [false, true] {
            let release = Release::parse(release);
            let setup = Setup { release, alarms, metrics: alarms, ..setup() };
            let toml = Piece::AsgToml.text(&setup).unwrap();
            let policy = policy::parse(Path::new("asg.toml"), &toml).unwrap();
            assert_eq!(policy.warnings, Vec::<String>::new());
            let conf = conf(&Piece::SlurmConf.text(&setup).unwrap());
            let facts =
                Facts { policy: &policy, release, conf: Some(&conf), host: None, survey: None };
            assert_eq!(examine(&facts).findings, [], "{toml}");
        }
    }
}

#[test]
fn what_slurm_conf_has_and_will_do_is_kept() {
    let there = "JobSubmitPlugins=lua\nSuspendTime=1200\nResumeTimeout=60\nGresTypes=nic\n\
                 ResumeProgram=/opt/parallelcluster/resume\n\
                 SlurmctldParameters=enable_configless\nPartitionName=old Default=YES Nodes=ALL\n";
    let text = Piece::SlurmConf.text(&Setup { conf: conf(there), ..setup() }).unwrap();
    for line in [
        "JobSubmitPlugins=lua,asg",
        "SuspendTime=1200",
        "ResumeTimeout=900",
        "GresTypes=nic,gpu",
        "ResumeProgram=/usr/sbin/slurm-asg-resume",
        "SlurmctldParameters=enable_configless,idle_on_node_suspend",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
    }
    assert!(!text.contains("Default=YES"), "there is a default partition already");
    // Once more, with what was written in force.
    let again = conf(&format!("{there}{text}"));
    assert_eq!(Piece::SlurmConf.text(&Setup { conf: again, ..setup() }).unwrap(), text);
}

#[test]
fn user_data_fits_and_is_a_shell_script_that_brings_the_bootstrap_along() {
    let text = Piece::UserData.text(&setup()).unwrap();
    assert!(text.len() < USER_DATA_BYTES_MAX, "{}", text.len());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("user-data.sh");
    fs::write(&file, &text).unwrap();
    let checked = Command::new("sh").arg("-n").arg(&file).status().unwrap();
    assert!(checked.success());
    // What a here-document writes is the shipped file, to the byte.
    let script = include_str!("../../../../packaging/node/slurm-asg-node");
    let (_, rest) = text.split_once("<<'SLURM_ASG_NODE'\n").unwrap();
    let (written, _) = rest.split_once("\nSLURM_ASG_NODE\n").unwrap();
    assert_eq!(format!("{written}\n"), script);
    assert!(text.contains("\nSLURM_ASG_CONF_SERVER=head-node\n"));
    let with_own = Piece::UserData.text(&Setup { controller: None, ..setup() }).unwrap();
    assert!(!with_own.contains("\nSLURM_ASG_CONF_SERVER=head-node\n"));
}

#[test]
fn the_policy_is_bound_to_the_group_and_has_what_is_needed() {
    let sids = |setup: &Setup| {
        let text = Piece::Iam.text(setup).unwrap();
        for word in ["REGION", "ACCOUNT", "GROUP"] {
            assert!(!text.contains(word), "{word} is left in\n{text}");
        }
        let policy: Value = serde_json::from_str(&text).unwrap();
        let all = policy["Statement"].as_array().unwrap().iter();
        all.map(|it| it["Sid"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert!(!sids(&setup()).contains("OptionalMetrics"));
    assert!(sids(&Setup { metrics: true, ..setup() }).contains("OptionalMetrics"));
    let china = Setup { region: Some("cn-north-1".to_owned()), account: None, ..setup() };
    let text = Piece::Iam.text(&china).unwrap();
    let arn = "arn:aws-cn:autoscaling:cn-north-1:*:autoScalingGroup:*:autoScalingGroupName/hpc-gpu";
    assert!(text.contains(arn), "{text}");
}

#[test]
fn the_template_has_group_template_hook_and_rights() {
    let template: Value =
        serde_json::from_str(&Piece::Cloudformation.text(&setup()).unwrap()).unwrap();
    let resources = &template["Resources"];
    let group = &resources["AutoScalingGroup"]["Properties"];
    assert_eq!(group["AutoScalingGroupName"], "hpc-gpu");
    assert_eq!((&group["MinSize"], &group["MaxSize"]), (&"0".into(), &"4".into()));
    assert_eq!(group["NewInstancesProtectedFromScaleIn"], true);
    assert_eq!(group["DesiredCapacity"], Value::Null, "it is slurm-asg's");
    let hook = &group["LifecycleHookSpecificationList"][0];
    assert_eq!(hook["LifecycleHookName"], "slurm-asg-terminating");
    let data = &resources["LaunchTemplate"]["Properties"]["LaunchTemplateData"];
    assert_eq!(data["MetadataOptions"]["InstanceMetadataTags"], "enabled");
    assert_eq!(data["UserData"]["Fn::Base64"], Piece::UserData.text(&setup()).unwrap());
    let policy: Value = serde_json::from_str(&Piece::Iam.text(&setup()).unwrap()).unwrap();
    let rights = &resources["ControllerPolicy"]["Properties"];
    assert_eq!(rights["PolicyDocument"], policy);
    assert_eq!(template["Parameters"]["Subnets"]["Default"], "subnet-0a,subnet-0b");
}

#[test]
fn cfn_lint_takes_the_template() {
    let Some(cfn_lint) = cfn_lint() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (alarms, metrics) in [(false, false), (false, true), (true, true)] {
        let text = Piece::Cloudformation.text(&Setup { alarms, metrics, ..setup() }).unwrap();
        let file = dir.path().join(format!("{alarms}-{metrics}.json"));
        fs::write(&file, text).unwrap();
        let output = Command::new(&cfn_lint).arg(&file).args(["--regions", "eu-west-1"]).output();
        let output = output.unwrap();
        let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        let said = said.concat();
        assert!(output.status.success(), "{said}");
    }
}

/// cfn-lint: `SLURM_ASG_CFN_LINT`, else one that is installed below ~/.cache/slurm-asg. `None`, with
/// a word, if it cannot be installed.
fn cfn_lint() -> Option<PathBuf> {
    const VERSION: &str = "1.58.0";
    if let Some(named) = std::env::var_os("SLURM_ASG_CFN_LINT").filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    let home = cache.join("slurm-asg").join(format!("cfn-lint-{VERSION}"));
    let program = home.join("bin/cfn-lint");
    let finished = home.join("finished");
    if !finished.exists() {
        drop(fs::remove_dir_all(&home));
        fs::create_dir_all(home.parent()?).ok()?;
        let run =
            |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let package = format!("cfn-lint=={VERSION}");
        let is_made = run(Command::new("python3").args(["-m", "venv"]).arg(&home))
            && run(Command::new(home.join("bin/pip")).args(["install", "-q", &package]));
        if !is_made {
            crate::output::complain("skipped: cfn-lint cannot be installed from PyPI");
            return None;
        }
        fs::write(finished, "").ok()?;
    }
    Some(program)
}
