//! Merges the next checkpoint from the one before and what changed since, while the store goes on.
//!
//! What changed goes into the run. Only when the run has grown long are base and run merged into a new base. If keys
//! change at random, a merge writes most of its level anew. Merged into the base, each checkpoint would cost as much
//! as the state is long; merged into the run, it costs about the square root of that ([`longest_run`]).
//!
//! A range of the level in which nothing changed is named again as it is. The others are written anew with their
//! changes, and a file is ended where it is large enough. A file that came out small takes in the next range, so that
//! the number of files follows from the bytes that they hold. A merge needs memory for one block of each input.
//!
//! Where a block is lost, the merge goes around it. A range of the base that has a lost block is *carried*: it is
//! named again as it is, and what changed in it goes to the new run. A range of the run that has one sinks below the
//! run ([`Levels`]). Where the block's keys were given up there is nothing to go around any more, and what is left of
//! the range is written anew.
//!
//! A merge that was cut off by the end of its process is gone on with by the next process. It takes the files that
//! were finished as they lie on the drives, since the same pairs come in the same order.

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

/// A key after all others.
const END: &[u8] = &[0xff];
/// A file that is smaller than this part of a range's size is small.
const SMALL_FILE_DIVISOR: u64 = 4;
/// How often a merge that meets lost blocks is begun anew.
const MERGE_ATTEMPTS: u32 = 16;

/// Merges the next checkpoint and publishes it. `turn` is called now and then with how many bytes were written; `may_go_around` says,
/// when a lost block was met, whether there is no other way than around it. Blocks.
///
/// # Errors
/// [`CheckpointError::Mismatch`] if what was merged isn't what was applied, [`CheckpointError::InTheOneBefore`] if a lost block isn't
/// to be gone around. Nothing of it is published then.
pub(crate) fn merge(
    closed: &Closed,
    files: &Files,
    turn: &dyn Fn(u64),
    may_go_around: &dyn Fn() -> bool,
) -> Result<Checkpoint, CheckpointError> {
    for _ in 1..MERGE_ATTEMPTS {
        match try_merge(closed, files, turn) {
            Err(CheckpointError::Tree(TreeError::Lost(_))) if !may_go_around() => {
                return Err(CheckpointError::InTheOneBefore);
            }
            // The block is known to be lost from now on, so the next try goes around it.
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

/// What a merge leaves as it is because of lost blocks. It is determined once for a merge, since blocks may be lost
/// or found meanwhile.
#[derive(Default)]
struct Aside {
    /// Ranges of the base that are named again. What changed in them goes into the run.
    carried: Vec<Arc<Range>>,
    /// Whether files that have sunk stay between run and base.
    keeps_sunk: bool,
    /// A lost block, because of which a file would have to stay that has another block whose keys were given up.
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

    /// Fails if a file would be named again of which a block was given up: a later start wouldn't know that the block
    /// counts for empty.
    fn check(&self) -> Result<(), TreeError> {
        self.hinders.clone().map_or(Ok(()), |block| Err(TreeError::Lost(block)))
    }

    fn carries(&self, range: &Arc<Range>) -> bool {
        self.carried.iter().any(|carried| Arc::ptr_eq(carried, range))
    }
}

/// The level that a merge writes. It follows from what lies on the drives, so that a merge that was cut off is gone
/// on with in the same way.
#[derive(Clone, Copy)]
enum Destination<'a> {
    /// A new base with all of the state, from all levels that there are. A run lies over it if ranges are carried.
    Base { former: Option<&'a Levels>, aside: &'a Aside },
    /// A new run over the former base.
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
            // A tree without a sum of its own can only be proven by the fingerprint of the whole state.
            None => Ok(anew),
        }
    }

    fn levels(&self) -> Option<&'a Levels> {
        match *self {
            Destination::Base { former, .. } => former,
            Destination::Run { former } => Some(former),
        }
    }

    /// The ranges of the level that is written, whose place the new ones take.
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

    /// What the new files are salted with. The state at a journal entry is always the same, but what a run holds
    /// depends on its base, and what a base holds on which ranges are carried. So the salt depends on those, too, and
    /// a file of another merge never verifies in the place of this one's.
    fn written_as(&self, applied: &Applied) -> Applied {
        let salt = match self {
            Destination::Base { aside, .. } if aside.carried.is_empty() => 0,
            Destination::Base { aside, .. } => Level::new(aside.carried.clone()).identity(),
            Destination::Run { former } => former.base.identity(),
        };
        Applied { hash: applied.hash ^ salt, ..*applied }
    }

    /// Whether any key with `from <= key < to` has changed since the former level was written.
    fn changes_between(&self, closed: &Closed, from: &[u8], to: &[u8]) -> Result<bool, TreeError> {
        let is_covered = match self {
            Destination::Base { former: Some(levels), .. } => {
                levels.run.holds_between(from, to)? || levels.sunk.holds_between(from, to)?
            }
            Destination::Base { former: None, .. } | Destination::Run { .. } => false,
        };
        Ok(is_covered || closed.tree.changes_between(from, to)?)
    }

    /// Visits what the new level holds of the keys with `from <= key < to`.
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

