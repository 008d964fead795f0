//! `aws-chunked` bodies: decoded as they stream, their signatures checked chunk by chunk.
//!
//! ```text
//! <size in hex>[;chunk-signature=<hex>]\r\n
//! <data>\r\n
//! ...
//! 0[;chunk-signature=<hex>]\r\n
//! [<trailer>:<value>\r\n ...]
//! [x-amz-trailer-signature:<hex>\r\n]
//! \r\n
//! ```
//!
//! Data is never copied: the payload that comes out is slices of the input. The last slice of a chunk comes out only
//! after its signature was checked; earlier slices come out before, since a chunk may be larger than memory. **So the
//! payload is only good once [`ChunkedDecoder::finish`] is `Ok`**; a caller that sees an error drops the body. Errors
//! stick: a decoder that failed never yields again.
//!
//! Sources: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks"
//! and "... Including Trailing Headers" in the S3 API reference.

mod chain;
mod trailer;

use bytes::{Buf, Bytes};

pub(crate) use chain::ChunkChain;
use trailer::TrailerReader;
pub use trailer::Trailers;

use chain::ChunkHash;

/// A chunk's header is its size, a signature and their names: about 100 bytes. The rest is room for unknown
/// extensions.
const MAX_CHUNK_HEADER_BYTES: usize = 1024;
/// The least that any chunk but the last may hold, as in S3, so that the cost of a chunk is spread over that many
/// bytes.
pub const MIN_CHUNK_BYTES: u64 = 8 << 10;
/// Bytes of `\r` and `\n` that some clients send after the end.
const MAX_PADDING_BYTES: usize = 4;

