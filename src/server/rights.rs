//! Who may do what: root and SlurmUser everything, others as asg.toml says.

use std::sync::{Arc, Mutex, PoisonError};

use slurm_asg_core::policy::{Access, Who};
use slurm_asg_wire::Request;
use tokio::task::spawn_blocking;

use super::peer::Peer;

/// Decides what each client may do.
#[derive(Debug)]
pub struct Rights {
    /// Users who may do everything, beside root: SlurmUser.
    masters: Vec<u32>,
    access: Mutex<Arc<Access>>,
    users: UserDatabase,
}

/// The host's users and groups. One question at a time: a directory service that hangs must not
/// take all threads from those who call Slurm.
#[derive(Clone, Debug, Default)]
struct UserDatabase {
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl UserDatabase {
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        // The thread keeps its turn also if nobody waits for the answer any more.
        let asked = spawn_blocking(move || {
            let answer = question();
            drop(turn);
            answer
        });
        asked.await.map_err(|error| format!("the user database cannot be asked: {error}"))
    }
}

impl Rights {
    /// Root and these users may do everything, others what `access` says.
    pub fn new(masters: Vec<u32>, access: Access) -> Self {
        Self { masters, access: Mutex::new(Arc::new(access)), users: UserDatabase::default() }
    }

    /// Puts what asg.toml says now in the place of what it said before, and logs the names that this
    /// host does not know, once they are known to be.
    pub fn set_access(&self, access: Access) {
        let access = Arc::new(access);
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&access);
        if access.named().next().is_none() {
            return;
        }
        let users = self.users.clone();
        tokio::spawn(async move {
            for line in users.ask(move || unknown_names(&access)).await.unwrap_or_default() {
                tracing::warn!("{line}");
            }
        });
    }

    fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether it is root or SlurmUser.
    pub fn is_master(&self, peer: &Peer) -> bool {
        peer.user == 0 || self.masters.contains(&peer.user)
    }

    /// Whether a client may ask this.
    ///
    /// # Errors
    /// Why not, in one line.
    pub async fn judge(&self, peer: &Peer, request: &Request) -> Result<(), String> {
        if self.is_master(peer) {
            return Ok(());
        }
        let access = self.access();
        let reads = request.only_reads();
        if reads && access.readers.is_none() {
            return Ok(());
        }
        let among = peer.clone();
        let question = move || {
            let readers = access.readers.as_ref().filter(|_| reads);
            is_among(&access.operators, &among)
                || readers.is_some_and(|names| is_among(names, &among))
        };
        let may = self.users.ask(question).await?;
        match (may, reads) {
            (true, _) => Ok(()),
            (false, true) => Err(format!(
                "user {} may not read; only root, SlurmUser, and the `operators` and `readers` of \
                 asg.toml may",
                peer.user
            )),
            (false, false) => Err(format!(
                "user {} may not do this; only root, SlurmUser and the `operators` of asg.toml may",
                peer.user
            )),
        }
    }
}

/// Whether the client is one of those who are named.
fn is_among(names: &[Who], peer: &Peer) -> bool {
    names.iter().any(|who| match who {
        Who::User(name) => uzers::get_user_by_name(name).is_some_and(|it| it.uid() == peer.user),
        Who::Group(name) => {
            uzers::get_group_by_name(name).is_some_and(|it| peer.groups.contains(&it.gid()))
        }
    })
}

/// The names of asg.toml that this host does not know, a line each.
pub fn unknown_names(access: &Access) -> Vec<String> {
    let is_known = |who: &Who| match who {
        Who::User(name) => uzers::get_user_by_name(name).is_some(),
        Who::Group(name) => uzers::get_group_by_name(name).is_some(),
    };
    let unknown = access.named().filter(|(_, who)| !is_known(who));
    unknown.map(|(key, who)| format!("{key} in asg.toml: this host has no {who}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_user_database_that_hangs_holds_one_thread_however_many_ask() {
        let users = UserDatabase::default();
        let soon = Duration::from_millis(50);
        let (answer, hangs) = mpsc::channel::<()>();
        assert!(timeout(soon, users.ask(move || hangs.recv())).await.is_err());
        let (began, begun) = mpsc::channel();
        let second = timeout(soon, users.ask(move || began.send(()))).await;
        assert!(second.is_err(), "it waits for its turn");
        assert!(begun.try_recv().is_err(), "and takes no thread");
        answer.send(()).unwrap();
        assert_eq!(users.ask(|| 7).await, Ok(7));
    }
}
