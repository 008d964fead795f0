//! The names of a load's keys. A tool that fills a store for `--reuse` must choose the same names.

/// The name of the `number`th key: a bijection, so that no two keys have the same name. The seed's bits are first
/// spread over the whole word: otherwise seeds that differ in a few low bits would give the same names in another
/// order.
pub(super) fn name(seed: u64, number: u32) -> u32 {
    let spread = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
    (number ^ spread).wrapping_mul(0x9E37_79B1)
}
