//! The small file in which memory survives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slurm_asg_core::memory::Memory;

/// The format's number; files of another number are kept aside.
const FORMAT: u32 = 1;
const FILE_NAME: &str = "memory.json";

/// Where memory is kept.
pub trait Store {
    /// What was saved last. Without a file, or with one that cannot be read, an empty memory:
    /// bindings come back from Slurm's addresses and AWS's tags.
    ///
    /// # Errors
    /// If the directory cannot be used at all.
    fn load(&mut self) -> Result<Memory, StoreError>;

    /// Replaces what was saved, all or nothing.
    ///
    /// # Errors
    /// If it could not be written; what was saved before is still there.
    fn save(&mut self, memory: &Memory) -> Result<(), StoreError>;
}

/// Why memory could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

/// Memory in a JSON file, written beside and renamed.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Saved<M> {
    format: u32,
    memory: M,
}

impl FileStore {
    /// A store in `dir`, which is created if it is missing.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        let beside = self.dir.join(format!("{FILE_NAME}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(text)?;
        // Without this a power failure may leave the new name with the old content missing.
        file.sync_all()?;
        fs::rename(&beside, self.path())?;
        File::open(&self.dir)?.sync_all()
    }
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Memory, StoreError> {
        let fail = |path: PathBuf| move |source| StoreError { path, source };
        fs::create_dir_all(&self.dir).map_err(fail(self.dir.clone()))?;
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
            Err(source) => return Err(StoreError { path, source }),
        };
        match serde_json::from_slice::<Saved<Memory>>(&text) {
            Ok(saved) if saved.format == FORMAT => Ok(saved.memory),
            other => {
                let aside = self.dir.join(format!("{FILE_NAME}.unreadable"));
                let why =
                    other.err().map_or_else(|| "another format".to_owned(), |e| e.to_string());
                tracing::warn!(
                    "{} cannot be read ({why}); kept as {}, starting from what Slurm and AWS show",
                    path.display(),
                    aside.display()
                );
                fs::rename(&path, &aside).map_err(fail(path))?;
                Ok(Memory::default())
            }
        }
    }

    fn save(&mut self, memory: &Memory) -> Result<(), StoreError> {
        let path = self.path();
        let text = serde_json::to_vec(&Saved { format: FORMAT, memory })
            .map_err(|error| StoreError { path: path.clone(), source: io::Error::other(error) })?;
        self.write(&text).map_err(|source| StoreError { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slurm_asg_core::memory::Binding;
    use slurm_asg_core::time::Timestamp;

    fn memory() -> Memory {
        let binding = Binding::new(&"i-1".into(), &"a".into(), Timestamp::from_secs(1));
        Memory { bindings: [("n1".into(), binding)].into(), ..Memory::default() }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::new(&dir.path().join("below"));
        assert_eq!(store.load().unwrap(), Memory::default());
        store.save(&memory()).unwrap();
        assert_eq!(store.load().unwrap(), memory());
    }

    #[test]
    fn a_torn_file_is_kept_aside_and_costs_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::new(dir.path());
        store.save(&memory()).unwrap();
        let path = dir.path().join(FILE_NAME);
        let whole = fs::read(&path).unwrap();
        for torn in [&whole[..whole.len() / 2], b"{\"format\":2,\"memory\":{}}", b""] {
            fs::write(&path, torn).unwrap();
            assert_eq!(store.load().unwrap(), Memory::default());
            assert!(!path.exists());
        }
        assert!(dir.path().join("memory.json.unreadable").exists());
    }

    #[test]
    fn a_save_that_fails_leaves_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::new(dir.path());
        store.save(&memory()).unwrap();
        // A directory where the new file would go makes the write fail, also for root.
        fs::create_dir(dir.path().join("memory.json.new")).unwrap();
        let error = store.save(&Memory::default()).unwrap_err().to_string();
        assert!(error.contains("memory.json"), "{error}");
        assert_eq!(store.load().unwrap(), memory());
    }
}
