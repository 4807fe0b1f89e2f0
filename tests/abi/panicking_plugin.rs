//! The plugin's C entries, as they are, around a hook and a controller that panic.

#![expect(clippy::panic, reason = "that is what it is for")]
#![allow(dead_code, unused_imports, reason = "only a part of each module is used here")]

#[path = "../../src/abi.rs"]
mod abi;
#[path = "../../src/guard.rs"]
mod guard;
#[path = "../../src/logging.rs"]
mod logging;
#[path = "../../src/slurm/mod.rs"]
mod slurm;

mod hook {
    pub fn ring() {
        panic!("a hook panics on purpose");
    }
}

mod controller {
    pub fn start() {
        crate::logging::install();
        panic!("init panics on purpose");
    }

    pub fn stop() {
        panic!("fini panics on purpose");
    }
}
