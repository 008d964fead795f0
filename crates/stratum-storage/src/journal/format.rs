//! The journal's bytes: headers, groups and footers, to bytes and back (`docs/FORMAT.md`, "The journal").
//!
//! Pure functions. Reading is total: any bytes give a value or `None`, never a panic, and a value only where its
//! check holds. Checks are seeded with the segment and the offset, so that neither what a slot held before nor a
//! misdirected write looks valid. An entry's hash doesn't depend on its place: a copy is the same entry.

use super::{EntryHash, NewEntry};
use crate::blob::Index;
use crate::drive::DriveId;
use bytes::Bytes;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_128;

/// The one version written so far.
pub(super) const VERSION: u32 = 1;
/// The header page and the opened page, each in bytes.
pub(super) const PAGE: usize = 4096;
/// Where the opened page begins.
pub(super) const OPENED_AT: u64 = PAGE as u64;
/// Where the first group begins.
pub(super) const GROUPS_AT: u64 = 2 * PAGE as u64;
/// A footer, in bytes.
pub(super) const FOOTER_BYTES: usize = 32;
/// The fixed part of a group's head, in bytes.
pub(super) const GROUP_HEAD_BYTES: usize = 48;
/// An entry's row in a group's head, without the command, in bytes.
const ROW_BYTES: usize = 16;
/// The longest command, in bytes.
pub const MAX_COMMAND_BYTES: usize = 1 << 20;
/// The longest group, in bytes.
pub const MAX_GROUP_BYTES: usize = 4 << 20;

const MAGIC: &[u8; 8] = b"STRATJNL";
const OPENED_MAGIC: &[u8; 8] = b"STRATOPN";
const GROUP_MAGIC: &[u8; 4] = b"JGRP";
const FOOTER_MAGIC: &[u8; 4] = b"JEND";
const HEADER_FIXED_BYTES: usize = 120;
const MAX_LISTED_DRIVES: usize = 128;
const MAX_DRIVE_IDS: usize = 240;

const PADDING: Bytes = Bytes::from_static(&[0; 8]);

/// Which segment: the epoch's random run id, and a number that counts on over all epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentKey {
    pub(super) epoch: u64,
    pub(super) run: u128,
    pub(super) sequence: u64,
}

impl SegmentKey {
    /// The start of every check in the segment.
    fn check_at(self, offset: u64, covered: &[u8]) -> u32 {
        let mut place = [0; 32];
        place[..16].copy_from_slice(&self.run.to_le_bytes());
        place[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        place[24..].copy_from_slice(&offset.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&place), covered)
    }
}

/// What an epoch is, as each of its segments repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) number: u64,
    pub(super) run: u128,
    pub(super) m: u8,
    /// The `m+1` drives that every group is synced on.
    pub(super) members: Vec<DriveId>,
    pub(super) set: Vec<DriveId>,
    /// The set of the epoch before; the same as `set` once that is settled.
    pub(super) previous: Vec<DriveId>,
    /// The journal's last entry when the epoch was opened, which its copied group ends with.
    pub(super) head: Head,
}

/// An entry named by its index and its hash. Index 0 is "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) index: Index,
    pub(super) hash: EntryHash,
}

/// Whether a segment begins its epoch, which then needs an opened page, or continues an epoch that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SegmentKind {
    First,
    Later,
}

/// A segment's first page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: Epoch,
    pub(super) sequence: u64,
    pub(super) kind: SegmentKind,
    /// The entry before the segment's first.
    pub(super) before: Head,
    /// Entries below it are not needed.
    pub(super) floor: Index,
}

/// What a header page turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeaderPage {
    Header(Box<Header>),
    /// Written by a newer Stratum.
    Newer(u32),
    /// Zeros, damage, anything else.
    Nothing,
}

impl Header {
    pub(super) fn key(&self) -> SegmentKey {
        SegmentKey { epoch: self.epoch.number, run: self.epoch.run, sequence: self.sequence }
    }

