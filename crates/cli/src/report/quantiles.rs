//! Quantiles of any number of durations in little memory.

/// Durations in milliseconds, counted in ranges that are less than 1 % wide.
#[derive(Clone, Debug, Default)]
pub struct Quantiles {
    counts: Vec<u64>,
    all: u64,
    max: u64,
}

/// Below this every millisecond has a range of its own; above, a power of two has half as many.
const EXACT: u64 = 256;

impl Quantiles {
    /// Counts a duration.
    pub fn add(&mut self, millis: u64) {
        let range = range_of(millis);
        if self.counts.len() <= range {
            self.counts.resize(range + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(range) {
            *count += 1;
        }
        self.all += 1;
        self.max = self.max.max(millis);
    }

    /// Counts all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.all += other.all;
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.all
    }

    /// The longest.
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// The duration that `percent` of all do not exceed, milliseconds; 0 if there are none.
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.all * percent).div_ceil(100).max(1);
        let mut below = 0;
        for (range, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return end_of(range).min(self.max);
            }
        }
        self.max
    }
}

fn range_of(millis: u64) -> usize {
    let shift = u64::from(u64::BITS - millis.leading_zeros()).saturating_sub(8);
    let range = shift * (EXACT / 2) + (millis >> shift);
    usize::try_from(range).unwrap_or(usize::MAX)
}

/// The longest duration of a range.
fn end_of(range: usize) -> u64 {
    let (range, half) = (range as u64, EXACT / 2);
    if range < EXACT {
        return range;
    }
    let shift = range / half - 1;
    let begin = range - shift * half;
    ((begin + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_one_another_and_are_narrow() {
        let mut last = 0;
        for millis in (0..100_000_u64).chain([1 << 40, (1 << 40) + 1, u64::MAX / 2]) {
            let range = range_of(millis);
            assert!(range >= last && range <= last + 1 || millis >= 1 << 40, "{millis}");
            last = range;
            let end = end_of(range);
            assert!(end >= millis && end - millis <= millis / 128, "{millis} {end}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let mut quantiles = Quantiles::default();
        assert_eq!((quantiles.percentile(50), quantiles.max()), (0, 0));
        for millis in 1..=100 {
            quantiles.add(millis);
        }
        let at = |percent| quantiles.percentile(percent);
        assert_eq!((at(50), at(90), at(99), at(100), at(0)), (50, 90, 99, 100, 1));
        assert_eq!((quantiles.count(), quantiles.max()), (100, 100));
    }
}
