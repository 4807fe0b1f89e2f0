//! The files that are installed, and the programs that Slurm calls.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use slurm_asg_lab::figures::{Figure, Figures};
use slurm_asg_lab::{Lab, PLUGIN, Release, beside_this_program};

/// How large files are without symbols: as packages ship them, if those have been built here.
pub fn sizes(figures: &mut Figures) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (from, whose) = match Release::installed()?.packaged()? {
        Some(packaged) => (packaged, "as packaged"),
        None => (beside_this_program()?, "not as packaged: `make packages` has not been run here"),
    };
    for (name, most) in [
        (PLUGIN, Some(12.0)),
        ("slurm-asg-resume", Some(1.0)),
        ("slurm-asg-suspend", Some(1.0)),
        ("slurm-asg", None),
        ("slurm-asg-survey", None),
    ] {
        let to = dir.path().join(name);
        fs::copy(from.join(name), &to).with_context(|| format!("{name} is not built"))?;
        let stripped = Command::new("strip").arg(&to).status().context("strip is not installed")?;
        ensure!(stripped.success(), "strip {name}: {stripped}");
        // A file has less than 2^52 bytes.
        let bytes = u32::try_from(fs::metadata(&to)?.len()).context("4 GiB and more")?;
        let megabytes = vec![f64::from(bytes) / 1e6];
        let what = format!("size of {name}, {whose}, MB");
        let figure = Figure::new(&format!("size.{name}"), what, megabytes);
        figures.add(most.map_or(figure.clone(), |most| figure.at_most(most)));
    }
    Ok(())
}

/// Wall time of the programs that Slurm calls.
pub fn run(figures: &mut Figures, lab: &Lab) -> Result<()> {
    for name in ["slurm-asg-resume", "slurm-asg-suspend"] {
        let mut times = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            let status = Command::new(lab.path("bin").join(name))
                .arg("compute-[1-8]")
                .env_clear()
                .env("SLURM_CONF", lab.path("slurm.conf"))
                .stdin(Stdio::null())
                .status()?;
            times.push(began.elapsed().as_secs_f64() * 1000.0);
            ensure!(status.success(), "{name}: {status}");
        }
        let what = format!("{name}, wall, ms");
        figures.add(Figure::new(&format!("{name}.ms"), what, times).at_most(10.0));
    }
    Ok(())
}
