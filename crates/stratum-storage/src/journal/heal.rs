//! Making the journal whole again after a drive was lost.
//!
//! An acknowledgement is only as durable as its prefix: after a member is lost, the entries before the copied group
//! have `m` copies. So every segment of the chain is brought to `m+1` drives that are healthy and not on their way out,
//! at once and with no pace; only then may a lost drive leave the set.

use super::core::Core;
use super::cursor::{Cursor, Verify};
use super::epoch::EpochMember;
use super::format::{SegmentKey, encode_footer};
use super::table::{Segment, SegmentCopy};
use super::verify::Front;
use crate::blob::Index;
use crate::drive::FileIo;
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// What healing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Healed {
    /// Segments that were copied to another drive.
    pub copied: usize,
    /// Segments that are still on fewer than `m+1` healthy drives, for want of drives, of space or of a sound copy.
    pub short: usize,
}

/// Copies what is on too few healthy drives to others.
pub(super) fn heal(core: &Core) -> Healed {
    let mut healed = Healed::default();
    for segment in core.short_segments() {
        // The segment can still be read if it is let go while it is copied.
        let _pin = core.pins.pin();
        let mut segment = segment;
        while core.healthy_copies(&segment) <= core.m {
            match core.heal_one(&mut segment) {
                true => healed.copied += 1,
                false => break,
            }
        }
    }
    healed.short = core.short_segments().len();
    if healed != Healed::default() {
        tracing::info!(copied = healed.copied, short = healed.short, "healed the journal");
    }
    healed
}

impl Core {
    /// Segments that are on fewer than `m+1` drives that stay. The active one never remains so: it gets a new epoch.
    pub(super) fn short_segments(&self) -> Vec<Segment> {
        let table = self.table.read();
        table.segments().filter(|segment| self.healthy_copies(segment) <= self.m).cloned().collect()
    }

    /// The last entry that counts in a segment; nothing if the segment has gone.
    fn last_of(&self, segment: &Segment) -> Option<Index> {
        let table = self.table.read();
        let place = table.segments().position(|known| known.key == segment.key)?;
        Some(table.last_of(place))
    }

    fn healthy_copies(&self, segment: &Segment) -> usize {
        let holds = |place: usize| segment.copies.iter().any(|copy| copy.complete && copy.drive == place);
        let places = self.places();
        places.iter().enumerate().filter(|(place, known)| known.stays() && holds(*place)).count()
    }

    /// One more copy, on a drive that has none; false if there is no such drive or it failed.
    fn heal_one(&self, segment: &mut Segment) -> bool {
        let holds = |place: usize| segment.copies.iter().any(|copy| copy.complete && copy.drive == place);
        let places = self.places();
        let targets = places.iter().enumerate().filter_map(|(place, known)| {
            let slots = known.slots.as_ref()?;
            (known.stays() && !holds(place)).then_some((place, slots))
        });
        let target = targets.min_by_key(|(place, _)| places[*place].drive.is_better_avoided());
        let Some((place, slots)) = target else { return false };
        let Some(last) = self.last_of(segment) else { return false };
        let slot = match slots.make(|file| copy_segment(segment, last, file).map(drop)) {
            Ok(slot) => slot,
            Err(error) => {
                tracing::error!(drive = places[place].drive.label(), %error, "a segment was not healed");
                return false;
            }
        };
        let copy = SegmentCopy { drive: place, slot, complete: true };
        segment.copies = segment.copies.iter().cloned().chain([copy.clone()]).collect();
        if let Err(copy) = self.table.write().add_copy(segment.key, copy) {
            self.give_back(vec![EpochMember { place: copy.drive, slot: copy.slot }]);
        }
        true
    }
}

/// Writes a segment's bytes, each part from whichever copy has it sound, and reads what it wrote again. False if a body
/// that counts, of an entry up to `last`, is sound in no copy. The groups behind that entry are copied where they are
/// sound: they may have been on a drive that is gone.
///
/// # Errors
/// Also when what was written isn't what is read back: nobody is to count on it.
pub(super) fn copy_segment(segment: &Segment, last: Index, to: &Arc<dyn FileIo>) -> io::Result<bool> {
    let files: Vec<_> = segment.copies.iter().map(|copy| copy.slot.file.clone()).collect();
    let front = front(segment.key, &files).ok_or_else(|| io::Error::other("no copy has a sound header"))?;
    to.write_at(&[&front], 0)?;
    let (mut cursor, mut is_whole) = (Cursor::new(segment.key, files, segment.before), true);
    while cursor.at() < segment.end {
        let Some(group) = cursor.next(Verify::Commands) else {
            match cursor.head().index >= last {
                true => break,
                false => return Err(io::Error::other("a group is damaged")),
            }
        };
        to.write_at(&[&group.heads], group.offset)?;
        for row in &group.rows {
            match cursor.body(group.offset, row) {
                Some(body) => to.write_at(&[&body], group.offset + row.body.start as u64)?,
                // A group that a crash tore: the next segment begins with it, or nobody was told that it is there.
                None if row.index > last => {}
                // One bad body must not keep the others from being healed: whoever reads it is told.
                None => {
                    is_whole = false;
                    tracing::error!(index = row.index, "a body in the journal is damaged in all its copies")
                }
            }
        }
    }
    let end = cursor.at();
    to.set_len(end)?;
    let closed = segment.closed && end == segment.end;
    if closed {
        to.write_at(&[&encode_footer(segment.key, end, cursor.head())], end)?;
    }
    let verify = if is_whole { Verify::Bodies } else { Verify::Commands };
    let is_right = Front::read(to.as_ref()).into_bytes() == front
        && reads_back(segment, last, (end, closed), to, verify);
    is_right.then_some(is_whole).ok_or_else(|| io::Error::other("what was written is not what is read"))
}

/// Whether a new copy, which ends there, gives everything that counts.
fn reads_back(
    segment: &Segment,
    last: Index,
    (end, closed): (u64, bool),
    file: &Arc<dyn FileIo>,
    verify: Verify,
) -> bool {
    let mut alone = Cursor::new(segment.key, vec![file.clone()], segment.before);
    while alone.head().index < last && alone.next(verify).is_some() {}
    let counts = alone.head().index >= last;
    while alone.at() < end && alone.next(Verify::Commands).is_some() {}
    counts && alone.at() == end && (!closed || alone.is_closed())
}

/// The header and the opened page, from a copy that says that the epoch was opened, if any does. An epoch that was
/// never opened may hold entries that are needed all the same. The bytes given are the very ones that were checked.
pub(super) fn front(key: SegmentKey, files: &[Arc<dyn FileIo>]) -> Option<Bytes> {
    let mut found = None;
    for file in files {
        let front = Front::read(file.as_ref());
        if front.is_opened_of(key) {
            return Some(front.into_bytes());
        }
        if front.is_of(key) {
            found = found.or_else(|| Some(front.into_bytes()));
        }
    }
    found
}
