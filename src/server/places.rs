//! How many clients are served at once. No user can take the places of others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clients of root and SlurmUser: Slurm's programs among them.
const MASTERS_MAX: usize = 32;
/// Clients of all others.
const OTHERS_MAX: usize = 32;
/// Clients of one of the others.
const EACH_MAX: usize = 8;

/// The clients that are being served.
#[derive(Debug, Default)]
pub struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    masters: usize,
    others: BTreeMap<u32, usize>,
}

/// One client's place, as long as this value lives.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    /// Whose it is, if it is not root's or SlurmUser's.
    user: Option<u32>,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place; `user` is `None` for root and SlurmUser.
    ///
    /// # Errors
    /// Why there is none, in one line.
    pub fn take(self: &Arc<Self>, user: Option<u32>) -> Result<Place, String> {
        let mut taken = self.taken();
        match user {
            None if taken.masters >= MASTERS_MAX => {
                return Err(format!("{MASTERS_MAX} clients are being served; try again"));
            }
            None => taken.masters += 1,
            Some(user) => {
                let own = taken.others.get(&user).copied().unwrap_or(0);
                if own >= EACH_MAX {
                    return Err(format!("user {user} has {own} connections already; try again"));
                }
                if taken.others.values().sum::<usize>() >= OTHERS_MAX {
                    return Err(format!("{OTHERS_MAX} users' clients are being served; try again"));
                }
                taken.others.insert(user, own + 1);
            }
        }
        Ok(Place { places: Arc::clone(self), user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match self.user {
            None => taken.masters = taken.masters.saturating_sub(1),
            Some(user) => {
                let left = taken.others.remove(&user).unwrap_or(0).saturating_sub(1);
                if left > 0 {
                    taken.others.insert(user, left);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_takes_the_places_of_others_and_nobody_those_of_slurm() {
        let places = Arc::new(Places::default());
        let mut held = Vec::new();
        for user in (1000..).take(OTHERS_MAX / EACH_MAX) {
            held.extend((0..EACH_MAX).map(|_| places.take(Some(user)).unwrap()));
            let why = places.take(Some(user)).unwrap_err();
            assert_eq!(why, format!("user {user} has 8 connections already; try again"));
        }
        let why = places.take(Some(1)).unwrap_err();
        assert_eq!(why, "32 users' clients are being served; try again");
        let masters: Vec<_> = (0..MASTERS_MAX).map(|_| places.take(None).unwrap()).collect();
        assert_eq!(places.take(None).unwrap_err(), "32 clients are being served; try again");
        held.pop();
        drop(places.take(Some(1)).unwrap());
        drop((held, masters));
        assert!(places.taken().others.is_empty() && places.taken().masters == 0);
    }
}
