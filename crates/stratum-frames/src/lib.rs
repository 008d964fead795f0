//! What a stored body is: plaintext in *frames*, coded and sealed one by one, and at their end the table that finds
//! them.
//!
//! ```text
//! frame 0 | frame 1 | ... | frame n-1 | table | trailer        stored bytes
//! 256 KiB | 256 KiB | ... | the rest                           plaintext
//! ```
//!
//! Whoever keeps bodies puts frames between a client's bytes and what is stored; whoever keeps the stored bytes moves
//! them about and never looks inside. A range of plaintext costs the table and the frames that it touches.
//!
//! A body is *sealed* if its frames are: what the codec made of each is then encrypted with AES-256-GCM, under a key
//! that this body alone has.
//!
//! This crate knows neither drives nor requests nor records, nor where keys come from, waits for nothing and keeps no
//! thread: an [`Encoder`] is given plaintext and gives stored bytes, a [`Decoder`] says which stored bytes it needs,
//! is given them and gives plaintext. Both hold about one frame at a time. So one crate serves the object layer,
//! whoever moves bodies between tiers, tools and fuzzing. `docs/format/frames.md` has the bytes.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::unreachable))]

mod codec;
mod decode;
mod encode;
mod seal;
mod table;

pub use codec::{Codec, Compression, ZstdLevel};
pub use decode::Decoder;
pub use encode::{Coding, Encoder, Form};
pub use seal::{Cipher, Seal};
pub use table::{MAX_TABLE_BYTES, Table};

/// Plaintext bytes of a frame. The last frame of a body may have fewer.
pub const FRAME_BYTES: usize = 256 << 10;

/// Frames of a body, at most. It bounds the table, and with it what a reader holds.
pub const MAX_FRAMES: u32 = 32 << 10;

/// Plaintext bytes of a body, at most: 8 GiB, which is more than S3 takes in one request.
pub const MAX_BODY_BYTES: u64 = MAX_FRAMES as u64 * FRAME_BYTES as u64;

/// Why stored bytes are no body, or not all of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("the frame table has version {0}; this binary knows version {version}", version = table::VERSION)]
    Version(u16),
    #[error("the frames are sealed with cipher {0}, which this binary doesn't know")]
    Cipher(u8),
    #[error("the body is sealed, and there is no key")]
    NoKey,
    #[error("a frame can't be sealed")]
    Unsealable,
    #[error("a frame is coded with codec {0}, which this binary doesn't know")]
    Codec(u8),
    #[error("the frame table is damaged")]
    Table,
    #[error("the frame table is that of a body of {found} bytes; the record says {expected}")]
    OtherBody { found: u64, expected: u64 },
    #[error("frame {0} is damaged")]
    Frame(u32),
    #[error("the stored bytes end before frame {0} does")]
    CutOff(u32),
    #[error("a body has at most {MAX_BODY_BYTES} bytes")]
    TooLong,
    #[error("the range ends beyond the body's {0} bytes")]
    Range(u64),
    #[error("the codec has no memory to work in")]
    Memory,
}

/// How many frames a body of `plaintext` bytes has.
fn count(plaintext: u64) -> Result<u32, FrameError> {
    match plaintext.div_ceil(FRAME_BYTES as u64) {
        count if count <= u64::from(MAX_FRAMES) => Ok(count as u32),
        _ => Err(FrameError::TooLong),
    }
}

/// Where a frame's plaintext begins in its body.
fn start(frame: u32) -> u64 {
    u64::from(frame) * FRAME_BYTES as u64
}

/// Plaintext bytes of a frame of a body of `plaintext` bytes.
fn length(plaintext: u64, frame: u32) -> usize {
    plaintext.saturating_sub(start(frame)).min(FRAME_BYTES as u64) as usize
}
