//! The journal's entries in order, read from the drives.

use super::core::Core;
use super::cursor::{Cursor, Group, Verify};
use super::format::{EntryRow, Head};
use super::table::{Segment, SegmentTable};
use super::{EntryHash, JournalError};
use crate::blob::Index;
use bytes::Bytes;
use std::collections::VecDeque;

/// An entry as it lies in the journal, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    pub index: Index,
    pub hash: EntryHash,
    pub command: Bytes,
    /// The body's length in bytes, and its check: what [`super::Journal::read_body`] asks for.
    pub body_len: u32,
    pub body_crc32c: u32,
}

/// Gives the entries from some index on, to the one that was the last when it began.
#[derive(Debug)]
pub struct Replay {
    verify: Verify,
    /// The segments that are left, each with the last index that counts in it.
    segments: VecDeque<(Segment, Index)>,
    cursor: Option<(Cursor, Index)>,
    rows: VecDeque<EntryRow>,
    next: Index,
}

impl Replay {
    /// A replay of what this table of segments holds.
    pub(super) fn new(table: &SegmentTable, from: Index, verify: Verify) -> Replay {
        let first = table.place_of(from).unwrap_or(0);
        let counted = table.segments().enumerate().skip(first);
        let segments = match from <= table.head().index {
            true => counted.map(|(place, segment)| (segment.clone(), table.last_of(place))).collect(),
            false => VecDeque::new(),
        };
        Replay { verify, segments, cursor: None, rows: VecDeque::new(), next: from }
    }

    /// The next group of the segment at hand, as far as it counts.
    fn next_group(&mut self) -> Option<Group> {
        loop {
            if let Some((cursor, last)) = &mut self.cursor
                && cursor.head().index < *last
            {
                return cursor.next(self.verify);
            }
            let (segment, last) = self.segments.pop_front()?;
            self.cursor = Some((cursor(&segment), last));
        }
    }

    /// There is something left to give.
    fn is_due(&self) -> bool {
        let at_hand = self.cursor.as_ref().is_some_and(|(cursor, last)| cursor.head().index < *last);
        at_hand || self.segments.iter().any(|(segment, last)| segment.first() <= *last)
    }
}

impl Iterator for Replay {
    type Item = Result<Replayed, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                if row.index < self.next {
                    continue;
                }
                if row.index > self.next {
                    return self.hole();
                }
                self.next += 1;
                return Some(Ok(replayed(row)));
            }
            if !self.is_due() {
                return None;
            }
            match self.next_group() {
                Some(group) => {
                    let last = self.cursor.as_ref().map_or(Index::MAX, |(_, last)| *last);
                    self.rows = group.rows.into_iter().filter(|row| row.index <= last).collect();
                }
                None => return self.hole(),
            }
        }
    }
}

impl Replay {
    /// Says what is missing, and ends.
    fn hole(&mut self) -> Option<Result<Replayed, JournalError>> {
        self.segments.clear();
        self.rows.clear();
        self.cursor = None;
        Some(Err(JournalError::Hole { index: self.next }))
    }
}

fn cursor(segment: &Segment) -> Cursor {
    let files = segment.copies.iter().map(|copy| copy.slot.file.clone()).collect();
    Cursor::new(segment.key, files, segment.before)
}

fn replayed(row: EntryRow) -> Replayed {
    Replayed {
        index: row.index,
        hash: row.hash,
        command: row.command,
        body_len: row.body.len() as u32,
        body_crc32c: row.body_crc32c,
    }
}

/// The hash of an entry that is still in the journal.
pub(super) fn hash_at(core: &Core, index: Index) -> Option<EntryHash> {
    let _pin = core.pins.pin();
    let (segment, head) = {
        let table = core.table.read();
        (table.segment_of(index).cloned(), table.head())
    };
    if index == head.index { Some(head.hash) } else { hash_in(&segment?, index) }
}

/// The hash of an entry of a segment, or of the one before its first.
pub(super) fn hash_in(segment: &Segment, index: Index) -> Option<EntryHash> {
    if index == segment.before.index {
        return Some(segment.before.hash);
    }
    let mut cursor = cursor(segment);
    while let Some(group) = cursor.next(Verify::Commands) {
        if let Some(row) = group.rows.iter().find(|row| row.index == index) {
            return Some(Head { index, hash: row.hash }.hash);
        }
    }
    None
}