/// The three framings, with what is needed to check them.
#[derive(Debug, Clone)]
pub enum Chunking {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`
    Signed(Box<ChunkChain>),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`
    SignedTrailer(Box<ChunkChain>),
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`
    UnsignedTrailer,
}

impl Chunking {
    /// A decoder of one body that decodes to `decoded_length` bytes (`x-amz-decoded-content-length`).
    pub fn decoder(self, decoded_length: u64) -> ChunkedDecoder {
        let (signing, trailers) = match self {
            Self::Signed(chain) => (Signing::of(chain), None),
            Self::SignedTrailer(chain) => (Signing::of(chain), Some(TrailerReader::default())),
            Self::UnsignedTrailer => (Signing::Unsigned, Some(TrailerReader::default())),
        };
        ChunkedDecoder {
            state: ChunkState::Header,
            signing,
            trailers,
            line: Vec::new(),
            left: decoded_length,
            chunks: 0,
            last_size: MIN_CHUNK_BYTES,
        }
    }
}

/// Decodes one body. Push what arrives with [`decode`](Self::decode), end with [`finish`](Self::finish).
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: ChunkState,
    signing: Signing,
    /// `None` where the framing has no trailers.
    trailers: Option<TrailerReader>,
    /// The part of a line that has arrived.
    line: Vec<u8>,
    /// Payload bytes still to come.
    left: u64,
    /// Chunks with payload so far.
    chunks: u64,
    /// The payload bytes of the last of these chunks. Only the last chunk of the body may hold less than
    /// [`MIN_CHUNK_BYTES`].
    last_size: u64,
}

#[derive(Debug)]
enum ChunkState {
    /// In a chunk's header.
    Header,
    /// In a chunk's data, of which `left` bytes are still to come: at least one.
    Data {
        left: u64,
        signature: Option<ChunkSignature>,
    },
    /// In the line break after a chunk's data.
    DataEnd,
    /// After the last chunk's header.
    Trailers,
    /// After the end of the body, where only padding may follow.
    End {
        padding: usize,
    },
    Failed(ChunkError),
}

/// As sent: 64 bytes that should be hex.
type ChunkSignature = [u8; 64];

#[derive(Debug)]
enum Signing {
    Unsigned,
    Signed { chain: Box<ChunkChain>, hash: ChunkHash },
}

impl Signing {
    fn of(chain: Box<ChunkChain>) -> Self {
        Self::Signed { chain, hash: ChunkHash::default() }
    }
}

/// Why a body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// `IncompleteBody` (400).
    #[error("The body ended before its last chunk.")]
    Truncated,
    /// `IncompleteBody` (400).
    #[error("The chunks hold fewer bytes than x-amz-decoded-content-length says.")]
    TooShort,
    /// `IncompleteBody` (400).
    #[error("The chunks hold more bytes than x-amz-decoded-content-length says.")]
    TooLong,
    /// `SignatureDoesNotMatch` (403).
    #[error("The signature of a chunk does not match the one we calculated.")]
    ChunkSignature,
    /// `SignatureDoesNotMatch` (403).
    #[error("The signature of the trailers does not match the one we calculated.")]
    TrailerSignature,
    /// `InvalidChunkSizeError` (403): `size` is that of the chunk that is too small, `chunk` the number of the one
    /// after it.
    #[error("Only the last chunk is allowed to have a size less than 8192 bytes")]
    TooSmall { chunk: u64, size: u64 },
    /// `IncompleteBody` (400).
    #[error("The body is not aws-chunked: a chunk begins with its size in hex and a line break.")]
    MalformedHeader,
    /// `IncompleteBody` (400).
    #[error("The body is not aws-chunked: a chunk ends with a line break.")]
    MalformedData,
    /// `MalformedTrailerError` (400).
    #[error("The trailers are not name:value lines of ASCII, at most 4096 bytes in all.")]
    MalformedTrailer,
    /// `IncompleteBody` (400).
    #[error("There are bytes after the end of the chunked body.")]
    AfterEnd,
}

impl ChunkedDecoder {
    /// Takes bytes from `input` until a slice of payload can be returned, which is never empty. `None`: all of
    /// `input` was taken, and more must arrive. So call it until it returns `None`.
    ///
    /// # Errors
    /// [`ChunkError`], the same on every later call, and however the body was split into inputs.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        let result = self.step_until_payload(input);
        if let Err(error) = result {
            self.state = ChunkState::Failed(error);
        }
        result
    }

    /// Says that the body has ended. The payload is good only if this is `Ok`, which also returns the trailers.
    ///
    /// # Errors
    /// [`ChunkError::Truncated`] if the body's end was missing, or the error that [`decode`](Self::decode) gave.
    pub fn finish(self) -> Result<Trailers, ChunkError> {
        match self.state {
            ChunkState::End { .. } => Ok(self.trailers.map(TrailerReader::into_trailers).unwrap_or_default()),
            ChunkState::Failed(error) => Err(error),
            ChunkState::Header | ChunkState::Data { .. } | ChunkState::DataEnd | ChunkState::Trailers => {
                Err(ChunkError::Truncated)
            }
        }
    }

    fn step_until_payload(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, ChunkError> {
        while !input.is_empty() {
            match &mut self.state {
                ChunkState::Header => self.header(input)?,
                ChunkState::Data { .. } => return self.data(input).map(Some),
                ChunkState::DataEnd => self.data_end(input)?,
                ChunkState::Trailers => self.trailer(input)?,
                ChunkState::End { padding } => {
                    let byte = input.get_u8();
                    *padding += 1;
                    if !matches!(byte, b'\r' | b'\n') || *padding > MAX_PADDING_BYTES {
                        return Err(ChunkError::AfterEnd);
                    }
                }
                ChunkState::Failed(error) => return Err(*error),
            }
        }
        match self.state {
            ChunkState::Failed(error) => Err(error),
            _ => Ok(None),
        }
    }

    fn header(&mut self, input: &mut Bytes) -> Result<(), ChunkError> {
        if !take_line(&mut self.line, input, MAX_CHUNK_HEADER_BYTES).ok_or(ChunkError::MalformedHeader)? {
            return Ok(());
        }
        let line = self.line.strip_suffix(b"\r\n").ok_or(ChunkError::MalformedHeader)?;
        let (size, signature) = parse_header(line)?;
        self.line.clear();
        if size > self.left {
            return Err(ChunkError::TooLong);
        }
        if size > 0 {
            self.chunks += 1;
            if self.last_size < MIN_CHUNK_BYTES {
                return Err(ChunkError::TooSmall { chunk: self.chunks, size: self.last_size });
            }
            self.last_size = size;
            self.left -= size;
            self.state = ChunkState::Data { left: size, signature };
            return Ok(());
        }
        self.check_chunk(signature)?;
        if self.left > 0 {
            return Err(ChunkError::TooShort);
        }
        self.state = ChunkState::Trailers;
        Ok(())
    }

    fn data(&mut self, input: &mut Bytes) -> Result<Bytes, ChunkError> {
        let ChunkState::Data { left, signature } = &mut self.state else {
            return Ok(Bytes::new());
        };
        let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        let payload = input.split_to(take);
        *left -= take as u64;
        let ended = (*left == 0).then_some(*signature);
        if let Signing::Signed { hash, .. } = &mut self.signing {
            hash.update(&payload);
        }
        if let Some(signature) = ended {
            self.check_chunk(signature)?;
            self.state = ChunkState::DataEnd;
        }
        Ok(payload)
    }

    fn data_end(&mut self, input: &mut Bytes) -> Result<(), ChunkError> {
        let expected = if self.line.is_empty() { b'\r' } else { b'\n' };
        if input.get_u8() != expected {
            return Err(ChunkError::MalformedData);
        }
        if expected == b'\r' {
            self.line.push(b'\r');
        } else {
            self.line.clear();
            self.state = ChunkState::Header;
        }
        Ok(())
    }

    fn trailer(&mut self, input: &mut Bytes) -> Result<(), ChunkError> {
        let max = TrailerReader::MAX_LINE_BYTES;
        if !take_line(&mut self.line, input, max).ok_or(ChunkError::MalformedTrailer)? {
            return Ok(());
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let ended = match (&mut self.trailers, &mut self.signing) {
            (None, _) if line.is_empty() => true,
            (None, _) => return Err(ChunkError::MalformedTrailer),
            (Some(reader), Signing::Unsigned) => reader.unsigned_line(line)?,
            (Some(reader), Signing::Signed { chain, .. }) => reader.signed_line(line, chain)?,
        };
        self.line.clear();
        if ended {
            self.state = ChunkState::End { padding: 0 };
        }
        Ok(())
    }

    fn check_chunk(&mut self, signature: Option<ChunkSignature>) -> Result<(), ChunkError> {
        let Signing::Signed { chain, hash } = &mut self.signing else {
            return Ok(());
        };
        let signature = signature.ok_or(ChunkError::ChunkSignature)?;
        if chain.check_chunk(hash, &signature) { Ok(()) } else { Err(ChunkError::ChunkSignature) }
    }
}

/// Moves bytes from `input` to `line` up to and including the next `
/// `, and says whether that came. `None` if the line is longer than `max`.
fn take_line(line: &mut Vec<u8>, input: &mut Bytes, max: usize) -> Option<bool> {
    let room = max.checked_sub(line.len())?;
    let end = input.iter().take(room).position(|&byte| byte == b'\n');
    let take = match end {
        Some(at) => at + 1,
        None if input.len() >= room => return None,
        None => input.len(),
    };
    line.extend_from_slice(&input.split_to(take));
    Some(end.is_some())
}

/// Reads `<size>[;name=value]*`. Extensions other than `chunk-signature` mean nothing to S3.
fn parse_header(line: &[u8]) -> Result<(u64, Option<ChunkSignature>), ChunkError> {
    let line = std::str::from_utf8(line).map_err(|_| ChunkError::MalformedHeader)?;
    let (size, extensions) = line.split_once(';').unwrap_or((line, ""));
    // Unlike `from_str_radix`, no sign.
    if !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ChunkError::MalformedHeader);
    }
    let size = u64::from_str_radix(size, 16).map_err(|_| ChunkError::MalformedHeader)?;
    let mut signatures = extensions.split(';').filter_map(|one| one.trim().strip_prefix("chunk-signature="));
    Ok((size, signatures.next().and_then(|text| text.as_bytes().try_into().ok())))
}
