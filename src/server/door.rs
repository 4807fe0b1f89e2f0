//! The socket in the file system: made, looked after, and made again if somebody removes it.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long it may take to find out whether somebody listens already.
const KNOCK_LIMIT: Duration = Duration::from_secs(1);

/// A socket that listens at its path. Dropping it removes it, if it is still there.
#[derive(Debug)]
pub struct Door {
    /// Where clients come in.
    pub listener: UnixListener,
    path: PathBuf,
    mark: Mark,
}

/// What tells a file from another one in its place: a file system may use an inode again.
type Mark = (u64, u64, i64, i64);

fn mark(data: &Metadata) -> Mark {
    (data.dev(), data.ino(), data.ctime(), data.ctime_nsec())
}

impl Door {
    /// Makes the socket. One that nobody listens on any more gives way.
    ///
    /// # Errors
    /// If somebody listens there, if something else is there, or if the system refuses.
    pub async fn open(path: &Path) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        clear(path).await?;
        let listener = UnixListener::bind(path)?;
        // Everybody may ask; what a client may do is decided for each request.
        fs::set_permissions(path, Permissions::from_mode(0o666))?;
        let mark = mark(&fs::symlink_metadata(path)?);
        Ok(Self { listener, path: path.to_owned(), mark })
    }

    /// Whether clients still find it.
    pub fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|data| mark(&data) == self.mark)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.is_in_place() {
            // Left behind it would only be in the way of nobody.
            fs::remove_file(&self.path).ok();
        }
    }
}

/// Removes a socket that nobody listens on.
async fn clear(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "what is there is no socket"));
    }
    let knocked = timeout(KNOCK_LIMIT, UnixStream::connect(path)).await;
    match knocked {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(Err(error)) if error.kind() != ErrorKind::WouldBlock => Err(error),
        // It answers, or has so many clients that it cannot.
        Ok(_) | Err(_) => {
            Err(io::Error::new(ErrorKind::AddrInUse, "another program listens there"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/asg.sock");
        (dir, path)
    }

    async fn reaches(door: &Door, path: &Path) -> bool {
        let client = UnixStream::connect(path).await;
        client.is_ok() && timeout(KNOCK_LIMIT, door.listener.accept()).await.is_ok()
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_gives_way_and_an_own_one_is_removed() {
        let (_dir, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let door = Door::open(&path).await.unwrap();
        assert!(door.is_in_place() && reaches(&door, &path).await);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o666);
        drop(door);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_somebody_listens_on_is_left_alone() {
        let (_dir, path) = place();
        let door = Door::open(&path).await.unwrap();
        let error = Door::open(&path).await.unwrap_err();
        assert_eq!(error.to_string(), "another program listens there");
        assert!(door.is_in_place());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let (_dir, path) = place();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = Door::open(&path).await.unwrap_err();
        assert_eq!(error.to_string(), "what is there is no socket");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn it_notices_when_it_is_gone_or_another_is_in_its_place() {
        let (_dir, path) = place();
        let door = Door::open(&path).await.unwrap();
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        assert!(!door.is_in_place());
        let second = Door::open(&path).await.unwrap();
        assert!(second.is_in_place() && !door.is_in_place());
        // The first one does not take the second one's path away.
        drop(door);
        assert!(second.is_in_place() && reaches(&second, &path).await);
    }
}
