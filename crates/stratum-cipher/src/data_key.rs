//! The key of one object.

use crate::body::BodyKey;
use crate::primitives::{KEY_BYTES, Purpose, Salt, Sealer, Secret, TAG_BYTES, derive};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

const WORDS: Purpose = Purpose("stratum words");
const TAG: Purpose = Purpose("stratum tag");

/// A secret that is one object's alone. A cheap handle; it is wiped with the last one.
#[derive(Clone)]
pub struct DataKey(Arc<Secret>);

impl DataKey {
    /// A key of these random bytes.
    pub fn new(random: [u8; KEY_BYTES]) -> DataKey {
        DataKey(Arc::new(Zeroizing::new(random)))
    }

    /// The key of one body, derived with a salt that no other body of the object has.
    pub fn body(&self, salt: Salt) -> BodyKey {
        BodyKey::new(&self.0, salt)
    }

    /// Seals an object's *words*, its headers and metadata: gives the salt, then the sealed words.
    pub fn seal_words(&self, salt: Salt, words: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(Salt::BYTES + words.len() + TAG_BYTES);
        sealed.extend_from_slice(&salt.0);
        sealed.extend_from_slice(words);
        let tag = Sealer::derived(&self.0, &salt, WORDS)
            .and_then(|sealer| sealer.seal(0, &[], sealed.get_mut(Salt::BYTES..)?));
        match tag {
            Some(tag) => sealed.extend_from_slice(&tag),
            // What can't be sealed isn't kept. It takes 64 GiB of words.
            None => sealed.clear(),
        }
        sealed
    }

    /// What [`DataKey::seal_words`] sealed; `None` for whatever is something else.
    pub fn open_words(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (salt, rest) = sealed.split_first_chunk()?;
        let mut words = Zeroizing::new(rest.to_vec());
        let length = Sealer::derived(&self.0, &Salt(*salt), WORDS)?.open(0, &[], &mut words)?.len();
        words.truncate(length);
        Some(words)
    }

    /// A digest as strangers may see it: the same for the same digest, and of no use to somebody who guesses the
    /// content.
    pub fn tag(&self, digest: &[u8; 16]) -> [u8; 16] {
        let mut tag = [0; 16];
        derive(&self.0, digest, TAG, &mut tag);
        tag
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_open_with_their_own_key_only() {
        let key = DataKey::new([1; 32]);
        let sealed = key.seal_words(Salt([2; 32]), b"content-type: text/plain");
        assert_eq!(**key.open_words(&sealed).unwrap(), b"content-type: text/plain"[..]);
        assert!(!sealed.windows(5).any(|window| window == b"plain"));
        assert!(DataKey::new([2; 32]).open_words(&sealed).is_none());
        for length in 0..sealed.len() {
            assert!(key.open_words(&sealed[..length]).is_none(), "{length}");
        }
        assert_eq!(key.open_words(&key.seal_words(Salt([3; 32]), b"")).unwrap().len(), 0);
    }

    #[test]
    fn a_tag_depends_on_the_key_and_on_the_digest() {
        let tag = |key: u8, digest: u8| DataKey::new([key; 32]).tag(&[digest; 16]);
        assert_eq!(tag(1, 1), tag(1, 1));
        assert!(tag(1, 1) != tag(1, 2) && tag(1, 1) != tag(2, 1) && tag(1, 1) != [1; 16]);
    }

    #[test]
    fn a_key_says_nothing_of_itself() {
        assert_eq!(format!("{:?}", DataKey::new([7; 32])), "DataKey(..)");
    }
}
