//! Lists of records that name nodes, as they are read from a file: a few letters stand for
//! thousands of names, and a short file must not be able to fill the memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::partition::{Partition, Reservation};
use crate::ids::NodeName;

/// How many names the node lists of all partitions may have in a file, and those of all
/// reservations: those of 10,000 nodes in 400 partitions.
pub const NAMES_MAX: usize = 4_000_000;

/// A record that names nodes.
pub trait Listed {
    /// Their names.
    fn names(&self) -> &[NodeName];
}

impl Listed for Partition {
    fn names(&self) -> &[NodeName] {
        &self.nodes
    }
}

impl Listed for Reservation {
    fn names(&self) -> &[NodeName] {
        &self.node_list
    }
}

/// Reads a list of records.
///
/// # Errors
/// If one is wrong, or if they name too many nodes.
pub fn read<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Listed,
{
    deserializer.deserialize_seq(Records(PhantomData))
}

/// Reads a list of records, if there is one.
///
/// # Errors
/// As [`read`].
pub fn read_option<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Listed,
{
    Ok(Option::<List<T>>::deserialize(deserializer)?.map(|list| list.0))
}

struct List<T>(Vec<T>);

impl<'de, T: Deserialize<'de> + Listed> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer).map(Self)
    }
}

struct Records<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Listed> Visitor<'de> for Records<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut records: Vec<T> = Vec::new();
        let mut names = 0_usize;
        while let Some(record) = list.next_element::<T>()? {
            names = names.saturating_add(record.names().len());
            check(names)?;
            records.push(record);
        }
        Ok(records)
    }
}

/// Whether so many names are not too many.
///
/// # Errors
/// If they are.
pub fn check<E: Error>(names: usize) -> Result<(), E> {
    if names > NAMES_MAX {
        return Err(E::custom(format_args!(
            "the node lists here have more than {NAMES_MAX} names in all"
        )));
    }
    Ok(())
}
