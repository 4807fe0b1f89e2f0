//! Ranges of places in slurmctld's table of nodes.

/// Places, as ranges from the first to behind the last. Those that [`joined`] gives are in order,
/// and none touches another.
pub type Places = Vec<(u32, u32)>;

/// Puts ranges in order, and makes one of those that touch.
pub fn joined(mut ranges: Places) -> Places {
    let in_order = ranges.windows(2).all(|pair| matches!(pair, [one, next] if one.1 < next.0));
    if in_order {
        return ranges;
    }
    ranges.sort_unstable();
    let mut joined: Places = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match joined.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// Those of joined ranges that have something in common with `first..end`.
pub fn overlapping(ranges: &[(u32, u32)], first: u32, end: u32) -> &[(u32, u32)] {
    let from = ranges.partition_point(|(_, to)| *to <= first);
    let rest = ranges.get(from..).unwrap_or_default();
    let len = rest.partition_point(|(from, _)| *from < end);
    rest.get(..len).unwrap_or_default()
}

/// Whether all of `first..end` is within joined ranges.
pub fn is_within(ranges: &[(u32, u32)], first: u32, end: u32) -> bool {
    matches!(overlapping(ranges, first, end), [(from, to)] if *from <= first && end <= *to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_put_in_order_and_joined() {
        assert_eq!(joined(vec![(5, 7), (0, 2), (2, 3), (6, 9)]), [(0, 3), (5, 9)]);
        assert_eq!(joined(vec![(0, 9), (1, 2)]), [(0, 9)]);
        assert_eq!(joined(vec![(0, 1), (2, 3)]), [(0, 1), (2, 3)]);
        assert_eq!(joined(vec![]), []);
    }

    #[test]
    fn ranges_that_only_touch_do_not_overlap() {
        let ranges = [(0, 3), (5, 9), (12, 13)];
        assert_eq!(overlapping(&ranges, 3, 5), []);
        assert_eq!(overlapping(&ranges, 2, 6), [(0, 3), (5, 9)]);
        assert_eq!(overlapping(&ranges, 8, 20), [(5, 9), (12, 13)]);
        assert_eq!(overlapping(&[], 0, 9), []);
    }
}
