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
//! Where a block is lost, the merge goes around it: a range of the base that has one is *carried*, which is to be named again as
//! it is, and what changed in it goes to the new run. Of the run such a range sinks below it ([`Levels`]). Where its keys were
//! given up there is nothing to go around any more: what is left of the range is written anew.
//!
//! A merge that was cut off by the end of its process goes on where it was: the files that it had finished lie where they
//! were written, and the same pairs come in the same order.

use super::closed::Closed;
use super::files::{Files, Listing};
use super::level::Level;
use super::levels::Levels;
use super::manifest::Manifest;
use super::range::{RUN_NUMBERS, Range, RangeId, RangeWriter};
use super::{Checkpoint, CheckpointError, FIRST};
use crate::layers;
use crate::lost::LostBlock;
use crate::record::Applied;
use crate::tree::{Base, TreeError, Value};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::drive::Drive;

/// After all keys.
const END: &[u8] = &[0xff];
/// A file is small below this part of a range's size.
const SMALL_PART: u64 = 4;
/// How often a merge is begun that meets lost blocks.
const TRIES: u32 = 16;

/// Merges the next checkpoint and makes it count. `turn` is called with how much was written, now and then. Blocks.
///
/// # Errors
/// [`CheckpointError::Mismatch`] if what was merged isn't what was applied: nothing of it becomes truth.
pub(crate) fn merge(
    closed: &Closed,
    files: &Files,
    turn: &dyn Fn(u64),
) -> Result<Checkpoint, CheckpointError> {
    for _ in 1..TRIES {
        match try_merge(closed, files, turn) {
            // From now on it is known, and gone around.
            Err(CheckpointError::Tree(TreeError::Lost(block))) => {
                tracing::warn!(%block, "a merge met a lost block; it begins anew, around that");
            }
            merged => return merged,
        }
    }
    try_merge(closed, files, turn)
}

fn try_merge(closed: &Closed, files: &Files, turn: &dyn Fn(u64)) -> Result<Checkpoint, CheckpointError> {
    let closed = &closed.with_lost_sunk()?;
    let aside = &Aside::of(closed);
    aside.check()?;
    let destination = Destination::of(closed, aside, files)?;
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
        ours: Vec::new(),
        numbers,
        through: None,
    };
    let merged = merge.all().and_then(|levels| merge.publish(levels));
    if merged.is_err() {
        merge.take_back();
    }
    merged
}

/// What is left as it is, since a block is lost: seen once for a merge, for it may change meanwhile.
#[derive(Default)]
struct Aside {
    /// Ranges of the base that are named again, and what changed in them left to the run.
    carried: Vec<Arc<Range>>,
    /// Whether what has sunk stays between the two.
    keeps_sunk: bool,
    /// A block that is lost, where a file would have to stay of which another block was given up.
    hinders: Option<Arc<LostBlock>>,
}

impl Aside {
    fn of(closed: &Closed) -> Aside {
        let Some(levels) = closed.over.as_ref().and_then(|over| over.levels()) else {
            return Aside::default();
        };
        let (ranges, sunk) = (levels.base.ranges(), levels.sunk.ranges());
        let is_lost: Vec<bool> = ranges.iter().map(|range| range.lost().is_some()).collect();
        let any_lost = is_lost.contains(&true) || sunk.iter().any(|range| range.lost().is_some());
        let keeps_sunk = any_lost && !sunk.is_empty();
        let lies_under = |number: usize| {
            let (from, to) = span(ranges, number);
            let is_over =
                |sunk: &Arc<Range>| sunk.record.first.as_slice() < to && sunk.record.last.as_slice() >= from;
            keeps_sunk && sunk.iter().any(is_over)
        };
        let all = ranges.iter().zip(is_lost).enumerate();
        let carried = all.filter(|(number, (_, is_lost))| *is_lost || lies_under(*number));
        let carried: Vec<Arc<Range>> = carried.map(|(_, (range, _))| range.clone()).collect();
        let mut stays = carried.iter().chain(sunk.iter().filter(|_| keeps_sunk));
        let has_void = stays.any(|range| !range.void().is_empty());
        let hinders = levels.ranges().find_map(|range| range.lost()).filter(|_| has_void);
        Aside { carried, keeps_sunk, hinders }
    }

