//! The names of objects and prefixes in tables: of a fixed size, however long their keys are.
//!
//! A name is the bucket's number and a hash of the key or prefix. Two keys with one hash share their statistics,
//! which at worst spoils a decision. By chance that happens once in millions of years, and nobody can choose keys
//! that collide: the hash is keyed with the store's secret.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The name of an object or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub bucket: u64,
    pub hash: u64,
}

/// The secret with which a store's names are hashed. It is kept beside what bears those names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 16]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    pub fn name(&self, bucket: u64, key: &str) -> Name {
        self.root(bucket).extended(key, key.len()).name()
    }

    /// The empty prefix of a bucket, which all of its keys share.
    pub(super) fn root(&self, bucket: u64) -> Prefix {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(&bucket.to_le_bytes());
        Prefix { bucket, length: 0, hasher }
    }
}

/// A prefix of a key, which can be made longer without hashing it anew.
#[derive(Clone)]
pub(super) struct Prefix {
    bucket: u64,
    length: usize,
    hasher: SipHasher13,
}

impl Prefix {
    pub fn name(&self) -> Name {
        Name { bucket: self.bucket, hash: self.hasher.finish() }
    }

    /// Its length in bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The first `length` bytes of `key`, which begins with this prefix.
    pub fn extended(&self, key: &str, length: usize) -> Prefix {
        let mut hasher = self.hasher;
        hasher.write(key.as_bytes().get(self.length..length).unwrap_or_default());
        Prefix { bucket: self.bucket, length, hasher }
    }

    /// The prefix up to and including the next slash of the key, if it has one.
    pub fn to_slash(&self, key: &str) -> Option<Prefix> {
        let rest = key.as_bytes().get(self.length..)?;
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        Some(self.extended(key, self.length + slash + 1))
    }

    /// The prefix with the next character of the key, if it has one.
    pub fn to_character(&self, key: &str) -> Option<Prefix> {
        let next = key.get(self.length..)?.chars().next()?;
        Some(self.extended(key, self.length + next.len_utf8()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_one_name_however_it_was_come_to() {
        let (seed, key) = (Seed([7; 16]), "a/bé/c");
        let by_slashes = seed.root(1).to_slash(key).unwrap().to_slash(key).unwrap();
        let mut by_characters = seed.root(1);
        while by_characters.length() < by_slashes.length() {
            by_characters = by_characters.to_character(key).unwrap();
        }
        assert_eq!(by_slashes.name(), by_characters.name());
        assert_eq!(by_slashes.name(), seed.name(1, "a/bé/"));
        assert!(by_slashes.to_slash(key).is_none());
        assert!(seed.root(1).extended(key, key.len()).to_character(key).is_none());
    }

    #[test]
    fn names_depend_on_the_secret_and_the_bucket() {
        let of = |seed: u8, bucket, key| Seed([seed; 16]).name(bucket, key).hash;
        assert_eq!(of(1, 1, "k"), of(1, 1, "k"));
        assert_ne!(of(1, 1, "k"), of(2, 1, "k"));
        assert_ne!(of(1, 1, "k"), of(1, 2, "k"));
        assert_ne!(of(1, 1, "k"), of(1, 1, "l"));
    }
}