/// The span of keys that are looked up in a range of a level: from its first key to the first one of the next range.
fn span(ranges: &[Arc<Range>], number: usize) -> (&[u8], &[u8]) {
    let from = ranges.get(number).filter(|_| number > 0).map_or(FIRST, |range| &range.record.first);
    (from, ranges.get(number + 1).map_or(END, |next| &next.record.first))
}

/// The length in bytes at which a run is merged into the base. A checkpoint writes half of the run on the average,
/// and the base is written once in as many checkpoints as trees fit into the run. The sum of both costs is least
/// where they are equal. The changes of a tree take about a quarter of their bytes once they are written.
fn longest_run(base_bytes: u64, changes_bytes: u64) -> u64 {
    (base_bytes.saturating_mul(changes_bytes) / 2).isqrt()
}

struct Merge<'a> {
    closed: &'a Closed,
    destination: Destination<'a>,
    written_as: Applied,
    files: &'a Files,
    /// What lay on the drives when the merge began.
    listing: Listing,
    targets: Vec<Arc<Drive>>,
    turn: &'a dyn Fn(u64),
    writer: Option<RangeWriter>,
    /// The ranges of the new level that are done, in order.
    ranges: Vec<Arc<Range>>,
    /// The ranges that this merge wrote.
    ours: Vec<Arc<Range>>,
    /// The number of the next file.
    numbers: u32,
    /// The last key of a finished file that an earlier try left. Keys up to it needn't be written.
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

    /// Writes the new level.
    fn level(&mut self, aside: &Aside) -> Result<Level, CheckpointError> {
        let ranges = self.destination.former();
        if ranges.is_empty() && !aside.keeps_sunk {
            // The level has no range files yet.
            self.rewrite(FIRST, END)?;
        }
        for (number, range) in ranges.iter().enumerate() {
            let (from, to) = span(ranges, number);
            let so_far = self.writer.as_ref().map(RangeWriter::bytes);
            let is_small =
                self.is_small(range.record.bytes) || so_far.is_some_and(|bytes| self.is_small(bytes));
            // A finished file that an earlier try left ends in this range.
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

    /// Writes the run over a new base: what changed in the ranges that are carried or, if an empty base lies under
    /// files that have sunk, all that changed.
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
        bytes < self.files.sizes.range_bytes / SMALL_FILE_DIVISOR
    }

    /// Writes all keys with `from <= key < to` anew.
    fn rewrite(&mut self, from: &[u8], to: &[u8]) -> Result<(), CheckpointError> {
        let (closed, destination) = (self.closed, self.destination);
        self.write(|visit| destination.scan(closed, from, to, visit))
    }

    /// Writes the pairs that a scan visits.
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

    /// The number of the next file. Numbers of ranges that were written at the same entry are left out, since those
    /// may be named again.
    fn next_number(&self) -> u32 {
        let former = || self.destination.levels().into_iter().flat_map(Levels::ranges);
        let is_taken = |number: u32| {
            let id = RangeId { index: self.closed.applied.index, number };
            former().any(|range| range.record.id == id)
        };
        (self.numbers..).find(|number| !is_taken(*number)).unwrap_or(self.numbers)
    }

    /// Takes the next file as it is, if an earlier try finished it and it begins with that key.
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

    /// Proves the new checkpoint, and makes it count by writing its manifest.
    fn publish(&mut self, levels: Levels) -> Result<Checkpoint, CheckpointError> {
        let applied = self.closed.applied;
        // With a run there is no sum of the whole state. Tree and files were proven before, and each block was
        // verified when it was read.
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
        // From here on a manifest on some drive may name the new files, so a failure must not remove them. They are
        // removed once no manifest names them.
        self.ours.clear();
        self.files.write_manifest(&manifest, self.targets.clone())?;
        Ok(checkpoint)
    }

    /// Whether this merge wrote the range.
    fn is_ours(&self, range: &Arc<Range>) -> bool {
        self.ours.iter().any(|ours| Arc::ptr_eq(ours, range))
    }

    /// Removes what this merge wrote.
    fn take_back(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abandon();
        }
        let ours: Vec<RangeId> = self.ours.iter().map(|range| range.record.id).collect();
        self.files.remove_ranges(ours.into_iter(), &self.targets);
    }
}
