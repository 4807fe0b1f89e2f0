//! A group as a bar: what its nodes do, against the most that it may have.

use crate::terminal::Color;

/// Part of a bar: how many nodes, the sign for one of them, and its colour.
pub type Part = (u32, char, Color);

/// What the nodes of a group do, and how many instances it may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Nodes with work.
    pub busy: u32,
    /// Nodes up without work.
    pub idle: u32,
    /// Nodes that wait for their machine.
    pub booting: u32,
    /// Nodes whose machine failed them.
    pub failed: u32,
    /// MaxSize.
    pub max: u32,
}

impl Parts {
    /// The parts in the order in which they are drawn.
    pub const fn in_order(self) -> [Part; 4] {
        [
            (self.busy, '#', Color::Busy),
            (self.idle, '=', Color::Idle),
            (self.booting, '+', Color::Booting),
            (self.failed, '!', Color::Failed),
        ]
    }

    /// How many of `width` cells each part gets. What is there gets one at least, as long as there
    /// are that many; the rest is room up to the maximum. A bar is not longer than its group is
    /// large.
    pub fn cells(self, width: usize) -> Cells {
        let parts = self.in_order();
        let used: u64 = parts.iter().map(|part| u64::from(part.0)).sum();
        let all = used.max(u64::from(self.max));
        let width = usize::try_from(all).unwrap_or(usize::MAX).min(width);
        let mut cells = parts.map(|(count, ..)| share(u64::from(count), width, all));
        // Rounding up may have given away more than there is: the longest part pays.
        while cells.iter().sum::<usize>() > width {
            let Some(longest) = cells.iter_mut().max_by_key(|cells| **cells) else { break };
            *longest -= 1;
        }
        let room = width - cells.iter().sum::<usize>();
        Cells { parts: cells, room }
    }
}

/// `count` of `all` in cells, to the nearest, but one for whatever is there.
fn share(count: u64, width: usize, all: u64) -> usize {
    if count == 0 || all == 0 {
        return 0;
    }
    let exact = (count * width as u64 * 2 + all) / (all * 2);
    usize::try_from(exact).unwrap_or(width).max(1)
}

/// A bar's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    /// As the parts are in order.
    pub parts: [usize; 4],
    /// Up to the maximum.
    pub room: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(parts: [u32; 4], max: u32, width: usize) -> String {
        let [busy, idle, booting, failed] = parts;
        let parts = Parts { busy, idle, booting, failed, max };
        let cells = parts.cells(width);
        let signs = parts.in_order().map(|part| part.1);
        let text = |(sign, count): (char, usize)| sign.to_string().repeat(count);
        let bar: String = signs.into_iter().zip(cells.parts).map(text).collect();
        bar + &".".repeat(cells.room)
    }

    #[test]
    fn a_bar_shows_each_node_of_a_small_group_and_a_share_of_a_large_one() {
        let table = [
            ([2, 1, 1, 0], 8, 20, "##=+...."),
            ([0, 0, 0, 0], 4, 20, "...."),
            ([0, 0, 0, 0], 0, 20, ""),
            ([50, 25, 0, 0], 100, 20, "##########=====....."),
            // One of a thousand is seen, and a full group is full.
            ([1, 1, 1, 1], 1000, 10, "#=+!......"),
            ([999, 1, 0, 0], 1000, 10, "#########="),
            ([1000, 0, 0, 0], 1000, 10, "##########"),
            // The maximum was lowered below what runs.
            ([6, 0, 0, 0], 4, 20, "######"),
            ([1, 1, 1, 1], 4, 2, ""),
        ];
        for (parts, max, width, expected) in table {
            if expected.is_empty() && width < 4 {
                assert_eq!(drawn(parts, max, width).len(), width);
            } else {
                assert_eq!(drawn(parts, max, width), expected, "{parts:?} of {max}");
            }
        }
    }

    #[test]
    fn no_numbers_break_a_bar() {
        for parts in [[u32::MAX; 4], [u32::MAX, 0, 0, 1], [0, 0, 0, u32::MAX]] {
            for width in 0..30 {
                assert_eq!(drawn(parts, u32::MAX, width).len(), width);
            }
        }
    }
}
