//! Checkpoints: the whole state as of a journal entry. The tree of later changes lies over the newest one.
//!
//! The journal is bounded by its cap, and the tree of changes can be lost and must stay small, so both need a
//! checkpoint that holds what is older. A checkpoint is a [manifest](manifest) of immutable [range files](range),
//! which successive checkpoints share: a *base*, and over it a *run* of what changed since the base was merged, so
//! that a checkpoint needn't write most of the state anew ([`merge`]).
//!
//! A checkpoint is consistent: it is the state of one moment, merged from a tree that was closed and the checkpoint
//! before it. It is proven: its pairs must add up to the fingerprint of what was applied, so that a key which the
//! index lost isn't taken for a removed one. It lies on `m+1` drives ([`files`]) and is read key by key.

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

pub use audit::{AuditedCopy, audit, copy_checkpoint, remove_bad_copies, remove_other_histories};
pub use carried::{CarriedCheckpoint, LostFile, RangeCheck, ReadManifest};
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
use range::{Elsewhere, NotMade, Range};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::blob::Index;
use stratum_storage::set::Finding;

/// The first key that can be in a checkpoint. The record before it, of what has been applied, stands in the
/// checkpoint's header instead.
const FIRST: &[u8] = &[Tag::Applied as u8 + 1];
/// How many checkpoints are kept. The journal is kept since the oldest of them.
pub(crate) const KEPT: usize = 2;

/// Why there is no new checkpoint, or an old one can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("the index differs from the applied records: it must be rebuilt from the last checkpoint")]
    Mismatch,
    /// With the next checkpoint the one before would go, which has what is lost.
    #[error(
        "a block of the index is lost that the checkpoint before has: the index is built anew from that one first"
    )]
    InTheOneBefore,
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("the checkpoint could not be written to the drives: {0}")]
    Drives(#[from] io::Error),
    #[error("it names {0}, which no drive that is there holds")]
    NotThere(String),
}

/// Why no checkpoint was loaded, though there is one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A newer binary wrote the checkpoint. An older checkpoint isn't taken in its place, since the newer binary may
    /// have released the journal between the two.
    #[error(transparent)]
    Newer(FormatError),
}

/// A checkpoint that is open to be read key by key. Its files stay readable while it is open, even if they are removed.
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

    /// Whether the checkpoint is a single file, in the place of which the next one has range files.
    pub(crate) fn is_single_file(&self) -> bool {
        matches!(self.body, Body::Image(_))
    }

    /// The levels of range files; none if the checkpoint is a single file.
    fn levels(&self) -> Option<&Levels> {
        match &self.body {
            Body::Image(_) => None,
            Body::Levels(levels) => Some(levels),
        }
    }

    fn ranges(&self) -> impl Iterator<Item = &Arc<Range>> {
        self.levels().into_iter().flat_map(Levels::ranges)
    }

    /// The length of all range files, in bytes, of one copy.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges().map(|range| range.record.bytes).sum()
    }

    /// Whether looking a key up needs a read from a drive.
    pub(crate) fn must_read(&self, key: &[u8]) -> bool {
        self.levels().is_some_and(|levels| levels.must_read(key))
    }

    /// Reads what it takes to look a key up into memory.
    pub(crate) fn touch(&self, key: &[u8]) -> Result<(), TreeError> {
        self.levels().map_or(Ok(()), |levels| levels.touch(key))
    }

    /// A key after `from` at which a scan should pause to let other work go on: removed keys cost a scan time though
    /// it visits none of them. None if little is left to scan.
    pub(crate) fn stretch(&self, from: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.levels().map_or(Ok(None), |levels| levels.stretch(from))
    }

    /// Reads all pairs from the drives, whatever is in memory, and fails unless they are what was written.
    pub(crate) fn verify(&self) -> Result<(), TreeError> {
        // A single file was read when it was opened.
        self.ranges().try_for_each(|range| range.verify_pairs())
    }

    /// Whether any block of the checkpoint is known to be lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.levels().is_some_and(Levels::has_lost)
    }

    /// The blocks of the checkpoint that are known to be lost.
    pub(crate) fn lost_blocks(&self) -> Vec<Arc<LostBlock>> {
        self.ranges().flat_map(|range| range.lost_blocks()).collect()
    }

    /// Reads the whole checkpoint, so that every block that is lost is known.
    pub(crate) fn look_for_lost(&self) {
        self.ranges().for_each(|range| range.look());
    }

    /// Makes the blocks anew that are known to be lost, where it is proven that what is known elsewhere was in them: see
    /// [`Range::make_anew`]. Says of each such file what came of it.
    pub(crate) fn make_anew(&self, elsewhere: &Elsewhere<'_>) -> Vec<(String, Result<usize, NotMade>)> {
        let lost = self.ranges().filter(|range| range.lost().is_some());
        lost.map(|range| (range.path().to_owned(), range.make_anew(elsewhere))).collect()
    }

    /// Reads again what is known to be lost.
    pub(crate) fn retry_lost(&self) {
        self.ranges().filter(|range| range.lost().is_some()).for_each(|range| range.retry());
    }

    /// The same state, with its levels arranged such that the next checkpoint can be merged over lost blocks: see
    /// [`Levels::with_lost_sunk`].
    fn with_lost_sunk(self: &Arc<Self>) -> Result<Arc<Checkpoint>, TreeError> {
        match self.levels().filter(|levels| levels.has_lost()) {
            Some(levels) => Ok(Arc::new(Checkpoint::of_levels(self.applied, levels.with_lost_sunk()?))),
            None => Ok(self.clone()),
        }
    }

    /// Reads from the copies that there are on the drives now.
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

/// The checkpoints whose manifest, or header of a single file, can be read, the newest first.
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

/// The newest checkpoint all of whose files are there; none if there is no such checkpoint.
///
/// # Errors
/// [`LoadError::Newer`] if a newer build wrote one.
pub(crate) fn newest(files: &Files) -> Result<Option<Arc<Checkpoint>>, LoadError> {
    let listing = files.listing();
    Ok(readable(files)?.into_iter().find_map(|stored| open_whole(files, &listing, stored)))
}

/// All checkpoints all of whose files are there, the newest first.
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

/// The format error within an I/O error, if it says that a newer binary wrote the checkpoint.
fn newer(error: &io::Error) -> Option<FormatError> {
    let format = error.get_ref()?.downcast_ref::<FormatError>()?;
    matches!(format, FormatError::Newer(_)).then(|| format.clone())
}

/// Has each parser of a checkpoint's files read the bytes, for the fuzz target.
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

/// Brings the kept checkpoints back to as many copies as there must be, after a drive was lost. Gives how many copies
/// of files were made. While this fails, the lost drive still counts as missing.
pub(crate) fn heal(files: &Files, lies_on: Index) -> io::Result<usize> {
    kept(files, lies_on).into_iter().map(|index| files.heal(index)).sum()
}

/// Reads all copies of the kept checkpoints, and writes damaged copies anew.
pub(crate) fn check(files: &Files, lies_on: Index) -> Vec<Finding> {
    kept(files, lies_on).into_iter().flat_map(|index| files.check(index)).collect()
}

/// The newest checkpoints of which every file is on some drive, and the one that the state lies on. Another one that
/// names a file which isn't there can't be brought back; the next checkpoint takes its place.
fn kept(files: &Files, lies_on: Index) -> Vec<Index> {
    files.complete(lies_on).into_iter().rev().take(KEPT).collect()
}

#[cfg(test)]
mod tests;
