//! Asks AWS for `slurm-asg init`, and for `slurm-asg check` where no plugin runs: a program of its own,
//! so that the command line does without the AWS SDK. The question comes as one line of JSON on
//! standard input, the answer goes as one line of JSON to standard output. It changes nothing.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::process::ExitCode;

use slurm_asg_aws::{AwsCloud, Settings};
use slurm_asg_core::doctor::survey::Question;

/// How large a question may be, bytes.
const QUESTION_BYTES_MAX: u64 = 1 << 20;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        let usage =
            "slurm-asg-survey: no arguments; it is run by slurm-asg init and slurm-asg check";
        drop(writeln!(io::stderr(), "{usage}"));
        return ExitCode::from(2);
    }
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "slurm-asg-survey: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn answer() -> io::Result<()> {
    let mut text = String::new();
    io::stdin().lock().take(QUESTION_BYTES_MAX).read_to_string(&mut text)?;
    let question: Question = serde_json::from_str(&text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let survey = runtime.block_on(async {
        let cloud =
            AwsCloud::connect(Settings { region: question.region, events_queue: None }).await;
        cloud.surveyor().survey(&question.groups, &question.types).await
    });
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &survey)?;
    out.write_all(b"\n")
}
