//! The journal copied out while it is written to: segment files as they lie on the drives, verified on the way.
//!
//! What comes out is what a drive's `journal/` holds: a header page, the opened page, groups, a footer. Each group is
//! taken from any copy in which it is sound, bodies included. A body that is sound in no copy doesn't keep the others
//! from being copied out: zeros are in its place, which its checksum refuses as it refuses what the drives have. In
//! the last group such a body ends the export: with zeros the group would count as one that a crash tore. The export
//! ends with the entry that was the last when it began; a segment that is let go meanwhile ends it with an error,
//! since segments wait for nobody.

use super::cursor::{Cursor, Verify};
use super::format::{FOOTER_BYTES, decode_footer};
use super::heal::front;
use super::reader::read_some;
use super::table::{Segment, SegmentTable};
use super::{EntryHash, JournalError};
use crate::blob::Index;
use bytes::Bytes;
use std::collections::VecDeque;

/// A piece of an export, in order.
#[derive(Debug)]
pub enum Exported {
    /// A segment file begins; its name in the directory `journal`.
    Segment(String),
    /// The file's next bytes.
    Bytes(Bytes),
}

/// Gives the segments, oldest first.
#[derive(Debug)]
pub struct Export {
    first: Index,
    last: (Index, EntryHash),
    segments: VecDeque<(Segment, Index)>,
    /// The segment at hand, and the last entry of it that counts.
    at_hand: Option<(Segment, Cursor, Index)>,
    number: u32,
    ready: VecDeque<Exported>,
}

impl Export {
    /// An export of what a table of segments holds from `floor` on.
    pub(super) fn new(table: &SegmentTable, floor: Index) -> Export {
        let head = table.head();
        let segments = table.segments().enumerate();
        let segments = segments.map(|(place, segment)| (segment.clone(), table.last_of(place)));
        let segments = segments.filter(|(_, last)| *last >= floor);
        Export {
            first: table.first(),
            last: (head.index, head.hash),
            segments: segments.collect(),
            at_hand: None,
            number: 0,
            ready: VecDeque::new(),
        }
    }

    /// The first entry that it gives; one above the last if there is none.
    pub fn first(&self) -> Index {
        self.first
    }

    /// The last entry that it gives.
    pub fn last(&self) -> (Index, EntryHash) {
        self.last
    }

    /// The same, the newest segment first.
    pub(super) fn newest_first(mut self) -> Export {
        self.segments = self.segments.into_iter().rev().collect();
        self
    }

    /// Puts the next pieces into `ready`; false at the end.
    fn advance(&mut self) -> Result<bool, JournalError> {
        let Some((segment, cursor, last)) = &mut self.at_hand else {
            let Some((segment, last)) = self.segments.pop_front() else { return Ok(false) };
            let files: Vec<_> = segment.copies.iter().map(|copy| copy.slot.file.clone()).collect();
            let front = front(segment.key, &files).ok_or(JournalError::Hole { index: segment.first() })?;
            self.ready.push_back(Exported::Segment(format!("segment-{:04x}", self.number)));
            self.ready.push_back(Exported::Bytes(front));
            self.number += 1;
            let cursor = Cursor::new(segment.key, files, segment.before);
            self.at_hand = Some((segment, cursor, last));
            return Ok(true);
        };
        let hole = JournalError::Hole { index: cursor.head().index + 1 };
        if cursor.head().index < *last {
            let group = cursor.next(Verify::Commands).ok_or(hole)?;
            let is_last = group.last().index >= self.last.0;
            self.ready.push_back(Exported::Bytes(group.heads.clone()));
            for row in &group.rows {
                let body = match cursor.body(group.offset, row) {
                    _ if row.body.is_empty() => Bytes::new(),
                    Some(body) => body,
                    None if is_last => return Err(JournalError::Hole { index: row.index }),
                    None => {
                        tracing::warn!(
                            entry = row.index,
                            "a body in the journal is in no sound copy, and isn't copied out"
                        );
                        Bytes::from(vec![0; row.body.len()])
                    }
                };
                let padding = body.len().next_multiple_of(8) - body.len();
                self.ready.push_back(Exported::Bytes(body));
                self.ready.push_back(Exported::Bytes(Bytes::from_static(&[0; 8]).slice(..padding)));
            }
        } else {
            let footer = footer(segment, cursor);
            self.ready.extend(footer.map(Exported::Bytes));
            self.at_hand = None;
        }
        Ok(true)
    }
}

impl Iterator for Export {
    type Item = Result<Exported, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.ready.pop_front() {
                Some(Exported::Bytes(bytes)) if bytes.is_empty() => continue,
                Some(piece) => return Some(Ok(piece)),
                None => {}
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    (self.segments, self.at_hand) = (VecDeque::new(), None);
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The footer behind the groups that were read, if there is one.
fn footer(segment: &Segment, cursor: &Cursor) -> Option<Bytes> {
    segment.copies.iter().find_map(|copy| {
        let bytes = read_some(copy.slot.file.as_ref(), cursor.at(), FOOTER_BYTES);
        (decode_footer(segment.key, cursor.at(), &bytes) == Some(cursor.head())).then_some(bytes)
    })
}
