//! A group's sizes: how many instances it keeps, begins with and may have.
//!
//! The names are those of old cluster configurations, where `initial_queue_size`,
//! `max_queue_size` and `min_queue_size` are written so; they are taken, and reported as old.

use super::{PolicyError, Source};

/// The sizes of one group, in instances. Always minimum ≤ initial ≤ maximum ≤ number of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// MinSize to write to the Auto Scaling group; `None` leaves it its own.
    pub min: Option<u32>,
    /// MaxSize to write to the Auto Scaling group; `None` leaves it its own.
    pub max: Option<u32>,
    /// Nodes to bring up once, when the group is first seen. `None` if none are asked for, or if
    /// they are kept: then they are the minimum.
    pub initial: Option<u32>,
}

/// A value as it was written.
pub(super) type Key = Option<toml::Spanned<toml::Value>>;

/// The keys of one `[[group]]` that are about sizes, as they were written.
#[derive(Default)]
pub(super) struct Raw {
    pub min: Named,
    pub initial: Named,
    pub max: Named,
    pub maintain: Key,
}

/// A value under its name, or under its old one.
#[derive(Default)]
pub(super) struct Named {
    pub name: &'static str,
    pub value: Key,
    pub old_name: &'static str,
    pub old_value: Key,
}

/// What the group has that its sizes must fit.
pub(super) struct Room {
    pub nodes: usize,
    pub asgs: usize,
}

/// A size, and where it was written.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    at: usize,
    count: u32,
}

/// Reads the sizes; `warnings` gets a line for each old name.
pub(super) fn read(
    source: &Source<'_>,
    raw: Raw,
    room: &Room,
    warnings: &mut Vec<String>,
) -> Result<Sizes, PolicyError> {
    let min = size(source, raw.min, room, warnings)?;
    let initial = size(source, raw.initial, room, warnings)?;
    let max = size(source, raw.max, room, warnings)?;
    let maintain = maintain(source, raw.maintain)?;
    let first = [min, initial, max].into_iter().flatten().map(|size| (size.name, size.at)).next();
    let first = first.or(maintain.map(|at| (MAINTAIN, at)));
    if let Some((name, at)) = first.filter(|_| room.asgs > 1) {
        let message = format!(
            "{name} is for a group with one Auto Scaling group, and this one has {}; set the \
             sizes of those in AWS, or write a [[group]] for each",
            room.asgs
        );
        return Err(source.error(at, message));
    }
    for (small, large) in [(min, max), (initial, max), (min, initial)] {
        if let (Some(small), Some(large)) = (small, large)
            && small.count > large.count
        {
            return Err(contradiction(source, small, large));
        }
    }
    match (maintain, initial) {
        (Some(at), None) => {
            let message = "maintain_initial_size = true keeps as many nodes as initial_size \
                           says; write initial_size too, or min_size instead"
                .to_owned();
            Err(source.error(at, message))
        }
        (Some(_), Some(initial)) => {
            Ok(Sizes { min: Some(initial.count), max: max.map(|max| max.count), initial: None })
        }
        (None, initial) => Ok(Sizes {
            min: min.map(|min| min.count),
            max: max.map(|max| max.count),
            initial: initial.map(|initial| initial.count),
        }),
    }
}

const MAINTAIN: &str = "maintain_initial_size";

/// Two sizes that cannot both hold. The later line is the one to look at.
fn contradiction(source: &Source<'_>, small: Size, large: Size) -> PolicyError {
    let said = |size: Size| format!("{} = {}", size.name, size.count);
    let (small_text, large_text) = (said(small), said(large));
    let message = if small.at > large.at {
        format!(
            "{small_text} is more than {large_text}; write {} = {} or less",
            small.name, large.count
        )
    } else {
        format!(
            "{large_text} is less than {small_text}; write {} = {} or more",
            large.name, small.count
        )
    };
    source.error(small.at.max(large.at), message)
}

fn size(
    source: &Source<'_>,
    named: Named,
    room: &Room,
    warnings: &mut Vec<String>,
) -> Result<Option<Size>, PolicyError> {
    let Named { name, value, old_name, old_value } = named;
    match (value, old_value) {
        (Some(value), None) => count(source, name, &value, room).map(Some),
        (None, Some(value)) => {
            let size = count(source, old_name, &value, room)?;
            let message = format!("{old_name} is an old name; write {name} = {}", size.count);
            warnings.push(source.error(size.at, message).to_string());
            Ok(Some(size))
        }
        (Some(_), Some(value)) => {
            let message =
                format!("{old_name} is the old name of {name}, which is given too; delete one");
            Err(source.error(value.span().start, message))
        }
        (None, None) => Ok(None),
    }
}

fn count(
    source: &Source<'_>,
    name: &'static str,
    value: &toml::Spanned<toml::Value>,
    room: &Room,
) -> Result<Size, PolicyError> {
    let (at, most) = (value.span().start, room.nodes);
    let Some(number) = value.get_ref().as_integer() else {
        let message = format!("{name} is a whole number without quotes; write 0 to {most}");
        return Err(source.error(at, message));
    };
    if usize::try_from(number).is_ok_and(|number| number > most) {
        let message = format!(
            "{name} = {number}, but the group has {most} nodes; write {most} at most, or more `nodes`"
        );
        return Err(source.error(at, message));
    }
    match u32::try_from(number) {
        Ok(count) => Ok(Size { name, at, count }),
        Err(_) => {
            let message = format!("{name} = {number} is no number of nodes; write 0 to {most}");
            Err(source.error(at, message))
        }
    }
}

