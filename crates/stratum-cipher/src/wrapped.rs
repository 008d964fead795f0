//! A data key as it is kept: sealed with a key that is derived from the one above it.
//!
//! Sealing authenticates, so a wrong key is told by the tag that is kept: 16 bytes that the salt and the key above
//! make, from which nobody learns the key. Nothing else is kept of a client's key.

use crate::data_key::DataKey;
use crate::primitives::{KEY_BYTES, Purpose, Salt, Sealer, TAG_BYTES};
use zeroize::Zeroizing;

const WRAP: Purpose = Purpose("stratum wrap");
const VERSION: u8 = 1;

/// A data key that only the key above it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The mark of the key above it; zeros where that is a client's.
    pub(crate) above: [u8; 8],
    salt: Salt,
    sealed: [u8; KEY_BYTES + TAG_BYTES],
}

/// It was wrapped with another key, for something else, or isn't what was wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key doesn't open it")]
pub struct NotUnwrapped;

impl Wrapped {
    /// Bytes of one.
    pub const BYTES: usize = 1 + 8 + Salt::BYTES + KEY_BYTES + TAG_BYTES;

    /// Wraps a data key with a client's own. `name` says what it is the key of: it opens for nothing else.
    pub fn by_client(client: &[u8; KEY_BYTES], data: &DataKey, name: &[u8], salt: Salt) -> Wrapped {
        Wrapped::by([0; 8], client, data, name, salt)
    }

    pub(crate) fn by(
        above: [u8; 8],
        key: &[u8; KEY_BYTES],
        data: &DataKey,
        name: &[u8],
        salt: Salt,
    ) -> Wrapped {
        let mut plain = Zeroizing::new(*data.bytes());
        let tag = Sealer::derived(key, &salt, WRAP).and_then(|sealer| sealer.seal(0, name, plain.as_mut()));
        let mut sealed = [0; KEY_BYTES + TAG_BYTES];
        // Without a tag there are zeros, which nothing opens and which tell nothing.
        if let Some(tag) = tag {
            let (text, end) = sealed.split_at_mut(KEY_BYTES);
            text.copy_from_slice(plain.as_ref());
            end.copy_from_slice(&tag);
        }
        Wrapped { above, salt, sealed }
    }

    /// Unwraps the data key with the key above it, for the same `name`.
    ///
    /// # Errors
    /// [`NotUnwrapped`].
    pub fn open(&self, key: &[u8; KEY_BYTES], name: &[u8]) -> Result<DataKey, NotUnwrapped> {
        let mut sealed = Zeroizing::new(self.sealed);
        let opened = Sealer::derived(key, &self.salt, WRAP)
            .and_then(|sealer| <[u8; KEY_BYTES]>::try_from(&*sealer.open(0, name, sealed.as_mut())?).ok());
        opened.map(DataKey::new).ok_or(NotUnwrapped)
    }

    /// The bytes of the wrapped key as they are stored.
    pub fn encode(&self) -> Vec<u8> {
        [&[VERSION][..], &self.above, &self.salt.0, &self.sealed].concat()
    }

    /// What [`Wrapped::encode`] made; `None` for whatever is something else.
    pub fn decode(bytes: &[u8]) -> Option<Wrapped> {
        let (&[version], rest) = bytes.split_first_chunk()?;
        let (above, rest) = rest.split_first_chunk()?;
        let (salt, rest) = rest.split_first_chunk()?;
        let sealed = rest.try_into().ok()?;
        (version == VERSION).then_some(Wrapped { above: *above, salt: Salt(*salt), sealed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped() -> Wrapped {
        Wrapped::by_client(&[9; 32], &DataKey::new([1; 32]), b"bucket/key", Salt([5; 32]))
    }

    #[test]
    fn a_key_opens_for_what_it_was_wrapped_for() {
        let open = |key: u8, name: &[u8]| wrapped().open(&[key; 32], name).map(|key| *key.bytes());
        assert_eq!(open(9, b"bucket/key"), Ok([1; 32]));
        assert_eq!(open(8, b"bucket/key"), Err(NotUnwrapped));
        assert_eq!(open(9, b"bucket/other"), Err(NotUnwrapped));
    }

    #[test]
    fn what_is_stored_shows_neither_key_and_comes_back() {
        let bytes = wrapped().encode();
        assert_eq!(bytes.len(), Wrapped::BYTES);
        assert_eq!(Wrapped::decode(&bytes), Some(wrapped()));
        for key in [[1; 32], [9; 32]] {
            assert!(!bytes.windows(4).any(|window| window == &key[..4]));
        }
        for length in 0..bytes.len() {
            assert_eq!(Wrapped::decode(&bytes[..length]), None);
        }
        assert_eq!(Wrapped::decode(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Wrapped::decode(&[&[2], &bytes[1..]].concat()), None);
    }

    #[test]
    fn damage_is_told() {
        let bytes = wrapped().encode();
        // The mark isn't authenticated: it only says which key is to be tried.
        for at in (0..bytes.len()).filter(|at| !(1..9).contains(at)) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let opened =
                Wrapped::decode(&damaged).map(|damaged| damaged.open(&[9; 32], b"bucket/key").is_ok());
            assert_ne!(opened, Some(true), "{at}");
        }
    }
}
