//! zstd's part in coding a frame, and how hard it tries. It puts a checksum of the plaintext into what it writes.
//!
//! The highest levels take some hundred times as long as the fastest one, and of many bytes they make no less. So a frame is
//! coded by the fastest level first, and by a [`Hard`] one only where that promises to pay.

use crate::{FRAME_BYTES, FrameError};
use ::zstd::zstd_safe::{CCtx, CParameter, DCtx, ResetDirective};
use bytes::Bytes;

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

/// The first level that takes so much longer than the fastest one that it is asked to pay.
const FIRST_HARD_LEVEL: i32 = 10;
/// What is saved pays if it is at least the part of the bytes that this divides them into.
const PAYING_PART: usize = 16;
/// How many frames are left to the fastest level after one of which the hard level saved too little.
const SPARED_FRAMES: u32 = 7;

/// Codes frames, with the memory for it: at most [`compressor_bytes`].
pub(crate) struct Compressor {
    context: CCtx<'static>,
    scratch: Vec<u8>,
    effort: Effort,
}

/// Which level codes the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    Steady(ZstdLevel),
    Hard(Hard),
}

/// A level that is spent where it pays, and how many frames of the body are still spared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hard {
    level: ZstdLevel,
    spared: u32,
}

impl Effort {
    fn of(level: ZstdLevel) -> Effort {
        if level.0 < FIRST_HARD_LEVEL {
            Effort::Steady(level)
        } else {
            Effort::Hard(Hard { level, spared: 0 })
        }
    }
}

impl Hard {
    /// Whether to try the hard level on a frame that the fastest level made `light` bytes. What hardly shrinks at the
    /// fastest level hardly does at the hard one, and of what is next to nothing then little can be saved. For all
    /// else the body's former frames speak.
    fn tries(&mut self, plaintext: usize, light: usize) -> bool {
        let least = plaintext / PAYING_PART;
        if light < least || light > plaintext - least {
            return false;
        }
        let tries = self.spared == 0;
        self.spared = self.spared.saturating_sub(1);
        tries
    }

    /// Takes note of what both levels made of a frame.
    fn learn(&mut self, light: usize, hard: usize) {
        if hard > light - light / PAYING_PART {
            self.spared = SPARED_FRAMES;
        }
    }
}

/// What a compressor holds at most: higher levels look for more. A test holds zstd to it.
pub(super) fn compressor_bytes(ZstdLevel(level): ZstdLevel) -> usize {
    FRAME_BYTES + if level <= 4 { 3 << 19 } else { 6 << 20 }
}

impl Compressor {
    pub fn new(level: ZstdLevel) -> Result<Self, FrameError> {
        let mut context = CCtx::try_create().ok_or(FrameError::Memory)?;
        context.set_parameter(CParameter::ChecksumFlag(true)).map_err(|_| FrameError::Memory)?;
        Ok(Self { context, scratch: Vec::with_capacity(FRAME_BYTES), effort: Effort::of(level) })
    }

    /// A frame's stored bytes, if they are fewer than the plaintext's.
    pub fn compress(&mut self, plaintext: &[u8]) -> Option<&[u8]> {
        let shrinks = match self.effort {
            Effort::Steady(level) => self.code(level, plaintext).is_some(),
            Effort::Hard(mut hard) => {
                let light = self.code(ZstdLevel::FASTEST, plaintext);
                let coded = match light.filter(|light| hard.tries(plaintext.len(), *light)) {
                    Some(light) => {
                        let coded = self.code(hard.level, plaintext);
                        hard.learn(light, coded.unwrap_or(light));
                        coded
                    }
                    None => light,
                };
                self.effort = Effort::Hard(hard);
                coded.is_some()
            }
        };
        shrinks.then_some(&self.scratch)
    }

    /// Codes a frame into the scratch. Returns how many bytes it has then, if they are fewer than the plaintext's.
    fn code(&mut self, ZstdLevel(level): ZstdLevel, plaintext: &[u8]) -> Option<usize> {
        self.scratch.clear();
        let coded = self.context.set_parameter(CParameter::CompressionLevel(level));
        if coded.and_then(|_| self.context.compress2(&mut self.scratch, plaintext)).is_err() {
            // There was no room for it, so it didn't shrink. The context is ready for the next frame after a reset.
            let _ = self.context.reset(ResetDirective::SessionOnly);
            return None;
        }
        (self.scratch.len() < plaintext.len()).then_some(self.scratch.len())
    }

