//! What bindgen read in slurm.h.
#![expect(
    missing_docs,
    dead_code,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated from slurm.h"
)]

include!(concat!(env!("OUT_DIR"), "/slurm.rs"));
