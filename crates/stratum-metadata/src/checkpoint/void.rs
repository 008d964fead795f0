//! Blocks that count for empty, since they were lost and their keys were given up. They do in this checkpoint and in
//! all that follow from it, until a merge has written what is left of their files anew.

use super::Checkpoint;
use super::range::{Range, voided};
use crate::record::Level;
use crate::record::level::same_since;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Blocks that count for empty, each by its file's path below a drive's folder and its offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Void(pub(crate) BTreeSet<(String, u64)>);

same_since!(Level::FIRST; Void);

impl Void {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The offsets of the blocks in one file.
    pub(super) fn of(&self, range: &Range) -> BTreeSet<u64> {
        let ours = self.0.iter().filter(|(file, _)| file == range.path());
        ours.map(|(_, offset)| *offset).collect()
    }
}

impl Checkpoint {
    /// The blocks of the checkpoint that count for empty.
    pub(crate) fn void(&self) -> Void {
        let of = |range: &Arc<Range>| {
            let path = range.path().to_owned();
            range.void().iter().map(move |offset| (path.clone(), *offset)).collect::<Vec<_>>()
        };
        Void(self.ranges().flat_map(of).collect())
    }

    /// The same checkpoint, with these blocks counting for empty, too, where it has their files.
    pub(crate) fn with_void(self: &Arc<Self>, void: &Void) -> Arc<Checkpoint> {
        match self.levels().filter(|_| !void.is_empty()) {
            Some(levels) => {
                let levels = levels.map(|range| voided(range, void.of(range)));
                Arc::new(Checkpoint::of_levels(self.applied, levels))
            }
            None => self.clone(),
        }
    }

    /// The same checkpoint, with all lost blocks counting for empty.
    pub(crate) fn passing_over_lost(self: &Arc<Self>) -> Arc<Checkpoint> {
        self.with_void(&self.lost())
    }

    /// Takes blocks that count for empty out of those that are known to be lost.
    pub(crate) fn forget_void(&self) {
        self.ranges().for_each(|range| range.forget_void());
    }
}
