//! The table at the end of a body: how long each frame's stored bytes are, how they are coded, what they sum up to.
//!
//! A reader knows from the record how many bytes of plaintext and how many stored bytes a body has, so it knows where
//! the table lies before it has read anything, and nothing in the table is believed but what agrees with both. The
//! trailer says the same of itself for those who find a body without its record.

use crate::codec::Codec;
use crate::seal::{Cipher, Seal};
use crate::{FRAME_BYTES, FrameError, MAX_FRAMES, count, length};
use std::ops::Range;
use stratum_cipher::Salt;

/// The version that is written and read.
pub(crate) const VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"STRMtbl\n";
pub(crate) const ENTRY_BYTES: usize = 8;
pub(crate) const TRAILER_BYTES: usize = 32;
const CRC_BYTES: usize = 4;
/// The low bits of an entry's first number are the length, the high ones the codec.
const LENGTH_BITS: u32 = 24;

/// Bytes of the longest table, with a salt and its trailer.
pub const MAX_TABLE_BYTES: usize = MAX_FRAMES as usize * ENTRY_BYTES + Salt::BYTES + TRAILER_BYTES;

/// Where the frames of one body lie in its stored bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    plaintext: u64,
    entries: Vec<Entry>,
    /// Bytes of all frames together.
    frames: u64,
    /// The salt of a sealed body's key.
    salt: Option<Salt>,
}

/// One frame: 16 bytes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Where its stored bytes begin.
    start: u64,
    coded: Coded,
    crc32c: u32,
}

/// A frame's codec and the length of its stored bytes, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Coded(u32);

impl Coded {
    fn new(codec: Codec, length: usize) -> Self {
        Self(u32::from(codec.byte()) << LENGTH_BITS | length as u32)
    }

    fn length(self) -> usize {
        (self.0 & ((1 << LENGTH_BITS) - 1)) as usize
    }

    fn codec(self) -> Result<Codec, FrameError> {
        Codec::of((self.0 >> LENGTH_BITS) as u8)
    }
}

/// A frame as the table tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub codec: Codec,
    /// Stored bytes.
    pub stored: usize,
    /// Plaintext bytes.
    pub plaintext: usize,
    pub crc32c: u32,
    pub is_last: bool,
}

impl Table {
    /// Where the table lies in a body of `stored` bytes that holds `plaintext` bytes and is sealed with `cipher`: its
    /// last bytes, at most [`MAX_TABLE_BYTES`].
    ///
    /// # Errors
    /// `TooLong`; `Table` if there can't be one.
    pub fn place(plaintext: u64, stored: u64, cipher: Cipher) -> Result<Range<u64>, FrameError> {
        let length = bytes_for(count(plaintext)?, cipher) as u64;
        let start = stored.checked_sub(length).ok_or(FrameError::Table)?;
        Ok(start..stored)
    }

    /// Reads the bytes that lie at [`Table::place`].
    ///
    /// # Errors
    /// Whatever is not exactly what was written for a body of these lengths and this cipher.
    pub fn decode(bytes: &[u8], plaintext: u64, stored: u64, cipher: Cipher) -> Result<Table, FrameError> {
        let count = count(plaintext)?;
        let place = Table::place(plaintext, stored, cipher)?;
        let damaged = FrameError::Table;
        if bytes.len() as u64 != place.end - place.start {
            return Err(damaged);
        }
        let (entries, trailer) = bytes.split_at_checked(bytes.len() - TRAILER_BYTES).ok_or(damaged)?;
        let trailer: &[u8; TRAILER_BYTES] = trailer.try_into().map_err(|_| damaged)?;
        if check(bytes, trailer)? != cipher {
            return Err(damaged);
        }
        let salt = entries.len().checked_sub(cipher.salt_bytes()).ok_or(damaged)?;
        let (entries, salt) = entries.split_at_checked(salt).ok_or(damaged)?;
        if u64_at(trailer, 16) != plaintext {
            return Err(FrameError::OtherBody { found: u64_at(trailer, 16), expected: plaintext });
        }
        if u32_at(trailer, 12) != count || u32_at(trailer, 24) as usize != FRAME_BYTES {
            return Err(damaged);
        }
        // Empty where nothing is sealed.
        let salt = salt.try_into().ok().map(Salt);
        let mut table = Table { plaintext, entries: Vec::with_capacity(count as usize), frames: 0, salt };
        for (frame, entry) in (0..count).zip(entries.chunks_exact(ENTRY_BYTES)) {
            table.add(frame, Coded(u32_at(entry, 0)), u32_at(entry, 4))?;
        }
        if table.frames != place.start { Err(damaged) } else { Ok(table) }
    }

