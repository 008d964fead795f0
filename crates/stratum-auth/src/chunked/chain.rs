//! The chain of signatures: each chunk's covers the one before it, the first the request's own.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::digest::{Hex, Sha256Digest};
use crate::signing_key::SigningKey;
use crate::timestamp::Timestamp;

/// SHA-256 of no bytes, which stands where chunks might have had headers.
const EMPTY_HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What the next signature in a chunked body must be made of.
#[derive(Clone)]
pub struct ChunkChain {
    key: SigningKey,
    /// `\n<timestamp>\n<scope>\n`, the same in every string to sign.
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

    /// Whether `signature` is the next one, of a chunk with that `hash`; then the chain moves on and the hash
    /// begins anew.
    pub(crate) fn check_chunk(&mut self, hash: &mut ChunkHash, signature: &[u8]) -> bool {
        let hash = Sha256Digest(hash.0.finalize_reset().into()).hex();
        self.check("AWS4-HMAC-SHA256-PAYLOAD", &[EMPTY_HASH, "\n", hash.as_str()], signature)
    }

    /// Whether `signature` is the last one, of trailers whose canonical form (`name:value\n` each) is `trailers`.
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
