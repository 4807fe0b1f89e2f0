//! The event log's files, read in order and followed over rotation.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use slurm_asg_core::event::rotated;
use slurm_asg_core::time::Timestamp;

/// A longer line is no event, bytes.
const LINE_MAX: usize = 1 << 20;

/// Which file it is, whatever its name: device and inode. While it is open the inode is not used
/// again.
type Identity = (u64, u64);

/// Reads lines, each once, from the oldest file to the current one.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// What is still to be read, the oldest first. The last one is read until another file takes
    /// its place.
    files: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: Identity,
    /// The beginning of a line whose end is not there yet.
    begun: Vec<u8>,
    /// The line is too long; what comes up to its end is passed over.
    passing_over: bool,
}

impl Reader {
    /// Opens what there is, without files that were last written before `since`.
    ///
    /// # Errors
    /// If there is no file at all, or one cannot be opened.
    pub fn open(path: &Path, since: Option<Timestamp>) -> io::Result<Self> {
        let mut files = open_newer_than(path, None)?;
        if files.is_empty() {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        if let Some(since) = since {
            let since = UNIX_EPOCH + Duration::from_millis(since.millis());
            let is_old = |open: &Open| {
                let written = open.file.metadata().and_then(|data| data.modified());
                written.is_ok_and(|written| written < since)
            };
            while files.len() > 1 && files.front().is_some_and(is_old) {
                files.pop_front();
            }
        }
        Ok(Self { path: path.to_owned(), files })
    }

    /// Gives each whole line that is there and was not given before, without its end, until
    /// `take` wants no more. `false` if it wanted no more.
    ///
    /// # Errors
    /// If a file cannot be read, or what `take` says.
    pub fn read<E: From<io::Error>>(
        &mut self,
        take: &mut impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<bool, E> {
        loop {
            let is_last = self.files.len() <= 1;
            // In this order: what was written before another file took its place is read.
            let newer = if is_last { self.newer()? } else { VecDeque::new() };
            if let Some(open) = self.files.front_mut()
                && !open.read(take)?
            {
                return Ok(false);
            }
            if is_last && newer.is_empty() {
                return Ok(true);
            }
            self.files.pop_front();
            self.files.extend(newer);
        }
    }

    /// The files after the one that is read, if another one is in its place.
    fn newer(&self) -> io::Result<VecDeque<Open>> {
        let identity = self.files.front().map(|open| open.identity);
        match fs::metadata(&self.path) {
            Ok(data) if Some(identity_of(&data)) != identity => {
                open_newer_than(&self.path, identity)
            }
            Ok(_) => Ok(VecDeque::new()),
            // Put aside a moment ago, and the next one is not there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(VecDeque::new()),
            Err(error) => Err(error),
        }
    }
}

/// Opens the files from the current one back to the one that is known, or all; the oldest comes
/// first. From the newest on: a file that is put aside meanwhile is met twice, and not missed.
fn open_newer_than(path: &Path, known: Option<Identity>) -> io::Result<VecDeque<Open>> {
    let mut files: VecDeque<Open> = VecDeque::new();
    let earlier = numbers(path)?.into_iter().map(|nth| rotated(path, nth));
    for path in std::iter::once(path.to_owned()).chain(earlier) {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let identity = identity_of(&file.metadata()?);
        if Some(identity) == known {
            break;
        }
        if files.iter().all(|open| open.identity != identity) {
            files.push_front(Open { file, identity, begun: Vec::new(), passing_over: false });
        }
    }
    Ok(files)
}

/// The numbers of earlier files, and one more: one may be put aside meanwhile.
fn numbers(path: &Path) -> io::Result<Vec<u32>> {
    let Some(name) = path.file_name() else { return Ok(Vec::new()) };
    let begin = format!("{}.", name.to_string_lossy());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or_else(|| Path::new("."));
    let mut numbers: Vec<u32> = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // Who may not list a directory may still open a file in it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(vec![1]),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&begin)?.parse::<u32>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    numbers.push(numbers.last().map_or(1, |last| last.saturating_add(1)));
    Ok(numbers)
}

fn identity_of(data: &fs::Metadata) -> Identity {
    (data.dev(), data.ino())
}

impl Open {
    fn read<E: From<io::Error>>(
        &mut self,
        take: &mut impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = self.file.read(&mut buffer)?;
            if count == 0 {
                return Ok(true);
            }
            for part in
                buffer.get(..count).unwrap_or_default().split_inclusive(|byte| *byte == b'\n')
            {
                self.begun.extend_from_slice(part);
                if self.begun.len() > LINE_MAX {
                    self.begun.clear();
                    self.passing_over = true;
                }
                if !part.ends_with(b"\n") {
                    continue;
                }
                let line = std::mem::take(&mut self.begun);
                if std::mem::take(&mut self.passing_over) {
                    continue;
                }
                if !take(String::from_utf8_lossy(&line).trim_end_matches('\n'))? {
                    return Ok(false);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    struct Log {
        dir: tempfile::TempDir,
    }

    impl Log {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("e")
        }

        fn write(&self, text: &str) {
            let mut open = fs::OpenOptions::new();
            let mut file = open.create(true).append(true).open(self.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn put_aside(&self) {
            for nth in (1..=3).rev() {
                fs::rename(rotated(&self.path(), nth), rotated(&self.path(), nth + 1)).ok();
            }
            fs::rename(self.path(), rotated(&self.path(), 1)).unwrap();
        }
    }

    fn lines(reader: &mut Reader) -> String {
        let mut lines = Vec::new();
        let mut take = |line: &str| -> io::Result<bool> {
            lines.push(line.to_owned());
            Ok(true)
        };
        assert!(reader.read(&mut take).unwrap());
        lines.join(" ")
    }

    #[test]
    fn files_are_read_from_the_oldest_on_also_with_a_gap() {
        let log = Log::new();
        for text in ["a\nb\n", "c\n", "d\ne\n"] {
            log.write(text);
            log.put_aside();
        }
        log.write("f\n");
        fs::remove_file(rotated(&log.path(), 2)).unwrap();
        assert_eq!(lines(&mut Reader::open(&log.path(), None).unwrap()), "a b d e f");
    }

    #[test]
    fn what_comes_is_read_once_over_any_number_of_rotations() {
        let log = Log::new();
        log.write("a\n");
        let mut reader = Reader::open(&log.path(), None).unwrap();
        assert_eq!(lines(&mut reader), "a");
        assert_eq!(lines(&mut reader), "");
        log.write("b\n");
        log.put_aside();
        assert_eq!(lines(&mut reader), "b");
        log.write("c\n");
        assert_eq!(lines(&mut reader), "c");
        log.write("d\n");
        for text in ["e\n", "f\n", "g\n"] {
            log.put_aside();
            log.write(text);
        }
        assert_eq!(lines(&mut reader), "d e f g");
        assert_eq!(lines(&mut reader), "");
    }

    #[test]
    fn a_line_is_given_once_it_is_whole() {
        let log = Log::new();
        log.write("a\nb");
        let mut reader = Reader::open(&log.path(), None).unwrap();
        assert_eq!(lines(&mut reader), "a");
        log.write("b\n");
        assert_eq!(lines(&mut reader), "bb");
        log.write(&"x".repeat(3 * LINE_MAX));
        assert_eq!(lines(&mut reader), "");
        log.write("x\nc\n");
        assert_eq!(lines(&mut reader), "c");
    }

    #[test]
    fn who_wants_no_more_gets_no_more() {
        let log = Log::new();
        log.write("a\nb\n");
        let mut count = 0;
        let mut take = |_: &str| -> io::Result<bool> {
            count += 1;
            Ok(false)
        };
        assert!(!Reader::open(&log.path(), None).unwrap().read(&mut take).unwrap());
        assert_eq!(count, 1);
    }

    #[test]
    fn files_from_before_the_time_asked_for_are_not_read() {
        let log = Log::new();
        log.write("a\n");
        log.put_aside();
        log.write("b\n");
        let file = File::open(rotated(&log.path(), 1)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(10)).unwrap();
        let since = Some(Timestamp::from_secs(11));
        assert_eq!(lines(&mut Reader::open(&log.path(), since).unwrap()), "b");
        let since = Some(Timestamp::from_secs(10));
        assert_eq!(lines(&mut Reader::open(&log.path(), since).unwrap()), "a b");
    }

    #[test]
    fn a_log_that_is_not_there_is_an_error() {
        let error = Reader::open(&Log::new().path(), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
