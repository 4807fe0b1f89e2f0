//! Messages of AWS about instances. The rules are in crates/bad-input.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| slurm_asg_bad_input::feed("notice", input));
