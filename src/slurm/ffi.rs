//! What bindgen read in slurm.h.
#![allow(
    missing_docs,
    dead_code,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unused_qualifications,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    reason = "generated from slurm.h: which of these it needs differs between releases"
)]

include!(concat!(env!("OUT_DIR"), "/slurm.rs"));