    fn add(&mut self, frame: u32, coded: Coded, crc32c: u32) -> Result<(), FrameError> {
        let plaintext = length(self.plaintext, frame);
        let length = coded.length().checked_sub(self.cipher().added_bytes()).ok_or(FrameError::Table)?;
        let is_possible = match coded.codec()? {
            Codec::None => length == plaintext,
            // What doesn't shrink is stored as it is.
            Codec::Lz4 | Codec::Zstd => (1..plaintext).contains(&length),
        };
        if !is_possible {
            return Err(FrameError::Table);
        }
        self.entries.push(Entry { start: self.frames, coded, crc32c });
        self.frames += coded.length() as u64;
        Ok(())
    }

    /// The salt of a sealed body's key.
    pub(crate) fn salt(&self) -> Option<&Salt> {
        self.salt.as_ref()
    }

    /// What the body's frames are sealed with.
    pub fn cipher(&self) -> Cipher {
        if self.salt.is_some() { Cipher::Aes256Gcm } else { Cipher::None }
    }

    /// Plaintext bytes of the body.
    pub fn plaintext(&self) -> u64 {
        self.plaintext
    }

    /// How much memory the table takes, in bytes.
    pub fn memory(&self) -> usize {
        size_of::<Table>() + self.entries.len() * size_of::<Entry>()
    }

    /// What the table of a body of `plaintext` bytes takes at most as it is stored and as it is used, in bytes.
    pub(crate) fn memory_for(plaintext: u64) -> u64 {
        let count = plaintext.div_ceil(FRAME_BYTES as u64).min(MAX_FRAMES.into());
        let once = Salt::BYTES + TRAILER_BYTES + size_of::<Table>();
        count * (ENTRY_BYTES + size_of::<Entry>()) as u64 + once as u64
    }

    pub(crate) fn frame(&self, frame: u32) -> Option<Frame> {
        let entry = self.entries.get(frame as usize)?;
        Some(Frame {
            codec: entry.coded.codec().ok()?,
            stored: entry.coded.length(),
            plaintext: length(self.plaintext, frame),
            crc32c: entry.crc32c,
            is_last: frame as usize + 1 == self.entries.len(),
        })
    }

    /// The frames that a range of plaintext touches; none for an empty one.
    ///
    /// # Errors
    /// `Range`.
    pub(crate) fn touched(&self, range: &Range<u64>) -> Result<Range<u32>, FrameError> {
        if range.end > self.plaintext {
            return Err(FrameError::Range(self.plaintext));
        }
        if range.start >= range.end {
            return Ok(0..0);
        }
        // Both are at most MAX_FRAMES: the range ends within the body.
        let first = range.start / FRAME_BYTES as u64;
        Ok(first as u32..range.end.div_ceil(FRAME_BYTES as u64) as u32)
    }

    /// Where the stored bytes of these frames lie.
    pub(crate) fn stored(&self, frames: &Range<u32>) -> Range<u64> {
        if frames.is_empty() {
            return 0..0;
        }
        let at = |frame: u32| self.entries.get(frame as usize).map_or(self.frames, |entry| entry.start);
        at(frames.start)..at(frames.end)
    }
}

/// A table that is being written.
#[derive(Debug, Default)]
pub(crate) struct TableWriter {
    bytes: Vec<u8>,
}

impl TableWriter {
    pub fn add(&mut self, codec: Codec, stored: &[u8]) {
        self.bytes.extend_from_slice(&Coded::new(codec, stored.len()).0.to_le_bytes());
        self.bytes.extend_from_slice(&crc32c::crc32c(stored).to_le_bytes());
    }

    /// Frames so far.
    pub fn count(&self) -> u32 {
        (self.bytes.len() / ENTRY_BYTES) as u32
    }

    /// The table of a body of `plaintext` bytes that `seal` seals, if anything does, with its trailer.
    pub fn finish(self, plaintext: u64, seal: Option<&Seal>) -> Vec<u8> {
        let (count, mut bytes) = (self.count(), self.bytes);
        let cipher = match seal {
            Some(seal) => {
                bytes.extend_from_slice(&seal.salt().0);
                Cipher::Aes256Gcm
            }
            None => Cipher::None,
        };
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[cipher.byte(), 0]);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&plaintext.to_le_bytes());
        bytes.extend_from_slice(&(FRAME_BYTES as u32).to_le_bytes());
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// Bytes of the table of so many frames, with its salt and its trailer.
fn bytes_for(count: u32, cipher: Cipher) -> usize {
    count as usize * ENTRY_BYTES + cipher.salt_bytes() + TRAILER_BYTES
}

