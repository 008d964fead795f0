//! Where every entry since the floor lies: what readers look at.
//!
//! One `u32` an entry: the offset of its body in its segment. Whoever asks for a body knows its length and its
//! check from its record, so a read is a lookup and one `pread`. Segments overlap where an epoch began with a copy
//! of the last group; the later one counts.

use super::cursor::is_sound_to;
use super::format::{Head, SegmentKey};
use super::reader::SegmentReader;
use super::slots::SegmentSlot;
use crate::blob::Index;
use std::collections::VecDeque;
use std::sync::Arc;

/// A segment's file on a drive (by its place among the journal's drives).
#[derive(Clone, Debug)]
pub(super) struct SegmentCopy {
    pub(super) drive: usize,
    pub(super) slot: SegmentSlot,
    /// It holds every group of the segment; one that missed some is still read where it is sound.
    pub(super) complete: bool,
}

/// A segment of the chain.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) key: SegmentKey,
    /// The entry before its first.
    pub(super) before: Head,
    /// Where its groups end, in bytes from the file's start.
    pub(super) end: u64,
    pub(super) closed: bool,
    /// Body offsets, for the entries from `before.index + 1` on.
    pub(super) bodies: Vec<u32>,
    pub(super) copies: Arc<[SegmentCopy]>,
}

impl Segment {
    pub(super) fn first(&self) -> Index {
        self.before.index + 1
    }

    /// Drives that hold all of it.
    pub(super) fn complete_copies(&self) -> usize {
        self.copies.iter().filter(|copy| copy.complete).count()
    }

    /// How many copies are sound up to that entry. Reads them.
    pub(super) fn sound_copies(&self, last: Index) -> usize {
        self.copies.iter().filter(|copy| self.is_sound_in(copy, last)).count()
    }

    /// Whether a copy by itself holds everything up to that entry, bodies and all. Reads it.
    pub(super) fn is_sound_in(&self, copy: &SegmentCopy, last: Index) -> bool {
        is_sound_to(self.key, SegmentReader::new(copy.slot.file.clone()), self.before, last)
    }
}

/// The chain's segments, oldest first; the last one is being written.
#[derive(Debug, Default)]
pub(super) struct SegmentTable {
    segments: VecDeque<Segment>,
    head: Head,
    bytes: u64,
}

impl SegmentTable {
    pub(super) fn new(segments: Vec<Segment>, head: Head) -> SegmentTable {
        let bytes = segments.iter().map(|segment| segment.end).sum();
        SegmentTable { segments: segments.into(), head, bytes }
    }

    /// The journal's last entry.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The first index that is still here; one more than the head's if none is.
    pub(super) fn first(&self) -> Index {
        self.segments.front().map_or(self.head.index + 1, Segment::first)
    }

    /// Bytes in all segments, a member.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> + ExactSizeIterator {
        self.segments.iter()
    }

    /// The last index that counts in the segment at that place.
    pub(super) fn last_of(&self, place: usize) -> Index {
        self.segments.get(place + 1).map_or(self.head.index, |next| next.before.index)
    }

    /// Which segment an entry is to be read from.
    pub(super) fn place_of(&self, index: Index) -> Option<usize> {
        let place = self.segments.partition_point(|segment| segment.first() <= index).checked_sub(1)?;
        (index <= self.head.index).then_some(place)
    }

    /// The segment that an entry is to be read from.
    pub(super) fn segment_of(&self, index: Index) -> Option<&Segment> {
        self.segments.get(self.place_of(index)?)
    }

    /// The copies of an entry's segment, and where in them its body begins.
    pub(super) fn find(&self, index: Index) -> Option<(&Arc<[SegmentCopy]>, u64)> {
        let segment = self.segment_of(index)?;
        let body = segment.bodies.get(usize::try_from(index - segment.first()).ok()?)?;
        Some((&segment.copies, u64::from(*body)))
    }

    /// The segments that hold an entry, each with where its body begins: where an epoch began with a copy of the last group,
    /// there are two. The one that counts comes last. Nothing if the entry isn't here any more.
    pub(super) fn all_with(&self, index: Index) -> Vec<(Segment, u64)> {
        if self.place_of(index).is_none() {
            return Vec::new();
        }
        let body = |segment: &Segment| {
            let number = usize::try_from(index.checked_sub(segment.first())?).ok()?;
            segment.bodies.get(number).map(|at| u64::from(*at))
        };
        self.segments.iter().filter_map(|segment| Some((segment.clone(), body(segment)?))).collect()
    }

    /// A new segment is written to from now on. Gives back one that had been begun, but never got a group: the new
    /// one begins with a copy of the group before it.
    pub(super) fn begin(&mut self, segment: Segment) -> Option<Segment> {
        let is_empty = self.segments.back().is_some_and(|last| last.first() > segment.first());
        let empty = if is_empty { self.segments.pop_back() } else { None };
        self.bytes -= empty.as_ref().map_or(0, |empty| empty.end);
        self.bytes += segment.end;
        self.segments.push_back(segment);
        empty
    }

    /// A group became durable at the end of the last segment.
    pub(super) fn extend(&mut self, group_at: u64, len: u64, bodies: &[u32], head: Head) {
        if let Some(segment) = self.segments.back_mut() {
            segment.bodies.extend(bodies.iter().map(|body| group_at as u32 + body));
            segment.end = group_at + len;
            self.bytes += len;
        }
        self.head = head;
    }

    /// The last segment got its footer.
    pub(super) fn close(&mut self) {
        if let Some(segment) = self.segments.back_mut() {
            segment.closed = true;
        }
    }

    /// One more drive holds the whole segment. The copy comes back if the segment is gone by now.
    pub(super) fn add_copy(&mut self, key: SegmentKey, copy: SegmentCopy) -> Result<(), SegmentCopy> {
        match self.segments.iter_mut().find(|segment| segment.key == key) {
            Some(segment) => {
                // A copy that this one replaces on its drive stays readable where it is sound.
                segment.copies = segment.copies.iter().cloned().chain([copy]).collect();
                Ok(())
            }
            None => Err(copy),
        }
    }

    /// Another copy counts instead of one on the same drive. The new one comes back if the old one is gone by now.
    pub(super) fn replace_copy(
        &mut self,
        key: SegmentKey,
        old: &SegmentCopy,
        new: SegmentCopy,
    ) -> Result<(), SegmentCopy> {
        let is_old = |copy: &SegmentCopy| copy.drive == old.drive && copy.slot.number == old.slot.number;
        match self.segments.iter_mut().find(|segment| segment.key == key) {
            Some(segment) if segment.copies.iter().any(is_old) => {
                let others = segment.copies.iter().filter(|copy| !is_old(copy)).cloned();
                segment.copies = others.chain([new]).collect();
                Ok(())
            }
            _ => Err(new),
        }
    }

    /// Takes out the segments whose every entry is below the floor, or also in a later segment. The last one stays.
    pub(super) fn retire(&mut self, floor: Index) -> Vec<Segment> {
        let mut retired = Vec::new();
        while self.segments.get(1).is_some_and(|next| next.first() <= floor)
            && let Some(segment) = self.segments.pop_front()
        {
            self.bytes -= segment.end;
            retired.push(segment);
        }
        retired
    }

    /// Bytes that [`SegmentTable::retire`] would give back.
    pub(super) fn retirable(&self, floor: Index) -> u64 {
        let pairs = self.segments.iter().zip(self.segments.iter().skip(1));
        pairs.take_while(|(_, next)| next.first() <= floor).map(|(segment, _)| segment.end).sum()
    }
}
