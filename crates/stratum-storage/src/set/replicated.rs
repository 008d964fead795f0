//! Small files that must outlive the loss of any `m` hot drives: the same bytes on each of them.
//!
//! Every writing has a higher sequence number than the last, and the newest whole copy wins: a drive that was away
//! while the file was written doesn't bring the old one back.

use super::files::{self, fields};
use super::{Set, SetError};
use crate::blob::Tier;
use crate::drive::{Drive, DriveId};
use std::io::ErrorKind;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"STRMrep\n";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 32;

/// How far the sequence of a declared writing is above every one that was seen: absent drives may hold higher ones.
const SEQUENCE_GAP: u64 = 1 << 32;

/// The longest content: these are files for credentials and the like.
pub const MAX_REPLICATED_BYTES: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
struct StoredCopy {
    sequence: u64,
    content: Vec<u8>,
}

/// A drive's copy of a replicated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicatedCopy {
    /// Whole, and of that writing: the highest one counts.
    Sound {
        sequence: u64,
    },
    Absent,
    Damaged,
}

/// Looks at a drive's copy of a replicated file.
pub fn replicated_copy(drive: &Drive, name: &str) -> ReplicatedCopy {
    match files::read(drive.io().as_ref(), name, HEAD_BYTES + MAX_REPLICATED_BYTES) {
        Err(error) if error.kind() == ErrorKind::NotFound => ReplicatedCopy::Absent,
        Err(_) => ReplicatedCopy::Damaged,
        Ok(bytes) => match decode(&bytes) {
            Ok(Some(copy)) => ReplicatedCopy::Sound { sequence: copy.sequence },
            Ok(None) | Err(_) => ReplicatedCopy::Damaged,
        },
    }
}

/// The newest content of a replicated file on these drives, if any of them has a sound copy.
pub fn replicated_content(drives: &[Arc<Drive>], name: &str) -> Option<Vec<u8>> {
    Copies::read(drives, name).ok().map(|copies| copies.newest.content)
}

/// The content of a replicated file from the bytes of one copy; nothing if it is damaged or of an unknown version.
pub fn content_of_copy(bytes: &[u8]) -> Option<Vec<u8>> {
    decode(bytes).ok().flatten().map(|copy| copy.content)
}

impl Set {
    /// Replaces a file of that name on every healthy hot drive; an error unless it is durable on `m+1` of them, and
    /// the last writing of it could be seen. The files are readable by the server's user alone.
    pub fn write_replicated(&self, name: &str, content: &[u8]) -> Result<(), SetError> {
        let refused = |problem: String| SetError::Replicated { name: name.to_owned(), problem };
        if content.len() > MAX_REPLICATED_BYTES {
            return Err(refused(format!("{} bytes are over {MAX_REPLICATED_BYTES}", content.len())));
        }
        let (newest, away) = self.newest(name)?;
        let m = self.journal_parity();
        if away > m {
            return Err(refused(format!("{away} hot drives are away, and may hold a newer one")));
        }
        let sequence = newest.map_or(0, |copy| copy.sequence).saturating_add(1);
        self.write_copies(name, content, sequence)
    }

    /// Replaces a file of that name whatever the drives that are away hold: this writing is far above any of theirs.
    /// For what is decided about the whole store by hand.
    pub fn declare_replicated(&self, name: &str, content: &[u8]) -> Result<(), SetError> {
        let newest = self.newest(name)?.0.map_or(0, |copy| copy.sequence);
        self.write_copies(name, content, newest.saturating_add(SEQUENCE_GAP))
    }

    fn write_copies(&self, name: &str, content: &[u8], sequence: u64) -> Result<(), SetError> {
        let m = self.journal_parity();
        let bytes = encode(&StoredCopy { sequence, content: content.to_owned() });
        let (mut written, mut problem) = (0, String::from("too few drives are healthy"));
        for drive in self.drives(Tier::JOURNAL).iter() {
            match files::replace(drive.io().as_ref(), name, &bytes) {
                Ok(()) => written += 1,
                Err(error) => problem = format!("{}: {error}", drive.label()),
            }
        }
        match written > m {
            true => Ok(()),
            false => Err(SetError::Replicated {
                name: name.to_owned(),
                problem: format!("it is on {written} drives and must be on {}: {problem}", m + 1),
            }),
        }
    }

