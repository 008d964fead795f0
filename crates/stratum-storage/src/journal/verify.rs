//! Looking at the copies of segments that nobody reads: bits rot, and a copy that is needed must be sound.
//!
//! Each copy of a segment is read by itself, all of it. One that is damaged anywhere is written anew, under another slot
//! of the same drive, from whichever copies have each part sound; only when that is durable does it take the place of
//! the damaged one. The segment that is being written is not looked at: its turn comes when it is closed.

use super::core::Core;
use super::cursor::{Cursor, Verify};
use super::format::{GROUPS_AT, Header, Kind, OPENED_AT, PAGE, Page, SegmentKey, is_opened};
use super::heal::copy_segment;
use super::slots::{Slot, read_some};
use super::table::{Copy, Segment};
use crate::drive::FileIo;
use crate::set::Finding;
use std::sync::Arc;

/// A segment whose copies were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Segments are looked at in this order.
    pub sequence: u64,
    /// What was read.
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

/// Looks at the first closed segment after that sequence.
pub(super) fn check_after(core: &Core, sequence: u64) -> Option<Checked> {
    let _pin = crate::pin::pin();
    let segment = {
        let table = core.table.read();
        let but_the_last = table.segments().len().saturating_sub(1);
        table.segments().take(but_the_last).find(|segment| segment.key.sequence > sequence)?.clone()
    };
    let opened = segment.copies.iter().any(|copy| is_sound_front(segment.key, copy.slot.file.as_ref(), true));
    let (mut bytes, mut findings) = (0, Vec::new());
    for copy in segment.copies.iter() {
        let places = core.places();
        let Some(place) = places.get(copy.drive).filter(|place| place.is_present()) else { continue };
        bytes += segment.end;
        if copy.complete && is_sound(&segment, &copy.slot.file, opened) {
            continue;
        }
        let repaired = core.write_anew(&segment, copy);
        findings.push(Finding {
            drive: place.drive.label(),
            file: copy.slot.path(),
            problem: "a copy of a segment of the journal is damaged".into(),
            repaired,
        });
    }
    for Finding { drive, file, repaired, .. } in &findings {
        tracing::warn!(drive, file, repaired, "a copy of a segment of the journal was damaged");
    }
    Some(Checked { sequence: segment.key.sequence, bytes, findings })
}

impl Core {
    /// Puts a sound copy in the place of a damaged one; false if that is not possible now.
    fn write_anew(&self, segment: &Segment, damaged: &Copy) -> bool {
        let places = self.places();
        let Some(slots) = places.get(damaged.drive).and_then(|place| place.slots.clone()) else {
            return false;
        };
        let slot = match slots.make(|file| copy_segment(segment, file)) {
            Ok(slot) => slot,
            Err(error) => {
                tracing::error!(%error, "a damaged copy of a segment could not be written anew");
                return false;
            }
        };
        let sound = Copy { drive: damaged.drive, slot, complete: true };
        let (superfluous, replaced) = match self.table.write().replace_copy(segment.key, damaged, sound) {
            Ok(()) => (damaged.slot.clone(), true),
            // The segment has gone meanwhile.
            Err(sound) => (sound.slot, false),
        };
        self.free(vec![(damaged.drive, superfluous)]);
        replaced
    }
}

/// Whether one copy by itself holds the whole segment.
fn is_sound(segment: &Segment, file: &Arc<dyn FileIo>, opened: bool) -> bool {
    if !is_sound_front(segment.key, file.as_ref(), opened) {
        return false;
    }
    let mut alone = Cursor::new(segment.key, vec![file.clone()], segment.before);
    while alone.at() < segment.end {
        if alone.next(Verify::Bodies).is_none() {
            return false;
        }
    }
    !segment.closed || alone.is_closed()
}

/// Whether its header is that segment's, and its opened page is there if it must be.
pub(super) fn is_sound_front(key: SegmentKey, file: &dyn FileIo, opened: bool) -> bool {
    let front = read_some(file, 0, GROUPS_AT as usize);
    let Page::Header(header) = Header::decode(&front) else { return false };
    let is_open = || {
        let page = front.get(OPENED_AT as usize..).unwrap_or_default();
        header.kind == Kind::Later || is_opened(key, page.get(..PAGE).unwrap_or_default())
    };
    header.key() == key && (!opened || is_open())
}

impl Slot {
    fn path(&self) -> String {
        Slot::path_of(self.number)
    }
}