/// Whether it is a table, one that this binary knows, and undamaged; what the frames are sealed with.
fn check(bytes: &[u8], trailer: &[u8; TRAILER_BYTES]) -> Result<Cipher, FrameError> {
    let version = u16::from_le_bytes([trailer[8], trailer[9]]);
    if !trailer.starts_with(MAGIC) {
        return Err(FrameError::Table);
    }
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    let summed = bytes.get(..bytes.len() - CRC_BYTES).unwrap_or_default();
    if u32_at(trailer, TRAILER_BYTES - CRC_BYTES) != crc32c::crc32c(summed) {
        return Err(FrameError::Table);
    }
    Cipher::of(trailer[10])
}

/// The number at `at`; 0 beyond the end, which no caller asks for.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |found| u32::from_le_bytes(*found))
}

/// As [`u32_at`].
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.map_or(0, |found| u64::from_le_bytes(*found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of two frames that can't be told from a real one but for what `change` does to it.
    fn table(change: impl Fn(&mut Vec<u8>)) -> Result<Table, FrameError> {
        let mut writer = TableWriter::default();
        writer.add(Codec::Zstd, &[1; 40]);
        writer.add(Codec::None, &[2; 10]);
        let plaintext = FRAME_BYTES as u64 + 10;
        let mut bytes = writer.finish(plaintext, None);
        change(&mut bytes);
        let end = bytes.len() - CRC_BYTES;
        let crc = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
        Table::decode(&bytes, plaintext, 50 + bytes.len() as u64, Cipher::None)
    }

    #[test]
    fn a_range_touches_its_frames() {
        let table = table(|_| {}).unwrap();
        let frame = FRAME_BYTES as u64;
        for (range, frames, stored) in [
            (0..1, 0..1, 0..40),
            (0..frame, 0..1, 0..40),
            (frame - 1..frame + 1, 0..2, 0..50),
            (frame..frame + 10, 1..2, 40..50),
            (5..5, 0..0, 0..0),
        ] {
            assert_eq!(table.touched(&range), Ok(frames.clone()), "{range:?}");
            assert_eq!(table.stored(&frames), stored, "{range:?}");
        }
        assert_eq!(table.touched(&(0..frame + 11)), Err(FrameError::Range(frame + 10)));
    }

    #[test]
    fn what_adds_up_and_is_no_table_nevertheless_is_refused() {
        type Change = fn(&mut Vec<u8>);
        let cases: [(Change, FrameError); 9] = [
            (|bytes| bytes[0] = 41, FrameError::Table),
            (|bytes| bytes[3] = 3, FrameError::Codec(3)),
            (|bytes| bytes[3] = 0, FrameError::Table),
            (|bytes| bytes[8] = 11, FrameError::Table),
            (|bytes| bytes[16 + 8] = 2, FrameError::Version(2)),
            (|bytes| bytes[16 + 10] = 2, FrameError::Cipher(2)),
            // The record says that nothing is sealed.
            (|bytes| bytes[16 + 10] = 1, FrameError::Table),
            (|bytes| bytes[16 + 12] = 3, FrameError::Table),
            (|bytes| bytes[16 + 16] = 11, FrameError::OtherBody { found: 262_155, expected: 262_154 }),
        ];
        for (at, (change, expected)) in cases.into_iter().enumerate() {
            assert_eq!(table(change), Err(expected), "{at}");
        }
    }

    #[test]
    fn a_table_is_bounded_before_it_is_read() {
        let place = |plaintext, stored| Table::place(plaintext, stored, Cipher::None);
        assert_eq!(place(crate::MAX_BODY_BYTES + 1, u64::MAX), Err(FrameError::TooLong));
        assert_eq!(place(u64::MAX, u64::MAX), Err(FrameError::TooLong));
        assert_eq!(place(1, 39), Err(FrameError::Table));
        assert_eq!(Table::place(1, 71, Cipher::Aes256Gcm), Err(FrameError::Table));
        let longest = Table::place(crate::MAX_BODY_BYTES, 1 << 40, Cipher::Aes256Gcm).unwrap();
        assert_eq!(longest.end - longest.start, MAX_TABLE_BYTES as u64);
    }
}
