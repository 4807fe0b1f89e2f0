//! Slurm's hostlist expressions: `compute-[1-8,10],login`.
//!
//! One bracket with ranges may stand anywhere in a name, several brackets multiply, widths are
//! kept (`n[01-10]`). The number of names is limited: an expression comes from a configuration
//! file or a command line and must not be able to fill the memory.

use crate::ids::NodeName;

/// How many names one expression may stand for. Slurm's own MAX_RANGE is 64 k.
pub const NAMES_MAX: usize = 65_536;

/// What is wrong with a hostlist expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostlistError {
    /// No name at all.
    #[error("the node list is empty; write for instance compute-[1-8]")]
    Empty,
    /// `[` without `]`, or the other way round.
    #[error("`{0}` has a bracket without its partner; write for instance compute-[1-8]")]
    Bracket(String),
    /// Something other than numbers and ranges in brackets.
    #[error("`[{0}]` is not a list of numbers and ranges; write for instance [1-8,10]")]
    Range(String),
    /// More names than [`NAMES_MAX`].
    #[error("the node list stands for more than {NAMES_MAX} nodes")]
    TooMany,
    /// A character that no Slurm node name has.
    #[error("`{0}` is not a node name; letters, digits, `-`, `_` and `.` are")]
    Name(String),
}

/// Expands an expression into its names, in the order in which they are written.
///
/// # Errors
/// [`HostlistError`] says what is wrong and what to write instead.
pub fn expand(expression: &str) -> Result<Vec<NodeName>, HostlistError> {
    let mut names = Vec::new();
    for part in split_outside_brackets(expression)? {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let room = NAMES_MAX.saturating_sub(names.len());
        for name in expand_one(part, room)? {
            if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return Err(HostlistError::Name(name));
            }
            names.push(NodeName::new(&name));
        }
    }
    if names.is_empty() { Err(HostlistError::Empty) } else { Ok(names) }
}

/// Writes names as one expression, as short as simple ranges make it. Order is kept.
#[must_use]
pub fn compress<'a>(names: impl IntoIterator<Item = &'a NodeName>) -> String {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for name in names {
        let next = Run::of(name.as_str());
        match runs.last_mut() {
            Some(run) if run.takes(&next) => run.last = next.last,
            _ => runs.push(next),
        }
    }
    let mut out = String::new();
    let mut runs = runs.as_slice();
    while let Some((first, rest)) = runs.split_first() {
        let same = rest.iter().take_while(|run| run.shares_bracket(first)).count();
        let (alike, others) = rest.split_at(same);
        if !out.is_empty() {
            out.push(',');
        }
        first.write(alike, &mut out);
        runs = others;
    }
    out
}

/// Numbers that follow one another behind one prefix, with one width.
struct Run<'a> {
    prefix: &'a str,
    width: usize,
    first: Option<u64>,
    last: Option<u64>,
}

impl<'a> Run<'a> {
    fn of(name: &'a str) -> Self {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = name.get(stem.len()..).unwrap_or("");
        // Longer numbers than any cluster has are kept as names.
        match digits.parse().ok().filter(|_| digits.len() <= 15) {
            Some(number) => {
                let width = if digits.starts_with('0') { digits.len() } else { 0 };
                Self { prefix: stem, width, first: Some(number), last: Some(number) }
            }
            None => Self { prefix: name, width: 0, first: None, last: None },
        }
    }

    fn shares_bracket(&self, other: &Run<'_>) -> bool {
        self.prefix == other.prefix && self.first.is_some() && other.first.is_some()
    }

    fn takes(&self, next: &Run<'_>) -> bool {
        let fits = self.width == next.width
            || (next.width == 0 && next.first.is_some_and(|n| digits(n) == self.width));
        self.shares_bracket(next) && fits && self.last.and_then(|n| n.checked_add(1)) == next.first
    }

