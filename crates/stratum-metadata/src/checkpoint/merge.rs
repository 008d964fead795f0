//! The next checkpoint, merged from the one before and what changed since, while the store goes on.
//!
//! A range in which nothing changed is named again, as it is. The others are written anew, with their changes made, and cut
//! where a file is large enough. One that came out small takes in the next range, so that their number follows from what
//! they hold. Memory is needed for a block of each input.
//!
//! A merge that was cut off by the end of its process goes on where it was: the files that it had finished lie where they
//! were written, and the same pairs come in the same order.

use super::closed::Closed;
use super::files::{Files, Listing};
use super::manifest::Manifest;
use super::range::{Range, RangeWriter};
use super::{Checkpoint, CheckpointError};
use crate::keys::Tag;
use crate::tree::Base;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::drive::Drive;

/// The first key that is part of a checkpoint: what has been applied stands in its header.
const FIRST: &[u8] = &[Tag::Applied as u8 + 1];
/// After all keys.
const END: &[u8] = &[0xff];
/// A file is small below this part of a range's size.
const SMALL_PART: u64 = 4;

/// Merges the next checkpoint and makes it count. `turn` is called with how much was written, now and then. Blocks.
///
/// # Errors
/// [`CheckpointError::Mismatch`] if what was merged isn't what was applied: nothing of it becomes truth.
pub(crate) fn merge(
    closed: &Closed,
    files: &Files,
    turn: &dyn Fn(u64),
) -> Result<Checkpoint, CheckpointError> {
    let listing = files.listing();
    let before = closed.over.as_ref().map(|checkpoint| checkpoint.applied().index);
    let before = before.and_then(|index| files.stored(&listing, index).ok());
    let holders = before.map(|stored| files.holders(&listing, &stored)).unwrap_or_default();
    let targets = files.targets(&holders, closed.applied.index)?;
    let mut merge = Merge {
        closed,
        files,
        listing,
        targets,
        turn,
        writer: None,
        ranges: Vec::new(),
        numbers: 0,
        through: None,
    };
    let merged = merge.all().and_then(|()| merge.publish());
    if merged.is_err() {
        merge.take_back();
    }
    merged
}

struct Merge<'a> {
    closed: &'a Closed,
    files: &'a Files,
    /// What lay on the drives before.
    listing: Listing,
    targets: Vec<Arc<Drive>>,
    turn: &'a dyn Fn(u64),
    writer: Option<RangeWriter>,
    /// Those that are done, in order.
    ranges: Vec<Arc<Range>>,
    /// Given to files so far.
    numbers: u32,
    /// The last key of a file that was there before, finished.
    through: Option<Vec<u8>>,
}

impl Merge<'_> {
    fn all(&mut self) -> Result<(), CheckpointError> {
        let before = self.closed.over.clone();
        let ranges = before.as_ref().map(|checkpoint| checkpoint.ranges()).unwrap_or_default();
        if ranges.is_empty() {
            // The first range files of a store.
            self.rewrite(FIRST, END)?;
        }
        for (number, range) in ranges.iter().enumerate() {
            let from = if number == 0 { FIRST } else { range.record.first.as_slice() };
            let to = ranges.get(number + 1).map_or(END, |next| next.record.first.as_slice());
            let so_far = self.writer.as_ref().map(RangeWriter::bytes);
            let is_small =
                self.is_small(range.record.bytes) || so_far.is_some_and(|bytes| self.is_small(bytes));
            // A file that was there before ends in this range.
            let is_begun = self.through.as_deref().is_some_and(|last| last >= from);
            if is_small || is_begun || self.closed.tree.changes_between(from, to)? {
                self.rewrite(from, to)?;
            } else {
                self.end_range()?;
                self.ranges.push(range.clone());
            }
        }
        Ok(self.end_range()?)
    }

    fn is_small(&self, bytes: u64) -> bool {
        bytes < self.files.sizes.range_bytes / SMALL_PART
    }

    /// Writes the keys from `from` to `to` anew.
    fn rewrite(&mut self, from: &[u8], to: &[u8]) -> Result<(), CheckpointError> {
        let closed = self.closed;
        let mut failed = None;
        closed.scan(from, to, &mut |key, value| match self.push(key, value) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.through.as_deref().is_some_and(|last| key <= last) {
            return Ok(());
        }
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None if self.take_finished(key) => return Ok(()),
            None => self.begin_range()?,
        };
        let written = writer.push(key, value);
        let is_full = writer.bytes() >= self.files.sizes.range_bytes;
        self.writer = Some(writer);
        match written? {
            0 => {}
            written => (self.turn)(written * self.targets.len() as u64),
        }
        if is_full { self.end_range() } else { Ok(()) }
    }

    /// Takes the next file as it is, if it is there and begins with that key.
    fn take_finished(&mut self, first: &[u8]) -> bool {
        let applied = &self.closed.applied;
        let found = self.files.finished_range(&self.listing, applied, self.numbers, &self.targets);
        let Some(record) = found.filter(|record| record.first == first) else { return false };
        self.numbers += 1;
        self.through = Some(record.last.clone());
        self.ranges.push(self.files.range(record, &self.targets));
        true
    }

    fn begin_range(&mut self) -> io::Result<RangeWriter> {
        let (files, number) = (self.files, self.numbers);
        self.numbers += 1;
        files.begin_range(&self.closed.applied, number, self.targets.clone())
    }

    fn end_range(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writer.take() {
            self.ranges.push(self.files.range(writer.finish()?, &self.targets));
        }
        Ok(())
    }

    /// Proves it, and makes it count.
    fn publish(&mut self) -> Result<Checkpoint, CheckpointError> {
        let applied = self.closed.applied;
        let sum = self.ranges.iter().fold(0u128, |sum, range| sum.wrapping_add(range.record.fingerprint));
        if sum != applied.fingerprint {
            return Err(CheckpointError::Mismatch);
        }
        for range in self.ranges.iter().filter(|range| range.record.id.index != applied.index) {
            self.files.place(range, &self.listing.holders(&range.record), &self.targets)?;
        }
        // From here on some drive may name them: they stay, and go when no manifest names them.
        let ranges = std::mem::take(&mut self.ranges);
        let records = ranges.iter().map(|range| range.record.clone()).collect();
        self.files.write_manifest(&Manifest { applied, ranges: records }, self.targets.clone())?;
        Ok(Checkpoint::of_ranges(applied, ranges))
    }

    /// Removes what was written.
    fn take_back(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abandon();
        }
        let index = self.closed.applied.index;
        let ours = self.ranges.iter().map(|range| range.record.id).filter(|id| id.index == index);
        self.files.remove_ranges(ours, &self.targets);
    }
}
