//! One loop at a time: on a reconfigure from 23.11 on, two slurmctld overlap, and a primary that
//! has lost control may work on while the backup begins.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process;

const FILE: &str = "lock";

/// Held as long as this value lives; the kernel lets go of it with the process.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Takes the lock in the state directory, and writes down who has it. `None` if another process
/// does.
///
/// # Errors
/// If the directory cannot be made or the file not opened.
pub fn try_lock(state_dir: &Path) -> io::Result<Option<StateLock>> {
    fs::create_dir_all(state_dir)?;
    let mut file = File::options().create(true).append(true).open(state_dir.join(FILE))?;
    match file.try_lock() {
        Ok(()) => {
            // It is for people alone: where there is no room for it, the lock holds all the same.
            let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            drop(file.set_len(0));
            drop(write!(file, "process {} on {}", process::id(), host.trim()));
            Ok(Some(StateLock { _file: file }))
        }
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Who has the lock, as it has written: `process 1234 on ctl-1`.
pub fn holder(state_dir: &Path) -> Option<String> {
    let text = fs::read_to_string(state_dir.join(FILE)).ok()?;
    let text: String = text.chars().filter(|it| !it.is_control()).take(100).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{holder, try_lock};

    #[test]
    fn one_holds_it_and_it_is_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = try_lock(dir.path()).unwrap();
        assert!(first.is_some());
        assert!(try_lock(dir.path()).unwrap().is_none());
        let told = holder(dir.path()).unwrap();
        assert!(told.starts_with(&format!("process {} on ", std::process::id())), "{told}");
        drop(first);
        assert!(try_lock(dir.path()).unwrap().is_some());
        assert_eq!(holder(dir.path()), Some(told));
    }
}
