//! The key of one body, which seals its frames by their numbers.

use crate::primitives::{KEY_BYTES, Purpose, Salt, Sealer, TAG_BYTES};
use std::fmt;

const BODY: Purpose = Purpose("stratum body");

/// Seals the frames of one body. A frame's number is its nonce, so that each is sealed once.
pub struct BodyKey {
    /// `None` only if the key couldn't be derived, and then nothing is sealed or opened.
    sealer: Option<Sealer>,
    salt: Salt,
}

impl BodyKey {
    pub(crate) fn new(secret: &[u8; KEY_BYTES], salt: Salt) -> BodyKey {
        BodyKey { sealer: Sealer::derived(secret, &salt, BODY), salt }
    }

    /// The salt, which lies beside the body so that the key can be derived again.
    pub fn salt(&self) -> &Salt {
        &self.salt
    }

    /// Seals a frame in place, and gives what goes behind it. `authenticated` is additional data that must be given
    /// again to open it.
    pub fn seal(&self, frame: u32, authenticated: &[u8], plain: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        self.sealer.as_ref()?.seal(frame, authenticated, plain)
    }

    /// Opens a frame in place and gives its plaintext, which is the front of it; `None` for whatever was sealed
    /// otherwise, or not at all.
    pub fn open<'a>(&self, frame: u32, authenticated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.sealer.as_ref()?.open(frame, authenticated, sealed)
    }
}

impl fmt::Debug for BodyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyKey(..)")
    }
}
