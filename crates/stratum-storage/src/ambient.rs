//! Time and randomness, handed in.
//!
//! Everything in Stratum that needs the hour or a random number takes a [`Clock`] or an [`Entropy`], so that a
//! test can replay a run exactly. This file is the only one that asks the machine; clippy refuses it elsewhere.

use std::fmt::Debug;
use std::time::Duration;

/// Milliseconds since the Unix epoch, by the wall clock.
pub type UnixMillis = u64;

/// Tells the time. The wall clock may jump; `monotonic` never goes back.
pub trait Clock: Send + Sync + Debug + 'static {
    /// The wall clock, in milliseconds since the Unix epoch.
    fn now(&self) -> UnixMillis;
    /// Time since an arbitrary fixed moment of this process.
    fn monotonic(&self) -> Duration;
}

/// Gives random bytes, unpredictable in production and seeded in tests.
pub trait Entropy: Send + Sync + Debug + 'static {
    /// Fills the buffer.
    fn fill(&self, bytes: &mut [u8]);

    /// A random 64-bit number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random 128-bit number.
    fn next_u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

/// The machine's own clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    #[allow(clippy::disallowed_methods)] // the one place that asks the machine
    fn now(&self) -> UnixMillis {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |elapsed| elapsed.as_millis() as u64)
    }

    #[allow(clippy::disallowed_methods)] // the one place that asks the machine
    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

impl Entropy for System {
    #[allow(clippy::disallowed_methods, clippy::expect_used)] // the one place that asks the machine
    fn fill(&self, bytes: &mut [u8]) {
        // A kernel that cannot give randomness leaves nothing sensible to do: ids and keys would collide.
        getrandom::fill(bytes).expect("the kernel gives random bytes");
    }
}

/// A clock that stands still until it is told to move, and a seeded generator: for tests and simulations.
#[derive(Debug)]
pub struct Simulated {
    millis: std::sync::atomic::AtomicU64,
    state: std::sync::atomic::AtomicU64,
}

impl Simulated {
    /// A clock at `now`, and a generator that gives the same bytes for the same seed.
    pub fn new(now: UnixMillis, seed: u64) -> Self {
        Self { millis: now.into(), state: seed.into() }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.millis.fetch_add(by.as_millis() as u64, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for Simulated {
    fn now(&self) -> UnixMillis {
        self.millis.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now())
    }
}

impl Entropy for Simulated {
    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let step = 0x9E37_79B9_7F4A_7C15;
            let mut z = self.state.fetch_add(step, std::sync::atomic::Ordering::SeqCst).wrapping_add(step);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}
