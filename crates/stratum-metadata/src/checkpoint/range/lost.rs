//! Ranges with blocks that no copy gives. From the index it is known which keys a lost block held; an index that is
//! lost itself is made anew from the blocks.

use super::{Part, Range, away, part_of, senseless};
use crate::checkpoint::block::Block;
use crate::checkpoint::copies::{NoFrame, labels};
use crate::lost::LostBlock;
use crate::tree::TreeError;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;
use stratum_storage::drive::Drive;

impl Range {
    /// Makes the index anew from the blocks.
    pub(super) fn index_of_blocks(&self, drives: &[Arc<Drive>]) -> Result<Arc<Block>, TreeError> {
        let bytes = match self.index_bytes() {
            // Without the index nothing tells where the following blocks begin.
            Err(NoFrame::Lost { .. }) => return Err(self.all_lost(drives)),
            bytes => bytes.map_err(away)?,
        };
        let index = Arc::new(Block::parse(bytes).ok_or_else(senseless)?);
        self.memory.keep((self.number, self.record.index.offset), index.clone());
        self.memory.lost.found(self.record.id, self.record.index.offset);
        Ok(index)
    }

    /// The error for a block that couldn't be read. If no copy gives it, it is known to be lost from now on.
    pub(super) fn no_block(&self, index: &Block, first: &[u8], part: Part, error: NoFrame) -> TreeError {
        let NoFrame::Lost { drives, .. } = error else { return away(error) };
        let (mut next, mut blocks) = (None, 0);
        let _ = index.visit(&[], &mut |other, _| {
            blocks += 1;
            if other > first && next.is_none() {
                next = Some(other.to_vec());
            }
            ControlFlow::Continue(())
        });
        let to = next.map_or_else(|| self.end(), Bound::Excluded);
        self.lose(part.offset, first.to_vec(), to, self.record.pairs / blocks.max(1), &drives)
    }

    fn all_lost(&self, drives: &[Arc<Drive>]) -> TreeError {
        let first = self.record.first.clone();
        self.lose(self.record.index.offset, first, self.end(), self.record.pairs, drives)
    }

    /// Notes a block as lost.
    fn lose(
        &self,
        offset: u64,
        from: Vec<u8>,
        to: Bound<Vec<u8>>,
        keys: u64,
        drives: &[Arc<Drive>],
    ) -> TreeError {
        let file = self.copies.path().to_owned();
        let block = LostBlock { file, offset, drives: labels(drives), keys, from, to };
        let (block, is_new) = self.memory.lost.enter(self.record.id, block);
        if is_new {
            drives.iter().for_each(|drive| drive.found_rot());
            tracing::error!(%block, keys, "a block of the index is lost: what is in it isn't served, all else is");
        }
        TreeError::Lost(block)
    }

    /// The end of the range's keys.
    fn end(&self) -> Bound<Vec<u8>> {
        Bound::Included(self.record.last.clone())
    }

    /// Makes none of a lost block, if lost blocks are passed over.
    pub(super) fn unless_passed_over<T>(&self, read: Result<T, TreeError>) -> Result<Option<T>, TreeError> {
        match read {
            Err(TreeError::Lost(_)) if self.memory.passes_over_lost() => Ok(None),
            read => read.map(Some),
        }
    }

    /// One of the range's blocks that are known to be lost.
    pub(in crate::checkpoint) fn lost(&self) -> Option<Arc<LostBlock>> {
        self.lost_blocks().into_iter().next()
    }

    /// The range's blocks that are known to be lost, without those that count for empty.
    pub(in crate::checkpoint) fn lost_blocks(&self) -> Vec<Arc<LostBlock>> {
        let mut lost = self.memory.lost.of(self.record.id);
        lost.retain(|block| !self.void.contains(&block.offset));
        lost
    }

    /// Drops lost blocks from memory, where they may still be from before. They can't be read any more until the
    /// drives give them again.
    pub(in crate::checkpoint) fn forget_lost_in_memory(&self) {
        self.lost_blocks().iter().for_each(|block| self.memory.forget((self.number, block.offset)));
    }

    /// Has every block read from the drives again.
    #[cfg(test)]
    pub(in crate::checkpoint) fn forget_in_memory(&self) {
        self.memory.forget_all();
    }

    /// How many pairs were in the blocks that no copy gives.
    pub(in crate::checkpoint) fn lost_pairs(&self) -> Result<u64, TreeError> {
        let mut sound = 0;
        let _ = self.scan(&[], &[0xff], &mut |_, _| {
            sound += 1;
            ControlFlow::Continue(())
        })?;
        Ok(self.record.pairs.saturating_sub(sound))
    }

    /// Reads all blocks of the range from the drives, so that it is known which are lost and which can be read again.
    pub(in crate::checkpoint) fn look(&self) {
        self.look_where(|_| true);
    }

    /// Does the same for the one block at `offset`.
    pub(in crate::checkpoint) fn look_at(&self, offset: u64) {
        self.look_where(|part| part.offset == offset);
    }

    fn look_where(&self, is_meant: impl Fn(Part) -> bool) {
        let Ok(Some(index)) = self.index() else { return };
        let _ = index.visit(&[], &mut |first, place| {
            if let Ok(part) = part_of(place)
                && is_meant(part)
                && !self.is_void(part)
                && let Err(error) = self.read(part)
            {
                let _ = self.no_block(&index, first, part, error);
            }
            ControlFlow::Continue(())
        });
    }

    /// Reads the blocks of the range again that are known to be lost.
    pub(in crate::checkpoint) fn retry(&self) {
        let lost: Vec<u64> = self.lost_blocks().iter().map(|block| block.offset).collect();
        if lost.contains(&self.record.index.offset)
            && let Err(NoFrame::Lost { drives, .. }) = self.read(self.record.index)
        {
            let _ = self.index_of_blocks(&drives);
        }
        for part in self.parts().into_iter().filter(|part| lost.contains(&part.offset)) {
            let _ = self.read(part);
        }
    }
}
