//! The next checkpoint, merged from the one before and what changed since, while the store goes on.
//!
//! What changed goes into the run, and only when that has grown long are base and run merged into a new base. With random keys
//! a merge writes most of its level anew, so that each checkpoint would cost as much as the state is long; so it costs about
//! the square root of that ([`longest_run`]).
//!
//! A range of that level in which nothing changed is named again, as it is. The others are written anew, with their changes
//! made, and cut where a file is large enough. One that came out small takes in the next range, so that their number follows
//! from what they hold. Memory is needed for a block of each input.
//!
//! A merge that was cut off by the end of its process goes on where it was: the files that it had finished lie where they
//! were written, and the same pairs come in the same order.

use super::closed::Closed;
use super::files::{Files, Listing};
use super::level::Level;
use super::manifest::Manifest;
use super::range::{RUN_NUMBERS, Range, RangeId, RangeWriter};
use super::{Checkpoint, CheckpointError};
use crate::keys::Tag;
use crate::layers;
use crate::record::Applied;
use crate::tree::{Base, TreeError, Value};
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
    let destination = Destination::of(closed, files)?;
    let listing = files.listing();
    let before = closed.over.as_ref().map(|checkpoint| checkpoint.applied().index);
    let before = before.and_then(|index| files.stored(&listing, index).ok());
    let holders = before.map(|stored| files.holders(&listing, &stored)).unwrap_or_default();
    let targets = files.targets(&holders, closed.applied.index)?;
    let numbers = destination.first_number();
    let mut merge = Merge {
        closed,
        destination,
        written_as: destination.written_as(&closed.applied),
        files,
        listing,
        targets,
        turn,
        writer: None,
        ranges: Vec::new(),
        numbers,
        through: None,
    };
    let merged = merge.all().and_then(|()| merge.publish());
    if merged.is_err() {
        merge.take_back();
    }
    merged
}

/// A checkpoint's base, and the run over it.
type Levels<'a> = (&'a Level, &'a Level);

/// What comes of what was closed. It follows from what lies on the drives, so that a merge that was cut off goes on in the
/// same way.
#[derive(Clone, Copy)]
enum Destination<'a> {
    /// All of the state: a new base without a run, from the two levels that there are.
    Base { former: Option<Levels<'a>> },
    /// A new run over that base.
    Run { base: &'a Level, former: &'a Level },
}

impl<'a> Destination<'a> {
    fn of(closed: &'a Closed, files: &Files) -> Result<Destination<'a>, CheckpointError> {
        let Some((base, run)) = closed.over.as_ref().and_then(|over| over.levels()) else {
            return Ok(Destination::Base { former: None });
        };
        let anew = Destination::Base { former: Some((base, run)) };
        if run.bytes() >= longest_run(base.bytes(), files.sizes.changes_bytes) {
            return Ok(anew);
        }
        match closed.tree.is_whole()? {
            Some(true) => Ok(Destination::Run { base, former: run }),
            Some(false) => Err(CheckpointError::Mismatch),
            // Only the sum of the whole state proves it.
            None => Ok(anew),
        }
    }

    /// The ranges that the new ones take the place of.
    fn former(&self) -> &'a [Arc<Range>] {
        match self {
            Destination::Base { former } => former.map(|(base, _)| base.ranges()).unwrap_or_default(),
            Destination::Run { former, .. } => former.ranges(),
        }
    }

    fn first_number(&self) -> u32 {
        match self {
            Destination::Base { .. } => 0,
            Destination::Run { .. } => RUN_NUMBERS,
        }
    }

    /// Of what its files say that they were written at. The state at an entry is always the same, but a run is one over its
    /// base: a file of a run over another one never verifies in its place.
    fn written_as(&self, applied: &Applied) -> Applied {
        match self {
            Destination::Base { .. } => *applied,
            Destination::Run { base, .. } => Applied { hash: applied.hash ^ base.identity(), ..*applied },
        }
    }

    /// Whether a key with `from <= key < to` isn't in what was there before as it is now.
    fn changes_between(&self, closed: &Closed, from: &[u8], to: &[u8]) -> Result<bool, TreeError> {
        let has_run = match self {
            Destination::Base { former: Some((_, run)) } => run.holds_between(from, to)?,
            Destination::Base { former: None } | Destination::Run { .. } => false,
        };
        Ok(has_run || closed.tree.changes_between(from, to)?)
    }

