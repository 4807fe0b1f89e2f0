//! Names as types, so that a node cannot be passed where an instance is meant.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many bytes of a name its head has.
const HEAD: usize = size_of::<u64>();

/// The first bytes of a name as a number, in the order of the bytes. Names are compared more than
/// anything else is done with them, and mostly this tells them apart.
fn head(name: &str) -> u64 {
    let mut head = [0; HEAD];
    head.iter_mut().zip(name.bytes()).for_each(|(to, byte)| *to = byte);
    u64::from_be_bytes(head)
}

/// What heads that are equal leave open.
fn compare_rest(one: &str, other: &str) -> Ordering {
    if one.len().max(other.len()) <= HEAD { one.len().cmp(&other.len()) } else { one.cmp(other) }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            head: u64,
            text: Arc<str>,
        }

        impl $name {
            /// Takes the name as it is; what may be in it is decided where it was parsed.
            #[must_use]
            pub fn new(name: &str) -> Self {
                Self { head: head(name), text: Arc::from(name) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let heads = self.head.cmp(&other.head);
                heads.then_with(|| compare_rest(&self.text, &other.text))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.text.hash(state);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.text).finish()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.text.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Arc::<str>::deserialize(deserializer)?;
                Ok(Self { head: head(&text), text })
            }
        }
    };
}

name_type! {
    /// A Slurm node name (NodeName in slurm.conf).
    NodeName
}
name_type! {
    /// The name of a group in asg.toml.
    GroupName
}
name_type! {
    /// The name of an EC2 Auto Scaling group.
    AsgName
}
name_type! {
    /// An EC2 instance id (`i-…`).
    InstanceId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_text() {
        let names = [
            "",
            "\0",
            "a",
            "a\0",
            "i-1",
            "i-10",
            "i-1234567",
            "i-12345678",
            "n1",
            "n10",
            "n2",
            "node-001",
            "node-001\0",
            "node-0010",
            "node-002",
            "é",
            "ü",
        ];
        for one in names {
            for other in names {
                let (a, b) = (NodeName::new(one), NodeName::new(other));
                assert_eq!(a.cmp(&b), one.cmp(other), "{one:?} {other:?}");
                assert_eq!(a == b, one == other, "{one:?} {other:?}");
            }
        }
    }
}
