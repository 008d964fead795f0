//! Blocks of a range that count for empty: their keys were given up, and whatever a drive gives of them one day is no part of the
//! state any more.

use super::{Part, Range};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Range {
    pub(super) fn is_void(&self, part: Part) -> bool {
        self.void.contains(&part.offset)
    }

    /// Where the blocks begin that count for empty.
    pub(in crate::checkpoint) fn void(&self) -> &BTreeSet<u64> {
        &self.void
    }

    /// The same file, of which these blocks count for empty, too.
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

    /// Its file, under a drive's folder.
    pub(in crate::checkpoint) fn path(&self) -> &str {
        self.copies.path()
    }

    /// Its number in memory: another one each time the file is opened.
    pub(in crate::checkpoint) fn number(&self) -> u64 {
        self.number
    }

    /// Nobody asks for the blocks that count for empty any more.
    pub(in crate::checkpoint) fn forget_void(&self) {
        self.void.iter().for_each(|offset| self.memory.lost.forget(self.record.id, *offset));
    }
}

/// The range with these blocks void; itself where there are none.
pub(in crate::checkpoint) fn voided(range: &Arc<Range>, blocks: BTreeSet<u64>) -> Arc<Range> {
    match blocks.is_subset(&range.void) {
        true => range.clone(),
        false => Arc::new(range.with_void(blocks)),
    }
}
