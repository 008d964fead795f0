//! Runs every target over its seeds, over variants of them, and over no bytes at all: no bytes that are sent to a
//! server may end its process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stratum_fuzz::TARGETS;

/// How many variants of each seed are tried.
const VARIANTS: u64 = 40;
/// How long each target runs in the long test.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn no_target_panics_over_its_corpus() {
    for (name, target) in TARGETS {
        for (number, seed) in seeds(name).iter().enumerate() {
            target(seed);
            for variant in 0..VARIANTS {
                target(&varied(seed, variant + number as u64 * 1000, 4));
            }
        }
    }
}

/// For machines without cargo-fuzz. Runs all targets, or those that `STRATUM_FUZZ_TARGETS` names, and prints how
/// often each was run.
#[test]
#[ignore = "takes a minute a target"]
fn no_target_panics_within_a_minute() {
    let chosen = std::env::var("STRATUM_FUZZ_TARGETS").unwrap_or_default();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.split(' ').any(|wanted| wanted == name);
    for (name, target) in TARGETS.into_iter().filter(|(name, _)| is_chosen(name)) {
        let (seeds, is_over) = (seeds(name), Arc::new(AtomicBool::new(false)));
        let timer = is_over.clone();
        std::thread::spawn(move || {
            std::thread::sleep(LONG);
            timer.store(true, Ordering::Relaxed);
        });
        let mut run = Run { name, number: 0 };
        while !is_over.load(Ordering::Relaxed) {
            // Some variants have few changes, some many.
            let most_changes = 1 << (run.number % 7);
            let seed = &seeds[(run.number / 7) as usize % seeds.len()];
            target(&varied(seed, run.number, most_changes));
            run.number += 1;
        }
        println!("{name}: {} times", run.number);
    }
}

/// Prints the number of the run in which a target panicked.
struct Run {
    name: &'static str,
    number: u64,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}: number {}", self.name, self.number);
        }
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds: Vec<Vec<u8>> = vec![Vec::new()];
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}")) {
        seeds.push(std::fs::read(entry.expect("an entry").path()).expect("a seed"));
    }
    assert!(seeds.len() > 1, "{name} has no seeds");
    seeds
}

/// A seed with up to `most_changes` changes: bits flipped, bytes inserted, or the end cut off.
fn varied(seed: &[u8], variant: u64, most_changes: usize) -> Vec<u8> {
    let mut state = variant.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut bytes = seed.to_vec();
    for _ in 0..=next(most_changes) {
        let at = next(bytes.len());
        match next(16) {
            0 => bytes.truncate(at),
            1..=4 => bytes.insert(at.min(bytes.len()), next(256) as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << next(8);
                }
            }
        }
    }
    bytes
}
