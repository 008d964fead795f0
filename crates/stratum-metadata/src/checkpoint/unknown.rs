//! What isn't known of a checkpoint because blocks are lost: the ranges of keys that are concerned, how many pairs
//! they hold at most, and what those add to the state's fingerprint. The last is what remains of the fingerprint when
//! all known pairs are subtracted.

use super::{Checkpoint, FIRST};
use crate::fingerprint::fingerprint;
use crate::keys::KeyRange;
use crate::lost::LostBlock;
use crate::tree::{Base, TreeError};
use std::ops::ControlFlow;
use std::sync::Arc;

/// What isn't known of a checkpoint. It stays the same as long as the same blocks are lost, since commands that need
/// a lost block aren't proposed.
#[derive(Clone, Debug)]
pub(crate) struct Unknown {
    /// The ranges of keys, in the order of their keys.
    pub(crate) ranges: Vec<KeyRange>,
    pub(crate) at_most: u64,
    pub(crate) fingerprint: u128,
    marks: Marks,
}

/// The lost blocks. Two of these are equal only if no block was found or lost in between.
#[derive(Clone, Debug, Default, PartialEq)]
struct Marks(Vec<Mark>);

/// A lost block, with the number of its open file.
#[derive(Clone, Debug)]
struct Mark {
    number: u64,
    block: Arc<LostBlock>,
}

impl PartialEq for Mark {
    fn eq(&self, other: &Mark) -> bool {
        self.number == other.number && Arc::ptr_eq(&self.block, &other.block)
    }
}

impl Unknown {
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &LostBlock> {
        self.marks.0.iter().map(|mark| mark.block.as_ref())
    }

    /// Whether the same blocks are lost in this checkpoint, which is the one that this was made from or follows from
    /// it.
    pub(crate) fn is_of(&self, checkpoint: &Checkpoint) -> bool {
        self.marks == checkpoint.marks()
    }
}

impl Checkpoint {
    fn marks(&self) -> Marks {
        let of = |range: &Arc<super::Range>| {
            let number = range.number();
            range.lost_blocks().into_iter().map(move |block| Mark { number, block }).collect::<Vec<_>>()
        };
        let mut marks: Vec<Mark> = self.ranges().flat_map(of).collect();
        let place = |mark: &Mark| (mark.block.file.clone(), mark.block.offset);
        marks.sort_by_cached_key(place);
        Marks(marks)
    }

    /// Has every block read from the drives again.
    #[cfg(test)]
    pub(crate) fn forget_in_memory(&self) {
        self.ranges().for_each(|range| range.forget_in_memory());
    }

    /// What isn't known of the checkpoint; none if no block is lost. Reads the whole checkpoint.
    ///
    /// # Errors
    /// [`TreeError::Lost`]: another block is lost, which wasn't known yet.
    pub(crate) fn unknown(self: &Arc<Self>) -> Result<Option<Unknown>, TreeError> {
        self.ranges().for_each(|range| range.forget_lost_in_memory());
        let marks = self.marks();
        let ranges = KeyRange::union(marks.0.iter().map(|mark| mark.block.range()));
        let left = self.passing_over_lost();
        let (mut known, mut in_doubt, mut failed) = (0u128, 0u64, None);
        left.scan(FIRST, &[0xff], &mut |key, value| {
            // With lost blocks passed over, an older value may be visited whose change is lost. The checkpoint itself
            // tells whether the key is in doubt.
            let value = match ranges.iter().any(|range| range.contains(key)) {
                true => self.get(key),
                false => Ok(Some(value.clone())),
            };
            match value {
                Ok(value) => {
                    let term = value.map_or(0, |value| fingerprint(key, &value));
                    known = known.wrapping_add(term);
                }
                Err(TreeError::Lost(block))
                    if marks.0.iter().any(|mark| Arc::ptr_eq(&mark.block, &block)) =>
                {
                    in_doubt += 1;
                }
                Err(error) => {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let at_most = left.ranges().filter(|range| !range.void().is_empty()).map(|range| range.lost_pairs());
        let at_most = at_most.sum::<Result<u64, TreeError>>()?.saturating_add(in_doubt);
        // A block may have been found again meanwhile.
        let fingerprint = self.applied.fingerprint.wrapping_sub(known);
        let is_so = marks == self.marks() && !marks.0.is_empty();
        Ok(is_so.then_some(Unknown { ranges, at_most, fingerprint, marks }))
    }
}