/// Where it says that the initial size is kept, if it does.
fn maintain(source: &Source<'_>, key: Key) -> Result<Option<usize>, PolicyError> {
    let Some(value) = key else { return Ok(None) };
    let at = value.span().start;
    match value.get_ref().as_bool() {
        Some(true) => Ok(Some(at)),
        Some(false) => Ok(None),
        None => {
            let message = format!("{MAINTAIN} is true or false, without quotes");
            Err(source.error(at, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::ids::GroupName;
    use crate::policy::{Policy, parse};

    /// A group of eight nodes with these lines, from line 5 on.
    fn group(lines: &str) -> Result<Policy, PolicyError> {
        let text = format!("[[group]]\nname = 'c'\nnodes = 'c[1-8]'\nasg = 'a'\n{lines}");
        parse(Path::new("asg.toml"), &text)
    }

    fn sizes(lines: &str) -> (Option<u32>, Option<u32>, Option<u32>) {
        let policy = group(lines).unwrap();
        let sizes = policy.groups[&GroupName::new("c")].sizes;
        (sizes.min, sizes.initial, sizes.max)
    }

    #[test]
    fn what_is_not_given_is_left_to_the_auto_scaling_group() {
        assert_eq!(sizes(""), (None, None, None));
        assert_eq!(sizes("min_size = 1"), (Some(1), None, None));
        assert_eq!(sizes("max_size = 0"), (None, None, Some(0)));
        assert_eq!(sizes("maintain_initial_size = false"), (None, None, None));
    }

    #[test]
    fn an_initial_size_is_for_once_unless_it_is_maintained() {
        assert_eq!(sizes("initial_size = 2\nmax_size = 8"), (None, Some(2), Some(8)));
        let maintained = "initial_size = 2\nmaintain_initial_size = true\n";
        assert_eq!(sizes(maintained), (Some(2), None, None));
        assert_eq!(sizes(&format!("{maintained}min_size = 0")), (Some(2), None, None));
        assert_eq!(sizes(&format!("{maintained}max_size = 2")), (Some(2), None, Some(2)));
        assert_eq!(sizes("initial_size = 0\nmaintain_initial_size = true"), (Some(0), None, None));
    }

    #[test]
    fn old_names_mean_the_same_and_each_is_reported_with_what_to_write() {
        let old = "min_queue_size = 1\ninitial_queue_size = 2\nmax_queue_size = 3\n\
                   maintain_initial_size = false";
        assert_eq!(sizes(old), (Some(1), Some(2), Some(3)));
        assert_eq!(
            group(old).unwrap().warnings,
            [
                "asg.toml:5: min_queue_size is an old name; write min_size = 1",
                "asg.toml:6: initial_queue_size is an old name; write initial_size = 2",
                "asg.toml:7: max_queue_size is an old name; write max_size = 3",
            ]
        );
        assert_eq!(group("min_size = 1").unwrap().warnings, Vec::<String>::new());
    }

    #[test]
    fn sizes_that_cannot_be_are_named_with_line_and_what_to_write() {
        let table = [
            ("min_size = -1", "5: min_size = -1 is no number of nodes; write 0 to 8"),
            (
                "min_size = 9223372036854775807",
                "5: min_size = 9223372036854775807, but the group has 8 nodes; write 8 at most, or more `nodes`",
            ),
            ("max_size = '8'", "5: max_size is a whole number without quotes; write 0 to 8"),
            ("max_size = 2.5", "5: max_size is a whole number without quotes; write 0 to 8"),
            (
                "max_queue_size = 10",
                "5: max_queue_size = 10, but the group has 8 nodes; write 8 at most, or more `nodes`",
            ),
            (
                "initial_size = 3\nmax_size = 2",
                "6: max_size = 2 is less than initial_size = 3; write max_size = 3 or more",
            ),
            (
                "max_size = 2\nmin_queue_size = 3",
                "6: min_queue_size = 3 is more than max_size = 2; write min_queue_size = 2 or less",
            ),
            (
                "min_size = 3\ninitial_size = 1",
                "6: initial_size = 1 is less than min_size = 3; write initial_size = 3 or more",
            ),
            (
                "initial_size = 2\nmaintain_initial_size = true\nmin_size = 3",
                "7: min_size = 3 is more than initial_size = 2; write min_size = 2 or less",
            ),
            (
                "maintain_initial_size = true",
                "5: maintain_initial_size = true keeps as many nodes as initial_size says; write initial_size too, or min_size instead",
            ),
            (
                "maintain_initial_size = 'yes'",
                "5: maintain_initial_size is true or false, without quotes",
            ),
            (
                "min_size = 1\nmin_queue_size = 1",
                "6: min_queue_size is the old name of min_size, which is given too; delete one",
            ),
        ];
        for (lines, message) in table {
            let error = group(lines).unwrap_err().to_string();
            assert_eq!(error, format!("asg.toml:{message}"), "{lines}");
        }
        // A number that TOML cannot hold, too.
        let error = group("min_size = 99999999999999999999").unwrap_err().to_string();
        assert!(error.starts_with("asg.toml:5: ") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn sizes_are_for_groups_with_one_auto_scaling_group() {
        for line in ["max_size = 1", "initial_queue_size = 1", "maintain_initial_size = true"] {
            let text =
                format!("[[group]]\nname = 'c'\nnodes = 'c[1-8]'\nasg = ['a', 'b']\n{line}\n");
            let error = parse(Path::new("asg.toml"), &text).unwrap_err().to_string();
            let name = line.split(' ').next().unwrap();
            assert_eq!(
                error,
                format!(
                    "asg.toml:5: {name} is for a group with one Auto Scaling group, and this one \
                     has 2; set the sizes of those in AWS, or write a [[group]] for each"
                )
            );
        }
    }
}
