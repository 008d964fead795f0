//! Seeded choices: everything that a scenario leaves open is rolled here, so that a seed is the whole story.

use std::ops::Range;
use stratum_storage::ambient::{Entropy, Simulated};

#[derive(Debug)]
pub struct Dice(Simulated);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        // Seeds are small numbers; the generator's first outputs for them should not look alike.
        Dice(Simulated::new(0, seed.wrapping_add(1).wrapping_mul(0xD134_2543_DE82_EF95)))
    }

    pub fn number(&self) -> u64 {
        self.0.next_u64()
    }

    /// A number of the range, which is not empty.
    pub fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start)
    }

    /// A number of the range, small ones as likely as large ones by their magnitude.
    pub fn magnitude(&self, range: Range<u64>) -> u64 {
        let span = (range.end - range.start).ilog2() + 1;
        let bits = self.within(1..u64::from(span) + 1);
        range.start + self.number() % (1 << bits).min(range.end - range.start)
    }

    /// True that often of a hundred times.
    pub fn percent(&self, chance: u64) -> bool {
        self.within(0..100) < chance
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.within(0..from.len() as u64) as usize) }
    }

    /// One of the choices, each as often as its weight says.
    pub fn weighted<T: Copy>(&self, choices: &[(u64, T)]) -> T {
        let total: u64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut roll = self.within(0..total);
        for (weight, choice) in choices {
            if roll < *weight {
                return *choice;
            }
            roll -= weight;
        }
        choices[0].1
    }
}
