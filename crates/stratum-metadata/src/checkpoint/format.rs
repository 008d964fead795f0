//! The header of every checkpoint, and the format of one that is a single file; `docs/format/metadata.md` describes
//! both.
//!
//! A checkpoint is a [manifest](super::manifest) that names range files or, as older servers wrote it and as backups
//! hold it, a single file. That has the header with the index of the journal entry that the state is as of, blocks of
//! key-value pairs, and an end that counts the pairs. Every block's checksum covers the checkpoint's index and the
//! block's offset, too, so that a block of another checkpoint, or of another place in the file, never verifies. All
//! copies of a checkpoint have the same bytes, so a block that is bad in one copy is read from another.

use crate::record::{Applied, Level};
use crate::tree::Value;
use stratum_storage::blob::Index;

const MAGIC: &[u8; 8] = b"STRATCKP";
pub(super) const HEADER_LEN: usize = 64;
/// The length and the checksum that stand before a block.
pub(super) const FRAME_LEN: usize = 8;
/// How many bytes a block must hold to be ended.
pub(super) const BLOCK_BYTES: usize = 256 << 10;
/// A bound that no block reaches. Its last pair may exceed [`BLOCK_BYTES`], but by no more than the largest record.
pub(super) const MAX_BLOCK_BYTES: usize = 16 << 20;
pub(super) const END_LEN: usize = 16;

/// A bit of the version which says that the checkpoint is a manifest. Binaries that don't know range files refuse it
/// as a newer version.
const NAMES_RANGES: u32 = 1 << 8;

/// A bit of the version which says that a run lies over the base. Binaries that don't know runs refuse it as a newer
/// version; they would take the base for the whole state.
const HAS_RUN: u32 = 1 << 9;

/// A bit of the version which says that files of a run sank between run and base. Binaries that don't know that
/// refuse it as a newer version, for the same reason.
const HAS_SUNK: u32 = 1 << 10;

/// What follows a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The pairs.
    SingleFile,
    /// A list of range files.
    Manifest,
    /// Two lists of range files: those of the base, and those of the run over it.
    ManifestWithRun,
    /// Three lists of range files: those of the base, those of the run, and those that sank between the two.
    ManifestWithSunk,
}

/// Why bytes can't be read as a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("a checkpoint of level {0}; this binary knows levels up to {known}: use a newer one", known = Level::highest_known())]
    Newer(u32),
    #[error("the checkpoint is damaged at byte {0}")]
    Damaged(u64),
}

