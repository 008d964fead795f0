//! Blocks of a range that count for empty, since they were lost and their keys were given up. Should a drive give
//! such a block again one day, its pairs aren't part of the state any more.

use super::{Part, Range};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Range {
    pub(super) fn is_void(&self, part: Part) -> bool {
        self.void.contains(&part.offset)
    }

    /// The offsets of the blocks that count for empty.
    pub(in crate::checkpoint) fn void(&self) -> &BTreeSet<u64> {
        &self.void
    }

    /// The same file, with these blocks counting for empty, too.
    pub(in crate::checkpoint) fn with_void(&self, blocks: impl IntoIterator<Item = u64>) -> Range {
        Range {
            record: self.record.clone(),
            copies: self.copies.clone(),
            memory: self.memory.clone(),
            number: self.number,
            filter: self.filter.clone(),
            void: self.void.iter().copied().chain(blocks).collect(),
        }
    }

    /// The file's path below a drive's folder.
    pub(in crate::checkpoint) fn path(&self) -> &str {
        self.copies.path()
    }

    /// The number of the open file. Each time the file is opened it gets another one.
    pub(in crate::checkpoint) fn number(&self) -> u64 {
        self.number
    }

    /// Takes the blocks that count for empty out of the lost ones, since they aren't read any more.
    pub(in crate::checkpoint) fn forget_void(&self) {
        self.void.iter().for_each(|offset| self.memory.lost.forget(self.record.id, *offset));
    }
}

/// The range with these blocks counting for empty; the same one if they all do already.
pub(in crate::checkpoint) fn voided(range: &Arc<Range>, blocks: BTreeSet<u64>) -> Arc<Range> {
    match blocks.is_subset(&range.void) {
        true => range.clone(),
        false => Arc::new(range.with_void(blocks)),
    }
}
