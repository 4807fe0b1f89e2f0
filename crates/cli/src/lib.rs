//! The slurm-asg command
