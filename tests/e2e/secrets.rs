//! Credentials are in no log, snapshot, event or answer, wherever they come from and whatever goes
//! wrong with them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};
use slurm_asg_sandbox::Fault;

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

const SECRET: &str = "wJalrXUtnFEMI7MDENGbPxRfiCYSECRETKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLESESSIONTOKEN";
const PASSWORD: &str = "PASSWORDbeforeTHEhost";

/// All that slurmctld and the plugin can write: every level that slurmctld's log has.
fn talkative(environment: &[(&str, String)]) -> Options {
    let environment =
        environment.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let slurm_conf = "SlurmctldDebug=debug5\n".to_owned();
    Options { environment, slurm_conf, ..Options::default() }
}

/// Every file of the cluster, and what the command line shows.
fn everything_written(lab: &Lab) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut all = Vec::new();
    let mut left = vec![lab.dir().to_owned()];
    while let Some(path) = left.pop() {
        let kind = fs::symlink_metadata(&path)?.file_type();
        if kind.is_dir() {
            left.extend(
                fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?,
            );
        } else if kind.is_file() {
            // A file may be gone again: slurmctld replaces its own.
            all.extend(fs::read(&path).ok().map(|content| (path, content)));
        }
    }
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["snapshot"],
        &["plan", "--json"],
        &["explain", "compute-1", "--json"],
        &["events", "--json"],
        &["check", "--json"],
    ] {
        // Without a look there is no snapshot; what is said of that counts too.
        let said = lab.command("slurm-asg", arguments);
        let said = said.unwrap_or_else(|error| format!("{error:#}"));
        all.push((Path::new("slurm-asg").join(arguments.join(" ")), said.into_bytes()));
    }
    Ok(all)
}

fn ensure_nothing_is_told(lab: &Lab) -> Result<()> {
    let all = everything_written(lab)?;
    // The search finds what is there: the group's name is in files, events and answers.
    let has =
        |content: &[u8], word: &str| content.windows(word.len()).any(|at| at == word.as_bytes());
    let found = all.iter().filter(|(_, content)| has(content, "compute")).count();
    ensure!(found >= 3, "only {found} of {} have the group's name", all.len());
    for (path, content) in &all {
        for word in [SECRET, TOKEN, PASSWORD] {
            ensure!(!has(content, word), "{word} is in {}", path.display());
        }
    }
    Ok(())
}

#[test]
fn credentials_of_the_environment_are_in_no_log_snapshot_or_event() -> Result<()> {
    let lab = Lab::start(talkative(&[
        ("AWS_ACCESS_KEY_ID", "AKIASANDBOX".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ("AWS_SESSION_TOKEN", TOKEN.to_owned()),
    ]))?;
    let (count, rate) = (Some(4), None);
    lab.sandbox().fault(&Fault::Throttle { actions: Vec::new(), count, rate })?;
    lab.sandbox().fault(&Fault::ServerError { actions: Vec::new(), count, rate })?;
    lab.sandbox().fault(&Fault::LostReply { actions: Vec::new(), count: 2 })?;
    let job = lab.sbatch(&["--nodes=2"], "env")?;
    lab.until_job(job, "COMPLETED", JOB_RUNS * 2)?;
    lab.until_zero(BACK_TO_ZERO * 2)?;
    // The job was served with these credentials, and slurmctld did not hand them on to it.
    ensure!(lab.output(job).contains("SLURMD_NODENAME"), "{}", lab.output(job));
    ensure_nothing_is_told(&lab)
}

#[test]
fn credentials_of_a_profile_or_a_process_that_do_not_work_are_named_without_their_secret()
-> Result<()> {
    let dir = tempfile::tempdir()?;
    let keys = format!(
        "[default]\naws_access_key_id = AKIASANDBOX\naws_session_token = {TOKEN}\n\
         aws_secret_access_key"
    );
    let whole = dir.path().join("whole").display().to_string();
    fs::write(&whole, format!("{keys} = {SECRET}\n"))?;
    let torn = dir.path().join("torn").display().to_string();
    fs::write(&torn, format!("{keys} {SECRET}\n"))?;
    let process = dir.path().join("process").display().to_string();
    let answer =
        format!("{{\"Version\":1,\"SecretAccessKey\":\"{SECRET}\",\"SessionToken\":\"{TOKEN}\"");
    fs::write(&process, format!("[profile p]\ncredential_process = echo '{answer}'\n"))?;
    let dead = ("AWS_ENDPOINT_URL", format!("http://user:{PASSWORD}@127.0.0.1:9"));
    for (environment, complaint) in [
        (vec![("AWS_SHARED_CREDENTIALS_FILE", whole), dead], "did not answer"),
        (vec![("AWS_SHARED_CREDENTIALS_FILE", torn)], "no AWS credentials"),
        (vec![("AWS_CONFIG_FILE", process), ("AWS_PROFILE", "p".to_owned())], "no AWS credentials"),
    ] {
        let lab = Lab::start(Options { credentials: false, ..talkative(&environment) })?;
        lab.until("the log says what is wrong", SOON * 2, |lab| {
            Ok(lab.plugin_log().iter().any(|line| line.contains(complaint)))
        })?;
        ensure_nothing_is_told(&lab)?;
    }
    Ok(())
}
