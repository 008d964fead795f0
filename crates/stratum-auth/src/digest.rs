//! A SHA-256 digest and its lower-case hex, the two shapes in which Signature Version 4 passes hashes around.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A SHA-256 digest: 32 bytes, shown as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// Hashes `bytes` in one go.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hex digits of either case; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    pub(crate) fn hex(self) -> Hex {
        let mut text = [0; 64];
        // The lengths always agree, so this cannot fail; were it to, zeros match no signature.
        let _ = hex::encode_to_slice(self.0, &mut text);
        Hex(text)
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The state of HMAC-SHA-256 with a key.
pub(crate) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    #[allow(clippy::expect_used)] // HMAC is defined for keys of any length (RFC 2104)
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// The lower-case hex of a digest, on the stack.
#[derive(Clone, Copy)]
pub(crate) struct Hex([u8; 64]);

impl Hex {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether `text` is this hex, compared in constant time.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        self.0.ct_eq(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::AuthError;

    #[test]
    fn hex_goes_both_ways_and_refuses_the_rest() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256Digest::of(b"").to_string(), empty);
        assert_eq!(Sha256Digest::from_hex(&empty.to_uppercase()), Some(Sha256Digest::of(b"")));
        assert_eq!(Sha256Digest::from_hex(&empty[1..]), None);
        assert_eq!(Sha256Digest::from_hex(&empty.replace('e', "g")), None);
    }

    #[test]
    fn a_match_is_of_every_digit() {
        let hex = Sha256Digest::of(b"").hex();
        assert!(hex.matches(hex.as_str().as_bytes()));
        assert!(!hex.matches(&hex.as_str().as_bytes()[..63]));
        assert!(!hex.matches(b""));
        assert!(!hex.matches(Sha256Digest::of(b"x").hex().as_str().as_bytes()));
    }

    #[test]
    fn a_body_that_is_not_the_declared_one_is_named_with_both_digests() {
        let (declared, computed) = (Sha256Digest::of(b"a"), Sha256Digest::of(b"b"));
        assert_eq!(declared.check(declared), Ok(()));
        let error = AuthError::ContentSha256Mismatch { declared, computed };
        assert_eq!(declared.check(computed), Err(error));
    }
}
