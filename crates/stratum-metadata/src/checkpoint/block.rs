//! A block of pairs in the order of their keys. Of each key only what differs from the key before is stored.
//!
//! Every sixteenth key is stored whole, and the offsets of those keys stand at the block's end, so that a key is
//! found by a binary search and a few steps. A block is stored as it is or, where that saves an eighth, compressed by
//! LZ4.

use std::ops::ControlFlow;

/// How many pairs there are from one whole key to the next.
const RESTART_INTERVAL: usize = 16;
/// A bound that no block reaches. Its last pair may be as large as the largest record.
pub(super) const MAX_BLOCK_BYTES: usize = 16 << 20;
/// The part of its length that LZ4 must save at least for a block to be stored compressed.
const LEAST_SAVING_DIVISOR: usize = 8;

/// A function that is called with each pair of a block, in order.
type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A block that is being filled.
#[derive(Debug, Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    /// Where whole keys begin.
    restarts: Vec<u32>,
    first: Vec<u8>,
    last: Vec<u8>,
    pairs: usize,
}

impl Builder {
    /// Adds a pair, whose key must come after all keys in the block.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        let shared = match self.pairs.is_multiple_of(RESTART_INTERVAL) {
            true => {
                self.restarts.push(self.bytes.len() as u32);
                0
            }
            false => self.last.iter().zip(key).take_while(|(one, other)| one == other).count(),
        };
        if self.pairs == 0 {
            self.first = key.to_vec();
        }
        let own = key.get(shared..).unwrap_or_default();
        put_number(&mut self.bytes, shared);
        put_number(&mut self.bytes, own.len());
        put_number(&mut self.bytes, value.len());
        self.bytes.extend_from_slice(own);
        self.bytes.extend_from_slice(value);
        self.last.truncate(shared);
        self.last.extend_from_slice(own);
        self.pairs += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() + 4 * (self.restarts.len() + 1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs == 0
    }

    /// Takes the block's bytes and its first key, and begins an empty block.
    pub(super) fn take(&mut self) -> (Vec<u8>, Vec<u8>) {
        let Builder { mut bytes, restarts, first, .. } = std::mem::take(self);
        for restart in &restarts {
            bytes.extend_from_slice(&restart.to_le_bytes());
        }
        bytes.extend_from_slice(&(restarts.len() as u32).to_le_bytes());
        (bytes, first)
    }
}

/// A block as it is read.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Where the pairs end.
    pairs_end: usize,
    /// Where whole keys begin.
    restarts: Vec<u32>,
}

