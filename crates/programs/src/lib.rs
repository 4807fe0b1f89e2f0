//! slurm-asg-resume and slurm-asg-suspend: what Slurm's power saving runs
