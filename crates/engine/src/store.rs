//! The small file in which memory survives.
//!
//! A file that cannot be read is never written over: it gets another name first, and if that
//! cannot be done, nothing is saved.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use slurm_asg_core::memory::Memory;
use slurm_asg_core::word::one_line;

/// The format's number; files of another number are kept aside.
const FORMAT: u32 = 1;
const FILE_NAME: &str = "memory.json";
/// A larger file is not one of ours: 10,000 nodes take about 2 MB.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// So many files that could not be read are kept; of more the oldest goes.
const BAD_MAX: usize = 4;

/// Where memory is kept.
pub trait Store {
    /// What was saved last. If nothing was, an empty memory.
    ///
    /// # Errors
    /// If it cannot be read. The loop starts with an empty memory then: bindings come back from
    /// Slurm's addresses and AWS's tags.
    fn load(&mut self) -> Result<Memory, StoreError>;

    /// Replaces what was saved, all or nothing.
    ///
    /// # Errors
    /// If it could not be written; what was saved before is still there.
    fn save(&mut self, memory: &Memory) -> Result<(), StoreError>;
}

/// Why memory could not be kept, in one line.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    System {
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// What is there is no memory, and has another name now.
    #[error("{} cannot be read ({why}); it is kept as {}", path.display(), aside.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// Where it is now.
        aside: PathBuf,
    },
    /// What is there is no memory, and could not be given another name.
    #[error(
        "{} cannot be read ({why}), nor be put aside ({source}); it stays, and nothing is saved \
         until it has another name",
        path.display()
    )]
    InTheWay {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// Why it stays where it is.
        source: io::Error,
    },
}

/// Memory in a JSON file, written beside and renamed.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    /// What is wrong with the file that is there and that must not be written over.
    in_the_way: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved<M> {
    format: u32,
    memory: M,
}

/// What all formats have in common.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
}

/// Reads the content of a memory file.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn read_memory(text: &[u8]) -> Result<Memory, String> {
    let wrong = |error: serde_json::Error| one_line(&error.to_string());
    let AnyFormat { format } = serde_json::from_slice(text).map_err(wrong)?;
    if format != FORMAT {
        return Err(format!("its format is {format}, this version has {FORMAT}"));
    }
    serde_json::from_slice::<Saved<Memory>>(text).map(|saved| saved.memory).map_err(wrong)
}

/// The content of a memory file.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn write_memory(memory: &Memory) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Saved { format: FORMAT, memory })
}

impl FileStore {
    /// A store in `dir`, which is created if it is missing.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), in_the_way: None }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FILE_NAME)
    }

    fn write(&self, text: &[u8]) -> io::Result<()> {
        // It was there when the loop began; whoever has removed it has not stopped the loop.
        fs::create_dir_all(&self.dir)?;
        let beside = self.dir.join(format!("{FILE_NAME}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(text)?;
        // Without this a power failure may leave the new name with the old content missing.
        file.sync_all()?;
        fs::rename(&beside, self.path())?;
        File::open(&self.dir)?.sync_all()
    }

    /// What the file holds; `None` if there is none.
    fn read(&self) -> Result<Option<Memory>, String> {
        let path = self.path();
        let text = match read_file(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        read_memory(&text).map(Some)
    }

    /// Gives the file that cannot be read another name, for whatever reason that is: a version
    /// that can read it, or an administrator, may want it.
    fn put_aside(&self) -> io::Result<PathBuf> {
        let earlier = self.bad_files()?;
        let last = earlier.last().copied().unwrap_or(0);
        let next = last.checked_add(1).ok_or_else(|| io::Error::other("no name is left"))?;
        let aside = self.bad_file(next);
        fs::rename(self.path(), &aside)?;
        for number in earlier.iter().rev().skip(BAD_MAX - 1) {
            // One too many is no harm. A directory stays: it was nobody's file.
            fs::remove_file(self.bad_file(*number)).ok();
        }
        Ok(aside)
    }

    fn bad_file(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{FILE_NAME}.bad-{number}"))
    }

    /// The numbers of the files that were put aside, the latest last.
    fn bad_files(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(FILE_NAME));
            let number = number.and_then(|rest| rest.strip_prefix(".bad-"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Puts the file aside that could not be read, if there is one, and says where it is now.
    fn make_room(&mut self) -> Result<Option<PathBuf>, StoreError> {
        let Some(why) = &self.in_the_way else { return Ok(None) };
        let aside = match self.put_aside() {
            Ok(aside) => Some(aside),
            // Somebody else has done it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                let why = why.clone();
                return Err(StoreError::InTheWay { path: self.path(), why, source });
            }
        };
        self.in_the_way = None;
        Ok(aside)
    }
}

/// Reads a file, and nothing else: to open a pipe would be to wait for whoever writes to it.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

impl Store for FileStore {
    fn load(&mut self) -> Result<Memory, StoreError> {
        let fail = |source| StoreError::System { path: self.dir.clone(), source };
        fs::create_dir_all(&self.dir).map_err(fail)?;
        let path = self.path();
        let why = match self.read() {
            Ok(memory) => return Ok(memory.unwrap_or_default()),
            Err(why) => why,
        };
        self.in_the_way = Some(why.clone());
        match self.make_room()? {
            Some(aside) => Err(StoreError::Bad { path, why, aside }),
            None => Ok(Memory::default()),
        }
    }

    fn save(&mut self, memory: &Memory) -> Result<(), StoreError> {
        let path = self.path();
        if let Some(aside) = self.make_room()? {
            tracing::warn!("{} is kept as {}", path.display(), aside.display());
        }
        let fail = |source| StoreError::System { path, source };
        match write_memory(memory) {
            Ok(text) => self.write(&text).map_err(fail),
            Err(error) => Err(fail(io::Error::other(error))),
        }
    }
}

#[cfg(test)]
mod tests;
