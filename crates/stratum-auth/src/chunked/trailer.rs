//! The trailers of a chunked body: header lines after the last chunk, with a signature of their own where
//! chunks are signed.

use super::ChunkError;
use super::chain::ChunkChain;

const SIGNATURE: &str = "x-amz-trailer-signature";

/// Trailers in the order in which they came, names in lower case, values trimmed. Only checksums are expected;
/// whether one was announced in `x-amz-trailer` is for the caller to check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trailers(Vec<(String, String)>);

impl Trailers {
    /// The value of the first trailer called `name` (lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Collects trailers line by line.
#[derive(Debug, Default)]
pub(super) struct TrailerReader {
    trailers: Trailers,
    /// Bytes of all names and values together.
    length: usize,
    signed: bool,
}

impl TrailerReader {
    /// At most, for one line and for all lines together.
    pub(super) const MAX_LINE_BYTES: usize = 4096;

    /// Takes a line without its line break, and says whether it was the last one, which is empty.
    pub(super) fn unsigned_line(&mut self, line: &[u8]) -> Result<bool, ChunkError> {
        if line.is_empty() {
            return Ok(true);
        }
        self.add(line)?;
        Ok(false)
    }

    /// Takes a line where `chain` signs the trailers. The signature is the last trailer, and some clients put an
    /// empty line before it. Without trailers no signature is needed, since the last chunk has one. But then an empty
    /// line before a signature can't be told from the one that ends the body, so it counts as the end.
    pub(super) fn signed_line(&mut self, line: &[u8], chain: &mut ChunkChain) -> Result<bool, ChunkError> {
        if line.is_empty() {
            return Ok(self.signed || self.trailers.is_empty());
        }
        if self.signed {
            return Err(ChunkError::MalformedTrailer);
        }
        let (name, value) = parse(line)?;
        if name != SIGNATURE {
            self.add(line)?;
        } else if chain.check_trailers(&self.canonical(), value.as_bytes()) {
            self.signed = true;
        } else {
            return Err(ChunkError::TrailerSignature);
        }
        Ok(false)
    }

    pub(super) fn into_trailers(self) -> Trailers {
        self.trailers
    }

    fn add(&mut self, line: &[u8]) -> Result<(), ChunkError> {
        let (name, value) = parse(line)?;
        self.length += name.len() + value.len();
        // Of two values one would be compared with the checksum and the other ignored.
        if self.length > Self::MAX_LINE_BYTES || self.trailers.get(&name).is_some() {
            return Err(ChunkError::MalformedTrailer);
        }
        self.trailers.0.push((name, value.to_owned()));
        Ok(())
    }

    /// What is signed: `name:value
    /// ` for each trailer, sorted by name.
    fn canonical(&self) -> Vec<u8> {
        let mut sorted: Vec<_> = self.trailers.iter().collect();
        sorted.sort_by_key(|&(name, _)| name);
        sorted.iter().flat_map(|(name, value)| [name, ":", value, "\n"].concat().into_bytes()).collect()
    }
}

fn parse(line: &[u8]) -> Result<(String, &str), ChunkError> {
    let malformed = ChunkError::MalformedTrailer;
    let line = std::str::from_utf8(line).map_err(|_| malformed)?;
    let (name, value) = line.split_once(':').ok_or(malformed)?;
    let name = name.trim();
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let valued = value.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'));
    if named && valued { Ok((name.to_ascii_lowercase(), value.trim())) } else { Err(malformed) }
}
