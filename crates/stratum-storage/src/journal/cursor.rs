//! Reads a segment's groups in order, from whichever copy holds each.
//!
//! The copies of a segment are the same bytes at the same offsets, so a group that is damaged or missing in one is
//! read from the next, and the chain goes on as long as any copy holds the next link.

use super::format::{
    EntryRow, FOOTER_BYTES, GROUP_HEAD_BYTES, GROUPS_AT, GroupHead, Head, SegmentKey, decode_footer,
};
use super::reader::SegmentReader;
use crate::blob::Index;
use crate::drive::FileIo;
use bytes::Bytes;
use std::sync::Arc;

/// How much of a group must be sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Lengths, commands and hashes; the bodies are verified when they are read.
    Commands,
    /// The bodies, too.
    Bodies,
}

/// A group that was read.
#[derive(Debug)]
pub(super) struct Group {
    /// From the start of the file.
    pub(super) offset: u64,
    pub(super) head: GroupHead,
    /// The bytes before the bodies.
    pub(super) heads: Bytes,
    /// At least one.
    pub(super) rows: Vec<EntryRow>,
}

impl Group {
    /// The group's last entry.
    pub(super) fn last(&self) -> Head {
        self.rows.last().map_or(self.head.before, |row| Head { index: row.index, hash: row.hash })
    }
}

/// A place in a segment.
#[derive(Debug)]
pub(super) struct Cursor {
    key: SegmentKey,
    copies: Vec<SegmentReader>,
    /// Where the next group, or the footer, begins.
    at: u64,
    /// The entry before it.
    head: Head,
}

impl Cursor {
    /// At the first group of a segment whose header says that `before` comes before it.
    pub(super) fn new(key: SegmentKey, files: Vec<Arc<dyn FileIo>>, before: Head) -> Cursor {
        Cursor::over(key, files.into_iter().map(SegmentReader::new).collect(), before)
    }

    /// [`Cursor::new`], with what was read of the copies already.
    pub(super) fn over(key: SegmentKey, copies: Vec<SegmentReader>, before: Head) -> Cursor {
        Cursor { key, copies, at: GROUPS_AT, head: before }
    }

    /// At a later group, which `before` comes before.
    pub(super) fn over_group(key: SegmentKey, copies: Vec<SegmentReader>, at: u64, before: Head) -> Cursor {
        Cursor { key, copies, at, head: before }
    }

    /// Where the groups that were read so far end.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The last entry that was read.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// The next group, if any copy holds it.
    pub(super) fn next(&mut self, verify: Verify) -> Option<Group> {
        let group = (0..self.copies.len()).find_map(|place| self.next_in(place, verify))?;
        if verify == Verify::Bodies && !group.rows.iter().all(|row| self.body(group.offset, row).is_some()) {
            return None;
        }
        self.at += group.head.len as u64;
        self.head = group.last();
        Some(group)
    }

    /// Whether a copy has a footer here that agrees with what was read.
    pub(super) fn is_closed(&mut self) -> bool {
        let (key, at, head) = (self.key, self.at, self.head);
        self.copies.iter_mut().any(|copy| {
            copy.read(at, FOOTER_BYTES).is_some_and(|footer| decode_footer(key, at, &footer) == Some(head))
        })
    }

    /// A body of a group of this segment, from the first copy that has it.
    pub(super) fn body(&self, group_at: u64, row: &EntryRow) -> Option<Bytes> {
        let (at, len) = (group_at + row.body.start as u64, row.body.len());
        let at_hand = self.copies.iter().filter_map(|copy| copy.at_hand(at, len));
        let anew = self.copies.iter().filter_map(|copy| copy.read_anew(at, len));
        at_hand.chain(anew).find(|bytes| crc32c::crc32c(bytes) == row.body_crc32c)
    }

    /// The group here as that copy has it, if it is the next link of the chain.
    fn next_in(&mut self, place: usize, verify: Verify) -> Option<Group> {
        let copy = self.copies.get_mut(place)?;
        let head = GroupHead::decode(&copy.read(self.at, GROUP_HEAD_BYTES)?)?;
        if head.before != self.head {
            return None;
        }
        if verify == Verify::Bodies {
            // In one piece with the bodies, if that can be; otherwise each body is looked for by itself.
            copy.read(self.at, head.len);
        }
        let heads = copy.read(self.at, head.heads)?;
        let rows = head.rows(self.key, self.at, &heads)?;
        Some(Group { offset: self.at, head, heads, rows })
    }
}

/// Whether one copy by itself holds this very group, whole: then it holds all before it, since a group is only
/// written when the one before it is synced.
pub(super) fn holds(key: SegmentKey, copy: SegmentReader, group_at: u64, before: Head) -> bool {
    Cursor::over_group(key, vec![copy], group_at, before).next(Verify::Bodies).is_some()
}

/// Whether one copy by itself holds everything up to that entry, bodies and all. Reads it.
pub(super) fn is_sound_to(key: SegmentKey, copy: SegmentReader, before: Head, last: Index) -> bool {
    let mut alone = Cursor::over(key, vec![copy], before);
    while alone.head().index < last && alone.next(Verify::Bodies).is_some() {}
    alone.head().index >= last
}
