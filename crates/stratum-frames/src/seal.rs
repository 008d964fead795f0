//! How one frame is sealed, and how one that was is opened.
//!
//! A seal authenticates, beside the frame's bytes, where the frame stands and what it is: its number is the nonce,
//! and its codec and whether it is the body's last frame are the additional data. So no frame passes for another, and
//! a body that was cut off after one of its frames isn't whole.

use crate::FrameError;
use crate::codec::Codec;
use stratum_cipher::{BodyKey, DataKey, Salt, TAG_BYTES};

/// What a body's frames are sealed with. The number is what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cipher {
    /// Nothing: they are as the codec made them.
    None = 0,
    Aes256Gcm = 1,
}

impl Cipher {
    pub(crate) fn of(byte: u8) -> Result<Cipher, FrameError> {
        match byte {
            0 => Ok(Cipher::None),
            1 => Ok(Cipher::Aes256Gcm),
            other => Err(FrameError::Cipher(other)),
        }
    }

    pub(crate) fn byte(self) -> u8 {
        self as u8
    }

    /// How many bytes longer the cipher makes each frame.
    pub(crate) fn added_bytes(self) -> usize {
        match self {
            Cipher::None => 0,
            Cipher::Aes256Gcm => TAG_BYTES,
        }
    }

    /// What lies between the table's entries and its trailer.
    pub(crate) fn salt_bytes(self) -> usize {
        match self {
            Cipher::None => 0,
            Cipher::Aes256Gcm => Salt::BYTES,
        }
    }
}

/// Seals the frames of one body, or opens them. Its key lies apart: it is large, and a seal goes from hand to hand.
#[derive(Debug)]
pub struct Seal(Box<BodyKey>);

impl Seal {
    /// The seal of a body, of its object's key and a random salt that no other body of the object has.
    pub fn new(key: &DataKey, salt: Salt) -> Seal {
        Seal(Box::new(key.body(salt)))
    }

    pub(crate) fn salt(&self) -> &Salt {
        self.0.salt()
    }

    /// Seals a frame in place, and gives what goes behind it.
    pub(crate) fn close(
        &self,
        frame: u32,
        codec: Codec,
        is_last: bool,
        coded: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], FrameError> {
        self.0.seal(frame, &said(codec, is_last), coded).ok_or(FrameError::Unsealable)
    }

    /// Opens a frame in place, and gives the length of what was sealed; `None` if it was something else, or was
    /// sealed with another key.
    pub(crate) fn open(&self, frame: u32, codec: Codec, is_last: bool, sealed: &mut [u8]) -> Option<usize> {
        Some(self.0.open(frame, &said(codec, is_last), sealed)?.len())
    }
}

/// The additional data of a frame's seal.
fn said(codec: Codec, is_last: bool) -> [u8; 2] {
    [codec.byte(), u8::from(is_last)]
}
