//! The levels of a checkpoint, one over the other: the base, the run of what changed since the base was merged and,
//! between the two, files of former runs that have *sunk*.
//!
//! A file of a run sinks when one of its blocks is lost. It can't be merged with later changes then, since its pairs
//! aren't all known. So it stays as it is, a new run lies over it, and the ranges of the base under it stay, too.

use super::level::Level;
use super::range::Range;
use crate::layers;
use crate::tree::{Base, TreeError, Value};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How many blocks of pairs a scan may pass without a pause, where most of the keys were removed.
const STRETCH_BLOCKS: usize = 16;

/// The levels. The values of the base are the state's values, those of the other two levels are changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    pub(super) base: Level,
    pub(super) sunk: Level,
    pub(super) run: Level,
}

impl Levels {
    pub(super) fn ranges(&self) -> impl Iterator<Item = &Arc<Range>> {
        [&self.base, &self.sunk, &self.run].into_iter().flat_map(|level| level.ranges())
    }

    pub(super) fn must_read(&self, key: &[u8]) -> bool {
        [&self.run, &self.sunk, &self.base].into_iter().any(|level| level.must_read(key))
    }

    /// Has in memory what it takes to look a key up.
    pub(super) fn touch(&self, key: &[u8]) -> Result<(), TreeError> {
        for changes in [&self.run, &self.sunk] {
            if changes.get(key)?.is_some() {
                return Ok(());
            }
        }
        self.base.touch(key)
    }

    /// Asks a question of the state that the levels make together.
    fn ask<T>(&self, question: impl FnOnce(&dyn Base) -> T) -> T {
        let below = Over { changes: &self.sunk, below: &self.base };
        question(&Over { changes: &self.run, below: &below })
    }

    /// A key some blocks after `from`; none if little is left.
    pub(super) fn stretch(&self, from: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        let mut nearest = None;
        for level in [&self.base, &self.sunk, &self.run] {
            let end = match level.beyond(from, STRETCH_BLOCKS) {
                // A scan that gets there meets the lost block and is told.
                Err(TreeError::Lost(_)) => None,
                end => end?,
            };
            nearest = nearest.into_iter().chain(end).min();
        }
        Ok(nearest)
    }

    /// The same levels, with `each` applied to every range.
    pub(super) fn map(&self, each: impl Fn(&Arc<Range>) -> Arc<Range>) -> Levels {
        let level = |level: &Level| Level::new(level.ranges().iter().map(&each).collect());
        Levels { base: level(&self.base), sunk: level(&self.sunk), run: level(&self.run) }
    }

    /// Whether any file has a block that counts for empty.
    pub(super) fn has_void(&self) -> bool {
        self.ranges().any(|range| !range.void().is_empty())
    }

    /// Whether any file has a block that is known to be lost.
    pub(super) fn has_lost(&self) -> bool {
        self.ranges().any(|range| range.lost().is_some())
    }

    /// The same state, in which those files of the run that have a lost block are sunk.
    ///
    /// # Errors
    /// A file that sinks overlaps with one that has sunk before and still has a lost block: the two can't lie in one
    /// level.
    pub(super) fn with_lost_sunk(&self) -> Result<Levels, TreeError> {
        let is_lost = |range: &Arc<Range>| range.lost().is_some();
        let (sinks, sound): (Vec<_>, Vec<_>) = self.run.ranges().iter().cloned().partition(is_lost);
        let mut sunk = [self.sunk.ranges(), &sinks].concat();
        sunk.sort_by(|one, other| one.record.first.cmp(&other.record.first));
        for pair in sunk.windows(2) {
            if let [one, other] = pair
                && one.record.last >= other.record.first
                && let Some(block) = one.lost().or_else(|| other.lost())
            {
                return Err(TreeError::Lost(block));
            }
        }
        Ok(Levels { base: self.base.clone(), sunk: Level::new(sunk), run: Level::new(sound) })
    }
}

impl Base for Levels {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        self.ask(|state| state.get(key))
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        self.ask(|state| state.scan(from, to, visit))
    }
}

/// A level of changes over a state.
struct Over<'a> {
    changes: &'a Level,
    below: &'a dyn Base,
}

impl Base for Over<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        match self.changes.get(key)? {
            Some(change) => Ok(change.as_change()),
            None => self.below.get(key),
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        if self.changes.ranges().is_empty() {
            return self.below.scan(from, to, visit);
        }
        let changes =
            self.changes.pairs(from, to).map(|pair| pair.map(|(key, change)| (key, change.as_change())));
        layers::merge(changes, self.below, from, to, visit)
    }
}