    /// The newest content of a file of that name; `None` where it was never written. It is an error when too many
    /// drives are away or damaged to tell.
    pub fn read_replicated(&self, name: &str) -> Result<Option<Vec<u8>>, SetError> {
        let (newest, unknown) = self.newest(name)?;
        match newest {
            Some(copy) => Ok(Some(copy.content)),
            None if unknown <= self.journal_parity() => Ok(None),
            None => Err(SetError::Replicated {
                name: name.to_owned(),
                problem: format!(
                    "{unknown} hot drives are away or hold a damaged one, and no other holds it"
                ),
            }),
        }
    }

    /// What every valid copy of a file of that name says, older ones too: for what only grows more certain with each.
    pub fn read_all_replicated(&self, name: &str) -> Result<Vec<Vec<u8>>, SetError> {
        // An error where too many drives are away to tell.
        self.read_replicated(name)?;
        let read = |drive: &Arc<Drive>| {
            let bytes = files::read(drive.io().as_ref(), name, HEAD_BYTES + MAX_REPLICATED_BYTES).ok()?;
            Some(decode(&bytes).ok()??.content)
        };
        Ok(self.drives(Tier::JOURNAL).iter().filter_map(read).collect())
    }

    /// The valid copy with the highest sequence, and on how many drives there is no telling.
    fn newest(&self, name: &str) -> Result<(Option<StoredCopy>, usize), SetError> {
        let (mut newest, mut unknown) = (None::<StoredCopy>, 0);
        for drive in self.drives(Tier::JOURNAL).iter() {
            let bytes = match files::read(drive.io().as_ref(), name, HEAD_BYTES + MAX_REPLICATED_BYTES) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(_) => {
                    unknown += 1;
                    continue;
                }
            };
            let place = || format!("{name} on {}", drive.io().describe());
            match decode(&bytes) {
                Ok(Some(copy)) if newest.as_ref().is_none_or(|other| other.sequence < copy.sequence) => {
                    newest = Some(copy);
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    tracing::warn!(file = place(), "a copy is damaged");
                    unknown += 1;
                }
                Err(found) => return Err(SetError::NewerFormat { place: place(), found, known: VERSION }),
            }
        }
        Ok((newest, unknown))
    }

    pub(super) fn journal_parity(&self) -> usize {
        self.geometry(Tier::JOURNAL).map_or(0, |geometry| usize::from(geometry.m))
    }
}

/// A replicated file as all drives hold it.
pub(super) struct Copies {
    newest: StoredCopy,
    /// For every drive that answered, the sequence of its copy; `None` if it has none, or a damaged one.
    held: Vec<(DriveId, Option<u64>)>,
}

impl Copies {
    /// Whether a file is a replicated one, by its head.
    pub(super) fn is_one(drive: &Drive, name: &str) -> bool {
        files::read(drive.io().as_ref(), name, HEAD_BYTES).is_ok_and(|bytes| decode_version(&bytes).is_some())
    }

