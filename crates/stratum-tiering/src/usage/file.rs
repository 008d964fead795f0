//! The format of the file in which [`Usage`](super::Usage) survives a restart: a header, then batches of records,
//! each with a checksum. A later record about the same thing replaces an earlier one. docs/format/usage.md has the
//! layout.

use super::accounts::{Account, AccountName};
use super::groups::Group;
use super::looks::Look;
use super::members::Members;
use super::name::{Name, Seed};
use crate::day::Day;
use crate::signals::Signals;
use std::num::NonZeroU64;

const MAGIC: &[u8; 8] = b"STRMuse\n";
const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 48;
/// The records of a batch together, at most, in bytes.
const MOST_BATCH_BYTES: usize = 4 << 20;
const BATCH_HEAD_BYTES: usize = 8;

const OBJECT: u8 = 1;
const GROUP: u8 = 2;
const OBJECT_GONE: u8 = 3;
const GROUP_GONE: u8 = 4;
const ACCOUNT: u8 = 5;
const LOOK: u8 = 6;
const LOOK_GONE: u8 = 7;

/// What a record of the file says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Record {
    Object(Name, Signals),
    Group(Name, Group),
    ObjectGone(Name),
    GroupGone(Name),
    Account(AccountName, Account),
    Look(Name, Look),
    LookGone(Name),
}

impl Record {
    /// Whether the record holds times and rates, which are worthless if the length of the day has changed.
    pub fn is_counted(&self) -> bool {
        !matches!(self, Record::Account(..) | Record::Look(..) | Record::LookGone(..))
    }
}

/// Why the header of a file can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("it is no file of use, or its beginning is damaged")]
    Damaged,
    #[error("it is of version {0}, and this server knows version {VERSION}")]
    UnknownVersion(u16),
}

/// How a file's batches ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After the last batch, which is whole.
    Whole,
    /// In a batch that was being written when the server ended.
    Torn,
    /// At a damaged batch, with more behind it.
    Damaged,
}

/// `since` is when counting began, in milliseconds of Unix time; the file keeps it in seconds.
pub(super) fn write_header(seed: &Seed, day: Day, since: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    let head = crc32c::crc32c(&bytes[..12]);
    bytes[12..16].copy_from_slice(&head.to_le_bytes());
    bytes[16..32].copy_from_slice(&seed.0);
    bytes[32..40].copy_from_slice(&day.milliseconds().to_le_bytes());
    let since = u32::try_from(since / 1_000).unwrap_or(u32::MAX);
    bytes[40..44].copy_from_slice(&since.to_le_bytes());
    let whole = crc32c::crc32c(&bytes[..44]);
    bytes[44..].copy_from_slice(&whole.to_le_bytes());
    bytes
}

/// The secret by which names are made, the length of the day, since when reads were counted, and the bytes that
/// follow.
pub(super) fn read_header(bytes: &[u8]) -> Result<(Seed, Day, u64, &[u8]), HeadError> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(HeadError::Damaged)?;
    let mut fields = header.as_slice();
    let (magic, version) = (take::<8>(&mut fields), u16::from_le_bytes(take(&mut fields)));
    let (_, head) = (take::<2>(&mut fields), u32::from_le_bytes(take(&mut fields)));
    if magic != *MAGIC || head != crc32c::crc32c(&header[..12]) {
        return Err(HeadError::Damaged);
    }
    if version != VERSION {
        return Err(HeadError::UnknownVersion(version));
    }
    let (seed, day) = (Seed(take(&mut fields)), u64::from_le_bytes(take(&mut fields)));
    let (since, whole) = (u32::from_le_bytes(take(&mut fields)), u32::from_le_bytes(take(&mut fields)));
    let day = NonZeroU64::new(day).filter(|_| whole == crc32c::crc32c(&header[..44]));
    Ok((seed, Day::new(day.ok_or(HeadError::Damaged)?), u64::from(since) * 1_000, rest))
}

/// Records that are to be written to the file together.
#[derive(Debug)]
pub(super) struct Batch(Vec<u8>);

impl Batch {
    pub fn new() -> Self {
        Self(vec![0; BATCH_HEAD_BYTES])
    }

    pub fn is_empty(&self) -> bool {
        self.0.len() == BATCH_HEAD_BYTES
    }

    pub fn put(&mut self, record: &Record) {
        match record {
            Record::Object(name, signals) => self.record(OBJECT, &[&bytes_of(*name), &signals.to_bytes()]),
            Record::Group(name, group) => self.record(
                GROUP,
                &[
                    &bytes_of(*name),
                    &group.signals.to_bytes(),
                    &group.members.sketch(),
                    &group.passed.to_le_bytes(),
                ],
            ),
            Record::ObjectGone(name) => self.record(OBJECT_GONE, &[&bytes_of(*name)]),
            Record::GroupGone(name) => self.record(GROUP_GONE, &[&bytes_of(*name)]),
            Record::Account(AccountName { month, bucket }, Account { saved, spent }) => self.record(
                ACCOUNT,
                &[&month.to_le_bytes(), &bucket.to_le_bytes(), &saved.to_le_bytes(), &spent.to_le_bytes()],
            ),
            Record::Look(name, Look { seen, weight, time }) => {
                self.record(LOOK, &[&bytes_of(*name), &[*seen, *weight], &time.to_le_bytes()]);
            }
            Record::LookGone(name) => self.record(LOOK_GONE, &[&bytes_of(*name)]),
        }
    }

