//! How one frame is coded. The one file that names zstd.
//!
//! A frame is coded by itself, so that any of them can be read without the others, and a frame that doesn't shrink is
//! stored as it is. zstd puts a checksum of the plaintext into what it writes: what is served was checked after it was
//! decoded, too.

use crate::{FRAME_BYTES, FrameError, MAX_TABLE_BYTES};
use bytes::Bytes;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, ResetDirective};

/// How a frame is coded. The number is what is stored; 1 is kept for lz4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Codec {
    /// The plaintext itself.
    None = 0,
    Zstd = 2,
}

impl Codec {
    pub(crate) fn of(byte: u8) -> Result<Codec, FrameError> {
        match byte {
            0 => Ok(Codec::None),
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
    Zstd(ZstdLevel),
}

impl Compression {
    /// What an [`Encoder`](crate::Encoder) holds at most, in bytes: a frame of plaintext, what codes it, and the
    /// entries of the table.
    pub fn memory(self) -> u64 {
        let Compression::Zstd(level) = self;
        (FRAME_BYTES + compressor_bytes(level) + MAX_TABLE_BYTES) as u64
    }
}

impl Default for Compression {
    fn default() -> Self {
        Compression::Zstd(ZstdLevel::default())
    }
}

/// One of zstd's levels, 1 to 19: higher ones take longer to write and give fewer bytes. Reading is as fast for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZstdLevel(i32);

impl ZstdLevel {
    pub const FASTEST: ZstdLevel = ZstdLevel(1);

    /// `None` for what is no level.
    pub fn new(level: i32) -> Option<Self> {
        (1..=19).contains(&level).then_some(Self(level))
    }
}

impl Default for ZstdLevel {
    /// zstd's own default, 3.
    fn default() -> Self {
        Self(3)
    }
}

/// Codes frames, with the memory for it: at most [`compressor_bytes`].
pub(crate) struct Compressor {
    context: CCtx<'static>,
    scratch: Vec<u8>,
}

/// What a compressor holds at most: higher levels look for more. A test holds zstd to it.
pub(crate) fn compressor_bytes(ZstdLevel(level): ZstdLevel) -> usize {
    FRAME_BYTES + if level <= 4 { 3 << 19 } else { 6 << 20 }
}

impl Compressor {
    pub fn new(compression: Compression) -> Result<Self, FrameError> {
        let Compression::Zstd(ZstdLevel(level)) = compression;
        let mut context = CCtx::try_create().ok_or(FrameError::Memory)?;
        for parameter in [CParameter::CompressionLevel(level), CParameter::ChecksumFlag(true)] {
            context.set_parameter(parameter).map_err(|_| FrameError::Memory)?;
        }
        Ok(Self { context, scratch: Vec::with_capacity(FRAME_BYTES) })
    }

    /// A frame's stored bytes, if they are fewer than the plaintext's.
    pub fn compress(&mut self, plaintext: &[u8]) -> Option<&[u8]> {
        self.scratch.clear();
        if self.context.compress2(&mut self.scratch, plaintext).is_err() {
            // There was no room for it, so it didn't shrink. The context is ready for the next frame after a reset.
            let _ = self.context.reset(ResetDirective::SessionOnly);
            return None;
        }
        (self.scratch.len() < plaintext.len()).then_some(&self.scratch)
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.context.sizeof() + self.scratch.capacity()
    }
}

/// Decodes frames, with the memory for it: at most [`DECOMPRESSOR_BYTES`] and the frame that it gives.
#[derive(Default)]
pub(crate) struct Decompressor {
    /// Only bodies with coded frames need one.
    context: Option<DCtx<'static>>,
}

/// What a decompressor holds at most. A test holds zstd to it.
pub(crate) const DECOMPRESSOR_BYTES: usize = 192 << 10;

impl Decompressor {
    /// A frame's plaintext, which has `length` bytes. `None` if the stored bytes are something else.
    pub fn decompress(&mut self, stored: Bytes, codec: Codec, length: usize) -> Option<Bytes> {
        match codec {
            Codec::None => (stored.len() == length).then_some(stored),
            Codec::Zstd => self.zstd(&stored, length),
        }
    }

    fn zstd(&mut self, stored: &[u8], length: usize) -> Option<Bytes> {
        let context = match &mut self.context {
            Some(context) => context,
            empty => empty.insert(DCtx::try_create()?),
        };
        // zstd writes no further than the capacity; a claimed length that isn't true is noticed below.
        let mut plaintext = Vec::with_capacity(length);
        context.decompress(&mut plaintext, stored).ok()?;
        (plaintext.len() == length).then(|| plaintext.into())
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.context.as_ref().map_or(0, DCtx::sizeof)
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

    fn text() -> Vec<u8> {
        let mut state = 1u32;
        let word = |at: usize| ["stripe ", "shard ", "drive ", "journal "][at % 4].as_bytes();
        let mut text = Vec::new();
        while text.len() < FRAME_BYTES {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(word((state >> 24) as usize));
        }
        text.truncate(FRAME_BYTES);
        text
    }

    #[test]
    fn memory_is_bounded_at_every_level() {
        for level in 1..=19 {
            let level = ZstdLevel::new(level).unwrap();
            let mut compressor = Compressor::new(Compression::Zstd(level)).unwrap();
            let stored = Bytes::copy_from_slice(compressor.compress(&text()).unwrap());
            assert!(compressor.memory() <= compressor_bytes(level), "{level:?}: {}", compressor.memory());
            let mut decompressor = Decompressor::default();
            let plaintext = decompressor.decompress(stored, Codec::Zstd, FRAME_BYTES);
            assert_eq!(plaintext.unwrap(), text());
            assert!(decompressor.memory() <= DECOMPRESSOR_BYTES, "{}", decompressor.memory());
        }
        assert_eq!((ZstdLevel::new(0), ZstdLevel::new(20)), (None, None));
    }

    #[test]
    fn what_does_not_shrink_is_told_and_spoils_nothing() {
        let mut compressor = Compressor::new(Compression::default()).unwrap();
        for plaintext in [&b"x"[..], b"short", &(0..=255).collect::<Vec<u8>>()] {
            assert_eq!(compressor.compress(plaintext), None);
        }
        assert!(compressor.compress(&[7; 1000]).is_some_and(|stored| stored.len() < 40));
    }

    #[test]
    fn more_or_less_plaintext_than_there_should_be_is_refused() {
        let mut compressor = Compressor::new(Compression::default()).unwrap();
        let stored = Bytes::copy_from_slice(compressor.compress(&[7; 1000]).unwrap());
        let mut decompressor = Decompressor::default();
        assert_eq!(decompressor.decompress(stored.clone(), Codec::Zstd, 999), None);
        assert_eq!(decompressor.decompress(stored.clone(), Codec::Zstd, 1001), None);
        assert_eq!(decompressor.decompress(stored.clone(), Codec::None, 1000), None);
        assert_eq!(decompressor.decompress(stored, Codec::Zstd, 1000).unwrap(), [7; 1000][..]);
    }
}