    /// The header page; `None` when the lists are too long for it.
    pub(super) fn encode(&self) -> Option<Bytes> {
        let epoch = &self.epoch;
        let lists = [&epoch.members, &epoch.set, &epoch.previous];
        if lists.iter().any(|list| list.len() > MAX_LISTED_DRIVES)
            || lists.iter().map(|list| list.len()).sum::<usize>() > MAX_DRIVE_IDS
        {
            return None;
        }
        let mut page = Vec::with_capacity(PAGE);
        page.extend_from_slice(MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&crc32c::crc32c(&page).to_le_bytes());
        page.extend_from_slice(&[0; 8]); // the check and what it covers, below
        page.extend_from_slice(&epoch.number.to_le_bytes());
        page.extend_from_slice(&epoch.run.to_le_bytes());
        page.extend_from_slice(&self.sequence.to_le_bytes());
        page.extend_from_slice(&(self.before.index + 1).to_le_bytes());
        page.extend_from_slice(&self.before.hash.0.to_le_bytes());
        page.extend_from_slice(&self.floor.to_le_bytes());
        page.extend_from_slice(&epoch.head.index.to_le_bytes());
        page.extend_from_slice(&epoch.head.hash.0.to_le_bytes());
        page.push(if self.kind == SegmentKind::First { 1 } else { 2 });
        page.push(epoch.m);
        for list in lists {
            page.extend_from_slice(&(list.len() as u16).to_le_bytes());
        }
        for id in lists.into_iter().flatten() {
            page.extend_from_slice(&id.0.to_le_bytes());
        }
        let covered = (page.len() - 20) as u32;
        page[20..24].copy_from_slice(&covered.to_le_bytes());
        let check = crc32c::crc32c(&page[20..]);
        page[16..20].copy_from_slice(&check.to_le_bytes());
        page.resize(PAGE, 0);
        Some(page.into())
    }

    /// Reads a header page.
    pub(super) fn decode(page: &[u8]) -> HeaderPage {
        let Some(version) = version_of(page) else { return HeaderPage::Nothing };
        if version != VERSION {
            return HeaderPage::Newer(version);
        }
        decode_v1(page).map_or(HeaderPage::Nothing, |header| HeaderPage::Header(Box::new(header)))
    }
}

/// The version, if these are the first 16 bytes of a header of any version.
fn version_of(page: &[u8]) -> Option<u32> {
    let mut fields = Fields { rest: page };
    let magic = fields.take(8)?;
    let version = fields.u32()?;
    let check = fields.u32()?;
    (magic == MAGIC && crc32c::crc32c(page.get(..12)?) == check).then_some(version)
}

fn decode_v1(page: &[u8]) -> Option<Header> {
    let mut fields = Fields { rest: page.get(16..)? };
    let check = fields.u32()?;
    let covered = fields.u32()? as usize;
    if crc32c::crc32c(page.get(20..)?.get(..covered)?) != check {
        return None;
    }
    let (number, run, sequence) = (fields.u64()?, fields.u128()?, fields.u64()?);
    let before = Head { index: fields.u64()?.checked_sub(1)?, hash: EntryHash(fields.u128()?) };
    let floor = fields.u64()?;
    let head = Head { index: fields.u64()?, hash: EntryHash(fields.u128()?) };
    let kind = match fields.u8()? {
        1 => SegmentKind::First,
        2 => SegmentKind::Later,
        _ => return None,
    };
    let m = fields.u8()?;
    let lengths = [fields.u16()?, fields.u16()?, fields.u16()?];
    let mut ids = |length: u16| (0..length).map(|_| fields.u128().map(DriveId)).collect::<Option<Vec<_>>>();
    let [members, set, previous] = [ids(lengths[0])?, ids(lengths[1])?, ids(lengths[2])?];
    if covered != HEADER_FIXED_BYTES - 20 + 16 * (members.len() + set.len() + previous.len()) {
        return None;
    }
    let epoch = Epoch { number, run, m, members, set, previous, head };
    Some(Header { epoch, sequence, kind, before, floor })
}

/// The opened page of a segment.
pub(super) fn encode_opened(key: SegmentKey) -> Bytes {
    let mut page = Vec::with_capacity(PAGE);
    page.extend_from_slice(OPENED_MAGIC);
    page.extend_from_slice(&key.epoch.to_le_bytes());
    page.extend_from_slice(&key.run.to_le_bytes());
    let check = key.check_at(OPENED_AT, &page);
    page.extend_from_slice(&check.to_le_bytes());
    page.resize(PAGE, 0);
    page.into()
}

