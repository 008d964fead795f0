//! Small files that must outlive the loss of any `m` hot drives: the same bytes on each of them.
//!
//! Every writing has a higher sequence number than the last, and the newest whole copy wins: a drive that was away
//! while the file was written doesn't bring the old one back.

use super::files::{self, fields};
use super::{Set, SetError};
use crate::blob::Tier;
use crate::drive::Drive;
use std::io::ErrorKind;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"STRMrep\n";
const VERSION: u16 = 1;
const HEAD: usize = 32;

/// The longest content: these are files for credentials and the like.
pub const MAX_REPLICATED: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Copy {
    sequence: u64,
    content: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Copy(Copy),
    Nothing,
    Damaged,
    /// The drive could not be asked.
    Unknown,
}

impl Set {
    /// Replaces a file of that name on every healthy hot drive; an error unless it is durable on `m+1` of them. The
    /// files are readable by the server's user alone.
    pub fn write_replicated(&self, name: &str, content: &[u8]) -> Result<(), SetError> {
        let refused = |problem: String| SetError::Replicated { name: name.to_owned(), problem };
        if content.len() > MAX_REPLICATED {
            return Err(refused(format!("{} bytes are over {MAX_REPLICATED}", content.len())));
        }
        let newest = self.copies(name)?.into_iter().filter_map(|(_, found)| match found {
            Found::Copy(copy) => Some(copy.sequence),
            _ => None,
        });
        let sequence = newest.max().unwrap_or(0).saturating_add(1);
        let bytes = encode(&Copy { sequence, content: content.to_owned() });
        let (mut written, mut problem) = (0, String::from("too few drives are healthy"));
        for drive in self.drives(Tier::Hot) {
            match files::replace(drive.io().as_ref(), name, &bytes) {
                Ok(()) => written += 1,
                Err(error) => problem = format!("{}: {error}", drive.label()),
            }
        }
        let needed = usize::from(self.geometry(Tier::Hot).map_or(0, |geometry| geometry.m)) + 1;
        match written >= needed {
            true => Ok(()),
            false => Err(refused(format!("it is on {written} drives and must be on {needed}: {problem}"))),
        }
    }

    /// The newest content of a file of that name; `None` where it was never written. It is an error when too many
    /// drives are away or damaged to tell.
    pub fn read_replicated(&self, name: &str) -> Result<Option<Vec<u8>>, SetError> {
        let copies = self.copies(name)?;
        let unknown =
            copies.iter().filter(|(_, found)| matches!(found, Found::Unknown | Found::Damaged)).count();
        let newest = copies.into_iter().filter_map(|(_, found)| match found {
            Found::Copy(copy) => Some(copy),
            _ => None,
        });
        let m = usize::from(self.geometry(Tier::Hot).map_or(0, |geometry| geometry.m));
        match newest.max_by_key(|copy| copy.sequence) {
            Some(copy) => Ok(Some(copy.content)),
            None if unknown <= m => Ok(None),
            None => Err(SetError::Replicated {
                name: name.to_owned(),
                problem: format!("{unknown} hot drives are away or damaged, and no other holds it"),
            }),
        }
    }

    fn copies(&self, name: &str) -> Result<Vec<(Arc<Drive>, Found)>, SetError> {
        let mut copies = Vec::new();
        for drive in self.drives(Tier::Hot) {
            let found = match files::read(drive.io().as_ref(), name, HEAD + MAX_REPLICATED) {
                Ok(bytes) => decode(&bytes).map_err(|found| SetError::NewerFormat {
                    place: format!("{name} on {}", drive.io().describe()),
                    found,
                    known: VERSION,
                })?,
                Err(error) if error.kind() == ErrorKind::NotFound => Found::Nothing,
                Err(_) => Found::Unknown,
            };
            copies.push((drive.clone(), found));
        }
        Ok(copies)
    }
}

fn encode(copy: &Copy) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD + copy.content.len());
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

/// Reads a copy; a version that this binary doesn't know is the error.
fn decode(bytes: &[u8]) -> Result<Found, u16> {
    let mut head = fields(bytes);
    let mut parse = || -> Option<Result<Copy, u16>> {
        let magic = head.take::<8>()?;
        let version = u16::from_le_bytes(head.take()?);
        head.take::<2>()?;
        if &magic != MAGIC || head.take()? != crc32c::crc32c(bytes.get(..12)?).to_le_bytes() {
            return None;
        }
        if version != VERSION {
            return Some(Err(version));
        }
        let sequence = u64::from_le_bytes(head.take()?);
        let len = u32::from_le_bytes(head.take()?) as usize;
        let crc = u32::from_le_bytes(head.take()?);
        let content = head.rest.get(..len)?;
        (crc == checksum(sequence, content)).then(|| Ok(Copy { sequence, content: content.to_owned() }))
    };
    match parse() {
        Some(Ok(copy)) => Ok(Found::Copy(copy)),
        Some(Err(version)) => Err(version),
        None => Ok(Found::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_back_and_any_damage_seen() {
        let copy = Copy { sequence: 7, content: b"secret".into() };
        let bytes = encode(&copy);
        assert_eq!(decode(&bytes), Ok(Found::Copy(copy)));
        for at in (0..bytes.len()).filter(|at| *at != 8 && *at != 9) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), Ok(Found::Damaged), "byte {at}");
            assert_eq!(decode(&bytes[..at]), Ok(Found::Damaged), "length {at}");
        }
    }

    #[test]
    fn the_released_version_is_read() {
        let copy = Copy { sequence: 7, content: b"access_key = A\n".into() };
        let fixture = include_bytes!("../../fixtures/v1/replicated");
        assert!(encode(&copy) == fixture, "the bytes that version 1 writes must not change");
        assert_eq!(decode(fixture), Ok(Found::Copy(copy)));
    }

    #[test]
    fn an_unknown_version_is_named() {
        let mut bytes = encode(&Copy { sequence: 7, content: b"secret".into() });
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..12]).to_le_bytes();
        bytes[12..16].copy_from_slice(&crc);
        assert_eq!(decode(&bytes), Err(2));
    }
}
