//! The program: its arguments, its port file, its end.

use crate::bench::{config_text, eventually};
use slurm_asg_sandbox::SandboxClient;
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_slurm-asg-sandbox"))
}

fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = program().args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn only_loopback_is_listened_on() {
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0"] {
        let (code, text) = refused(&["--config", "/nonexistent", "--listen", address]);
        assert!(
            code == Some(2) && text.lines().count() == 1 && text.contains("only loopback"),
            "{text}"
        );
    }
}

#[test]
fn a_bad_configuration_is_one_line_and_help_has_an_example() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("sandbox.toml");
    std::fs::write(&path, "regoin = \"x\"\n").unwrap();
    let (code, text) = refused(&["--config", path.to_str().unwrap()]);
    assert!(
        code == Some(2)
            && text.lines().count() == 1
            && text.contains("sandbox.toml:1: unknown field `regoin`"),
        "{text}"
    );
    let help = program().arg("--help").output().unwrap();
    assert!(
        String::from_utf8(help.stdout).unwrap().contains("slurm-asg-sandbox --config sandbox.toml")
    );
}

#[test]
fn it_writes_its_port_serves_and_ends_its_instances_on_sigterm() {
    let dir = TempDir::new().unwrap();
    let (config, port_file, log) =
        (dir.path().join("sandbox.toml"), dir.path().join("port"), dir.path().join("sandbox.log"));
    std::fs::write(
        &config,
        config_text(dir.path(), "exec sleep 1000", "").replace("max = 8", "max = 8\ndesired = 2"),
    )
    .unwrap();
    let mut child = program()
        .args([
            "--config".as_ref(),
            config.as_os_str(),
            "--port-file".as_ref(),
            port_file.as_os_str(),
        ])
        .args(["--log".as_ref(), log.as_os_str()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let text = eventually("the port file", || std::fs::read_to_string(&port_file).ok());
    let port: u16 = text.strip_suffix('\n').unwrap().parse().unwrap();
    let client = SandboxClient::new(([127, 0, 0, 1], port).into());
    let pids: Vec<u32> = eventually("two processes", || {
        let state = client.state().unwrap();
        let pids: Vec<u32> =
            state.groups[0].instances.iter().filter_map(|instance| instance.pid).collect();
        (pids.len() == 2).then_some(pids)
    });
    let term = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(term.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(pids.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()));
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("listens on 127.0.0.1:") && log.contains("boots as process"), "{log}");
}