impl Block {
    /// Reads a block's bytes; none if they aren't a block.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Block> {
        let (rest, count) = bytes.split_last_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let pairs_end = rest.len().checked_sub(count.checked_mul(4)?)?;
        let restarts: Vec<u32> = rest
            .get(pairs_end..)?
            .chunks_exact(4)
            .filter_map(|chunk| Some(u32::from_le_bytes(*chunk.first_chunk()?)))
            .collect();
        let ascend = restarts.windows(2).all(|pair| pair[0] < pair[1]);
        let within = restarts.last().is_none_or(|last| (*last as usize) < pairs_end);
        let begins =
            restarts.first().is_none_or(|first| *first == 0) && restarts.is_empty() == (pairs_end == 0);
        (ascend && within && begins).then_some(Block { bytes, pairs_end, restarts })
    }

    /// How many bytes of memory the block takes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + 4 * self.restarts.len() + size_of::<Block>()
    }

    /// The whole key that begins there.
    fn whole_key(&self, start: u32) -> Option<&[u8]> {
        let mut rest = self.bytes.get(start as usize..self.pairs_end)?;
        let (_, own, _) = (take_number(&mut rest)?, take_number(&mut rest)?, take_number(&mut rest)?);
        rest.get(..own)
    }

    /// Visits the pairs from the last whole key that isn't after `key` on, until `visit` breaks. Gives false if the
    /// bytes aren't valid.
    fn walk(&self, key: &[u8], visit: &mut Visit<'_>) -> bool {
        let is_before = |start: &u32| self.whole_key(*start).is_some_and(|whole| whole <= key);
        let restart = self.restarts.partition_point(is_before).saturating_sub(1);
        let start = self.restarts.get(restart).map_or(self.pairs_end, |start| *start as usize);
        let Some(mut rest) = self.bytes.get(start..self.pairs_end) else { return false };
        let mut current = Vec::new();
        while !rest.is_empty() {
            let Some((shared, own, value)) = take_pair(&mut rest) else { return false };
            if shared > current.len() {
                return false;
            }
            current.truncate(shared);
            current.extend_from_slice(own);
            if visit(&current, value).is_break() {
                break;
            }
        }
        true
    }

    /// Visits the pairs with `from <= key`, in order, until `visit` breaks. Gives whether it broke, or none if the
    /// bytes aren't valid.
    pub(super) fn visit(&self, from: &[u8], visit: &mut Visit<'_>) -> Option<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        let is_sound = self.walk(from, &mut |key, value| {
            if key >= from {
                flow = visit(key, value);
            }
            flow
        });
        is_sound.then_some(flow)
    }

    /// The first key.
    pub(super) fn first(&self) -> Option<Vec<u8>> {
        self.whole_key(*self.restarts.first()?).map(<[u8]>::to_vec)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let mut found = None;
        let _ = self.visit(key, &mut |other, value| {
            found = (other == key).then(|| value.to_vec());
            ControlFlow::Break(())
        });
        found
    }

    /// The last pair whose key isn't after `key`.
    pub(super) fn last_through(&self, key: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut found = None;
        self.walk(key, &mut |other, value| {
            if other > key {
                return ControlFlow::Break(());
            }
            found = Some((other.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        found
    }
}

/// The bytes that are stored of a block, and whether they are compressed by LZ4.
pub(super) fn compressed(block: Vec<u8>) -> (Vec<u8>, bool) {
    let packed = lz4_flex::block::compress_prepend_size(&block);
    match packed.len() + block.len() / LEAST_SAVING_DIVISOR <= block.len() {
        true => (packed, true),
        false => (block, false),
    }
}

/// Decompresses a block's bytes.
pub(super) fn decompressed(packed: &[u8]) -> Option<Vec<u8>> {
    let length = u32::from_le_bytes(*packed.first_chunk()?) as usize;
    if length > MAX_BLOCK_BYTES {
        return None;
    }
    lz4_flex::block::decompress_size_prepended(packed).ok()
}

/// Reads bytes as a block, and as a compressed one, for the fuzz target.
pub(super) fn fuzz(bytes: &[u8]) {
    for bytes in [Some(bytes.to_vec()), decompressed(bytes)].into_iter().flatten() {
        if let Some(block) = Block::parse(bytes) {
            let _ = (block.get(&[1]), block.last_through(&[1]));
        }
    }
}

/// Writes a number, seven bits a byte, the lowest first. The highest bit of a byte says that more follow.
fn put_number(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0usize;
    for place in 0..5 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Takes how many bytes the key shares with the one before, the rest of the key, and the value.
fn take_pair<'a>(bytes: &mut &'a [u8]) -> Option<(usize, &'a [u8], &'a [u8])> {
    let (shared, own, value) = (take_number(bytes)?, take_number(bytes)?, take_number(bytes)?);
    let (key, rest) = bytes.split_at_checked(own)?;
    let (value, rest) = rest.split_at_checked(value)?;
    *bytes = rest;
    Some((shared, key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn block_of(pairs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Block {
        let mut builder = Builder::default();
        pairs.iter().for_each(|(key, value)| builder.push(key, value));
        let (bytes, first) = builder.take();
        assert_eq!(Some(&first), pairs.keys().next());
        let (stored, is_packed) = compressed(bytes.clone());
        assert_eq!(if is_packed { decompressed(&stored).unwrap() } else { stored }, bytes);
        Block::parse(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn pairs_that_were_pushed_are_found(
            pairs in proptest::collection::btree_map(
                proptest::collection::vec(0u8..3, 0..6), proptest::collection::vec(any::<u8>(), 0..200), 1..80),
            keys in proptest::collection::vec(proptest::collection::vec(0u8..3, 0..6), 0..30),
        ) {
            let block = block_of(&pairs);
            for key in &keys {
                prop_assert_eq!(block.get(key), pairs.get(key).cloned());
                let through = pairs.range(..=key.clone()).next_back();
                let through = through.map(|(key, value)| (key.clone(), value.clone()));
                prop_assert_eq!(block.last_through(key), through);
                let mut seen = Vec::new();
                let _ = block.visit(key, &mut |key, value| {
                    seen.push((key.to_vec(), value.to_vec()));
                    ControlFlow::Continue(())
                }).unwrap();
                let after = pairs.range(key.clone()..).map(|(key, value)| (key.clone(), value.clone()));
                prop_assert_eq!(seen, after.collect::<Vec<_>>());
            }
        }

        #[test]
        fn bytes_that_are_no_block_end_every_search(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(block) = Block::parse(bytes) {
                let _ = block.get(&[1]);
                let _ = block.last_through(&[1]);
            }
        }
    }

    #[test]
    fn shared_prefixes_and_compression_shorten_a_block() {
        let mut builder = Builder::default();
        for number in 0u32..400 {
            let key = [b"bucket/some/long/prefix/".as_slice(), &number.to_be_bytes()].concat();
            builder.push(&key, &[7; 40]);
        }
        let plain = 400 * (24 + 4 + 40);
        let (block, _) = builder.take();
        assert!(block.len() < plain * 3 / 4, "{}", block.len());
        let (stored, is_packed) = compressed(block);
        assert!(is_packed && stored.len() < plain / 4, "{}", stored.len());
    }
}
