//! Looking for a body in every copy that there may be, for whoever is about to go on without it.
//!
//! A body that is bad in every copy at hand may be sound in one that is not: on a drive that is away or failed and may come
//! back with what it holds, on one that doesn't answer now, or on one that came back while the journal was open, of which
//! nobody has read what it brought. Only a body of which all of these were asked, and all gave other bytes, is lost.

use super::Journal;
use super::core::{Core, JournalDrive};
use super::format::SegmentKey;
use super::slots::SegmentSlot;
use super::verify::Front;
use crate::blob::Index;
use crate::drive::Drive;
use crate::drive::hedged::{self, Copy, Unread};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What came of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    Found(Bytes),
    /// The entry isn't in the journal any more.
    Gone,
    /// No copy at hand is sound, and these drives may have one and can't be asked now.
    Awaited(BTreeSet<String>),
    /// Every drive that may have it was asked, and none has it.
    Lost,
}

/// What one copy said.
enum Answer {
    Sound(Bytes),
    Other,
    Nothing,
}

impl Journal {
    /// Looks for the body of an entry in every copy that any drive may have. `len`, in bytes, and `crc32c` are from
    /// the body's record. Blocks, for as long as the slowest drive takes. Bad copies aren't counted again: the read
    /// that failed before has counted them.
    pub fn search(&self, index: Index, len: u32, crc32c: u32) -> Search {
        let _pin = self.core.pins.pin();
        let found = self.core.search(index, len, crc32c);
        match &found {
            Search::Found(_) => self.core.damaged.saw(index, false),
            Search::Awaited(_) => self.core.damaged.saw(index, true),
            Search::Lost => self.core.damaged.saw_lost(index),
            Search::Gone => {}
        }
        found
    }
}

impl Core {
    fn search(&self, index: Index, len: u32, crc32c: u32) -> Search {
        let segments = self.table.read().all_with(index);
        if segments.is_empty() {
            return Search::Gone;
        }
        let places = self.places();
        let away = places.iter().filter(|place| is_awaited(place, &places));
        let mut awaited: BTreeSet<String> = away.map(|place| place.drive.label()).collect();
        for (segment, at) in segments {
            let known = segment.copies.iter().map(|copy| (copy.drive, copy.slot.clone()));
            for (place, slot) in known.chain(self.unread_copies(segment.key)) {
                let Some(place) = places.get(place) else { continue };
                match ask(&place.drive, &slot, segment.key, (at, len, crc32c)) {
                    Answer::Sound(body) => return Search::Found(body),
                    // A drive that is out for good gives nothing, and isn't waited for.
                    Answer::Nothing if place.is_present() => drop(awaited.insert(place.drive.label())),
                    Answer::Other | Answer::Nothing => {}
                }
            }
        }
        if awaited.is_empty() { Search::Lost } else { Search::Awaited(awaited) }
    }

    /// Copies of a segment on drives that joined while the journal was open: what they brought is read at the next start.
    fn unread_copies(&self, key: SegmentKey) -> Vec<(usize, SegmentSlot)> {
        let aside = self.aside();
        let is_of = |slot: &SegmentSlot| Front::read(slot.file.as_ref()).is_of(key);
        aside.into_iter().filter(|(_, slot)| is_of(slot)).collect()
    }
}

/// Whether it is away, and may come back with what it holds.
fn is_awaited(place: &JournalDrive, places: &[JournalDrive]) -> bool {
    let is_back = |other: &JournalDrive| other.drive.id() == place.drive.id() && other.is_present();
    !places.iter().any(is_back) && place.drive.may_be_brought_back()
}

fn ask(
    drive: &Arc<Drive>,
    slot: &SegmentSlot,
    key: SegmentKey,
    (at, len, crc32c): (u64, u32, u32),
) -> Answer {
    let copy = Copy { drive: drive.clone(), file: slot.file.clone() };
    let verify = |bytes: Vec<u8>| (crc32c::crc32c(&bytes) == crc32c).then(|| bytes.into());
    let mut failure = None;
    match hedged::read(&[copy], at, len as usize, verify, |_, error| failure = error) {
        Ok(body) => Answer::Sound(body),
        Err(Unread::Late) => Answer::Nothing,
        // A drive that still gives the segment's head has lost these bytes; one that gives nothing is going.
        Err(Unread::Bad) if failure.is_none() || Front::read(slot.file.as_ref()).is_of(key) => Answer::Other,
        Err(Unread::Bad) => Answer::Nothing,
    }
}
