//! The files of the event log: whole lines, put aside by size.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use slurm_asg_core::event::rotated;

/// A file that everybody may read.
const MODE: u32 = 0o644;
/// One that only its owner and its group may read.
const CLOSED_MODE: u32 = 0o640;

/// Where the event log is, and how large it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The current file.
    pub path: PathBuf,
    /// A file that would grow beyond this is put aside, bytes.
    pub size_max: u64,
    /// How many files that were put aside are kept; at least one.
    pub keep: u32,
    /// Whether everybody on the host may read it.
    pub for_all: bool,
}

/// The current file, open, and those before it. The only writer.
#[derive(Debug)]
pub struct Files {
    place: Place,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    /// Bytes in it, all of them whole lines.
    size: u64,
}

impl Files {
    /// Opens nothing yet: a place that cannot be used is told with the first write.
    pub const fn new(place: Place) -> Self {
        Self { place, current: None }
    }

    /// Appends whole lines, each with its end, with as few writes as the size allows. Returns how
    /// many bytes of `lines` are written for good; the rest may be given again.
    pub fn append(&mut self, lines: &str) -> Result<(), (usize, io::Error)> {
        let mut done = 0;
        while let Some(rest) = lines.get(done..).filter(|rest| !rest.is_empty()) {
            let written = self.append_some(rest).map_err(|error| (done, error))?;
            done += written;
        }
        Ok(())
    }

    /// Appends as many lines as fit into the current file; at least one, into a new file if need
    /// be.
    fn append_some(&mut self, lines: &str) -> io::Result<usize> {
        let size_max = self.place.size_max;
        let mut size = self.current()?.size;
        let mut fits = whole_lines(lines, size_max.saturating_sub(size));
        if fits == 0 && size > 0 {
            self.put_aside()?;
            size = self.current()?.size;
            fits = whole_lines(lines, size_max.saturating_sub(size));
        }
        if fits == 0 {
            // A single line that is larger than a file may be.
            fits = lines.find('\n').map_or(lines.len(), |end| end + 1);
        }
        let part = lines.get(..fits).unwrap_or(lines);
        let current = self.current()?;
        match current.file.write_all(part.as_bytes()) {
            Ok(()) => {
                current.size += part.len() as u64;
                Ok(part.len())
            }
            Err(error) => {
                // What was written of it goes again, or it would be there twice. If that fails
                // too, the next opening ends the torn line.
                let kept = current.size;
                if current.file.set_len(kept).is_err() {
                    self.current = None;
                }
                Err(error)
            }
        }
    }

    /// The current file, opened again if another one is in its place, or none.
    fn current(&mut self) -> io::Result<&mut Current> {
        let is_there = self.current.as_ref().is_some_and(|current| {
            let here = current.file.metadata().map(|data| (data.dev(), data.ino()));
            let there = fs::metadata(&self.place.path).map(|data| (data.dev(), data.ino()));
            matches!((here, there), (Ok(here), Ok(there)) if here == there)
        });
        if !is_there {
            self.current = None;
        }
        if self.current.is_none() {
            let opened = self.open()?;
            return Ok(self.current.insert(opened));
        }
        self.current.as_mut().ok_or_else(|| io::Error::other("no file is open"))
    }

