//! A request's body: the bytes off the wire become payload, in order and checked.
//!
//! [`RequestBody`] hides how the payload travelled (plain, or `aws-chunked` with or without signatures and trailers),
//! and cuts off a peer that stalls or sends too slowly. [`Expected`] holds the digests that the client declared;
//! whoever hashes the payload compares them at its end.
//!
//! However finely a peer cuts its bytes, the payload comes out in pieces of some size ([`Gathered`]), since each piece
//! costs whoever works on it time and bookkeeping.
//!
//! Nothing is read before the first [`RequestBody::next`]: hyper sends `100 Continue` when the first bytes are asked
//! for, and the operation must have accepted the request by then.

mod expected;
mod gathered;
mod pace;
mod unread;

pub use expected::Expected;
pub use unread::Unread;

use crate::admission::{Admitted, Memory};
use crate::apart;
use crate::checksum::{Digester, Digests};
use crate::error::{Code, S3Error};
use crate::number;
use crate::telemetry;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use gathered::Gathered;
use http::HeaderMap;
use http::header::TRANSFER_ENCODING;
use http_body_util::BodyExt;
use pace::{Pace, STALL};
use std::sync::Arc;
use stratum_auth::{ChunkedDecoder, Payload, Trailers};
use stratum_metadata::record::ChecksumAlgorithm;
use stratum_storage::ambient::Clock;
use tokio::task::coop::consume_budget;
use tracing_mutex::parkinglot::Mutex;

/// The largest payload of one request: 5 GiB.
pub const MAX_PAYLOAD_BYTES: u64 = 5 << 30;

/// Bytes of memory for each byte of a document, since what is parsed from a document takes a few times its length.
const DOCUMENT_MEMORY_FACTOR: u64 = 4;

/// The most bytes of a document that is read on the thread that serves its request.
const SHORT_BYTES: usize = 32 << 10;

const DECODED_LENGTH: &str = "x-amz-decoded-content-length";

/// How the payload travels.
#[derive(Debug)]
enum Coding {
    Plain,
    /// The decoder, until the end was reached.
    Chunked(Option<Box<ChunkedDecoder>>),
}

/// Holds the wire before an operation takes it and after the operation is done with it, so that the rest of a request
/// can be read off the connection.
pub type Leftover = Arc<Mutex<Option<Body>>>;

/// A request's payload, not yet read.
#[derive(Debug)]
pub struct RequestBody {
    wire: Option<Body>,
    leftover: Leftover,
    coding: Coding,
    /// Bytes that came off the wire and aren't decoded yet.
    undecoded: Bytes,
    gathered: Gathered,
    memory: Memory,
    length: Length,
    received: u64,
    pace: Pace,
    expected: Expected,
    trailers: Trailers,
}

/// A document that was read whole. Keep it as long as what is parsed from it, since it holds the memory of both.
#[derive(Debug)]
pub struct Document {
    bytes: Bytes,
    admitted: Admitted,
}

impl Document {
    /// The document as it was sent. What it says is read by [`Document::read`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads what the document says, by the function of its type. This may take milliseconds of a processor, for which
    /// the other requests of a thread that serves them would wait. So a long document is read [apart](crate::apart), in a
    /// turn of the party's; a short one on the thread itself, which is faster.
    ///
    /// # Errors
    /// The errors of `read`.
    pub async fn read<T, E>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, E> + Send + 'static,
    ) -> Result<T, S3Error>
    where
        T: Send + 'static,
        E: Into<S3Error> + Send + 'static,
    {
        if self.bytes.len() <= SHORT_BYTES {
            return read(&self.bytes).map_err(E::into);
        }
        let _turn = self.admitted.memory().turn().await;
        let bytes = self.bytes.clone();
        apart::run(move || read(&bytes)).await?.map_err(E::into)
    }
}

/// What the client said of the payload's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Declared(u64),
    /// `Transfer-Encoding: chunked` alone: the length shows at the end.
    Undeclared,
    /// No header speaks of a length, so there is no body.
    Absent,
}

