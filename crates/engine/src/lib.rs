//! Observe, plan, check, execute, remember: the loop of slurm-asg over narrow traits
