//! Checkpoints: the whole state as of a journal entry, on which what changed since lies.
//!
//! The journal is only as long as its cap, and the tree of changes can be lost and must stay small; a checkpoint is what both
//! stand on. It is a [manifest](manifest) of immutable [range files](range), which successive checkpoints share: a *base*, and
//! over it a *run* of what changed since that was merged, so that a checkpoint needn't write most of the state anew
//! ([`merge`]). It is consistent (one moment's state: a tree that was closed and the checkpoint before it), proven (a key
//! that was lost never becomes truth), on `m+1` drives ([`files`]), and read key by key.

mod audit;
mod block;
mod cache;
mod carried;
mod closed;
mod copies;
mod export;
mod files;
mod format;
mod frame;
mod image;
mod level;
mod levels;
mod lost;
mod manifest;
mod merge;
mod noted;
mod output;
mod range;
mod single;
mod stored;
mod unknown;
mod void;

pub use audit::{AuditedCopy, audit, copy_checkpoint, remove_bad_copies};
pub use carried::{CarriedCheckpoint, ReadManifest};
pub use export::Export;
pub use files::Sizes;

pub(crate) use closed::{Closed, Nothing};
pub(crate) use files::Files;
pub(crate) use merge::merge;
pub(crate) use stored::Stored;
pub(crate) use unknown::Unknown;
pub(crate) use void::Void;

use crate::keys::Tag;
use crate::lost::LostBlock;
use crate::record::Applied;
use crate::tree::{Base, TreeError, Value};
use format::FormatError;
use image::Image;
use levels::Levels;
use range::Range;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::set::Finding;

/// The first key that is part of a checkpoint: what has been applied stands in its header.
const FIRST: &[u8] = &[Tag::Applied as u8 + 1];
/// How many checkpoints are kept, and the journal since the oldest of them.
pub(crate) const KEPT: usize = 2;

/// Why there is no new checkpoint, or an old one can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("the index holds something else than was applied: it must be rebuilt from the last checkpoint")]
    Mismatch,
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the drives did not take it: {0}")]
    Drives(#[from] io::Error),
}

/// Why no checkpoint was loaded, though there is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Never passed over for an older one: the newer build may have let go of the journal between them.
    #[error(transparent)]
    Newer(FormatError),
}

/// A checkpoint that is read key by key. Files that were removed stay readable for whoever has it open.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    applied: Applied,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Image(Image),
    Levels(Levels),
}

impl Checkpoint {
    fn of_image(image: Image) -> Checkpoint {
        Checkpoint { applied: image.applied(), body: Body::Image(image) }
    }

    fn of_levels(applied: Applied, levels: Levels) -> Checkpoint {
        Checkpoint { applied, body: Body::Levels(levels) }
    }

    pub(crate) fn applied(&self) -> Applied {
        self.applied
    }

    /// Whether it is a single file, which the next one replaces by range files.
    pub(crate) fn is_single_file(&self) -> bool {
        matches!(self.body, Body::Image(_))
    }

    /// Nothing of a single file.
    fn levels(&self) -> Option<&Levels> {
        match &self.body {
            Body::Image(_) => None,
            Body::Levels(levels) => Some(levels),
        }
    }

    fn ranges(&self) -> impl Iterator<Item = &Arc<Range>> {
        self.levels().into_iter().flat_map(Levels::ranges)
    }

    /// What its range files take, in bytes, a copy.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges().map(|range| range.record.bytes).sum()
    }

    /// Whether a key can't be looked up without reading from a drive.
    pub(crate) fn must_read(&self, key: &[u8]) -> bool {
        self.levels().is_some_and(|levels| levels.must_read(key))
    }

    /// Has in memory what it takes to look a key up.
    pub(crate) fn touch(&self, key: &[u8]) -> Result<(), TreeError> {
        self.levels().map_or(Ok(()), |levels| levels.touch(key))
    }

    /// A key after `from` up to which a scan may go before it lets others pass: what was removed costs it time, and shows
    /// it nothing. Nothing if there is little left.
    pub(crate) fn stretch(&self, from: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.levels().map_or(Ok(None), |levels| levels.stretch(from))
    }

    /// Reads all of it, whatever is in memory: an error unless it is what was written. `turn` is called with the size of each
    /// block before.
    pub(crate) fn verify(&self, turn: &mut dyn FnMut(u64) -> Result<(), TreeError>) -> Result<(), TreeError> {
        // A single file was read when it was opened.
        self.ranges().try_for_each(|range| range.verify(turn))
    }

    /// Whether a block of it is known to be lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.levels().is_some_and(Levels::has_lost)
    }

    /// The blocks of it that are known to be lost.
    pub(crate) fn lost_blocks(&self) -> Vec<Arc<LostBlock>> {
        self.ranges().flat_map(|range| range.lost_blocks()).collect()
    }

    /// Reads all of it, so that all is known that is lost.
    pub(crate) fn look_for_lost(&self) {
        self.ranges().for_each(|range| range.look());
    }

    /// Reads again what is known to be lost.
    pub(crate) fn retry_lost(&self) {
        self.ranges().filter(|range| range.lost().is_some()).for_each(|range| range.retry());
    }

    /// The same state, laid so that the next checkpoint can be merged over it: see [`Levels::with_lost_sunk`].
    fn with_lost_sunk(self: &Arc<Self>) -> Result<Arc<Checkpoint>, TreeError> {
        match self.levels().filter(|levels| levels.has_lost()) {
            Some(levels) => Ok(Arc::new(Checkpoint::of_levels(self.applied, levels.with_lost_sunk()?))),
            None => Ok(self.clone()),
        }
    }

    /// Goes on with whatever copies there are now.
    pub(crate) fn reopen(&self, files: &Files) {
        let listing = files.listing();
        self.ranges().for_each(|range| range.reopen(&listing.holders(&range.record)));
    }
}