/// Whether these bytes are the opened page of that segment.
pub(super) fn is_opened(key: SegmentKey, page: &[u8]) -> bool {
    page.get(..36) == encode_opened(key).get(..36)
}

/// A group, ready to be written: its slices, one after the other, are its bytes.
pub(super) struct EncodedGroup {
    pub(super) bufs: Vec<Bytes>,
    pub(super) len: usize,
    pub(super) hashes: Vec<EntryHash>,
    /// Where each body begins, from the group's start.
    pub(super) bodies: Vec<u32>,
}

impl EncodedGroup {
    /// The group's last entry, if `before` is what it was encoded after.
    pub(super) fn last(&self, before: Head) -> Head {
        let hash = self.hashes.last().copied().unwrap_or(before.hash);
        Head { index: before.index + self.hashes.len() as u64, hash }
    }
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(8)
}

/// How long a group of these entries is, in bytes.
pub(super) fn group_len(entries: &[NewEntry]) -> usize {
    let each = |entry: &NewEntry| entry_len(entry.command.len(), entry.body.len());
    GROUP_HEAD_BYTES + entries.iter().map(each).sum::<usize>()
}

/// What an entry with a command and a body of these lengths takes of a group, in bytes.
pub fn entry_len(command: usize, body: usize) -> usize {
    ROW_BYTES + padded(command) + padded(body)
}

/// Encodes a group for its place. The bodies are not copied. The caller has checked the lengths: at least one
/// entry, no more than [`MAX_GROUP_BYTES`] in all.
pub(super) fn encode_group(key: SegmentKey, offset: u64, before: Head, entries: &[NewEntry]) -> EncodedGroup {
    let len = group_len(entries);
    let bodies_len: usize = entries.iter().map(|entry| padded(entry.body.len())).sum();
    let heads = len - bodies_len;
    let mut meta = Vec::with_capacity(heads);
    meta.extend_from_slice(GROUP_MAGIC);
    meta.extend_from_slice(&[0; 4]); // the check, below
    meta.extend_from_slice(&(before.index + 1).to_le_bytes());
    meta.extend_from_slice(&before.hash.0.to_le_bytes());
    meta.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    meta.extend_from_slice(&(heads as u32).to_le_bytes());
    meta.extend_from_slice(&(len as u32).to_le_bytes());
    meta.extend_from_slice(&[0; 4]);
    let (mut hashes, mut bodies) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
    let (mut hash, mut body_at) = (before.hash, heads);
    for entry in entries {
        let row = meta.len();
        meta.extend_from_slice(&(entry.command.len() as u32).to_le_bytes());
        meta.extend_from_slice(&(entry.body.len() as u32).to_le_bytes());
        meta.extend_from_slice(&crc32c::crc32c(&entry.body).to_le_bytes());
        meta.extend_from_slice(&[0; 4]);
        meta.extend_from_slice(&entry.command);
        hash = chain(hash, &meta[row..]);
        meta.resize(padded(meta.len()), 0);
        hashes.push(hash);
        bodies.push(body_at as u32);
        body_at += padded(entry.body.len());
    }
    let check = key.check_at(offset, &meta[8..]);
    meta[4..8].copy_from_slice(&check.to_le_bytes());
    EncodedGroup { bufs: with_bodies(meta, entries), len, hashes, bodies }
}

fn with_bodies(meta: Vec<u8>, entries: &[NewEntry]) -> Vec<Bytes> {
    let mut bufs = Vec::with_capacity(1 + 2 * entries.len());
    bufs.push(meta.into());
    for body in entries.iter().map(|entry| &entry.body).filter(|body| !body.is_empty()) {
        bufs.push(body.clone());
        let padding = padded(body.len()) - body.len();
        if padding > 0 {
            bufs.push(PADDING.slice(..padding));
        }
    }
    bufs
}

/// The hash of an entry, from that of the entry before and the entry's row and command.
fn chain(before: EntryHash, row_and_command: &[u8]) -> EntryHash {
    let mut link = [0; 32];
    link[..16].copy_from_slice(&before.0.to_le_bytes());
    link[16..].copy_from_slice(&xxh3_128(row_and_command).to_le_bytes());
    EntryHash(xxh3_128(&link))
}

