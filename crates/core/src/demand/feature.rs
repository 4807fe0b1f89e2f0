//! `--constraint`: features of nodes with `&`, `|`, parentheses, counts and alternatives.

use std::collections::BTreeSet;

/// What joins a feature to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Join {
    And,
    Or,
}

/// A constraint, as far as it is understood.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Constraint {
    /// Any node will do.
    None,
    /// Each node must match.
    Each(Expression),
    /// All nodes must match the same one of these: `[rack1|rack2]`.
    OneOf(Vec<Expression>),
    /// So many nodes must match each of these, the others any: `fast*2&big*1`.
    Counts(Vec<(Expression, u32)>),
    /// The same in brackets: all nodes have at least one of these.
    Apart(Vec<(Expression, u32)>),
}

/// Features joined with `&` and `|`, which Slurm takes from left to right without precedence,
/// parentheses first (src/slurmctld/node_scheduler.c, 22.05.8).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expression {
    terms: Vec<(Join, Term)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    Feature(String),
    Group(Expression),
}

impl Constraint {
    /// Reads a job's `features`.
    ///
    /// # Errors
    /// If it is not understood; such a constraint is left to Slurm.
    pub fn parse(text: &str) -> Result<Self, ()> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if text.is_empty() {
            return Ok(Self::None);
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return Self::parse_bracket(inner);
        }
        if text.contains(['[', ']']) {
            return Err(());
        }
        if text.contains('*') {
            return Self::parse_counts(&text).map(Self::Counts);
        }
        Expression::parse(&text).map(Self::Each)
    }

    /// Whether it has features with numbers of nodes.
    pub const fn counts(&self) -> bool {
        matches!(self, Self::Counts(_) | Self::Apart(_))
    }

    /// `a|b` in brackets: alternatives. `a*2&b*1` in brackets: counts, each on nodes of its own.
    fn parse_bracket(text: &str) -> Result<Self, ()> {
        if text.contains(['[', ']']) {
            return Err(());
        }
        if text.contains('*') {
            return Self::parse_counts(text).map(Self::Apart);
        }
        let alternatives = split_outside(text, '|')?;
        alternatives.into_iter().map(Expression::parse).collect::<Result<_, _>>().map(Self::OneOf)
    }

    fn parse_counts(text: &str) -> Result<Vec<(Expression, u32)>, ()> {
        let mut counts = Vec::new();
        for part in split_outside(text, '&')? {
            let (feature, count) = part.split_once('*').ok_or(())?;
            let count: u32 = count.parse().ok().filter(|count| *count > 0).ok_or(())?;
            counts.push((Expression::parse(feature)?, count));
        }
        Ok(counts)
    }
}

impl Expression {
    fn parse(text: &str) -> Result<Self, ()> {
        let mut terms = Vec::new();
        let mut rest = text;
        let mut join = Join::And;
        loop {
            let (term, after) = Term::parse(rest)?;
            terms.push((join, term));
            join = match after.chars().next() {
                None => return Ok(Self { terms }),
                Some('&' | ',') => Join::And,
                Some('|') => Join::Or,
                Some(_) => return Err(()),
            };
            rest = after.get(1..).ok_or(())?;
        }
    }

    /// Whether a node with these features matches.
    #[must_use]
    pub fn matches(&self, features: &BTreeSet<&str>) -> bool {
        self.terms.iter().fold(true, |so_far, (join, term)| {
            let matches = match term {
                Term::Feature(name) => features.contains(name.as_str()),
                Term::Group(inner) => inner.matches(features),
            };
            match join {
                Join::And => so_far && matches,
                Join::Or => so_far || matches,
            }
        })
    }
}

impl Term {
    /// One term, and what comes after it.
    fn parse(text: &str) -> Result<(Self, &str), ()> {
        if let Some(rest) = text.strip_prefix('(') {
            // Slurm knows one level of parentheses.
            let (inner, after) = rest.split_once(')').ok_or(())?;
            return Expression::parse(inner).map(|inner| (Self::Group(inner), after));
        }
        let end = text.find(['&', '|', ',', '(', ')']).unwrap_or(text.len());
        let (name, after) = text.split_at(end);
        if name.is_empty() || after.starts_with(['(', ')']) {
            return Err(());
        }
        Ok((Self::Feature(name.to_owned()), after))
    }
}

/// Splits at `mark` outside of parentheses.
fn split_outside(text: &str, mark: char) -> Result<Vec<&str>, ()> {
    let mut depth = 0_i32;
    let parts = text
        .split(|c| {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            c == mark && depth == 0
        })
        .collect();
    if depth == 0 { Ok(parts) } else { Err(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(text: &str, features: &str) -> bool {
        let features = features.split(',').collect();
        match Constraint::parse(text) {
            Ok(Constraint::Each(expression)) => expression.matches(&features),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn features_are_joined_from_left_to_right() {
        let table = [
            ("a", "a,b", true),
            ("a", "ab", false),
            ("a&b", "a,b", true),
            ("a,b", "a", false),
            ("a|b", "b", true),
            // Not a|(b&c): Slurm has no precedence.
            ("a|b&c", "a", false),
            ("a|b&c", "a,c", true),
            ("a&b|c", "c", true),
            ("(a|b)&c", "b,c", true),
            ("c&(a|b)", "c", false),
            ("c&(a&b)", "a,b,c", true),
        ];
        for (text, features, matches) in table {
            assert_eq!(each(text, features), matches, "{text} on {features}");
        }
    }

    #[test]
    fn counts_and_alternatives_are_told_apart() {
        assert_eq!(Constraint::parse(""), Ok(Constraint::None));
        let Ok(Constraint::OneOf(alternatives)) = Constraint::parse("[a|b|(c&d)]") else {
            panic!()
        };
        assert_eq!(alternatives.len(), 3);
        let Ok(Constraint::Counts(counts)) = Constraint::parse("a*2&(b|c)*3") else { panic!() };
        assert_eq!(counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn what_is_not_understood_is_left_to_slurm() {
        for text in
            ["a*0", "a*2&b", "[a*2|b*1]", "a&[b|c]", "(a", "a)", "a&&b", "&", "((a|b)&c)", "a*x"]
        {
            assert_eq!(Constraint::parse(text), Err(()), "{text}");
        }
    }
}
