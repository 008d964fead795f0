//! What of a checkpoint isn't known, since blocks of it are lost: the keys that it may be of, how many pairs at most, and what they
//! add to the state's fingerprint. The last is what is left of that when all that is known is taken off.

use super::{Checkpoint, FIRST};
use crate::fingerprint::fingerprint;
use crate::keys::KeyRange;
use crate::lost::LostBlock;
use crate::tree::{Base, TreeError};
use std::ops::ControlFlow;
use std::sync::Arc;

/// See above. It stays what it is for as long as the same blocks are lost: what would change it isn't proposed.
#[derive(Clone, Debug)]
pub(crate) struct Unknown {
    /// In the order of their keys.
    pub(crate) ranges: Vec<KeyRange>,
    pub(crate) at_most: u64,
    pub(crate) fingerprint: u128,
    marks: Marks,
}

/// Which blocks are lost: equal only while none of them was read meanwhile.
#[derive(Clone, Debug, Default, PartialEq)]
struct Marks(Vec<Mark>);

/// A lost block, with the number of its file in memory.
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

    /// Whether it is what isn't known of this one, too, which follows from the one that it was told of.
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

    /// What of it isn't known; nothing if nothing is lost. Reads all of it.
    ///
    /// # Errors
    /// [`TreeError::Lost`]: something else is lost, which wasn't known yet.
    pub(crate) fn unknown(self: &Arc<Self>) -> Result<Option<Unknown>, TreeError> {
        self.ranges().for_each(|range| range.forget_lost_in_memory());
        let marks = self.marks();
        let ranges = KeyRange::union(marks.0.iter().map(|mark| mark.block.range()));
        let left = self.passing_over_lost();
        let (mut known, mut in_doubt, mut failed) = (0u128, 0u64, None);
        left.scan(FIRST, &[0xff], &mut |key, value| {
            // Under a lost change an older value would be shown.
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
        // Meanwhile one of them may have been read again.
        let fingerprint = self.applied.fingerprint.wrapping_sub(known);
        let is_so = marks == self.marks() && !marks.0.is_empty();
        Ok(is_so.then_some(Unknown { ranges, at_most, fingerprint, marks }))
    }
}
