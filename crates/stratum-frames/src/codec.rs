//! How one frame is coded.
//!
//! A frame is coded by itself, so that any of them can be read without the others, and a frame that doesn't shrink is
//! stored as it is. Each codec keeps a checksum of the plaintext with what it writes: what is served was checked after
//! it was decoded, too. Every codec has a file, the only one that names its library.

mod lz4;
mod zstd;

use crate::{FRAME_BYTES, FrameError, MAX_TABLE_BYTES};
use bytes::Bytes;
pub use zstd::ZstdLevel;

/// How a frame is coded. The number is what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// The plaintext itself.
    None = 0,
    Lz4 = 1,
    Zstd = 2,
}

impl Codec {
    pub(crate) fn of(byte: u8) -> Result<Codec, FrameError> {
        match byte {
            0 => Ok(Codec::None),
            1 => Ok(Codec::Lz4),
            2 => Ok(Codec::Zstd),
            other => Err(FrameError::Codec(other)),
        }
    }

    pub(crate) fn byte(self) -> u8 {
        self as u8
    }
}

/// What an encoder tries on each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Lz4,
    Zstd(ZstdLevel),
}

impl Compression {
    /// What an [`Encoder`](crate::Encoder) holds at most, in bytes: a frame of plaintext, what codes it, and the
    /// entries of the table.
    pub fn memory(self) -> u64 {
        let compressor = match self {
            Compression::Lz4 => lz4::compressor_bytes(),
            Compression::Zstd(level) => zstd::compressor_bytes(level),
        };
        (FRAME_BYTES + compressor + MAX_TABLE_BYTES) as u64
    }

    /// The same codec at the level that takes the least time.
    pub fn quickest(self) -> Compression {
        match self {
            Compression::Lz4 => Compression::Lz4,
            Compression::Zstd(_) => Compression::Zstd(ZstdLevel::FASTEST),
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Zstd(ZstdLevel::default())
    }
}

/// Codes frames, with the memory for it.
pub(crate) enum Compressor {
    Lz4(lz4::Compressor),
    Zstd(Box<zstd::Compressor>),
}

impl Compressor {
    /// # Errors
    /// `Memory`.
    pub fn new(compression: Compression) -> Result<Self, FrameError> {
        Ok(match compression {
            Compression::Lz4 => Compressor::Lz4(lz4::Compressor::default()),
            Compression::Zstd(level) => Compressor::Zstd(zstd::Compressor::new(level)?.into()),
        })
    }

    /// A frame's stored bytes and what they are coded with, if they are fewer than the plaintext's.
    pub fn compress(&mut self, plaintext: &[u8]) -> Option<(Codec, &[u8])> {
        match self {
            Compressor::Lz4(lz4) => Some((Codec::Lz4, lz4.compress(plaintext)?)),
            Compressor::Zstd(zstd) => Some((Codec::Zstd, zstd.compress(plaintext)?)),
        }
    }
}

/// Decodes frames, with the memory for it: at most [`DECOMPRESSOR_BYTES`] and the frame that it gives.
#[derive(Default)]
pub(crate) struct Decompressor {
    zstd: zstd::Decompressor,
}

/// What a decompressor holds at most.
pub(crate) const DECOMPRESSOR_BYTES: usize = zstd::DECOMPRESSOR_BYTES;

impl Decompressor {
    /// A frame's plaintext, which has `length` bytes. `None` if the stored bytes are something else.
    pub fn decompress(&mut self, stored: Bytes, codec: Codec, length: usize) -> Option<Bytes> {
        match codec {
            Codec::None => (stored.len() == length).then_some(stored),
            Codec::Lz4 => lz4::decompress(&stored, length),
            Codec::Zstd => self.zstd.decompress(&stored, length),
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODING: [(Compression, Codec); 2] =
        [(Compression::Lz4, Codec::Lz4), (Compression::Zstd(ZstdLevel::FASTEST), Codec::Zstd)];

    #[test]
    fn what_does_not_shrink_is_told_and_spoils_nothing() {
        for (compression, codec) in CODING {
            let mut compressor = Compressor::new(compression).unwrap();
            for plaintext in [&b"x"[..], b"short", &(0..=255).collect::<Vec<u8>>()] {
                assert_eq!(compressor.compress(plaintext), None);
            }
            let (by, stored) = compressor.compress(&[7; 1000]).unwrap();
            assert!(by == codec && stored.len() < 40);
        }
    }

    #[test]
    fn more_or_less_plaintext_than_there_should_be_is_refused() {
        for (compression, codec) in CODING {
            let mut compressor = Compressor::new(compression).unwrap();
            let (_, stored) = compressor.compress(&[7; 1000]).unwrap();
            let stored = Bytes::copy_from_slice(stored);
            let mut decompressor = Decompressor::default();
            let mut decompress = |codec, length| decompressor.decompress(stored.clone(), codec, length);
            assert_eq!(decompress(codec, 999), None);
            assert_eq!(decompress(codec, 1001), None);
            assert_eq!(decompress(Codec::None, 1000), None);
            assert_eq!(decompress(codec, 1000).unwrap(), [7; 1000][..]);
        }
    }
}