    /// What was given up never comes into a later checkpoint: after a start nobody would know of it.
    fn check(&self) -> Result<(), TreeError> {
        self.hinders.clone().map_or(Ok(()), |block| Err(TreeError::Lost(block)))
    }

    fn carries(&self, range: &Arc<Range>) -> bool {
        self.carried.iter().any(|carried| Arc::ptr_eq(carried, range))
    }
}

/// What comes of what was closed. It follows from what lies on the drives, so that a merge that was cut off goes on in the
/// same way.
#[derive(Clone, Copy)]
enum Destination<'a> {
    /// All of the state: a new base, from the levels that there are. It has a run where something is carried.
    Base { former: Option<&'a Levels>, aside: &'a Aside },
    /// A new run over that base.
    Run { former: &'a Levels },
}

impl<'a> Destination<'a> {
    fn of(closed: &'a Closed, aside: &'a Aside, files: &Files) -> Result<Destination<'a>, CheckpointError> {
        let Some(former) = closed.over.as_ref().and_then(|over| over.levels()) else {
            return Ok(Destination::Base { former: None, aside });
        };
        let anew = Destination::Base { former: Some(former), aside };
        let has_risen = !former.sunk.ranges().is_empty() && !aside.keeps_sunk;
        if has_risen
            || former.has_void()
            || former.run.bytes() >= longest_run(former.base.bytes(), files.sizes.changes_bytes)
        {
            return Ok(anew);
        }
        match closed.tree.is_whole()? {
            Some(true) => Ok(Destination::Run { former }),
            Some(false) => Err(CheckpointError::Mismatch),
            // Only the sum of the whole state proves it.
            None => Ok(anew),
        }
    }

    fn levels(&self) -> Option<&'a Levels> {
        match *self {
            Destination::Base { former, .. } => former,
            Destination::Run { former } => Some(former),
        }
    }

    /// The ranges that the new ones take the place of.
    fn former(&self) -> &'a [Arc<Range>] {
        match *self {
            Destination::Base { former, .. } => former.map(|levels| levels.base.ranges()).unwrap_or_default(),
            Destination::Run { former } => former.run.ranges(),
        }
    }

    fn first_number(&self) -> u32 {
        match self {
            Destination::Base { .. } => 0,
            Destination::Run { .. } => RUN_NUMBERS,
        }
    }

    /// Of what its files say that they were written at. The state at an entry is always the same, but a run is one over its
    /// base, and a base one beside what was carried: a file of another merge never verifies in its place.
    fn written_as(&self, applied: &Applied) -> Applied {
        let salt = match self {
            Destination::Base { aside, .. } if aside.carried.is_empty() => 0,
            Destination::Base { aside, .. } => Level::new(aside.carried.clone()).identity(),
            Destination::Run { former } => former.base.identity(),
        };
        Applied { hash: applied.hash ^ salt, ..*applied }
    }

    /// Whether a key with `from <= key < to` isn't in what was there before as it is now.
    fn changes_between(&self, closed: &Closed, from: &[u8], to: &[u8]) -> Result<bool, TreeError> {
        let is_covered = match self {
            Destination::Base { former: Some(levels), .. } => {
                levels.run.holds_between(from, to)? || levels.sunk.holds_between(from, to)?
            }
            Destination::Base { former: None, .. } | Destination::Run { .. } => false,
        };
        Ok(is_covered || closed.tree.changes_between(from, to)?)
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
            Destination::Run { former } => changes(closed, &former.run, from, to, visit),
        }
    }
}

