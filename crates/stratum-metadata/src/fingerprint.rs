//! The fingerprint of a state: the sum, mod 2^128, of a hash of every key with its value. A change adds its
//! difference to the sum, and reading the whole state proves by it that nothing is missing or wrong.

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The key of the hash: "stratum" in ASCII.
const SEED: u64 = 0x0073_7472_6174_756d;

/// What a key with its value adds to the fingerprint.
pub(crate) fn fingerprint(key: &[u8], value: &[u8]) -> u128 {
    let mut bytes = Vec::with_capacity(4 + key.len() + value.len());
    bytes.extend_from_slice(&(key.len() as u32).to_le_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    xxh3_128_with_seed(&bytes, SEED)
}