    /// Visits what is to be written of the keys with `from <= key < to`.
    fn scan(
        &self,
        closed: &Closed,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        match self {
            Destination::Base { .. } => closed.scan(from, to, visit),
            Destination::Run { former, .. } => closed.tree.stored(from, to, |stored| {
                let over = stored.map(|pair| pair.map(|(key, change)| (key, Some(change))));
                layers::merge(over, *former, from, to, visit)
            }),
        }
    }
}

/// The length, in bytes, from which on a run goes into the base. Each checkpoint writes half of it on the average, and it takes
/// as many checkpoints until the base is written as trees go into it: the sum is least where both cost the same. What
/// changed takes about a quarter of its bytes once it is written.
fn longest_run(base_bytes: u64, changes_bytes: u64) -> u64 {
    (base_bytes.saturating_mul(changes_bytes) / 2).isqrt()
}

struct Merge<'a> {
    closed: &'a Closed,
    destination: Destination<'a>,
    written_as: Applied,
    files: &'a Files,
    /// What lay on the drives before.
    listing: Listing,
    targets: Vec<Arc<Drive>>,
    turn: &'a dyn Fn(u64),
    writer: Option<RangeWriter>,
    /// Those that are done, in order.
    ranges: Vec<Arc<Range>>,
    /// The number of the next file.
    numbers: u32,
    /// The last key of a file that was there before, finished.
    through: Option<Vec<u8>>,
}

impl Merge<'_> {
    fn all(&mut self) -> Result<(), CheckpointError> {
        let ranges = self.destination.former();
        if ranges.is_empty() {
            // The first range files of this level.
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
            if is_small || is_begun || self.destination.changes_between(self.closed, from, to)? {
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
        let (closed, destination) = (self.closed, self.destination);
        let mut failed = None;
        destination.scan(closed, from, to, &mut |key, value| match self.push(key, value) {
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
        let found = self.files.finished_range(&self.listing, &self.written_as, self.numbers, &self.targets);
        let Some(record) = found.filter(|record| record.first == first) else { return false };
        self.numbers += 1;
        self.through = Some(record.last.clone());
        self.ranges.push(self.files.range(record, &self.targets));
        true
    }

    fn begin_range(&mut self) -> io::Result<RangeWriter> {
        let (files, number) = (self.files, self.numbers);
        self.numbers += 1;
        files.begin_range(&self.written_as, number, self.targets.clone())
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
        let new = Level::new(self.ranges.clone());
        let (base, run) = match &self.destination {
            Destination::Base { .. } if new.fingerprint() != applied.fingerprint => {
                return Err(CheckpointError::Mismatch);
            }
            Destination::Base { .. } => (new, Level::default()),
            // The tree was proven before, and files are verified as they are read.
            Destination::Run { base, .. } => ((*base).clone(), new),
        };
        let manifest = Manifest { applied, base: base.records(), run: run.records() };
        let checkpoint = Checkpoint::of_levels(applied, base, run);
        for range in checkpoint.ranges().filter(|range| !self.is_ours(range)) {
            self.files.place(range, &self.listing.holders(&range.record), &self.targets)?;
        }
        // From here on some drive may name them: they stay, and go when no manifest names them.
        self.ranges.clear();
        self.files.write_manifest(&manifest, self.targets.clone())?;
        Ok(checkpoint)
    }

    /// Whether this merge wrote it.
    fn is_ours(&self, range: &Arc<Range>) -> bool {
        let was_there = || self.destination.former().iter().any(|former| Arc::ptr_eq(former, range));
        range.record.id.index == self.closed.applied.index
            && self.ranges.iter().any(|ours| Arc::ptr_eq(ours, range))
            && !was_there()
    }

    /// Removes what was written.
    fn take_back(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abandon();
        }
        let ours: Vec<RangeId> =
            self.ranges.iter().filter(|range| self.is_ours(range)).map(|range| range.record.id).collect();
        self.files.remove_ranges(ours.into_iter(), &self.targets);
    }
}
