//! A level of a checkpoint: range files that follow each other in the order of their keys. The base is one, and so is
//! the run that lies over it.
//!
//! The values of a run are changes as a tree stores them, so that a run can hold that a key was removed. A level
//! gives values as they are stored; its caller knows whether they are values or changes.

use super::range::{Range, RangeRecord};
use crate::record::level;
use crate::tree::{Base, TreeError, Value};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// How many pairs are fetched at once by [`Pairs`], at first and at most. A listing of a few keys needs few of them,
/// and a merge many.
const FIRST_FETCH_PAIRS: usize = 8;
const LARGEST_FETCH_PAIRS: usize = 256;

#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    ranges: Vec<Arc<Range>>,
}

impl Level {
    /// The ranges in the order of their keys.
    pub(super) fn new(ranges: Vec<Arc<Range>>) -> Level {
        Level { ranges }
    }

    pub(super) fn ranges(&self) -> &[Arc<Range>] {
        &self.ranges
    }

    pub(super) fn records(&self) -> Vec<RangeRecord> {
        self.ranges.iter().map(|range| range.record.clone()).collect()
    }

    /// The length of all files, in bytes, of one copy.
    pub(super) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|range| range.record.bytes).sum()
    }

    /// What all pairs of the level add to the state's fingerprint.
    pub(super) fn fingerprint(&self) -> u128 {
        self.ranges.iter().fold(0u128, |sum, range| sum.wrapping_add(range.record.fingerprint))
    }

    /// A hash of the records of all files, which tells levels apart.
    pub(super) fn identity(&self) -> u128 {
        xxh3_128(&level::append(&self.records(), Vec::new()))
    }

    /// The position of the range in which a key would be.
    fn position(&self, key: &[u8]) -> usize {
        self.ranges.partition_point(|range| range.record.first.as_slice() <= key).saturating_sub(1)
    }

    fn range_for(&self, key: &[u8]) -> Option<&Arc<Range>> {
        self.ranges.get(self.position(key))
    }

    pub(super) fn must_read(&self, key: &[u8]) -> bool {
        self.range_for(key).is_some_and(|range| range.must_read(key))
    }

    pub(super) fn touch(&self, key: &[u8]) -> Result<(), TreeError> {
        self.range_for(key).map_or(Ok(()), |range| range.touch(key))
    }

    /// The first key of the block that lies `blocks` blocks after the one of `from`, or of the next range; none if
    /// this level ends before.
    pub(super) fn beyond(&self, from: &[u8], blocks: usize) -> Result<Option<Vec<u8>>, TreeError> {
        let position = self.position(from);
        let Some(range) = self.ranges.get(position) else { return Ok(None) };
        let next = self.ranges.get(position + 1).map(|next| next.record.first.clone());
        Ok(range.block_beyond(from, blocks)?.or(next))
    }

    /// Whether there is a key with `from <= key < to`.
    pub(super) fn holds_between(&self, from: &[u8], to: &[u8]) -> Result<bool, TreeError> {
        Ok(self.pairs(from, to).next().transpose()?.is_some())
    }

    /// An iterator over the pairs with `from <= key < to`, to be merged with others.
    pub(super) fn pairs(&self, from: &[u8], to: &[u8]) -> Pairs<'_> {
        Pairs {
            level: self,
            from: from.to_vec(),
            to: to.to_vec(),
            fetched: VecDeque::new(),
            fetch: FIRST_FETCH_PAIRS,
        }
    }
}

impl Base for Level {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        self.range_for(key).map_or(Ok(None), |range| range.get(key))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        let ranges = self.ranges.iter().skip(self.position(from));
        let holds = |range: &&Arc<Range>| range.record.last.as_slice() >= from;
        for range in ranges.take_while(|range| range.record.first.as_slice() < to).filter(holds) {
            if range.scan(from, to, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// See [`Level::pairs`].
pub(super) struct Pairs<'a> {
    level: &'a Level,
    /// The key from which on the next pairs are fetched.
    from: Vec<u8>,
    to: Vec<u8>,
    fetched: VecDeque<(Vec<u8>, Value)>,
    /// How many pairs are fetched next; 0 when there are no more.
    fetch: usize,
}

impl Pairs<'_> {
    fn fetch(&mut self) -> Result<(), TreeError> {
        let Pairs { level, from, to, fetched, fetch } = self;
        let most = *fetch;
        let scanned = level.scan(from, to, &mut |key, value| {
            fetched.push_back((key.to_vec(), value.clone()));
            if fetched.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match scanned {
            Ok(()) if fetched.len() < most => *fetch = 0,
            Err(error) if fetched.is_empty() => return Err(error),
            // The pairs before the error are handed out first. The next fetch meets the error again.
            Ok(()) | Err(_) => *fetch = (2 * most).min(LARGEST_FETCH_PAIRS),
        }
        if let Some((last, _)) = fetched.back() {
            *from = [last, [0].as_slice()].concat();
        }
        Ok(())
    }
}

impl Iterator for Pairs<'_> {
    type Item = Result<(Vec<u8>, Value), TreeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.fetched.is_empty()
            && self.fetch > 0
            && let Err(error) = self.fetch()
        {
            self.fetch = 0;
            return Some(Err(error));
        }
        self.fetched.pop_front().map(Ok)
    }
}
