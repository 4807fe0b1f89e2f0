//! Durations, counted in ranges as Prometheus wants them.

/// The upper ends of the ranges, seconds: an answer of AWS takes less than one, a boot minutes.
pub const ENDS_S: [f64; 14] =
    [0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0];

/// Counts of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// How many are in each range and in none before; the last is for all longer ones.
    pub counts: [u64; ENDS_S.len() + 1],
    /// How many there are.
    pub count: u64,
    /// Their sum, milliseconds.
    pub sum_ms: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, millis: u64) {
        let secs = seconds(millis);
        let range = ENDS_S.iter().position(|end| secs <= *end).unwrap_or(ENDS_S.len());
        if let Some(count) = self.counts.get_mut(range) {
            *count += 1;
        }
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(millis);
    }

    /// Each range's end and count, the last without end.
    pub fn ranges(&self) -> Vec<(f64, u64)> {
        ENDS_S.into_iter().chain([f64::INFINITY]).zip(self.counts).collect()
    }
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
pub const fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_one_range() {
        let mut histogram = Histogram::default();
        for millis in [500, 501, 600_000, 600_001] {
            histogram.add(millis);
        }
        let ranges = histogram.ranges();
        let of = |end: f64| ranges.iter().find(|range| range.0 == end).unwrap().1;
        assert_eq!((of(0.5), of(1.0), of(600.0), of(f64::INFINITY)), (1, 1, 1, 1));
        assert_eq!((histogram.count, histogram.sum_ms), (4, 1_201_002));
    }
}
