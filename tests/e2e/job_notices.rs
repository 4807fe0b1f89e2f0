//! What users read of jobs whose nodes cannot come.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use slurm_asg_lab::{Lab, Options};

use crate::{BACK_TO_ZERO, JOB_RUNS, SOON};

/// A notice changes once a minute, and an idle loop looks every 30 s.
const OVER: Duration = Duration::from_secs(120);

fn shown(lab: &Lab, job: u32) -> Result<String> {
    lab.command("scontrol", &["show", "job", &job.to_string()])
}

#[test]
fn a_waiting_job_says_why_in_its_admin_comment_and_no_more_once_it_runs() -> Result<()> {
    let lab = Lab::start(Options { resume_timeout_s: 120, ..Options::default() })?;
    lab.until("the plugin has looked", SOON, |lab| Ok(lab.status()?.looked_at_ms.is_some()))?;
    lab.command("slurm-asg", &["pause", "compute", "--reason", "new image"])?;
    let off = lab.sbatch(&["--nodes=1", "--exclusive"], "sleep 300")?;
    std::thread::sleep(Duration::from_secs(5));
    ensure!(!shown(&lab, off)?.contains("AdminComment"), "without job_notices nothing is written");
    let file = lab.path("asg.toml");
    fs::write(&file, format!("job_notices = true\n{}", fs::read_to_string(&file)?))?;
    lab.command("slurm-asg", &["reload"])?;

    let mine = lab.sbatch(&["--nodes=1", "--exclusive", "--comment=mine"], "sleep 300")?;
    let array = lab.sbatch(&["--nodes=8", "--exclusive", "--array=1-2"], "sleep 300")?;
    let taken = lab.sbatch(&["--nodes=1", "--exclusive", "--hold"], "true")?;
    let id = format!("JobId={taken}");
    lab.command("scontrol", &["update", &id, "AdminComment=private"])?;
    lab.command("scontrol", &["release", &taken.to_string()])?;
    let words = "AdminComment=slurm-asg: an administrator has paused compute: new image";
    for job in [off, mine, array] {
        lab.until("the job says why it waits", SOON * 2, |lab| {
            Ok(shown(lab, job)?.contains(words))
        })?;
    }
    ensure!(shown(&lab, mine)?.contains("Comment=mine"), "{}", shown(&lab, mine)?);
    let queue =
        lab.command("squeue", &["-h", "-j", &mine.to_string(), "-O", "admin_comment:80"])?;
    ensure!(queue.contains("slurm-asg: an administrator has paused compute"), "{queue}");
    ensure!(shown(&lab, taken)?.contains("AdminComment=private"), "others' words are left alone");

    lab.command("slurm-asg", &["resume-scaling", "compute"])?;
    lab.until_job(mine, "RUNNING", JOB_RUNS)?;
    for job in [off, mine] {
        lab.until("the notice is over", OVER, |lab| {
            Ok(!shown(lab, job)?.contains("AdminComment=slurm-asg"))
        })?;
    }
    ensure!(shown(&lab, mine)?.contains("Comment=mine"));
    ensure!(shown(&lab, taken)?.contains("AdminComment=private"));
    lab.command("scancel", &["--me"])?;
    lab.until_zero(BACK_TO_ZERO)
}