pub(super) fn header(applied: &Applied, form: Form) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    let form = match form {
        Form::SingleFile => 0,
        Form::Manifest => NAMES_RANGES,
        Form::ManifestWithRun => NAMES_RANGES | HAS_RUN,
        Form::ManifestWithSunk => NAMES_RANGES | HAS_RUN | HAS_SUNK,
    };
    let version = form | u32::from(applied.level.number());
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    bytes[16..24].copy_from_slice(&applied.index.to_le_bytes());
    bytes[24..40].copy_from_slice(&applied.hash.to_le_bytes());
    bytes[40..56].copy_from_slice(&applied.fingerprint.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
    bytes[HEADER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

pub(super) fn parse_header(bytes: &[u8; HEADER_LEN]) -> Result<(Applied, Form), FormatError> {
    let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    let u128_at = |at: usize| u128::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    // The version is the state's level, which a binary must know to read the records.
    let version = u64_at(8) as u32;
    let form = match (version & NAMES_RANGES, version & HAS_RUN, version & HAS_SUNK) {
        (0, ..) => Form::SingleFile,
        (_, 0, _) => Form::Manifest,
        (_, _, 0) => Form::ManifestWithRun,
        _ => Form::ManifestWithSunk,
    };
    let version = match form {
        Form::SingleFile => version,
        // Any other bit makes it a version that this binary doesn't know.
        Form::Manifest => version & !NAMES_RANGES,
        Form::ManifestWithRun => version & !(NAMES_RANGES | HAS_RUN),
        Form::ManifestWithSunk => version & !(NAMES_RANGES | HAS_RUN | HAS_SUNK),
    };
    // Before the version is believed: a bit that rotted in it must not refuse the start, as a newer build's checkpoint does.
    let crc = (u64_at(HEADER_LEN - 8) >> 32) as u32;
    if &bytes[..8] != MAGIC || crc32c::crc32c(&bytes[..HEADER_LEN - 4]) != crc || version == 0 {
        return Err(FormatError::Damaged(0));
    }
    let level = u8::try_from(version).ok().and_then(|number| Level::known(number).ok());
    let level = level.ok_or(FormatError::Newer(version))?;
    let applied = Applied { index: u64_at(16), hash: u128_at(24), fingerprint: u128_at(40), level };
    Ok((applied, form))
}

/// A block's checksum: of its checkpoint and offset, then of its bytes.
fn checksum(index: Index, offset: u64, payload: &[u8]) -> u32 {
    let place = crc32c::crc32c_append(crc32c::crc32c(&index.to_le_bytes()), &offset.to_le_bytes());
    crc32c::crc32c_append(place, payload)
}

/// The length and checksum before a block. They begin at `offset`.
pub(super) fn frame(index: Index, offset: u64, payload: &[u8]) -> [u8; FRAME_LEN] {
    let mut bytes = [0; FRAME_LEN];
    bytes[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&checksum(index, offset, payload).to_le_bytes());
    bytes
}

/// Reads a block's length and checksum. A length of 0 is the file's end.
pub(super) fn parse_frame(bytes: [u8; FRAME_LEN], offset: u64) -> Result<(usize, u32), FormatError> {
    let [a, b, c, d, e, f, g, h] = bytes;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length > MAX_BLOCK_BYTES {
        return Err(FormatError::Damaged(offset));
    }
    Ok((length, u32::from_le_bytes([e, f, g, h])))
}

pub(super) fn verify(index: Index, offset: u64, payload: &[u8], crc: u32) -> Result<(), FormatError> {
    if checksum(index, offset, payload) == crc { Ok(()) } else { Err(FormatError::Damaged(offset)) }
}

/// The file's end: a frame of length 0 whose checksum covers the count of pairs, and the count.
pub(super) fn end(index: Index, offset: u64, pairs: u64) -> [u8; END_LEN] {
    let mut bytes = [0; END_LEN];
    let count = pairs.to_le_bytes();
    bytes[4..8].copy_from_slice(&checksum(index, offset, &count).to_le_bytes());
    bytes[8..].copy_from_slice(&count);
    bytes
}

/// Adds a pair to a block.
pub(super) fn push_pair(block: &mut Vec<u8>, key: &[u8], value: &Value) {
    block.extend_from_slice(&(key.len() as u32).to_le_bytes());
    block.extend_from_slice(&(value.len() as u32).to_le_bytes());
    block.extend_from_slice(key);
    block.extend_from_slice(value);
}

/// The pairs of a verified block, in the order in which they were pushed.
pub(super) fn pairs(mut block: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), FormatError>> {
    std::iter::from_fn(move || {
        if block.is_empty() {
            return None;
        }
        let pair = take_pair(&mut block).ok_or(FormatError::Damaged(0));
        if pair.is_err() {
            block = &[];
        }
        Some(pair)
    })
}

fn take_pair<'a>(block: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (key_len, rest) = block.split_first_chunk::<4>()?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_len) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
    *block = rest;
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const APPLIED: Applied =
        Applied { index: 77, hash: 1 << 100, fingerprint: u128::MAX - 3, level: Level::FIRST };

    #[test]
    fn a_header_comes_back_and_any_flipped_bit_is_seen() {
        for form in [Form::SingleFile, Form::Manifest, Form::ManifestWithRun, Form::ManifestWithSunk] {
            let bytes = header(&APPLIED, form);
            assert_eq!(parse_header(&bytes), Ok((APPLIED, form)));
            for bit in 0..HEADER_LEN * 8 {
                let mut damaged = bytes;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(parse_header(&damaged), Err(FormatError::Damaged(0)), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = header(&APPLIED, Form::SingleFile);
        bytes[8] = 9;
        let crc = crc32c::crc32c(&bytes[..HEADER_LEN - 4]);
        bytes[HEADER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(parse_header(&bytes), Err(FormatError::Newer(9)));
    }

    #[test]
    fn a_block_belongs_to_its_checkpoint_and_its_place() {
        let (length, crc) = parse_frame(frame(77, 64, b"payload"), 64).unwrap();
        assert_eq!(length, 7);
        assert!(verify(77, 64, b"payload", crc).is_ok());
        assert!(verify(78, 64, b"payload", crc).is_err());
        assert!(verify(77, 72, b"payload", crc).is_err());
        assert!(verify(77, 64, b"Payload", crc).is_err());
    }

    proptest! {
        #[test]
        fn pairs_come_back_in_order(input: Vec<(Vec<u8>, Vec<u8>)>) {
            let mut block = Vec::new();
            for (key, value) in &input {
                push_pair(&mut block, key, &Value::from(value.as_slice()));
            }
            let output: Result<Vec<_>, _> = pairs(&block).map(|pair| pair.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect();
            prop_assert_eq!(output, Ok(input));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(block: Vec<u8>) {
            let _ = pairs(&block).count();
        }
    }
}
