//! Who is at the other end of a connection, by the kernel's word.

use std::io;
use std::os::fd::AsRawFd;

use tokio::net::UnixStream;

/// How many supplementary groups are asked for at first; few have more.
const GROUPS_FIRST: usize = 64;

/// The user and the groups that a client had when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user's id.
    pub user: u32,
    /// The group's id, and those of the supplementary groups.
    pub groups: Vec<u32>,
}

impl Peer {
    /// Asks the kernel (SO_PEERCRED, SO_PEERGROUPS; unix(7)).
    ///
    /// # Errors
    /// If it does not say.
    pub fn of(stream: &UnixStream) -> io::Result<Self> {
        let cred = stream.peer_cred()?;
        // Linux before 4.13 does not know supplementary groups: then there are none.
        let mut groups = supplementary_groups(stream).unwrap_or_default();
        groups.push(cred.gid());
        Ok(Self { user: cred.uid(), groups })
    }
}

fn supplementary_groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; GROUPS_FIRST];
    loop {
        let room = size_of::<libc::gid_t>().saturating_mul(groups.len());
        let mut bytes = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the kernel writes at most `bytes` bytes to `groups`, which has room for them,
        // and how many it wrote, or would have, to `bytes`.
        let failed = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = usize::try_from(bytes).map_err(io::Error::other)? / size_of::<libc::gid_t>();
        if failed == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_client_has_the_user_and_the_groups_of_its_process() {
        let (stream, _client) = UnixStream::pair().unwrap();
        let peer = Peer::of(&stream).unwrap();
        let id = |option: &str| {
            let said = Command::new("id").arg(option).output().unwrap().stdout;
            let words = String::from_utf8(said).unwrap();
            words.split_whitespace().map(|id| id.parse().unwrap()).collect::<BTreeSet<u32>>()
        };
        assert_eq!(BTreeSet::from([peer.user]), id("-u"));
        assert_eq!(peer.groups.into_iter().collect::<BTreeSet<_>>(), id("-G"));
    }
}