impl RequestBody {
    /// Takes a request's body, of which nothing has been read.
    ///
    /// # Errors
    /// What [`Expected::of`] refuses; `MissingContentLength` for an `aws-chunked` body without
    /// `x-amz-decoded-content-length`.
    pub fn new(
        headers: &HeaderMap,
        payload: Payload,
        leftover: Leftover,
        memory: Memory,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, S3Error> {
        let expected = Expected::of(headers, &payload)?;
        let (coding, length) = match payload {
            Payload::Unsigned | Payload::Sha256(_) => (Coding::Plain, plain_length(headers)?),
            Payload::Chunked(chunking) => {
                let length = number(headers, DECODED_LENGTH)?;
                let length = length.ok_or(S3Error::new(Code::MissingContentLength))?;
                (Coding::Chunked(Some(Box::new(chunking.decoder(length)))), Length::Declared(length))
            }
        };
        let wire = leftover.lock().take();
        let mut body = Self::plain(wire, expected, memory, clock);
        (body.leftover, body.coding, body.length) = (leftover, coding, length);
        Ok(body)
    }

    /// Takes the file of a form. The fields of the form are its headers, and its length shows at its end.
    ///
    /// # Errors
    /// What [`Expected::of`] refuses.
    pub fn of_file(
        headers: &HeaderMap,
        file: Body,
        memory: Memory,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, S3Error> {
        let expected = Expected::of(headers, &Payload::Unsigned)?;
        Ok(Self::plain(Some(file), expected, memory, clock))
    }

    fn plain(wire: Option<Body>, expected: Expected, memory: Memory, clock: Arc<dyn Clock>) -> Self {
        Self {
            wire,
            leftover: Leftover::default(),
            coding: Coding::Plain,
            undecoded: Bytes::new(),
            gathered: Gathered::default(),
            memory,
            length: Length::Undeclared,
            received: 0,
            pace: Pace::new(clock),
            expected,
            trailers: Trailers::default(),
        }
    }

    /// The payload's length in bytes; `None` where it shows only at the end.
    ///
    /// # Errors
    /// `MissingContentLength` where no header speaks of a length, `EntityTooLarge` over 5 GiB.
    pub fn length(&self) -> Result<Option<u64>, S3Error> {
        match self.length {
            Length::Absent => Err(Code::MissingContentLength.into()),
            Length::Undeclared => Ok(None),
            Length::Declared(length) if length > MAX_PAYLOAD_BYTES => {
                Err(too_large(length, MAX_PAYLOAD_BYTES))
            }
            Length::Declared(length) => Ok(Some(length)),
        }
    }

    /// The digests that the client declared for the payload.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// The next piece of payload; `None` at the end. It is never empty, and small only right before a large piece or at
    /// the end.
    ///
    /// # Errors
    /// `IncompleteBody`, `RequestTimeout`, what the chunk decoder refuses, and `EntityTooLarge` when the payload turns
    /// out to be over 5 GiB.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        while !self.gathered.is_ready() {
            let Some(piece) = self.next_as_sent().await? else { break };
            self.received += piece.len() as u64;
            let is_last = self.length == Length::Declared(self.received);
            self.gathered.push(piece, is_last);
            if self.received > MAX_PAYLOAD_BYTES {
                return Err(too_large(self.received, MAX_PAYLOAD_BYTES));
            }
        }
        Ok(self.gathered.take())
    }

