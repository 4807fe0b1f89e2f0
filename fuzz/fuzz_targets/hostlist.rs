//! Node lists from configuration files, command lines and snapshots.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slurm_asg_core::hostlist::{NAMES_MAX, compress, expand};

fuzz_target!(|text: &str| {
    let Ok(names) = expand(text) else { return };
    assert!(!names.is_empty() && names.len() <= NAMES_MAX);
    let short = compress(&names);
    assert_eq!(expand(&short).as_ref(), Ok(&names), "{text:?} became {short:?}");
});
