//! Making the journal whole again after a drive was lost.
//!
//! An acknowledgement is only as durable as its prefix: after a member is lost, the entries before the copied group
//! have `m` copies. So every segment of the chain is brought to `m+1` drives that are healthy and not on their way out,
//! at once and with no pace; only then may a lost drive leave the set.

use super::core::Core;
use super::cursor::{Cursor, Verify};
use super::epoch::Member;
use super::format::{GROUPS_AT, Header, Page, SegmentKey, encode_footer};
use super::slots::read_some;
use super::table::{Copy, Segment};
use super::verify::is_sound_front;
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
        // Whoever looks at the segment now may still read it when it has been let go.
        let _pin = crate::pin::pin();
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

    fn healthy_copies(&self, segment: &Segment) -> usize {
        let holds = |place: usize| segment.copies.iter().any(|copy| copy.complete && copy.drive == place);
        let places = self.places();
        places.iter().enumerate().filter(|(place, known)| known.stays() && holds(*place)).count()
    }

    /// One more copy, on a drive that has none; false if there is no such drive or it failed.
    fn heal_one(&self, segment: &mut Segment) -> bool {
        let holds = |place: usize| segment.copies.iter().any(|copy| copy.complete && copy.drive == place);
        let places = self.places();
        let mut targets = places.iter().enumerate();
        let target = targets.find_map(|(place, known)| {
            let slots = known.slots.as_ref()?;
            (known.stays() && !holds(place)).then_some((place, slots))
        });
        let Some((place, slots)) = target else { return false };
        let slot = match slots.make(|file| copy_segment(segment, file)) {
            Ok(slot) => slot,
            Err(error) => {
                tracing::error!(drive = places[place].drive.label(), %error, "a segment was not healed");
                return false;
            }
        };
        let copy = Copy { drive: place, slot, complete: true };
        segment.copies = segment.copies.iter().cloned().chain([copy.clone()]).collect();
        if let Err(copy) = self.table.write().add_copy(segment.key, copy) {
            self.give_back(vec![Member { place: copy.drive, slot: copy.slot }]);
        }
        true
    }
}

/// Writes a segment's bytes, each part from whichever copy has it sound.
pub(super) fn copy_segment(segment: &Segment, to: &dyn FileIo) -> io::Result<()> {
    let files: Vec<_> = segment.copies.iter().map(|copy| copy.slot.file.clone()).collect();
    let front = front(segment.key, &files).ok_or_else(|| io::Error::other("no copy has a sound header"))?;
    to.write_at(&[&front], 0)?;
    let mut cursor = Cursor::new(segment.key, files, segment.before);
    while cursor.at() < segment.end {
        let group = cursor.next(Verify::Commands).ok_or_else(|| io::Error::other("a group is damaged"))?;
        to.write_at(&[&group.heads], group.offset)?;
        for row in &group.rows {
            match cursor.body(group.offset, row) {
                Some(body) => to.write_at(&[&body], group.offset + row.body.start as u64)?,
                // Not worth keeping the others from being healed: whoever reads it is told.
                None => {
                    tracing::error!(index = row.index, "a body in the journal is damaged in all its copies")
                }
            }
        }
    }
    to.set_len(segment.end)?;
    if segment.closed {
        to.write_at(&[&encode_footer(segment.key, segment.end, cursor.head())], segment.end)?;
    }
    Ok(())
}

/// The header and the opened page, from a copy that says that the epoch was opened, if any does. An epoch that never was
/// may hold entries that are needed all the same.
pub(super) fn front(key: SegmentKey, files: &[Arc<dyn FileIo>]) -> Option<Bytes> {
    let opened = files.iter().find(|file| is_sound_front(key, file.as_ref(), true));
    opened.into_iter().chain(files).find_map(|file| front_of(key, file.as_ref()))
}

/// The header and opened pages of a copy, if they are that segment's.
fn front_of(key: SegmentKey, file: &dyn FileIo) -> Option<Bytes> {
    let front = read_some(file, 0, GROUPS_AT as usize);
    match Header::decode(&front) {
        Page::Header(header) if header.key() == key && front.len() == GROUPS_AT as usize => Some(front),
        _ => None,
    }
}
