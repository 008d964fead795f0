//! The levels of a checkpoint, one over the other: its base, the run of what changed since that was merged and, between them,
//! what sank of a run.
//!
//! A file of a run sinks when one of its blocks is lost: it can't be written anew with what changed since, so that lies over it
//! from then on, and what lies under it stays as it is.

use super::level::Level;
use super::range::Range;
use crate::layers;
use crate::tree::{Base, TreeError, Value};
use std::ops::ControlFlow;
use std::sync::Arc;

/// How many blocks of pairs a scan may pass at a stretch, where most of what it passes was removed.
const STRETCH_BLOCKS: usize = 16;

/// See above. The values of the base are the state's; those of the others are changes.
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

    /// Asks the state that they are together.
    fn ask<T>(&self, question: impl FnOnce(&dyn Base) -> T) -> T {
        let below = Over { changes: &self.sunk, below: &self.base };
        question(&Over { changes: &self.run, below: &below })
    }

    /// A key after `from`, some blocks on; nothing if there is little left.
    pub(super) fn stretch(&self, from: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        let mut nearest = None;
        for level in [&self.base, &self.sunk, &self.run] {
            let end = match level.beyond(from, STRETCH_BLOCKS) {
                // Who goes there is told.
                Err(TreeError::Lost(_)) => None,
                end => end?,
            };
            nearest = nearest.into_iter().chain(end).min();
        }
        Ok(nearest)
    }

    /// The same files, each as that makes it.
    pub(super) fn map(&self, each: impl Fn(&Arc<Range>) -> Arc<Range>) -> Levels {
        let level = |level: &Level| Level::new(level.ranges().iter().map(&each).collect());
        Levels { base: level(&self.base), sunk: level(&self.sunk), run: level(&self.run) }
    }

    /// Whether a block of any of its files counts for empty.
    pub(super) fn has_void(&self) -> bool {
        self.ranges().any(|range| !range.void().is_empty())
    }

    /// Whether a block of any of its files is known to be lost.
    pub(super) fn has_lost(&self) -> bool {
        self.ranges().any(|range| range.lost().is_some())
    }

    /// With those files of the run sunk of which a block is lost.
    ///
    /// # Errors
    /// Where something sank before, and not everything of that is there again.
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
