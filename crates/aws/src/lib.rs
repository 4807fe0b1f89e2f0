//! The only crate of slurm-asg that names the AWS SDK
