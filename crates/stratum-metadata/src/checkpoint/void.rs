//! Blocks that were lost and whose keys were given up: they count for empty, in this state and in those that follow from it, until
//! a merge has written what is left of their files anew.

use super::Checkpoint;
use super::range::{Range, voided};
use crate::record::Level;
use crate::record::level::same_since;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Such blocks: the file, under a drive's folder, and where in it each begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Void(pub(crate) BTreeSet<(String, u64)>);

same_since!(Level::FIRST; Void);

impl Void {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of a file.
    pub(super) fn of(&self, range: &Range) -> BTreeSet<u64> {
        let ours = self.0.iter().filter(|(file, _)| file == range.path());
        ours.map(|(_, offset)| *offset).collect()
    }
}

impl Checkpoint {
    /// What of it counts for empty.
    pub(crate) fn void(&self) -> Void {
        let of = |range: &Arc<Range>| {
            let path = range.path().to_owned();
            range.void().iter().map(move |offset| (path.clone(), *offset)).collect::<Vec<_>>()
        };
        Void(self.ranges().flat_map(of).collect())
    }

    /// The same, of which these blocks count for empty, too, where it has their files.
    pub(crate) fn with_void(self: &Arc<Self>, void: &Void) -> Arc<Checkpoint> {
        match self.levels().filter(|_| !void.is_empty()) {
            Some(levels) => {
                let levels = levels.map(|range| voided(range, void.of(range)));
                Arc::new(Checkpoint::of_levels(self.applied, levels))
            }
            None => self.clone(),
        }
    }

    /// The same, of which all that is lost counts for empty.
    pub(crate) fn passing_over_lost(self: &Arc<Self>) -> Arc<Checkpoint> {
        self.with_void(&self.lost())
    }

    /// What counts for empty isn't lost any more.
    pub(crate) fn forget_void(&self) {
        self.ranges().for_each(|range| range.forget_void());
    }
}
