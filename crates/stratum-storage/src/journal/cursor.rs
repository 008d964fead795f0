//! Reads a segment's groups in order, from whichever copy holds each.
//!
//! The copies of a segment are the same bytes at the same offsets, so a group that is damaged or missing in one is
//! read from the next, and the chain goes on as long as any copy holds the next link.

use super::format::{FOOTER, GROUP_HEAD, GROUPS_AT, GroupHead, Head, Row, SegmentKey, decode_footer};
use super::slots::read_some;
use crate::drive::FileIo;
use bytes::Bytes;
use std::sync::Arc;

/// Read ahead from the first copy, in bytes.
const WINDOW: usize = 128 << 10;

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
    pub(super) rows: Vec<Row>,
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
    copies: Vec<Arc<dyn FileIo>>,
    /// Where the next group, or the footer, begins.
    at: u64,
    /// The entry before it.
    head: Head,
    window: Bytes,
    window_at: u64,
}

impl Cursor {
    /// At the first group of a segment whose header says that `before` comes before it.
    pub(super) fn new(key: SegmentKey, copies: Vec<Arc<dyn FileIo>>, before: Head) -> Cursor {
        Cursor { key, copies, at: GROUPS_AT, head: before, window: Bytes::new(), window_at: 0 }
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
        let group = self.ahead().or_else(|| self.elsewhere())?;
        if verify == Verify::Bodies && !group.rows.iter().all(|row| self.body(group.offset, row).is_some()) {
            return None;
        }
        self.at += group.head.len as u64;
        self.head = group.last();
        Some(group)
    }

    /// Whether a copy has a footer here that agrees with what was read.
    pub(super) fn is_closed(&self) -> bool {
        self.copies.iter().any(|file| {
            let footer = read_some(file.as_ref(), self.at, FOOTER);
            decode_footer(self.key, self.at, &footer) == Some(self.head)
        })
    }

    /// A body of a group of this segment, from the first copy that has it.
    pub(super) fn body(&self, group_at: u64, row: &Row) -> Option<Bytes> {
        let at = group_at + row.body.start as u64;
        let sound = |bytes: &Bytes| bytes.len() == row.body.len() && crc32c::crc32c(bytes) == row.body_crc32c;
        self.in_window(at, row.body.len()).filter(sound).or_else(|| {
            let mut read = self.copies.iter().map(|file| read_some(file.as_ref(), at, row.body.len()));
            read.find(sound)
        })
    }

    /// The group here as the first copy has it.
    fn ahead(&mut self) -> Option<Group> {
        let first = self.copies.first()?.clone();
        let head = self.look(&first, GROUP_HEAD)?;
        let head = GroupHead::decode(&head)?;
        let heads = self.look(&first, head.heads)?;
        self.accept(head, heads)
    }

    fn look(&mut self, first: &Arc<dyn FileIo>, len: usize) -> Option<Bytes> {
        if self.in_window(self.at, len).is_none() {
            self.window = read_some(first.as_ref(), self.at, len.max(WINDOW));
            self.window_at = self.at;
        }
        self.in_window(self.at, len)
    }

    fn in_window(&self, at: u64, len: usize) -> Option<Bytes> {
        let start = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        let end = start.checked_add(len)?;
        (end <= self.window.len()).then(|| self.window.slice(start..end))
    }

    /// The group here as another copy has it.
    fn elsewhere(&self) -> Option<Group> {
        self.copies.iter().skip(1).find_map(|file| {
            let head = GroupHead::decode(&read_some(file.as_ref(), self.at, GROUP_HEAD))?;
            self.accept(head, read_some(file.as_ref(), self.at, head.heads))
        })
    }

    /// Checks it, and that it is the next link of the chain.
    fn accept(&self, head: GroupHead, heads: Bytes) -> Option<Group> {
        if head.before != self.head {
            return None;
        }
        let rows = head.rows(self.key, self.at, &heads)?;
        Some(Group { offset: self.at, head, heads, rows })
    }
}

/// Whether one copy by itself holds this very group, whole: then it holds all before it, since a group is only
/// written when the one before it is synced.
pub(super) fn holds(key: SegmentKey, file: &Arc<dyn FileIo>, group_at: u64, before: Head) -> bool {
    let mut alone = Cursor::new(key, vec![file.clone()], before);
    alone.at = group_at;
    alone.next(Verify::Bodies).is_some()
}