    #[cfg(test)]
    fn memory(&self) -> usize {
        self.context.sizeof() + self.scratch.capacity()
    }
}

/// Decodes frames, with the memory for it: at most [`DECOMPRESSOR_BYTES`] and the frame that it gives. zstd decodes each
/// with the memory of the last.
#[derive(Default)]
pub(crate) struct Decompressor {
    /// Only bodies with coded frames need one.
    context: Option<DCtx<'static>>,
}

/// What a decompressor holds at most. A test holds zstd to it.
pub(super) const DECOMPRESSOR_BYTES: usize = 192 << 10;

impl Decompressor {
    /// A frame's plaintext, which has `length` bytes. `None` if the stored bytes are something else.
    pub fn decompress(&mut self, stored: &[u8], length: usize) -> Option<Bytes> {
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
            // Without the numbers the text would shrink to so little that no hard level was tried.
            text.extend_from_slice(format!("{:02x} ", (state >> 16) as u8).as_bytes());
        }
        text.truncate(FRAME_BYTES);
        text
    }

    #[test]
    fn memory_is_bounded_at_every_level() {
        for level in 1..=19 {
            let level = ZstdLevel::new(level).unwrap();
            let mut compressor = Compressor::new(level).unwrap();
            let stored = compressor.compress(&text()).unwrap().to_vec();
            assert!(compressor.memory() <= compressor_bytes(level), "{level:?}: {}", compressor.memory());
            let mut decompressor = Decompressor::default();
            let plaintext = decompressor.decompress(&stored, FRAME_BYTES);
            assert_eq!(plaintext.unwrap(), text());
            assert!(decompressor.memory() <= DECOMPRESSOR_BYTES, "{}", decompressor.memory());
        }
        assert_eq!((ZstdLevel::new(0), ZstdLevel::new(20)), (None, None));
    }

    /// A frame's stored bytes at a level, whether or not it pays.
    fn coded(level: ZstdLevel, plaintext: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(level).unwrap();
        compressor.code(level, plaintext).unwrap();
        compressor.scratch
    }

    fn noise(length: usize, mask: u8) -> Vec<u8> {
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & mask
        };
        (0..length).map(|_| byte()).collect()
    }

    #[test]
    fn a_hard_level_is_spent_where_it_pays() {
        let hard = ZstdLevel::new(19).unwrap();
        let mut compressor = Compressor::new(hard).unwrap();
        let spared = |compressor: &Compressor| match compressor.effort {
            Effort::Hard(hard) => hard.spared,
            Effort::Steady(_) => panic!("it is a hard level"),
        };
        let source =
            [include_str!("zstd.rs"), include_str!("../table.rs"), include_str!("../seal.rs")].concat();
        for _ in 0..3 {
            assert_eq!(compressor.compress(source.as_bytes()), Some(&coded(hard, source.as_bytes())[..]));
        }
        // Of what doesn't shrink, and of what shrinks to next to nothing, the fastest level says enough.
        assert_eq!(compressor.compress(&noise(FRAME_BYTES, 0xff)), None);
        let zeros = vec![0; FRAME_BYTES];
        assert_eq!(compressor.compress(&zeros), Some(&coded(ZstdLevel::FASTEST, &zeros)[..]));
        assert_eq!(spared(&compressor), 0);
        // These shrink by a quarter at any level. One frame in eight is tried.
        let digits = noise(FRAME_BYTES, 0x3f);
        for _ in 0..2 {
            compressor.compress(&digits).unwrap();
            assert_eq!(spared(&compressor), SPARED_FRAMES);
            for left in (0..SPARED_FRAMES).rev() {
                assert_eq!(compressor.compress(&digits), Some(&coded(ZstdLevel::FASTEST, &digits)[..]));
                assert_eq!(spared(&compressor), left);
            }
        }
    }
}
