//! Node lists from configuration files, command lines and snapshots.

use slurm_asg_core::hostlist::{NAMES_MAX, compress, expand};

pub fn holds(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(names) = expand(text) else { return };
    assert!(!names.is_empty() && names.len() <= NAMES_MAX);
    let short = compress(&names);
    assert_eq!(expand(&short).as_ref(), Ok(&names), "{text:?} became {short:?}");
}
