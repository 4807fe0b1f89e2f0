//! Random numbers that are the same everywhere for one seed (the generator is splitmix64).

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 on, less than `end`; 0 if that is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.any() % u64::from(end.max(1))).unwrap_or(0)
    }

    /// A number from `least` to `most`.
    pub fn range(&mut self, least: u32, most: u32) -> u32 {
        least.saturating_add(self.below(most.saturating_sub(least).saturating_add(1)))
    }

    /// True once in so many times.
    pub fn once_in(&mut self, sides: u32) -> bool {
        self.below(sides) == 0
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    /// One of a few.
    pub fn one_of<T: Clone>(&mut self, few: &[T]) -> Option<T> {
        let at = self.below(u32::try_from(few.len()).unwrap_or(u32::MAX));
        few.get(at as usize).cloned()
    }
}
