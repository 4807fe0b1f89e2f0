//! A throw-away Slurm cluster on this machine: for the demo, the tests and the benchmarks