    /// The next piece of payload as it was sent, never empty.
    async fn next_as_sent(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            // A buffer may hold thousands of pieces of a byte each. Other tasks get their turn between them.
            consume_budget().await;
            if let Coding::Chunked(Some(decoder)) = &mut self.coding
                && let Some(payload) = decoder.decode(&mut self.undecoded)?
            {
                return Ok(Some(payload));
            }
            let Some(piece) = self.read().await? else { return self.end().map(|()| None) };
            match &self.coding {
                Coding::Plain if piece.is_empty() => {}
                Coding::Plain => return Ok(Some(piece)),
                Coding::Chunked(_) => self.undecoded = piece,
            }
        }
    }

    /// The whole payload in one piece, not copied where it arrived in one piece.
    ///
    /// # Errors
    /// As [`RequestBody::next`]; `EntityTooLarge` when there is more than `limit`.
    pub async fn collect(&mut self, limit: u64) -> Result<Bytes, S3Error> {
        self.gather(limit, |_| Ok(())).await
    }

    /// As [`RequestBody::collect`]; `arrived` is told the length of each piece before the piece is kept, and may refuse
    /// it.
    async fn gather(
        &mut self,
        limit: u64,
        mut arrived: impl FnMut(u64) -> Result<(), S3Error>,
    ) -> Result<Bytes, S3Error> {
        if let Length::Declared(length) = self.length
            && length > limit
        {
            return Err(too_large(length, limit));
        }
        let Some(first) = self.next_within(limit).await? else { return Ok(Bytes::new()) };
        arrived(first.len() as u64)?;
        if self.length == Length::Declared(first.len() as u64) {
            return self.expect_end().await.map(|()| first);
        }
        let mut whole = BytesMut::from(first);
        while let Some(piece) = self.next_within(limit).await? {
            arrived(piece.len() as u64)?;
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// As [`RequestBody::next`]; `EntityTooLarge` where more than `limit` has arrived.
    async fn next_within(&mut self, limit: u64) -> Result<Option<Bytes>, S3Error> {
        let piece = self.next().await?;
        if self.received > limit {
            return Err(too_large(self.received, limit));
        }
        Ok(piece)
    }

    /// The next bytes of the payload: `length` of them or a little more, and fewer only at the end of the payload.
    ///
    /// # Errors
    /// As [`RequestBody::next`].
    pub async fn segment(&mut self, length: usize) -> Result<Bytes, S3Error> {
        let Some(first) = self.next().await? else { return Ok(Bytes::new()) };
        let mut segment = BytesMut::with_capacity(length + first.len());
        segment.extend_from_slice(&first);
        while segment.len() < length {
            let Some(piece) = self.next().await? else { break };
            segment.extend_from_slice(&piece);
        }
        Ok(segment.freeze())
    }

    /// Reads a small document and checks it against what the client declared. Its length need not be declared. Memory
    /// for the document is admitted as its bytes arrive, so that nobody holds memory for bytes that never come.
    ///
    /// # Errors
    /// As [`RequestBody::collect`] and [`Expected::check`]; `SlowDown`.
    pub async fn document(mut self, limit: u64) -> Result<Document, S3Error> {
        let mut admitted = self.memory.admit(0)?;
        let bytes = self
            .gather(limit, |arrived| admitted.grow(arrived.saturating_mul(DOCUMENT_MEMORY_FACTOR)))
            .await?;
        if self.expected.is_declared() || self.expected.is_signed() {
            let algorithm = self.expected.algorithm().unwrap_or(ChecksumAlgorithm::Crc32c);
            let mut digester = Digester::new(algorithm, self.expected.is_signed());
            digester.update(&bytes);
            self.check(&digester.finish())?;
        }
        Ok(Document { bytes, admitted })
    }

    /// As [`RequestBody::document`], where a checksum in a header is of an object and not of the document itself
    /// (CompleteMultipartUpload): it isn't checked here.
    ///
    /// # Errors
    /// As [`RequestBody::document`].
    pub async fn document_about_an_object(mut self, limit: u64) -> Result<Document, S3Error> {
        self.expected = std::mem::take(&mut self.expected).of_payload_alone();
        self.document(limit).await
    }

    /// Compares the digests that were computed over the whole payload with those that the client declared. Call it at
    /// the end of the payload.
    ///
    /// # Errors
    /// As [`Expected::check`].
    pub fn check(&self, digests: &Digests) -> Result<(), S3Error> {
        self.expected.check(digests, &self.trailers)
    }

    async fn expect_end(&mut self) -> Result<(), S3Error> {
        match self.next().await? {
            None => Ok(()),
            Some(_) => Err(Code::IncompleteBody.into()),
        }
    }

    /// The next piece off the wire.
    async fn read(&mut self) -> Result<Option<Bytes>, S3Error> {
        let Some(wire) = &mut self.wire else { return Ok(None) };
        let frame = tokio::time::timeout(STALL, wire.frame()).await;
        let frame = frame.map_err(|_| S3Error::new(Code::RequestTimeout).because("the body stalled"))?;
        let Some(frame) = frame else {
            self.wire = None;
            return Ok(None);
        };
        // The peer went away, or broke the framing. Nobody will read the answer, but the log shows the error.
        let frame = frame.map_err(unread)?;
        // These are HTTP's own trailers. Nothing announced them and nothing here reads them, so they are refused.
        let piece = frame.into_data().map_err(|_| S3Error::new(Code::MalformedTrailerError))?;
        if !self.pace.keep(piece.len() as u64, || self.memory.minimum_rate()) {
            return Err(S3Error::new(Code::RequestTimeout).because("the body came too slowly"));
        }
        self.pace.hold_back(piece.len(), &self.memory).await;
        Ok(Some(piece))
    }

    /// Checks at the end of the wire that the payload is at its end, too.
    fn end(&mut self) -> Result<(), S3Error> {
        if let Coding::Chunked(decoder) = &mut self.coding
            && let Some(decoder) = decoder.take()
        {
            self.trailers = decoder.finish()?;
            self.expected.check_announced(&self.trailers)?;
        }
        match self.length {
            Length::Declared(length) if length != self.received => Err(Code::IncompleteBody.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        telemetry::received(self.received);
        if let Some(wire) = self.wire.take() {
            *self.leftover.lock() = Some(wire);
        }
    }
}

/// The S3 error of a body that couldn't be read. The file of a form brings its own, as an [`Unread`] among the causes.
fn unread(error: axum::Error) -> S3Error {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let told = causes.filter_map(|cause| cause.downcast_ref::<Unread>()).find_map(Unread::take);
    told.unwrap_or_else(|| S3Error::new(Code::IncompleteBody).because(error))
}

/// The length of a plain body. Its payload is the body itself, so that both headers about a length must say the same.
fn plain_length(headers: &HeaderMap) -> Result<Length, S3Error> {
    let declared = (number(headers, "content-length")?, number(headers, DECODED_LENGTH)?);
    Ok(match declared {
        (Some(length), Some(decoded)) if length != decoded => {
            let message = "A body that isn't aws-chunked has the length that Content-Length says.";
            return Err(S3Error::invalid_argument(DECODED_LENGTH, decoded.to_string(), message));
        }
        (Some(length), _) => Length::Declared(length),
        (None, _) if !headers.contains_key(TRANSFER_ENCODING) => Length::Absent,
        (None, Some(length)) => Length::Declared(length),
        (None, None) => Length::Undeclared,
    })
}

fn number(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, S3Error> {
    let Some(text) = headers.get(name) else { return Ok(None) };
    let text = text.to_str().unwrap_or_default();
    let number = number::parse(text).ok_or_else(|| {
        S3Error::invalid_argument(name, text, format!("The value of {name} is not a number of bytes."))
    })?;
    Ok(Some(number))
}

fn too_large(size: u64, limit: u64) -> S3Error {
    S3Error::new(Code::EntityTooLarge)
        .with("ProposedSize", size.to_string())
        .with("MaxSizeAllowed", limit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{Admission, Party};
    use std::thread;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_long_document_is_read_on_another_thread() {
        let memory = Admission::new(64 << 20).enter(Party::User("ann".into())).unwrap();
        let reader = async |length: usize| {
            let document = Document { bytes: vec![b' '; length].into(), admitted: memory.admit(0).unwrap() };
            document.read(|_| Ok::<_, S3Error>(thread::current().id())).await.unwrap()
        };
        let here = thread::current().id();
        assert_eq!(reader(SHORT_BYTES).await, here);
        assert_ne!(reader(SHORT_BYTES + 1).await, here);
    }
}
