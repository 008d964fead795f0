//! About how many different keys a prefix has seen: whether they are enough for a group, or too many.
//!
//! A sketch of 16 bytes (HyperLogLog) counts each key once, however often it is read and in whatever order keys come,
//! with an error of about a fifth. Keys are hashed with the store's secret, so that nobody can choose keys that count
//! for more.

/// From this many keys on, a prefix that ends in a slash is a group of its own.
pub(super) const GROUP_FROM_KEYS: f64 = 64.0;
/// With more keys than this, a prefix is split.
pub(super) const SPLIT_FROM_KEYS: f64 = 1_024.0;

const REGISTERS: usize = 32;
/// The factor that corrects the sketch's bias with 32 registers.
const BIAS: f64 = 0.697;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Size {
    Few,
    Enough,
    Crowd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members {
    /// 32 registers of four bits.
    sketch: [u8; REGISTERS / 2],
    /// What the sketch's estimate comes to. It is asked for more often than it changes.
    size: Size,
}

impl Members {
    pub const NONE: Members = Members { sketch: [0; REGISTERS / 2], size: Size::Few };

    pub fn of_sketch(sketch: [u8; REGISTERS / 2]) -> Self {
        let mut members = Members { sketch, size: Size::Few };
        members.size = members.measure();
        members
    }

    pub fn sketch(&self) -> [u8; REGISTERS / 2] {
        self.sketch
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// Counts a key by its hash.
    pub fn count(&mut self, hash: u64) {
        let register = (hash >> 59) as usize;
        let rank = (hash.trailing_zeros() + 1).min(15) as u8;
        let shift = register % 2 * 4;
        if let Some(pair) = self.sketch.get_mut(register / 2)
            && rank > *pair >> shift & 15
        {
            *pair = *pair & !(15 << shift) | rank << shift;
            self.size = self.measure();
        }
    }

    fn measure(&self) -> Size {
        match self.estimate() {
            few if few < GROUP_FROM_KEYS => Size::Few,
            enough if enough <= SPLIT_FROM_KEYS => Size::Enough,
            _ => Size::Crowd,
        }
    }

    /// How many keys were counted, about.
    pub fn estimate(&self) -> f64 {
        let registers = self.sketch.iter().flat_map(|pair| [pair & 15, pair >> 4]);
        let (sum, empty) = registers.fold((0.0, 0.0), |(sum, empty): (f64, f64), rank| {
            (sum + (-f64::from(rank)).exp2(), empty + f64::from(u8::from(rank == 0)))
        });
        let count = REGISTERS as f64;
        let raw = BIAS * count * count / sum;
        // With few keys the number of empty registers tells more (linear counting).
        if raw <= 2.5 * count && empty > 0.0 { count * (count / empty).ln() } else { raw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::name::Seed;

    fn counted(keys: u64, seed: u8) -> Members {
        let mut members = Members::NONE;
        (0..keys).for_each(|key| members.count(Seed([seed; 16]).name(1, &key.to_string()).hash));
        members
    }

    #[test]
    fn keys_are_counted_to_a_fifth_on_average() {
        for keys in [1, 10, 64, 300, 1_024, 20_000] {
            let off = |seed| (counted(keys, seed).estimate() / keys as f64 - 1.0).powi(2);
            let mean = (0..50).map(off).sum::<f64>() / 50.0;
            assert!(mean.sqrt() < 0.25, "{keys}: {}", mean.sqrt());
        }
    }

    #[test]
    fn a_key_counts_once_and_a_sketch_comes_back() {
        let mut members = counted(500, 1);
        let before = members;
        (0..500).for_each(|key| members.count(Seed([1; 16]).name(1, &(key % 100).to_string()).hash));
        assert_eq!(members, before);
        assert_eq!(Members::of_sketch(members.sketch()), members);
    }

    #[test]
    fn sizes_follow_in_order() {
        assert_eq!(
            [0, 20, 300, 4_000].map(|keys| counted(keys, 3).size()),
            [Size::Few, Size::Few, Size::Enough, Size::Crowd]
        );
    }
}
