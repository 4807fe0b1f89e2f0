//! packaging/node/slurm-asg-node under dash, in the sandbox's instances, with stand-ins for slurmd and scontrol.

use crate::bench::{Bench, EC2, eventually};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/node/slurm-asg-node")
}

/// Stand-ins that say how they were called; scontrol prints `nodes` (and its environment to standard error's stead, a file).
fn stubs(nodes: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, text: String| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    fs::write(dir.path().join("nodes"), nodes).unwrap();
    let here = dir.path().display();
    write("slurmd", "#!/bin/sh\necho \"SLURMD $*\"\nexec sleep 1000\n".into());
    write(
        "scontrol",
        format!(
            "#!/bin/sh\necho \"conf=${{SLURM_CONF-}} server=${{SLURM_CONF_SERVER-}} $*\" >{here}/asked\nexec cat {here}/nodes\n"
        ),
    );
    dir
}

fn bench(stubs: &TempDir, env: &str) -> Bench {
    let dir = stubs.path().display();
    let extra = format!(
        "isolate = false\nboot_env = {{ SLURMD = \"{dir}/slurmd\", SCONTROL = \"{dir}/scontrol\", {env} }}"
    );
    Bench::new(&format!("exec dash {}", script().display()), &extra)
}

/// The instance's log once it holds `what`.
fn log_with(bench: &Bench, id: &str, what: &str) -> String {
    let path = bench.dir.path().join("log").join(format!("{id}.log"));
    eventually(&format!("{what} in the log"), || {
        fs::read_to_string(&path).ok().filter(|text| text.contains(what))
    })
}

fn tag(bench: &Bench, id: &str, name: &str) {
    let (status, xml) = bench.call(
        EC2,
        &format!("CreateTags&ResourceId.1={id}&Tag.1.Key=slurm-asg%3Anode&Tag.1.Value={name}"),
    );
    assert_eq!(status, 200, "{xml}");
}

#[test]
fn the_name_is_found_by_tag_when_it_comes() {
    let stubs = stubs("");
    let bench =
        bench(&stubs, "SLURM_CONF = \"/c/slurm.conf\", SLURM_ASG_SLURMD_OPTIONS = \"-v -M\"");
    let id = bench.one().id;
    log_with(&bench, &id, "private address 127.77.0.1");
    tag(&bench, &id, "compute-1");
    let log = log_with(&bench, &id, "SLURMD");
    assert!(log.contains("SLURMD -D -b -N compute-1 -v -M\n"), "{log}");
    assert!(log.contains("slurm-asg-node: node compute-1, from tag\n"), "{log}");
    assert_eq!(
        fs::read_to_string(stubs.path().join("asked")).unwrap(),
        "conf=/c/slurm.conf server= show nodes -o\n"
    );
}

#[test]
fn the_name_is_found_by_exactly_this_address() {
    let stubs = stubs(
        "NodeName=far Arch=x86_64 NodeAddr=127.77.0.11 NodeHostName=far State=IDLE\n\
         NodeName=sly Arch=x86_64 NodeAddr=sly NodeHostName=sly State=DOWN Reason=was NodeAddr=127.77.0.1 once\n\
         NodeName=old Arch=x86_64 NodeAddr=127.77.0.1 NodeHostName=old State=IDLE+CLOUD+POWERED_DOWN\n\
         NodeName=mine Arch=x86_64 NodeAddr=127.77.0.1 NodeHostName=mine State=IDLE+CLOUD+POWERING_UP\n",
    );
    let bench = bench(&stubs, "SLURM_CONF = \"/stale\", SLURM_ASG_CONF_SERVER = \"head:6817\"");
    let log = log_with(&bench, &bench.one().id, "SLURMD");
    assert!(log.contains("SLURMD -D -b -N mine --conf-server head:6817\n"), "{log}");
    assert_eq!(
        fs::read_to_string(stubs.path().join("asked")).unwrap(),
        "conf= server=head:6817 show nodes -o\n"
    );
}

#[test]
fn without_a_name_it_gives_up_in_one_line() {
    let stubs = stubs("NodeName=other NodeAddr=127.77.0.2\n");
    let bench = bench(&stubs, "SLURM_ASG_NODE_TIMEOUT = \"1\"");
    let id = {
        bench.set_desired(1);
        eventually("it is launched", || bench.instances().pop()).id
    };
    let log = log_with(&bench, &id, "no node name");
    let last = log.lines().last().unwrap();
    assert!(
        last.contains("tag slurm-asg:node at http://127.0.0.1:")
            && last.contains("NodeAddr=127.77.0.1 in Slurm"),
        "{log}"
    );
    assert!(!log.contains("SLURMD"), "{log}");
}

#[test]
fn what_is_no_node_name_is_refused() {
    for bad in ["a%20b", "-D", "%24%28reboot%29", "a%3Bb"] {
        let stubs = stubs("");
        let bench = bench(&stubs, "SLURM_ASG_NODE_LOOKUP = \"tag\"");
        bench.set_desired(1);
        let id = eventually("it is launched", || bench.instances().pop()).id;
        tag(&bench, &id, bad);
        let log = log_with(&bench, &id, "not a node name");
        assert!(!log.contains("SLURMD"), "{log}");
    }
}

#[test]
fn wrong_settings_end_it_with_2_and_help_names_every_setting() {
    let run = |env: (&str, &str), argument: &[&str]| {
        Command::new("dash").arg(script()).args(argument).env(env.0, env.1).output().unwrap()
    };
    for env in [("SLURM_ASG_NODE_TIMEOUT", "soon"), ("SLURM_ASG_NODE_LOOKUP", "dns")] {
        assert_eq!(run(env, &[]).status.code(), Some(2));
    }
    assert_eq!(run(("X", ""), &["--nonsense"]).status.code(), Some(2));
    let help = String::from_utf8(run(("X", ""), &["--help"]).stdout).unwrap();
    let text = fs::read_to_string(script()).unwrap();
    let settings = text
        .lines()
        .filter_map(|line| line.strip_prefix(": \"${")?.split_once(":=").map(|(name, _)| name));
    let names: Vec<&str> = settings.collect();
    assert!(names.len() >= 7 && names.iter().all(|name| help.contains(name)), "{help}");
}