    fn record(&mut self, tag: u8, fields: &[&[u8]]) {
        let length: usize = fields.iter().map(|field| field.len()).sum();
        self.0.push(tag);
        self.0.extend((length as u16).to_le_bytes());
        fields.iter().for_each(|field| self.0.extend(*field));
    }

    /// The batch with its header and checksum.
    pub fn into_bytes(mut self) -> Vec<u8> {
        let records = &self.0[BATCH_HEAD_BYTES..];
        let (length, crc) = (records.len() as u32, crc32c::crc32c(records));
        self.0[..4].copy_from_slice(&length.to_le_bytes());
        self.0[4..8].copy_from_slice(&crc.to_le_bytes());
        self.0
    }
}

fn bytes_of(name: Name) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&name.bucket.to_le_bytes());
    bytes[8..].copy_from_slice(&name.hash.to_le_bytes());
    bytes
}

/// Reads batches up to the first that isn't whole. Records of an unknown kind are skipped.
pub(super) fn read_batches(mut rest: &[u8], mut each: impl FnMut(Record)) -> End {
    while !rest.is_empty() {
        let Some((head, behind)) = rest.split_first_chunk::<BATCH_HEAD_BYTES>() else { return End::Torn };
        let mut fields = head.as_slice();
        let (length, crc) =
            (u32::from_le_bytes(take(&mut fields)) as usize, u32::from_le_bytes(take(&mut fields)));
        let Some((records, behind)) = behind.split_at_checked(length) else {
            return if length > MOST_BATCH_BYTES { damage(rest) } else { End::Torn };
        };
        if length == 0 || crc32c::crc32c(records) != crc {
            return if behind.is_empty() { End::Torn } else { damage(rest) };
        }
        read_records(records, &mut each);
        rest = behind;
    }
    End::Whole
}

/// What the rest of a file is, whose first batch isn't whole. Zeros are the end of a file that was made longer before
/// a batch was written into it.
fn damage(rest: &[u8]) -> End {
    if rest.iter().all(|byte| *byte == 0) { End::Torn } else { End::Damaged }
}

fn read_records(mut rest: &[u8], each: &mut impl FnMut(Record)) {
    while let Some((&[tag, low, high], behind)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let Some((fields, behind)) = behind.split_at_checked(length) else { return };
        if let Some(record) = read_record(tag, fields) {
            each(record);
        }
        rest = behind;
    }
}

/// A record that is longer than expected ends with fields of a later version, which are skipped.
fn read_record(tag: u8, mut fields: &[u8]) -> Option<Record> {
    let least = match tag {
        OBJECT => 16 + Signals::BYTES,
        GROUP => 16 + Signals::BYTES + 16 + 8,
        OBJECT_GONE | GROUP_GONE | LOOK_GONE => 16,
        ACCOUNT => 28,
        LOOK => 16 + Look::BYTES,
        _ => return None,
    };
    if fields.len() < least {
        return None;
    }
    let fields = &mut fields;
    if tag == ACCOUNT {
        let (month, bucket) = (u32::from_le_bytes(take(fields)), u64::from_le_bytes(take(fields)));
        let account = Account { saved: dollars(take(fields)), spent: dollars(take(fields)) };
        return Some(Record::Account(AccountName { month, bucket }, account));
    }
    let name = Name { bucket: u64::from_le_bytes(take(fields)), hash: u64::from_le_bytes(take(fields)) };
    Some(match tag {
        OBJECT => Record::Object(name, Signals::from_bytes(&take(fields))),
        GROUP => Record::Group(
            name,
            Group {
                signals: Signals::from_bytes(&take(fields)),
                members: Members::of_sketch(take(fields)),
                passed: u64::from_le_bytes(take(fields)),
            },
        ),
        LOOK => {
            let [seen, weight] = take(fields);
            Record::Look(name, Look { seen, weight, time: u32::from_le_bytes(take(fields)) })
        }
        OBJECT_GONE => Record::ObjectGone(name),
        LOOK_GONE => Record::LookGone(name),
        _ => Record::GroupGone(name),
    })
}

fn dollars(bytes: [u8; 8]) -> f64 {
    let value = f64::from_le_bytes(bytes);
    if value.is_finite() { value } else { 0.0 }
}

fn take<const LENGTH: usize>(rest: &mut &[u8]) -> [u8; LENGTH] {
    let Some((field, behind)) = rest.split_first_chunk() else { return [0; LENGTH] };
    *rest = behind;
    *field
}
