//! The programs that Slurm runs, and the command line, against a real plugin.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::SOON;

fn program(lab: &Lab, name: &str) -> Command {
    let mut command = Command::new(lab.path("bin").join(name));
    command.env_clear().env("SLURM_CONF", lab.path("slurm.conf"));
    command
}

#[test]
fn the_programs_work_with_closed_descriptors_and_no_environment() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin listens", SOON, |lab| Ok(lab.status().is_ok()))?;
    for name in ["slurm-asg-resume", "slurm-asg-suspend"] {
        let path = lab.path("bin").join(name);
        let script = format!("exec {} 'compute-[1-2]' <&- >&- 2>&-", path.display());
        let status = Command::new("/bin/sh")
            .args(["-c", &script])
            .env_clear()
            .env("SLURM_CONF", lab.path("slurm.conf"))
            .status()?;
        ensure!(status.success(), "{name}: {status}");
    }
    lab.until("both were heard", SOON, |lab| {
        let log = lab.plugin_log().join("\n");
        let wanted = log.contains("node=compute-[1-2] wanted by Slurm");
        Ok(wanted && log.contains("node=compute-[1-2] released by Slurm"))
    })?;
    // Programs say "look"; nodes that Slurm does not want get nothing.
    std::thread::sleep(Duration::from_secs(2));
    ensure!(lab.desired()? == 0);
    Ok(())
}

#[test]
fn the_resume_file_is_handed_on() -> Result<()> {
    let lab = Lab::start(Options::default())?;
    lab.until("the plugin listens", SOON, |lab| Ok(lab.status().is_ok()))?;
    let file = lab.path("resume.json");
    std::fs::write(&file, r#"{"jobs":[{"job_id":4711,"nodes":"compute-1"}]}"#)?;
    let mut resume = program(&lab, "slurm-asg-resume");
    ensure!(resume.arg("compute-1").env("SLURM_RESUME_FILE", &file).status()?.success());
    lab.until("the job is named", SOON, |lab| {
        Ok(lab.plugin_log().iter().any(|line| line.contains("wanted by Slurm job=4711")))
    })
}

#[test]
fn wrong_use_and_a_plugin_that_is_not_there_are_told_in_one_line() -> Result<()> {
    let lab = Lab::start(Options { plugin: false, ..Options::default() })?;
    let table: [(&str, &[&str], i32, &str); 6] = [
        ("slurm-asg-resume", &[], 2, "expected one node list"),
        ("slurm-asg-resume", &["compute-1"], 1, "the plugin does not listen on"),
        ("slurm-asg-suspend", &["compute-1", "compute-2"], 2, "expected one node list"),
        ("slurm-asg", &["status"], 1, "is slurmctld running with JobSubmitPlugins=asg?"),
        ("slurm-asg", &["statsu"], 2, "unrecognized subcommand"),
        ("slurm-asg", &["check", "--config", "/nonexistent"], 1, "/nonexistent cannot be read"),
    ];
    for (name, arguments, code, words) in table {
        let output = program(&lab, name).args(arguments).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(code), "{name} {arguments:?}: {}", output.status);
        ensure!(said.contains(words), "{name} {arguments:?}: {said}");
        let lines = said.trim().lines().count();
        ensure!(code == 2 || lines == 1, "{name} {arguments:?} is verbose: {said}");
    }
    Ok(())
}

#[test]
fn check_accepts_a_good_file_and_names_the_fault_of_a_bad_one() -> Result<()> {
    let lab = Lab::start(Options { plugin: false, ..Options::default() })?;
    let file = lab.path("asg.toml").display().to_string();
    let good = lab.command("slurm-asg", &["check", "--config", &file])?;
    ensure!(good.contains("is right: 1 groups, 8 nodes, 1 Auto Scaling groups"), "{good}");
    std::fs::write(
        lab.path("asg.toml"),
        "[[group]]\nname = \"a\"\nnodes = \"n[1-\"\nasg = \"x\"\n",
    )?;
    let output = program(&lab, "slurm-asg").args(["check", "--json"]).output()?;
    ensure!(output.status.code() == Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("\"ok\":false") && said.contains("asg.toml:3: nodes:"), "{said}");
    Ok(())
}

#[test]
fn old_names_are_taken_and_reported_with_what_to_write() -> Result<()> {
    let group_keys = "initial_queue_size = 0\nmax_queue_size = 8\n".to_owned();
    let lab = Lab::start(Options { group_keys, ..Options::default() })?;
    let warning = "asg.toml:10: max_queue_size is an old name; write max_size = 8";
    let text = lab.command("slurm-asg", &["check"])?;
    ensure!(text.contains("is right") && text.contains(warning), "{text}");
    let json = lab.command("slurm-asg", &["check", "--json"])?;
    ensure!(json.contains("\"ok\":true") && json.contains(warning), "{json}");
    let said = |lab: &Lab| lab.plugin_log().iter().filter(|line| line.contains(warning)).count();
    lab.until("the log has it too", SOON, |lab| Ok(said(lab) == 1))?;
    // Once: not again when the file is read again.
    std::fs::write(lab.path("asg.toml"), format!("{}\n", lab.asg_toml()))?;
    lab.until("the file is read again", SOON, |lab| {
        Ok(lab.plugin_log().iter().any(|line| line.contains("read again")))
    })?;
    ensure!(said(&lab) == 1);
    Ok(())
}

#[test]
fn the_status_shows_group_and_node_as_text_and_json() -> Result<()> {
    let lab = Lab::start(Options { boot_delay_ms: 5000, ..Options::default() })?;
    lab.sbatch(&["--nodes=2"], "true")?;
    lab.until("two nodes boot", SOON, |lab| {
        let status = lab.status()?;
        Ok(status.nodes.iter().filter(|node| node.why == "booting").count() == 2)
    })?;
    let text = lab.command("slurm-asg", &["status"])?;
    ensure!(text.contains("compute-1") && text.contains("waits for its instance"), "{text}");
    let json = lab.command("slurm-asg", &["status", "--json"])?;
    ensure!(json.contains("\"why\": \"booting\""), "{json}");
    Ok(())
}
