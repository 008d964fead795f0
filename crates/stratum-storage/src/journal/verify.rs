//! Looking at the copies of segments that nobody reads: bits rot, and a copy that is needed must be sound.
//!
//! Each copy of a segment is read by itself, as far as it counts: what lies behind that is a group that a crash tore,
//! or one of which the next segment begins with a copy. One that is damaged is written anew, under another slot of the
//! same drive, from whichever copies have each part sound; only when that was read again and is durable does it take
//! the place of the damaged one. A crash may leave a copy without its footer, its opened page or its last group. No
//! drive is to blame for that: such a copy is written anew, too, and nothing is said. The segment that is being written
//! is not looked at: its turn comes when it is closed.

use super::core::Core;
use super::cursor::{Cursor, Verify};
use super::format::{GROUPS_AT, Header, HeaderPage, OPENED_AT, PAGE, SegmentKey, SegmentKind, is_opened};
use super::heal::copy_segment;
use super::reader::read_some;
use super::slots::SegmentSlot;
use super::table::{Segment, SegmentCopy};
use crate::blob::Index;
use crate::drive::FileIo;
use crate::set::Finding;
use std::sync::Arc;

/// A segment whose copies were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSegment {
    /// Segments are looked at in this order.
    pub sequence: u64,
    /// Bytes that were read, of all copies together.
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

/// What a copy of a segment is worth by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Sound,
    /// All that counts is sound, and a crash may have kept the rest from being written.
    Unfinished,
    Damaged,
}

/// Looks at the first closed segment after that sequence.
pub(super) fn check_after(core: &Core, sequence: u64) -> Option<CheckedSegment> {
    let _pin = core.pins.pin();
    let (segment, last) = {
        let table = core.table.read();
        let but_the_last = table.segments().len().saturating_sub(1);
        let mut closed = table.segments().enumerate().take(but_the_last);
        let (place, segment) = closed.find(|(_, segment)| segment.key.sequence > sequence)?;
        (segment.clone(), table.last_of(place))
    };
    let is_open = |copy: &SegmentCopy| Front::read(copy.slot.file.as_ref()).is_opened_of(segment.key);
    let opened = segment.copies.iter().any(is_open);
    let (mut bytes, mut findings) = (0, Vec::new());
    for copy in segment.copies.iter() {
        let places = core.places();
        let Some(place) = places.get(copy.drive).filter(|place| place.is_present()) else { continue };
        bytes += segment.end;
        let condition = match segment.condition_of(&copy.slot.file, last, opened) {
            Condition::Sound if !copy.complete => Condition::Unfinished,
            condition => condition,
        };
        if condition == Condition::Sound {
            continue;
        }
        let repaired = core.write_anew(&segment, last, copy);
        let (drive, file) = (place.drive.label(), copy.slot.path());
        if condition == Condition::Unfinished {
            tracing::info!(
                drive,
                file,
                repaired,
                "a crash had left a copy of a segment of the journal unfinished"
            );
            continue;
        }
        tracing::warn!(drive, file, repaired, "a copy of a segment of the journal was damaged");
        place.drive.found_rot();
        let problem = "a copy of a segment of the journal is damaged".into();
        findings.push(Finding { drive, file, problem, repaired });
    }
    Some(CheckedSegment { sequence: segment.key.sequence, bytes, findings })
}

impl Core {
    /// Puts a sound copy in the place of a damaged one; false if that is not possible now.
    fn write_anew(&self, segment: &Segment, last: Index, damaged: &SegmentCopy) -> bool {
        let places = self.places();
        let Some(slots) = places.get(damaged.drive).and_then(|place| place.slots.clone()) else {
            return false;
        };
        let mut is_whole = false;
        let made = slots.make(|file| {
            is_whole = copy_segment(segment, last, file)?;
            Ok(())
        });
        let slot = match made {
            Ok(slot) => slot,
            Err(error) => {
                tracing::error!(%error, "a damaged copy of a segment could not be written anew");
                return false;
            }
        };
        let sound = SegmentCopy { drive: damaged.drive, slot, complete: true };
        let (superfluous, replaced) = match self.table.write().replace_copy(segment.key, damaged, sound) {
            Ok(()) => (damaged.slot.clone(), true),
            // The segment has gone meanwhile.
            Err(sound) => (sound.slot, false),
        };
        self.free(vec![(damaged.drive, superfluous)]);
        replaced && is_whole
    }
}

impl Segment {
    /// What a copy by itself is worth. `last` is the last entry that counts; `opened` says that the epoch was.
    fn condition_of(&self, file: &Arc<dyn FileIo>, last: Index, opened: bool) -> Condition {
        let front = Front::read(file.as_ref());
        let mut is_finished = true;
        if !front.is_of(self.key) {
            return Condition::Damaged;
        }
        if opened && !front.is_opened_of(self.key) {
            match front.is_not_opened_yet() {
                true => is_finished = false,
                false => return Condition::Damaged,
            }
        }
        let mut alone = Cursor::new(self.key, vec![file.clone()], self.before);
        while alone.head().index < last {
            if alone.next(Verify::Bodies).is_none() {
                return Condition::Damaged;
            }
        }
        if self.closed {
            while alone.at() < self.end && alone.next(Verify::Commands).is_some() {}
            is_finished &= alone.at() == self.end && alone.is_closed();
        }
        if is_finished { Condition::Sound } else { Condition::Unfinished }
    }
}

/// The header and the opened page of a copy, read once: a second read may give something else.
pub(super) struct Front {
    bytes: bytes::Bytes,
    header: Option<Header>,
}

impl Front {
    pub(super) fn read(file: &dyn FileIo) -> Front {
        let bytes = read_some(file, 0, GROUPS_AT as usize);
        let header = match Header::decode(&bytes) {
            HeaderPage::Header(header) if bytes.len() == GROUPS_AT as usize => Some(*header),
            _ => None,
        };
        Front { bytes, header }
    }

    /// Whether the header is that segment's.
    pub(super) fn is_of(&self, key: SegmentKey) -> bool {
        self.header.as_ref().is_some_and(|header| header.key() == key)
    }

    /// Whether the header is that segment's, and the opened page says that the epoch was opened, if the segment is
    /// the first of its epoch, which has to say so.
    pub(super) fn is_opened_of(&self, key: SegmentKey) -> bool {
        let is_later = self.header.as_ref().is_some_and(|header| header.kind == SegmentKind::Later);
        self.is_of(key) && (is_later || is_opened(key, self.opened_page()))
    }

    /// Whether the opened page is as the header's write left it.
    fn is_not_opened_yet(&self) -> bool {
        self.opened_page().iter().all(|byte| *byte == 0)
    }

    fn opened_page(&self) -> &[u8] {
        self.bytes.get(OPENED_AT as usize..).and_then(|page| page.get(..PAGE)).unwrap_or_default()
    }

    pub(super) fn into_bytes(self) -> bytes::Bytes {
        self.bytes
    }
}

impl SegmentSlot {
    fn path(&self) -> String {
        SegmentSlot::path_of(self.number)
    }
}