/// Visits what a new run holds of the keys with `from <= key < to`.
fn changes(
    closed: &Closed,
    former: &Level,
    from: &[u8],
    to: &[u8],
    visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
) -> Result<(), TreeError> {
    closed.tree.stored(from, to, |stored| {
        let over = stored.map(|pair| pair.map(|(key, change)| (key, Some(change))));
        layers::merge(over, former, from, to, visit)
    })
}

/// The keys that are looked for in a range, where these are all of a level: from its first to the next one's.
fn span(ranges: &[Arc<Range>], number: usize) -> (&[u8], &[u8]) {
    let from = ranges.get(number).filter(|_| number > 0).map_or(FIRST, |range| &range.record.first);
    (from, ranges.get(number + 1).map_or(END, |next| &next.record.first))
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
    /// Those of the level that are done, in order.
    ranges: Vec<Arc<Range>>,
    /// Those that this merge wrote.
    ours: Vec<Arc<Range>>,
    /// The number of the next file.
    numbers: u32,
    /// The last key of a file that was there before, finished.
    through: Option<Vec<u8>>,
}

impl Merge<'_> {
    fn all(&mut self) -> Result<Levels, CheckpointError> {
        match self.destination {
            Destination::Run { former } => {
                Ok(Levels { run: self.level(&Aside::default())?, ..former.clone() })
            }
            Destination::Base { former, aside } => {
                let base = self.level(aside)?;
                let run = former.map(|former| self.over_what_stays(former, aside)).transpose()?;
                let sunk = former.filter(|_| aside.keeps_sunk).map(|former| former.sunk.clone());
                Ok(Levels { base, sunk: sunk.unwrap_or_default(), run: run.unwrap_or_default() })
            }
        }
    }

    /// The level that is merged.
    fn level(&mut self, aside: &Aside) -> Result<Level, CheckpointError> {
        let ranges = self.destination.former();
        if ranges.is_empty() && !aside.keeps_sunk {
            // The first range files of this level.
            self.rewrite(FIRST, END)?;
        }
        for (number, range) in ranges.iter().enumerate() {
            let (from, to) = span(ranges, number);
            let so_far = self.writer.as_ref().map(RangeWriter::bytes);
            let is_small =
                self.is_small(range.record.bytes) || so_far.is_some_and(|bytes| self.is_small(bytes));
            // A file that was there before ends in this range.
            let is_begun = self.through.as_deref().is_some_and(|last| last >= from);
            let is_rewritten = !aside.carries(range)
                && (is_small
                    || is_begun
                    || !range.void().is_empty()
                    || self.destination.changes_between(self.closed, from, to)?);
            if is_rewritten {
                self.rewrite(from, to)?;
            } else {
                self.end_range()?;
                self.ranges.push(range.clone());
            }
        }
        self.end_level()
    }

    /// The run over a new base: what changed in the ranges that are carried. Of a base that holds nothing under what has sunk
    /// that is all.
    fn over_what_stays(&mut self, former: &Levels, aside: &Aside) -> Result<Level, CheckpointError> {
        (self.numbers, self.through) = (RUN_NUMBERS, None);
        let ranges = former.base.ranges();
        let carried = ranges.iter().enumerate().filter(|(_, range)| aside.carries(range));
        let mut spans: Vec<(&[u8], &[u8])> = carried.map(|(number, _)| span(ranges, number)).collect();
        if ranges.is_empty() && aside.keeps_sunk {
            spans.push((FIRST, END));
        }
        if !spans.is_empty() && self.closed.tree.is_whole()? == Some(false) {
            return Err(CheckpointError::Mismatch);
        }
        for (from, to) in spans {
            let closed = self.closed;
            self.write(|visit| changes(closed, &former.run, from, to, visit))?;
        }
        self.end_level()
    }

    fn is_small(&self, bytes: u64) -> bool {
        bytes < self.files.sizes.range_bytes / SMALL_PART
    }

    /// Writes the keys from `from` to `to` anew.
    fn rewrite(&mut self, from: &[u8], to: &[u8]) -> Result<(), CheckpointError> {
        let (closed, destination) = (self.closed, self.destination);
        self.write(|visit| destination.scan(closed, from, to, visit))
    }

    /// Writes what a scan shows.
    fn write(
        &mut self,
        scan: impl FnOnce(&mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>) -> Result<(), TreeError>,
    ) -> Result<(), CheckpointError> {
        let mut failed = None;
        scan(&mut |key, value| match self.push(key, value) {
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

    /// The number of the next file: none that a range of the same entry has, which may be named again.
    fn next_number(&self) -> u32 {
        let former = || self.destination.levels().into_iter().flat_map(Levels::ranges);
        let is_taken = |number: u32| {
            let id = RangeId { index: self.closed.applied.index, number };
            former().any(|range| range.record.id == id)
        };
        (self.numbers..).find(|number| !is_taken(*number)).unwrap_or(self.numbers)
    }

    /// Takes the next file as it is, if it is there and begins with that key.
    fn take_finished(&mut self, first: &[u8]) -> bool {
        self.numbers = self.next_number();
        let found = self.files.finished_range(&self.listing, &self.written_as, self.numbers, &self.targets);
        let Some(record) = found.filter(|record| record.first == first) else { return false };
        self.numbers += 1;
        self.through = Some(record.last.clone());
        self.take_ours(self.files.range(record, &self.targets));
        true
    }

    fn begin_range(&mut self) -> io::Result<RangeWriter> {
        let (files, number) = (self.files, self.next_number());
        self.numbers = number + 1;
        files.begin_range(&self.written_as, number, self.targets.clone())
    }

    fn end_range(&mut self) -> io::Result<()> {
        if let Some(writer) = self.writer.take() {
            self.take_ours(self.files.range(writer.finish()?, &self.targets));
        }
        Ok(())
    }

    fn take_ours(&mut self, range: Arc<Range>) {
        self.ours.push(range.clone());
        self.ranges.push(range);
    }

    fn end_level(&mut self) -> Result<Level, CheckpointError> {
        self.end_range()?;
        Ok(Level::new(std::mem::take(&mut self.ranges)))
    }

    /// Proves it, and makes it count.
    fn publish(&mut self, levels: Levels) -> Result<Checkpoint, CheckpointError> {
        let applied = self.closed.applied;
        // Of a run, and of what lies under one, tree and files were proven before: each file is verified as it is read.
        let is_all_in_base = levels.run.ranges().is_empty() && levels.sunk.ranges().is_empty();
        if is_all_in_base && levels.base.fingerprint() != applied.fingerprint {
            return Err(CheckpointError::Mismatch);
        }
        let (base, run, sunk) = (levels.base.records(), levels.run.records(), levels.sunk.records());
        let manifest = Manifest { applied, base, run, sunk };
        let checkpoint = Checkpoint::of_levels(applied, levels);
        for range in checkpoint.ranges().filter(|range| !self.is_ours(range)) {
            self.files.place(range, &self.listing.holders(&range.record), &self.targets)?;
        }
        // From here on some drive may name them: they stay, and go when no manifest names them.
        self.ours.clear();
        self.files.write_manifest(&manifest, self.targets.clone())?;
        Ok(checkpoint)
    }

    /// Whether this merge wrote it.
    fn is_ours(&self, range: &Arc<Range>) -> bool {
        self.ours.iter().any(|ours| Arc::ptr_eq(ours, range))
    }

    /// Removes what was written.
    fn take_back(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abandon();
        }
        let ours: Vec<RangeId> = self.ours.iter().map(|range| range.record.id).collect();
        self.files.remove_ranges(ours.into_iter(), &self.targets);
    }
}