    fn open(&self) -> io::Result<Current> {
        if let Some(dir) = self.place.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mode = if self.place.for_all { MODE } else { CLOSED_MODE };
        let mut open = OpenOptions::new();
        open.read(true).append(true).mode(mode);
        let mut file = match open.open(&self.place.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = open.create_new(true).open(&self.place.path)?;
                // Whatever slurmctld's umask is.
                file.set_permissions(Permissions::from_mode(mode))?;
                file
            }
            opened => opened?,
        };
        let there = file.metadata()?;
        if !self.place.for_all && there.is_file() && there.mode() & 0o007 != 0 {
            // It is from before. What an administrator gave to its group stays.
            file.set_permissions(Permissions::from_mode(there.mode() & 0o770))?;
        }
        let mut size = there.len();
        if size > 0 && !ends_with_newline(&mut file)? {
            // A crash tore the last line.
            file.write_all(b"\n")?;
            size += 1;
        }
        self.drop_surplus()?;
        Ok(Current { file, size })
    }

    /// The current file becomes the first of the earlier ones, and so on. A crash in between
    /// leaves a gap in the numbers, and no file twice.
    fn put_aside(&mut self) -> io::Result<()> {
        self.current = None;
        let Place { path, keep, .. } = &self.place;
        for nth in (1..*keep).rev() {
            match fs::rename(rotated(path, nth), rotated(path, nth + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(path, rotated(path, 1))
    }

    /// Removes earlier files beyond those that are kept: there were to be more of them once.
    fn drop_surplus(&self) -> io::Result<()> {
        let mut nth = self.place.keep + 1;
        loop {
            match fs::remove_file(rotated(&self.place.path, nth)) {
                Ok(()) => nth += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn ends_with_newline(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// How many bytes of `lines` are whole lines that take no more than `room`.
fn whole_lines(lines: &str, room: u64) -> usize {
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(lines.len());
    let within = lines.as_bytes().get(..room).unwrap_or_default();
    within.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn files(dir: &Path, size_max: u64, keep: u32) -> Files {
        Files::new(Place { path: dir.join("below/e"), size_max, keep, for_all: true })
    }

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join("below").join(name)).unwrap_or_else(|_| "-".to_owned())
    }

    #[test]
    fn lines_go_on_in_the_next_file_whole_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = files(dir.path(), 12, 2);
        log.append("aaaa\nbbbb\ncccc\n").unwrap();
        assert_eq!(read(dir.path(), "e.1"), "aaaa\nbbbb\n");
        log.append("dddd\n").unwrap();
        assert_eq!(read(dir.path(), "e"), "cccc\ndddd\n");
        log.append("a line that is too long\neeee\n").unwrap();
        let all: Vec<_> = ["e.3", "e.2", "e.1", "e"].map(|name| read(dir.path(), name)).into();
        assert_eq!(all, ["-", "cccc\ndddd\n", "a line that is too long\n", "eeee\n"]);
    }

    #[test]
    fn everybody_may_read_the_file() {
        let dir = tempfile::tempdir().unwrap();
        files(dir.path(), 100, 1).append("a\n").unwrap();
        let mode = fs::metadata(dir.path().join("below/e")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn a_file_that_not_everybody_may_read_is_closed_also_if_it_is_from_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/e");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let append = |for_all| {
            let place = Place { path: path.clone(), size_max: 100, keep: 1, for_all };
            Files::new(place).append("a\n").unwrap();
        };
        append(false);
        assert_eq!(mode(), CLOSED_MODE);
        fs::remove_file(&path).unwrap();
        append(true);
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        append(false);
        assert_eq!(mode(), 0o660, "the group's rights are not touched");
    }

    #[test]
    fn a_torn_last_line_is_ended_and_the_next_begins_on_its_own() {
        let dir = tempfile::tempdir().unwrap();
        files(dir.path(), 100, 1).append("a\n").unwrap();
        let mut torn = OpenOptions::new().append(true).open(dir.path().join("below/e")).unwrap();
        torn.write_all(b"{\"tor").unwrap();
        files(dir.path(), 100, 1).append("b\n").unwrap();
        files(dir.path(), 100, 1).append("c\n").unwrap();
        assert_eq!(read(dir.path(), "e"), "a\n{\"tor\nb\nc\n");
    }

    #[test]
    fn a_file_that_was_moved_away_or_removed_is_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/e");
        let mut log = files(dir.path(), 100, 1);
        log.append("a\n").unwrap();
        fs::rename(&path, dir.path().join("below/elsewhere")).unwrap();
        log.append("b\n").unwrap();
        assert_eq!(
            (read(dir.path(), "elsewhere"), read(dir.path(), "e")),
            ("a\n".into(), "b\n".into())
        );
        fs::remove_file(&path).unwrap();
        log.append("c\n").unwrap();
        assert_eq!(read(dir.path(), "e"), "c\n");
    }

    #[test]
    fn fewer_files_than_before_are_kept_once_fewer_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        files(dir.path(), 2, 4).append("a\nb\nc\nd\ne\n").unwrap();
        assert_eq!(read(dir.path(), "e.4"), "a\n");
        files(dir.path(), 2, 2).append("f\n").unwrap();
        let all: Vec<_> =
            ["e.4", "e.3", "e.2", "e.1", "e"].map(|name| read(dir.path(), name)).into();
        assert_eq!(all, ["-", "-", "d\n", "e\n", "f\n"]);
    }

    #[test]
    fn what_could_not_be_written_can_be_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = files(dir.path(), 4, 1);
        // A directory where the earlier file would go makes putting aside fail, also for root.
        fs::create_dir_all(dir.path().join("below/e.1/x")).unwrap();
        let lines = "a\nb\nc\n";
        let (done, error) = log.append(lines).unwrap_err();
        assert_eq!((done, read(dir.path(), "e")), (4, "a\nb\n".to_owned()), "{error}");
        fs::remove_dir_all(dir.path().join("below/e.1")).unwrap();
        log.append(&lines[done..]).unwrap();
        assert_eq!(
            (read(dir.path(), "e.1"), read(dir.path(), "e")),
            ("a\nb\n".into(), "c\n".into())
        );
    }

    /// /dev/full takes nothing (ENOSPC): the disk is full.
    #[test]
    fn a_full_disk_is_an_error_and_tears_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut log =
            Files::new(Place { path: path.clone(), size_max: 100, keep: 1, for_all: true });
        let (done, error) = log.append("a\n").unwrap_err();
        assert_eq!((done, error.kind()), (0, io::ErrorKind::StorageFull));
        fs::remove_file(&path).unwrap();
        log.append("a\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "a\n");
    }
}