    pub(super) fn read(drives: &[Arc<Drive>], name: &str) -> Result<Copies, SetError> {
        let (mut newest, mut held) = (None::<StoredCopy>, Vec::new());
        for drive in drives.iter().filter(|drive| drive.is_healthy()) {
            let bytes = match files::read(drive.io().as_ref(), name, HEAD_BYTES + MAX_REPLICATED_BYTES) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                Err(_) => continue,
            };
            let copy = decode(&bytes).map_err(|found| SetError::NewerFormat {
                place: format!("{name} on {}", drive.io().describe()),
                found,
                known: VERSION,
            })?;
            held.push((drive.id(), copy.as_ref().map(|copy| copy.sequence)));
            newest = newest.into_iter().chain(copy).max_by_key(|copy| copy.sequence);
        }
        let problem = "every copy is damaged".to_owned();
        let newest = newest.ok_or(SetError::Replicated { name: name.to_owned(), problem })?;
        Ok(Copies { newest, held })
    }

    /// The drives that don't hold the newest content, and what they hold instead.
    pub(super) fn lacking<'a>(&self, drives: &'a [Arc<Drive>]) -> Vec<(&'a Arc<Drive>, String)> {
        let lacking = drives.iter().filter_map(|drive| {
            let (_, held) = self.held.iter().find(|(id, _)| *id == drive.id())?;
            let problem = match held {
                Some(sequence) if *sequence == self.newest.sequence => return None,
                Some(_) => "it is an older copy",
                None => "it is damaged, or not there",
            };
            Some((drive, problem.to_owned()))
        });
        lacking.collect()
    }

    pub(super) fn write_to(&self, drive: &Drive, name: &str) -> std::io::Result<()> {
        files::replace(drive.io().as_ref(), name, &encode(&self.newest))
    }
}

fn encode(copy: &StoredCopy) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + copy.content.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend(copy.sequence.to_le_bytes());
    bytes.extend((copy.content.len() as u32).to_le_bytes());
    bytes.extend(checksum(copy.sequence, &copy.content).to_le_bytes());
    bytes.extend(&copy.content);
    bytes
}

/// Covers the sequence and the content.
fn checksum(sequence: u64, content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&sequence.to_le_bytes()), content)
}

/// Reads a copy, `None` if it is damaged; a version that this binary doesn't know is the error.
fn decode(bytes: &[u8]) -> Result<Option<StoredCopy>, u16> {
    match decode_version(bytes) {
        Some(VERSION) => Ok(decode_version_1(bytes)),
        Some(unknown) => Err(unknown),
        None => Ok(None),
    }
}

fn decode_version(bytes: &[u8]) -> Option<u16> {
    let mut head = fields(bytes);
    let magic = head.take::<8>()?;
    let version = u16::from_le_bytes(head.take()?);
    head.take::<2>()?;
    let crc = crc32c::crc32c(bytes.get(..12)?).to_le_bytes();
    (&magic == MAGIC && head.take()? == crc).then_some(version)
}

fn decode_version_1(bytes: &[u8]) -> Option<StoredCopy> {
    let mut fields = fields(bytes.get(16..)?);
    let sequence = u64::from_le_bytes(fields.take()?);
    let len = u32::from_le_bytes(fields.take()?) as usize;
    let crc = u32::from_le_bytes(fields.take()?);
    let content = fields.rest.get(..len)?;
    (crc == checksum(sequence, content)).then(|| StoredCopy { sequence, content: content.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_back_and_any_damage_seen() {
        let copy = StoredCopy { sequence: 7, content: b"secret".into() };
        let bytes = encode(&copy);
        assert_eq!(decode(&bytes), Ok(Some(copy)));
        for at in (0..bytes.len()).filter(|at| *at != 8 && *at != 9) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), Ok(None), "byte {at}");
            assert_eq!(decode(&bytes[..at]), Ok(None), "length {at}");
        }
    }

    #[test]
    fn the_released_version_is_read() {
        let copy = StoredCopy { sequence: 7, content: b"access_key = A\n".into() };
        let fixture = include_bytes!("../../fixtures/v1/replicated");
        assert!(encode(&copy) == fixture, "the bytes that version 1 writes must not change");
        assert_eq!(decode(fixture), Ok(Some(copy)));
    }

    #[test]
    fn an_unknown_version_is_named() {
        let mut bytes = encode(&StoredCopy { sequence: 7, content: b"secret".into() });
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..12]).to_le_bytes();
        bytes[12..16].copy_from_slice(&crc);
        assert_eq!(decode(&bytes), Err(2));
    }
}