impl Base for Checkpoint {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        match &self.body {
            Body::Image(image) => image.get(key),
            Body::Levels(levels) => levels.get(key),
        }
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        match &self.body {
            Body::Image(image) => image.scan(from, to, visit),
            Body::Levels(levels) => levels.scan(from, to, visit),
        }
    }
}

/// The checkpoints of which the beginning can be read, the newest first.
///
/// # Errors
/// [`LoadError::Newer`] if a newer build wrote one.
pub(crate) fn readable(files: &Files) -> Result<Vec<Stored>, LoadError> {
    let listing = files.listing();
    let mut found = Vec::new();
    for index in listing.checkpoints.keys().rev() {
        match files.stored(&listing, *index) {
            Ok(stored) => found.push(stored),
            Err(error) => match newer(&error) {
                Some(newer) => return Err(LoadError::Newer(newer)),
                None => tracing::error!(index, %error, "a checkpoint can't be read"),
            },
        }
    }
    Ok(found)
}

/// Opens a checkpoint to read keys.
pub(crate) fn open(files: &Files, stored: Stored) -> Result<Checkpoint, CheckpointError> {
    stored.open(files, &files.listing())
}

/// The newest checkpoint of which everything is there; nothing if there is none.
///
/// # Errors
/// [`LoadError::Newer`] if a newer build wrote one.
pub(crate) fn newest(files: &Files) -> Result<Option<Arc<Checkpoint>>, LoadError> {
    let listing = files.listing();
    Ok(readable(files)?.into_iter().find_map(|stored| open_whole(files, &listing, stored)))
}

/// All checkpoints of which everything is there, the newest first.
///
/// # Errors
/// [`LoadError::Newer`] if a newer build wrote one.
pub(crate) fn whole(files: &Files) -> Result<Vec<Arc<Checkpoint>>, LoadError> {
    let listing = files.listing();
    Ok(readable(files)?.into_iter().filter_map(|stored| open_whole(files, &listing, stored)).collect())
}

fn open_whole(files: &Files, listing: &files::Listing, stored: Stored) -> Option<Arc<Checkpoint>> {
    let index = stored.applied().index;
    let opened = stored.open(files, listing);
    let opened = opened.inspect_err(|error| {
        tracing::error!(index, %error, "a checkpoint isn't whole; trying the one before");
    });
    opened.ok().map(Arc::new)
}

/// The version that a newer build wrote, if that is what the error says.
fn newer(error: &io::Error) -> Option<FormatError> {
    let format = error.get_ref()?.downcast_ref::<FormatError>()?;
    matches!(format, FormatError::Newer(_)).then(|| format.clone())
}

/// Reads bytes as each part of a checkpoint's files.
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Some(header) = bytes.first_chunk() {
        let _ = format::parse_header(header);
    }
    if let Some(frame) = bytes.first_chunk() {
        let _ = format::parse_frame(*frame, 0);
    }
    let _ = format::verify(0, 0, bytes, 0);
    let read: usize = format::pairs(bytes).flatten().map(|(key, value)| key.len() + value.len()).sum();
    assert!(read <= bytes.len());
    let _ = manifest::Manifest::parse(bytes);
    block::fuzz(bytes);
}

/// Brings the kept checkpoints back to full number after a drive was lost. Says how many copies were made; while
/// it fails, the lost drive still counts as missing.
pub(crate) fn heal(files: &Files) -> io::Result<usize> {
    kept(files).into_iter().map(|index| files.heal(index)).sum()
}

/// Reads all copies of the kept checkpoints, and writes anew those that are damaged.
pub(crate) fn check(files: &Files) -> Vec<Finding> {
    kept(files).into_iter().flat_map(|index| files.check(index)).collect()
}

fn kept(files: &Files) -> Vec<Index> {
    files.indexes().into_iter().rev().take(KEPT).collect()
}

#[cfg(test)]
mod tests;
