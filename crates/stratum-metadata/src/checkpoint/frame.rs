//! Frames, in which the blocks of range files and the lists of manifests are written: a length, a checksum, and the
//! bytes.
//!
//! The checksum covers the file and the frame's offset, too, so that a frame of another store, of another checkpoint,
//! or of another place in the file never verifies.

use std::io;

/// The length and the checksum that stand before a frame's bytes.
pub(super) const FRAME_HEADER_LEN: usize = 8;
/// A bit of the length which says that the bytes are compressed by LZ4.
const IS_PACKED: u32 = 1 << 31;

/// What a file puts into the checksums of its frames, so that no other file's frames verify in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(u32);

/// A frame's bytes, and whether they are compressed by LZ4.
pub(super) struct Framed {
    pub(super) bytes: Vec<u8>,
    pub(super) is_packed: bool,
}

impl Framed {
    /// How long the frame is in its file, with its header.
    pub(super) fn stored_bytes(&self) -> usize {
        FRAME_HEADER_LEN + self.bytes.len()
    }
}

impl Salt {
    /// The salt of a file, from the index and hash of the journal entry at which it was written, and the file's number.
    pub(super) fn new(index: u64, hash: u128, number: u32) -> Salt {
        let salt = crc32c::crc32c(&index.to_le_bytes());
        let salt = crc32c::crc32c_append(salt, &hash.to_le_bytes());
        Salt(crc32c::crc32c_append(salt, &number.to_le_bytes()))
    }

    /// The sum of a frame before its bytes are added.
    fn sum_of_none(self, offset: u64, word: u32) -> u32 {
        let place = crc32c::crc32c_append(self.0, &offset.to_le_bytes());
        crc32c::crc32c_append(place, &word.to_le_bytes())
    }

    fn checksum(self, offset: u64, word: u32, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(self.sum_of_none(offset, word), bytes)
    }

    /// The header that stands before a frame's bytes.
    pub(super) fn header(self, offset: u64, bytes: &[u8], is_packed: bool) -> [u8; FRAME_HEADER_LEN] {
        let word = bytes.len() as u32 | if is_packed { IS_PACKED } else { 0 };
        let mut header = [0; FRAME_HEADER_LEN];
        header[..4].copy_from_slice(&word.to_le_bytes());
        header[4..].copy_from_slice(&self.checksum(offset, word, bytes).to_le_bytes());
        header
    }

    /// Reads the frame that begins at `offset`. `stored` is all of it. Gives none if it doesn't verify.
    pub(super) fn parse(self, offset: u64, mut stored: Vec<u8>) -> Option<Framed> {
        let (header, bytes) = stored.split_first_chunk::<FRAME_HEADER_LEN>()?;
        let ([a, b, c, d, ..], [.., e, f, g, h]) = (*header, *header);
        let (word, crc) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let is_whole = (word & !IS_PACKED) as usize == bytes.len();
        if !is_whole || self.checksum(offset, word, bytes) != crc {
            return None;
        }
        stored.drain(..FRAME_HEADER_LEN);
        Some(Framed { bytes: stored, is_packed: word & IS_PACKED != 0 })
    }

    /// The frames in the bytes of a whole file from `from` on, each with its offset, until one doesn't verify.
    pub(super) fn frames(
        self,
        file: &[u8],
        from: usize,
    ) -> impl Iterator<Item = io::Result<(u64, Framed)>> + '_ {
        let mut next = Some(from).filter(|from| *from < file.len());
        std::iter::from_fn(move || {
            let offset = next.take()?;
            let rest = file.get(offset..)?;
            let stored = rest.first_chunk().and_then(|header| rest.get(..Salt::length(*header)));
            let framed = stored.and_then(|stored| self.parse(offset as u64, stored.to_vec()));
            let framed = framed.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
            let end = framed.as_ref().ok().map(|framed| offset + framed.stored_bytes());
            next = end.filter(|end| *end < file.len());
            Some(framed.map(|framed| (offset as u64, framed)))
        })
    }

    /// The length of the frame with this header, the header included. It isn't verified yet.
    pub(super) fn length(header: [u8; FRAME_HEADER_LEN]) -> usize {
        let [a, b, c, d, ..] = header;
        FRAME_HEADER_LEN + (u32::from_le_bytes([a, b, c, d]) & !IS_PACKED) as usize
    }
}

