//! Numbers that look random and are the same on every run.

/// SplitMix64: neighbouring seeds give numbers that have nothing in common.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`.
    pub fn range(&mut self, least: u32, most: u32) -> u32 {
        let sides = u64::from(most - least) + 1;
        least + u32::try_from(self.next() % sides).expect("less than most")
    }

    /// True once in `sides` times.
    pub fn once_in(&mut self, sides: u32) -> bool {
        self.range(1, sides) == 1
    }

    /// One of these.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let last = u32::try_from(from.len()).expect("a short list") - 1;
        from[self.range(0, last) as usize].clone()
    }
}
