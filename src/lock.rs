//! One loop at a time: on a reconfigure from 23.11 on, two slurmctld overlap.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Held as long as this value lives; the kernel lets go of it with the process.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

/// Takes the lock in the state directory. `None` if another process has it.
///
/// # Errors
/// If the directory cannot be made or the file not opened.
pub fn try_lock(state_dir: &Path) -> io::Result<Option<StateLock>> {
    fs::create_dir_all(state_dir)?;
    let file = File::options().create(true).append(true).open(state_dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(StateLock { _file: file })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::try_lock;

    #[test]
    fn one_holds_it_and_it_is_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = try_lock(dir.path()).unwrap();
        assert!(first.is_some());
        assert!(try_lock(dir.path()).unwrap().is_none());
        drop(first);
        assert!(try_lock(dir.path()).unwrap().is_some());
    }
}
