//! Every target over its corpus, over what is a little beside it, and over nothing at all: what a stranger sends must
//! never end the process.

use stratum_fuzz::TARGETS;

/// How many variants of each seed are tried.
const VARIANTS: u64 = 40;

#[test]
fn every_target_over_its_corpus() {
    for (name, target) in TARGETS {
        let folder = format!("{}/seeds/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut seeds: Vec<Vec<u8>> = vec![Vec::new()];
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}")) {
            seeds.push(std::fs::read(entry.expect("an entry").path()).expect("a seed"));
        }
        assert!(seeds.len() > 1, "{name} has no seeds");
        for (number, seed) in seeds.iter().enumerate() {
            target(seed);
            for variant in 0..VARIANTS {
                target(&varied(seed, variant + number as u64 * 1000));
            }
        }
    }
}

/// A seed with some bytes changed, or cut, or grown.
fn varied(seed: &[u8], variant: u64) -> Vec<u8> {
    let mut state = variant.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let mut bytes = seed.to_vec();
    for _ in 0..=next(4) {
        let at = next(bytes.len());
        match next(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), next(256) as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << next(8);
                }
            }
        }
    }
    bytes
}
