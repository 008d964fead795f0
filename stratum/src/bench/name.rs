//! The names of a load's keys, which whoever fills a store beforehand has to choose, too.

/// The name of the `number`th key: a bijection, so that no two are the same. The seed's bits are spread over the whole
/// word first: seeds that differ in a few low bits would else choose the same names in another order.
pub(super) fn name(seed: u64, number: u32) -> u32 {
    let spread = (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32;
    (number ^ spread).wrapping_mul(0x9E37_79B1)
}
