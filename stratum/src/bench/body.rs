//! The bodies of a load: incompressible, told by key and seed, and never copied.
//!
//! All bodies are windows of one random buffer, a few bytes apart: a thousand different bodies cost little more
//! memory than one, an object read back is checked against the window that its key stands for, and the SHA-256 that
//! signs a body is computed once a window.

use crate::client::sign::{PayloadHash, hash};
use std::sync::OnceLock;

/// How far apart two windows start, in bytes.
const WINDOW_STEP_BYTES: usize = 64;
/// How many bodies there are, at least and at most: fewer where hashing each would take long.
const WINDOWS: (u64, u64) = (8, 1024);
/// Windows times size stay under this, where the least number allows.
const MAX_HASHED_BYTES: u64 = 64 << 20;

/// Every body of a load.
pub(crate) struct Bodies {
    buffer: Vec<u8>,
    size: usize,
    hashes: Vec<OnceLock<PayloadHash>>,
}

impl std::fmt::Debug for Bodies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bodies").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Bodies {
    /// Bodies of `size` bytes each.
    pub fn new(size: u64, seed: u64) -> Bodies {
        let windows = (MAX_HASHED_BYTES / size.max(1)).clamp(WINDOWS.0, WINDOWS.1) as usize;
        let mut random = SplitMix(seed);
        let words = (size as usize + windows * WINDOW_STEP_BYTES).div_ceil(8);
        let buffer = (0..words).flat_map(|_| random.next().to_le_bytes()).collect();
        Bodies { buffer, size: size as usize, hashes: vec![OnceLock::new(); windows] }
    }

    /// The body of a key.
    pub fn of(&self, name: u32) -> &[u8] {
        let start = self.window(name) * WINDOW_STEP_BYTES;
        &self.buffer[start..start + self.size]
    }

    /// The hash of a key's body.
    pub fn hash_of(&self, name: u32) -> &PayloadHash {
        self.hashes[self.window(name)].get_or_init(|| hash(self.of(name)))
    }

    fn window(&self, name: u32) -> usize {
        SplitMix(u64::from(name)).next() as usize % self.hashes.len()
    }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"): seeded, so that a run repeats.
#[derive(Clone, Debug)]
pub(super) struct SplitMix(pub u64);

impl SplitMix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0; near enough to even for choosing keys.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_told_by_its_key_and_the_seed() {
        let (bodies, same, other) = (Bodies::new(4096, 1), Bodies::new(4096, 1), Bodies::new(4096, 2));
        assert_eq!(bodies.of(7), same.of(7));
        assert_ne!(bodies.of(7), other.of(7));
        let different: std::collections::HashSet<_> = (0..100).map(|name| bodies.of(name)).collect();
        assert!(different.len() > 80, "{}", different.len());
        assert_eq!(bodies.hash_of(7), &hash(bodies.of(7)));
    }

    #[test]
    fn bodies_of_any_size_fit() {
        for size in [0, 1, 4096, 100_000, 70 << 20] {
            let bodies = Bodies::new(size, 3);
            assert!((0..50).all(|name| bodies.of(name).len() as u64 == size));
        }
    }

    #[test]
    fn bodies_do_not_compress() {
        let bodies = Bodies::new(1 << 16, 3);
        let mut counts = [0; 256];
        bodies.of(1).iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        assert!(counts.iter().all(|count| (150..370).contains(count)), "{counts:?}");
    }
}