/// The fixed head of a group, not yet checked against anything but itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupHead {
    pub(super) before: Head,
    entries: u32,
    /// Where the bodies begin: the length of what the group's check covers, from the group's start.
    pub(super) heads: usize,
    /// The whole group's length.
    pub(super) len: usize,
}

impl GroupHead {
    /// Reads the first [`GROUP_HEAD_BYTES`] bytes; the lengths are plausible if it gives something, no more.
    pub(super) fn decode(bytes: &[u8]) -> Option<GroupHead> {
        let mut fields = Fields { rest: bytes };
        if fields.take(4)? != GROUP_MAGIC {
            return None;
        }
        let _check = fields.u32()?;
        let before = Head { index: fields.u64()?.checked_sub(1)?, hash: EntryHash(fields.u128()?) };
        let (entries, heads, len) = (fields.u32()?, fields.u32()? as usize, fields.u32()? as usize);
        let plausible = entries > 0
            && heads >= GROUP_HEAD_BYTES + ROW_BYTES * entries as usize
            && heads <= len
            && len <= MAX_GROUP_BYTES
            && heads % 8 == 0
            && len % 8 == 0;
        plausible.then_some(GroupHead { before, entries, heads, len })
    }

    /// Reads the entries' rows and commands from the group's first `heads` bytes; `None` if the check fails or
    /// they don't add up.
    pub(super) fn rows(&self, key: SegmentKey, offset: u64, heads: &Bytes) -> Option<Vec<EntryRow>> {
        let bytes = heads.get(..self.heads)?;
        let check = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
        if key.check_at(offset, bytes.get(8..)?) != check {
            return None;
        }
        let mut rows = Vec::with_capacity(self.entries as usize);
        let (mut at, mut body_at, mut hash) = (GROUP_HEAD_BYTES, self.heads, self.before.hash);
        for step in 1..=u64::from(self.entries) {
            let mut fields = Fields { rest: bytes.get(at..)? };
            let (command_len, body_len) = (fields.u32()? as usize, fields.u32()?);
            let body_crc32c = fields.u32()?;
            let end = at.checked_add(ROW_BYTES)?.checked_add(command_len)?;
            hash = chain(hash, bytes.get(at..end)?);
            let body = body_at..body_at.checked_add(body_len as usize)?;
            let index = self.before.index.checked_add(step)?;
            let command = heads.slice(at + ROW_BYTES..end);
            at = padded(end);
            body_at = padded(body.end);
            rows.push(EntryRow { index, hash, command, body, body_crc32c });
        }
        (at == self.heads && body_at == self.len).then_some(rows)
    }
}

/// One entry of a group that was read: everything but the body itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryRow {
    pub(super) index: Index,
    pub(super) hash: EntryHash,
    pub(super) command: Bytes,
    /// Where the body lies, from the group's start.
    pub(super) body: Range<usize>,
    pub(super) body_crc32c: u32,
}

/// A closed segment's last bytes.
pub(super) fn encode_footer(key: SegmentKey, offset: u64, last: Head) -> Bytes {
    let mut footer = Vec::with_capacity(FOOTER_BYTES);
    footer.extend_from_slice(FOOTER_MAGIC);
    footer.extend_from_slice(&[0; 4]);
    footer.extend_from_slice(&last.index.to_le_bytes());
    footer.extend_from_slice(&last.hash.0.to_le_bytes());
    let check = key.check_at(offset, &footer[8..]);
    footer[4..8].copy_from_slice(&check.to_le_bytes());
    footer.into()
}

/// The last entry, if these bytes are a footer for that place.
pub(super) fn decode_footer(key: SegmentKey, offset: u64, bytes: &[u8]) -> Option<Head> {
    let mut fields = Fields { rest: bytes };
    if fields.take(4)? != FOOTER_MAGIC || fields.u32()? != key.check_at(offset, bytes.get(8..FOOTER_BYTES)?) {
        return None;
    }
    Some(Head { index: fields.u64()?, hash: EntryHash(fields.u128()?) })
}

/// Takes little-endian fields off the front of untrusted bytes.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }
}
