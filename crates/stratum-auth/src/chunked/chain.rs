//! The chain of signatures: each chunk's signature covers the one before it, and the first covers that of the
//! request's head.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::digest::{Hex, Sha256Digest};
use crate::signing_key::SigningKey;
use crate::timestamp::Timestamp;

/// SHA-256 of no bytes. It stands in the string to sign where a chunk's headers would be hashed if it had any.
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the next signature in a chunked body is computed from.
#[derive(Clone)]
pub struct ChunkChain {
    key: SigningKey,
    /// `
    /// <timestamp>
    /// <scope>
    /// `, which is in every string to sign.
    middle: Box<str>,
    previous: Hex,
}

/// The hash over a chunk's data so far.
#[derive(Default)]
pub(crate) struct ChunkHash(Sha256);

impl ChunkHash {
    pub(crate) fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }
}

impl ChunkChain {
    /// A chain that begins with the signature of a request's head.
    pub(crate) fn new(key: SigningKey, at: Timestamp, scope: &str, seed: Hex) -> Self {
        let middle = ["\n", at.as_str(), "\n", scope, "\n"].concat().into();
        Self { key, middle, previous: seed }
    }

    /// Whether `signature` is the next one of the chain, for a chunk whose data has this `hash`. If so, the chain
    /// moves on and the hash starts anew.
    pub(crate) fn check_chunk(&mut self, hash: &mut ChunkHash, signature: &[u8]) -> bool {
        let hash = Sha256Digest(hash.0.finalize_reset().into()).hex();
        self.check("AWS4-HMAC-SHA256-PAYLOAD", &[EMPTY_HASH, "\n", hash.as_str()], signature)
    }

    /// Whether `signature` is the chain's last one, for trailers whose canonical form (`name:value
    /// ` each) is `trailers`.
    pub(crate) fn check_trailers(&mut self, trailers: &[u8], signature: &[u8]) -> bool {
        let hash = Sha256Digest::of(trailers).hex();
        self.check("AWS4-HMAC-SHA256-TRAILER", &[hash.as_str()], signature)
    }

    fn check(&mut self, algorithm: &str, hashes: &[&str], signature: &[u8]) -> bool {
        let head = [algorithm, &self.middle, self.previous.as_str(), "\n"];
        let expected = self.key.sign(head.iter().chain(hashes).map(|part| part.as_bytes()));
        let matches = expected.matches(signature);
        self.previous = expected;
        matches
    }
}

impl fmt::Debug for ChunkChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkChain(..)")
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkHash(..)")
    }
}