/// Frames that follow one another and come in pieces of any size: whether each is what was written at its place. Nothing is kept of
/// them but a sum.
pub(super) struct Passing {
    salt: Salt,
    /// Where the one begins that comes.
    offset: u64,
    coming: Coming,
}

/// What there is of the frame that comes.
enum Coming {
    Header { bytes: [u8; FRAME_HEADER_LEN], have: usize },
    Bytes { length: usize, have: usize, sum: u32, expected: u32 },
}

const NOTHING_YET: Coming = Coming::Header { bytes: [0; FRAME_HEADER_LEN], have: 0 };

impl Passing {
    pub(super) fn new(salt: Salt, offset: u64) -> Passing {
        Passing { salt, offset, coming: NOTHING_YET }
    }

    /// Takes the next piece; false when a frame that ends in it isn't what was written.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> bool {
        while !piece.is_empty() {
            let taken = self.take_some(piece);
            piece = &piece[taken..];
            if let Coming::Bytes { length, have, sum, expected } = self.coming
                && have == length
            {
                if sum != expected {
                    return false;
                }
                self.offset += (FRAME_HEADER_LEN + length) as u64;
                self.coming = NOTHING_YET;
            }
        }
        true
    }

    /// Takes what belongs to the header, or to the bytes behind it.
    fn take_some(&mut self, piece: &[u8]) -> usize {
        match &mut self.coming {
            Coming::Header { bytes, have } => {
                let taken = piece.len().min(FRAME_HEADER_LEN - *have);
                bytes[*have..*have + taken].copy_from_slice(&piece[..taken]);
                *have += taken;
                if *have == FRAME_HEADER_LEN {
                    let [a, b, c, d, e, f, g, h] = *bytes;
                    let (word, expected) =
                        (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
                    let (length, sum) =
                        ((word & !IS_PACKED) as usize, self.salt.sum_of_none(self.offset, word));
                    self.coming = Coming::Bytes { length, have: 0, sum, expected };
                }
                taken
            }
            Coming::Bytes { length, have, sum, .. } => {
                let taken = piece.len().min(*length - *have);
                *sum = crc32c::crc32c_append(*sum, &piece[..taken]);
                *have += taken;
                taken
            }
        }
    }

    /// Whether what came ends where a frame ends.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.coming, Coming::Header { have: 0, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_come_in_pieces_are_what_was_written_or_not() {
        let salt = Salt::new(7, 1 << 90, 2);
        let mut stored = Vec::new();
        for bytes in [b"pairs".as_slice(), b"", b"more pairs"] {
            let at = 32 + stored.len() as u64;
            stored.extend([salt.header(at, bytes, false).as_slice(), bytes].concat());
        }
        let passes = |stored: &[u8], pieces: usize| {
            let mut passing = Passing::new(salt, 32);
            stored.chunks(pieces).all(|piece| passing.take(piece)) && passing.is_between_frames()
        };
        for pieces in 1..stored.len() + 1 {
            assert!(passes(&stored, pieces), "{pieces} bytes at a time");
        }
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!passes(&damaged, 3), "bit {bit}");
        }
        assert!(!passes(&stored[..stored.len() - 1], 3), "cut off");
    }

    #[test]
    fn a_frame_is_read_where_it_was_written_and_nowhere_else() {
        let salt = Salt::new(7, 1 << 90, 2);
        let bytes = b"pairs".to_vec();
        let stored = [salt.header(4096, &bytes, true).as_slice(), &bytes].concat();
        let framed = salt.parse(4096, stored.clone()).unwrap();
        assert!(framed.bytes == bytes && framed.is_packed);
        assert_eq!(Salt::length(*stored.first_chunk().unwrap()), stored.len());
        assert!(salt.parse(4095, stored.clone()).is_none(), "another place");
        for other in [Salt::new(8, 1 << 90, 2), Salt::new(7, 1 << 91, 2), Salt::new(7, 1 << 90, 3)] {
            assert!(other.parse(4096, stored.clone()).is_none(), "another file");
        }
        for bit in 0..stored.len() * 8 {
            let mut damaged = stored.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(salt.parse(4096, damaged).is_none(), "bit {bit}");
        }
    }
}
