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
    /// One question to the user database at a time: a directory service that hangs must not
    /// take all threads from those who call Slurm.
    asking: tokio::sync::Mutex<()>,
}

impl Rights {
    /// Root and these users may do everything, others what `access` says.
    pub fn new(masters: Vec<u32>, access: Access) -> Self {
        Self {
            masters,
            access: Mutex::new(Arc::new(access)),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// Puts what asg.toml says now in the place of what it said before.
    pub fn set_access(&self, access: Access) {
        *self.access.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
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
        let may = {
            let (access, peer) = (Arc::clone(&access), peer.clone());
            let _one = self.asking.lock().await;
            spawn_blocking(move || {
                is_among(&access.operators, &peer)
                    || (reads
                        && access.readers.as_ref().is_some_and(|names| is_among(names, &peer)))
            })
            .await
            .map_err(|error| format!("the user database cannot be asked: {error}"))?
        };
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

/// The names of asg.toml that this host does not know, a line each. It may take as long as a
/// directory service takes.
pub fn unknown_names(access: &Access) -> Vec<String> {
    let is_known = |who: &Who| match who {
        Who::User(name) => uzers::get_user_by_name(name).is_some(),
        Who::Group(name) => uzers::get_group_by_name(name).is_some(),
    };
    let unknown = access.named().filter(|(_, who)| !is_known(who));
    unknown.map(|(key, who)| format!("{key} in asg.toml: this host has no {who}")).collect()
}
