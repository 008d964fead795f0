//! The bodies of a load: derived from key and seed, and never copied. They are random bytes, which don't compress, or a
//! text, which does.
//!
//! All bodies are windows of one buffer, a few bytes apart, so a thousand different bodies take little more memory than
//! one. The body that a GET brings is compared with the window of its key, and the SHA-256 that a PUT is signed with is
//! computed once for each window.

use crate::client::sign::{PayloadHash, hash};
use std::sync::OnceLock;

/// How far apart two windows start, in bytes.
const WINDOW_STEP_BYTES: usize = 64;
/// The fewest and the most windows. Large bodies have fewer, since each window is hashed once.
const WINDOWS: (u64, u64) = (8, 1024);
/// The most bytes that hashing all windows once may take, unless the fewest windows take more.
const MAX_HASHED_BYTES: u64 = 64 << 20;

/// How many different words a text is made of; the first of them come more often than the others.
const TEXT_WORDS: usize = 4096;

/// What bodies are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filling {
    Noise,
    Text,
}

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
    pub fn new(size: u64, seed: u64, filling: Filling) -> Bodies {
        let windows = (MAX_HASHED_BYTES / size.max(1)).clamp(WINDOWS.0, WINDOWS.1) as usize;
        let mut random = SplitMix(seed);
        let length = size as usize + windows * WINDOW_STEP_BYTES;
        let buffer = match filling {
            Filling::Noise => (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect(),
            Filling::Text => text(length, &mut random),
        };
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

/// A text of random words, which compresses as prose and logs do: to about a third.
fn text(length: usize, random: &mut SplitMix) -> Vec<u8> {
    let mut letter = || b'a' + random.below(26) as u8;
    let words: Vec<Vec<u8>> =
        (0..TEXT_WORDS).map(|word| (0..2 + word % 9).map(|_| letter()).collect()).collect();
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        let most = random.below(TEXT_WORDS) + 1;
        text.extend_from_slice(&words[random.below(most)]);
        text.push(if random.below(12) == 0 { b'\n' } else { b' ' });
    }
    text
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
    use stratum_frames::{Coding, Compression};

    fn noise(size: u64, seed: u64) -> Bodies {
        Bodies::new(size, seed, Filling::Noise)
    }

    #[test]
    fn key_and_seed_determine_a_body() {
        let (bodies, same, other) = (noise(4096, 1), noise(4096, 1), noise(4096, 2));
        assert_eq!(bodies.of(7), same.of(7));
        assert_ne!(bodies.of(7), other.of(7));
        let different: std::collections::HashSet<_> = (0..100).map(|name| bodies.of(name)).collect();
        assert!(different.len() > 80, "{}", different.len());
        assert_eq!(bodies.hash_of(7), &hash(bodies.of(7)));
    }

    #[test]
    fn bodies_of_any_size_fit() {
        for size in [0, 1, 4096, 100_000, 70 << 20] {
            let bodies = noise(size, 3);
            assert!((0..50).all(|name| bodies.of(name).len() as u64 == size));
        }
    }

    #[test]
    fn texts_compress_and_differ_from_key_to_key() {
        let bodies = Bodies::new(1 << 20, 3, Filling::Text);
        assert_ne!(bodies.of(1), bodies.of(2));
        let coding = Coding { compression: Some(Compression::default()), seal: None };
        let (_, stored) = stratum_bodies::code(coding, &bodies.of(1).to_vec().into()).unwrap();
        let ratio = bodies.of(1).len() as f64 / stored.len() as f64;
        assert!((2.0..4.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn bodies_of_random_bytes_have_every_byte_equally_often() {
        let bodies = noise(1 << 16, 3);
        let mut counts = [0; 256];
        bodies.of(1).iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        assert!(counts.iter().all(|count| (150..370).contains(count)), "{counts:?}");
    }
}
