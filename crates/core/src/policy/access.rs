//! The keys `operators` and `readers`: who may use the socket, beside root and SlurmUser.

use std::fmt;

use super::{PolicyError, Source};

/// How many names one key may list: each may be a question to a directory service.
const NAMES_MAX: usize = 64;

/// Who may use the socket, beside root and SlurmUser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who may change something, and read.
    pub operators: Vec<Who>,
    /// Who may read; `None` is everybody on the host.
    pub readers: Option<Vec<Who>>,
}

impl Access {
    /// All who are named, each with its key.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Who)> {
        let operators = self.operators.iter().map(|who| ("operators", who));
        operators.chain(self.readers.iter().flatten().map(|who| ("readers", who)))
    }
}

/// A user or a group of users of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A user's name.
    User(String),
    /// A group's name; `@` before it in asg.toml.
    Group(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user `{name}`"),
            Self::Group(name) => write!(f, "group `{name}`"),
        }
    }
}

/// One of the keys, as it is written.
pub(super) type Key = Option<toml::Spanned<Vec<toml::Spanned<String>>>>;

/// Reads both keys.
pub(super) fn read(
    source: &Source<'_>,
    operators: Key,
    readers: Key,
) -> Result<Access, PolicyError> {
    let operators = names(source, "operators", operators)?.unwrap_or_default();
    Ok(Access { operators, readers: names(source, "readers", readers)? })
}

fn names(source: &Source<'_>, key: &str, raw: Key) -> Result<Option<Vec<Who>>, PolicyError> {
    let Some(raw) = raw else { return Ok(None) };
    let at = raw.span().start;
    let raw = raw.into_inner();
    if raw.len() > NAMES_MAX {
        let message =
            format!("{key} has at most {NAMES_MAX} names; write a group, for instance \"@hpc\"");
        return Err(source.error(at, message));
    }
    raw.into_iter().map(|name| who(source, key, &name)).collect::<Result<_, _>>().map(Some)
}

fn who(source: &Source<'_>, key: &str, raw: &toml::Spanned<String>) -> Result<Who, PolicyError> {
    let text = raw.get_ref().as_str();
    let name = text.strip_prefix('@').unwrap_or(text);
    // What a line of the user database can hold (passwd(5)); domains have `\` and `@` in names.
    let plain = |c: char| !(c.is_whitespace() || c.is_control() || ":,/".contains(c));
    if name.is_empty() || name.starts_with(['-', '@']) || !name.chars().all(plain) {
        let message =
            format!("{key}: `{text}` is no user; write names, or groups as \"@hpc-admins\"");
        return Err(source.error(raw.span().start, message));
    }
    Ok(if text.starts_with('@') { Who::Group(name.into()) } else { Who::User(name.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse;

    fn access(keys: &str) -> Result<Access, String> {
        let text = format!("{keys}\n[[group]]\nname = \"c\"\nnodes = \"c[1-2]\"\nasg = \"a\"\n");
        let policy = parse("asg.toml".as_ref(), &text);
        policy.map(|policy| policy.access).map_err(|error| error.to_string())
    }

    #[test]
    fn everybody_reads_and_nobody_else_changes_unless_the_file_says_so() {
        assert_eq!(access(""), Ok(Access::default()));
        let keys = "operators = [\"alice\", \"@hpc-admins\"]\nreaders = ['LAB\\bob', \"c@d\"]";
        let user = |name: &str| Who::User(name.to_owned());
        let operators = vec![user("alice"), Who::Group("hpc-admins".to_owned())];
        let readers = Some(vec![user("LAB\\bob"), user("c@d")]);
        assert_eq!(access(keys), Ok(Access { operators, readers }));
        // No name is nobody, not everybody.
        assert_eq!(access("readers = []").unwrap().readers, Some(Vec::new()));
    }

    #[test]
    fn every_error_names_file_line_and_what_to_write() {
        for bad in ["", "@", "@@hpc", "a b", "a:b", "-u"] {
            let message =
                format!("asg.toml:1: operators: `{bad}` is no user; write names, or groups as ");
            let error = access(&format!("operators = [\"{bad}\"]")).unwrap_err();
            assert!(error.starts_with(&message), "{error}");
        }
        let error = access("readers = \"alice\"").unwrap_err();
        assert!(error.starts_with("asg.toml:1: invalid type: string \"alice\""), "{error}");
        let many = format!("readers = [{}]", "\"a\",".repeat(NAMES_MAX + 1));
        let message =
            "asg.toml:1: readers has at most 64 names; write a group, for instance \"@hpc\"";
        assert_eq!(access(&many).unwrap_err(), message);
    }
}
