//! The messages on slurm-asg's socket, and a small blocking client