    fn write(&self, alike: &[Run<'_>], out: &mut String) {
        out.push_str(self.prefix);
        let single = alike.is_empty() && self.first == self.last;
        if self.first.is_none() {
            return;
        }
        if !single {
            out.push('[');
        }
        for (nth, run) in std::iter::once(self).chain(alike).enumerate() {
            let (Some(first), Some(last)) = (run.first, run.last) else {
                continue;
            };
            if nth > 0 {
                out.push(',');
            }
            let width = run.width;
            out.push_str(&format!("{first:0width$}"));
            if first != last {
                out.push_str(&format!("-{last:0width$}"));
            }
        }
        if !single {
            out.push(']');
        }
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn split_outside_brackets(expression: &str) -> Result<Vec<&str>, HostlistError> {
    let unbalanced = || HostlistError::Bracket(expression.to_owned());
    let mut parts = Vec::new();
    let mut start = 0;
    let mut inside = false;
    for (at, c) in expression.char_indices() {
        match c {
            '[' if inside => return Err(unbalanced()),
            '[' => inside = true,
            ']' if !inside => return Err(unbalanced()),
            ']' => inside = false,
            ',' if !inside => {
                parts.push(expression.get(start..at).unwrap_or(""));
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(unbalanced());
    }
    parts.push(expression.get(start..).unwrap_or(""));
    Ok(parts)
}

fn expand_one(part: &str, room: usize) -> Result<Vec<String>, HostlistError> {
    let mut names = vec![String::new()];
    let mut rest = part;
    while let Some((literal, behind)) = rest.split_once('[') {
        let Some((ranges, after)) = behind.split_once(']') else {
            return Err(HostlistError::Bracket(part.to_owned()));
        };
        let numbers = expand_ranges(ranges, room)?;
        if names.len().saturating_mul(numbers.len()) > room {
            return Err(HostlistError::TooMany);
        }
        names = names
            .iter()
            .flat_map(|name| numbers.iter().map(move |n| format!("{name}{literal}{n}")))
            .collect();
        rest = after;
    }
    if names.len() > room {
        return Err(HostlistError::TooMany);
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

fn expand_ranges(ranges: &str, room: usize) -> Result<Vec<String>, HostlistError> {
    let wrong = || HostlistError::Range(ranges.to_owned());
    let number = |text: &str| -> Result<u64, HostlistError> {
        let plain =
            !text.is_empty() && text.len() <= 15 && text.chars().all(|c| c.is_ascii_digit());
        if plain { text.parse().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let mut numbers = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (low, high) = (number(first)?, number(last)?);
        if low > high {
            return Err(wrong());
        }
        if high - low >= room.saturating_sub(numbers.len()) as u64 {
            return Err(HostlistError::TooMany);
        }
        let width = first.len();
        numbers.extend((low..=high).map(|n| format!("{n:0width$}")));
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(expression: &str) -> Vec<String> {
        expand(expression).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn expressions_stand_for_the_names_that_slurm_reads_in_them() {
        assert_eq!(names("n1"), ["n1"]);
        assert_eq!(names("n[1-3]"), ["n1", "n2", "n3"]);
        assert_eq!(names("n[08-10,12]"), ["n08", "n09", "n10", "n12"]);
        assert_eq!(names("a[1-2]b[3-4]"), ["a1b3", "a1b4", "a2b3", "a2b4"]);
        assert_eq!(names("a, b[1-2]"), ["a", "b1", "b2"]);
    }

    #[test]
    fn bad_expressions_say_what_is_wrong() {
        assert_eq!(expand(""), Err(HostlistError::Empty));
        assert_eq!(expand("n[1-2"), Err(HostlistError::Bracket("n[1-2".into())));
        assert_eq!(expand("n1]"), Err(HostlistError::Bracket("n1]".into())));
        assert_eq!(expand("n[2-1]"), Err(HostlistError::Range("2-1".into())));
        assert_eq!(expand("n[a]"), Err(HostlistError::Range("a".into())));
        assert_eq!(expand("n[]"), Err(HostlistError::Range(String::new())));
        assert_eq!(expand("n[1-99999999]"), Err(HostlistError::TooMany));
        assert_eq!(expand("n[1-999]m[1-999]"), Err(HostlistError::TooMany));
        assert_eq!(expand("n 1"), Err(HostlistError::Name("n 1".into())));
    }

    #[test]
    fn names_compress_to_the_expression_they_came_from() {
        for text in ["n1", "n[1-3]", "n[08-10,12]", "a,b[1-2],c", "n[1,3,5]", "x-[1-2],y[1-2]"] {
            assert_eq!(compress(&expand(text).unwrap()), text);
        }
        assert_eq!(compress(&[]), "");
    }

    proptest! {
        #[test]
        fn compressing_and_expanding_gives_the_same_names(
            parts in proptest::collection::vec(("[a-z]{1,3}-?", 0u64..120, 0usize..4), 1..40)
        ) {
            let list: Vec<NodeName> = parts
                .iter()
                .map(|(stem, number, width)| NodeName::new(&format!("{stem}{number:0width$}")))
                .collect();
            prop_assert_eq!(expand(&compress(&list)).unwrap(), list);
        }

        #[test]
        fn any_text_gives_names_or_an_error(text in "[a-c\\[\\],0-9 -]{0,40}") {
            if let Ok(list) = expand(&text) {
                prop_assert!(list.len() <= NAMES_MAX);
            }
        }
    }
}
