//! The stream between hyper and a connection.
//!
//! The stream tells the connection when bytes are read and when an answer has been sent. It also replaces hyper's own
//! answers. Where a request can't be read at all (its head is too long, has too many headers, or isn't HTTP), hyper
//! answers by itself, with a status and no body. The stream sends S3's error document with a request's id instead. It
//! recognises hyper's own answers by the time: while no request is being served, nobody but hyper writes. A head that
//! isn't complete in its time is refused here as well ([`Wire::time_out`]).
//!
//! With every request, hyper writes 64 bytes for each header that it has room for. Room for as many headers as a
//! request may have would take more memory than the first cache of a processor holds. So hyper begins with room for a
//! hundred, its default, which it has without allocating. A head that hyper refuses for its size isn't refused yet:
//! the connection is given back ([`Wire::is_to_be_read_again`]), and another hyper with room for all headers reads
//! it, beginning with that head.

use crate::connections::{Connection, Phase};
use crate::error::{Code, S3Error};
use crate::headers;
use crate::request_id::RequestIds;
use crate::telemetry::REQUESTS;
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use stratum_storage::ambient::Clock;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How many bytes are read and thrown away of a request that is refused, so that the answer reaches a peer that is
/// still sending.
const LINGER_BYTES: usize = 256 << 10;
/// For how long.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// The stream of a connection.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    connection: Arc<Connection>,
    ids: Arc<RequestIds>,
    clock: Arc<dyn Clock>,
    room: Room,
    /// Bytes that another hyper has read from the stream before; they are read again first.
    again: Bytes,
    refusal: Option<Refusal>,
}

/// How many headers hyper has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// As many as most requests have.
    Usual,
    /// Too few for a head that has come. What hyper writes about it is thrown away.
    TooSmall,
    /// As many as a request may have.
    Full,
}

/// The refusal of a head that didn't become a request, after which the connection ends.
#[derive(Debug)]
struct Refusal {
    unsent: Bytes,
    linger: Option<Pin<Box<Sleep>>>,
    /// Bytes that may still be read and thrown away.
    left: usize,
}

impl<S> Wire<S> {
    pub fn new(stream: S, connection: Arc<Connection>, ids: Arc<RequestIds>, clock: Arc<dyn Clock>) -> Self {
        Self { stream, connection, ids, clock, room: Room::Usual, again: Bytes::new(), refusal: None }
    }

    /// Whether hyper ended the connection because it had too little room for a head.
    pub fn is_to_be_read_again(&self) -> bool {
        self.room == Room::TooSmall
    }

    /// The stream as it was before the head that hyper had too little room for. `unread` are the bytes that hyper
    /// read and didn't take as part of a request.
    pub fn read_again(self, unread: Bytes) -> Self {
        Self { room: Room::Full, again: unread, ..self }
    }

    /// Whether bytes that are to be written are hyper's own answer, of which `first` is the beginning. They are
    /// thrown away then: a refusal is sent in their place, or the head is read again.
    fn is_refused(&mut self, first: &[u8]) -> bool {
        if self.refusal.is_none()
            && matches!(self.connection.phase(), Phase::Silent | Phase::Head | Phase::Idle)
        {
            let is_large = matches!(first.split(|byte| *byte == b' ').nth(1), Some(b"431" | b"414"));
            match (is_large, self.room) {
                (_, Room::TooSmall) => {}
                (true, Room::Usual) => self.room = Room::TooSmall,
                (true, Room::Full) => self.refuse(Code::RequestHeaderSectionTooLarge),
                (false, _) => self.refuse(Code::BadRequest),
            }
        }
        self.refusal.is_some() || self.is_to_be_read_again()
    }

    /// Begins the refusal: nothing else is sent on this connection any more.
    fn refuse(&mut self, code: Code) {
        self.connection.refuses();
        let unsent = self.refusal_of(code);
        self.refusal = Some(Refusal { unsent, linger: None, left: LINGER_BYTES });
    }

    /// The bytes of a refusal, and the line in the log.
    fn refusal_of(&self, code: Code) -> Bytes {
        let date = headers::http_date(self.clock.now());
        let date = date.to_str().unwrap_or_default();
        let id = self.ids.next();
        let document = S3Error::new(code).document(&id, "/");
        let (id, status, length) = (id.as_str(), code.status(), document.len());
        let origin = self.connection.origin();
        let status_code = status.as_u16();
        tracing::info!(target: REQUESTS, id, %origin, status = status_code, code = code.name(), "a request could not be read");
        metrics::counter!("stratum_requests_unreadable_total").increment(1);
        Bytes::from(format!(
            "HTTP/1.1 {status}\r\ndate: {date}\r\nconnection: close\r\ncontent-type: application/xml\r\n\
             content-length: {length}\r\nx-amz-request-id: {id}\r\nx-amz-id-2: {id}\r\n\r\n{document}"
        ))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Tells a peer that the head of its request didn't come in its time, and ends the connection.
    pub async fn time_out(mut self) {
        self.refuse(Code::RequestTimeout);
        if let Err(error) = self.shutdown().await {
            tracing::debug!(origin = %self.connection.origin(), %error, "a peer that was late has gone");
        }
    }

    /// Sends what is unsent of the refusal.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while refusal.unsent.has_remaining() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &refusal.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            refusal.unsent.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads for a while what a refused peer still sends. If the connection were closed with bytes unread, it would
    /// be reset, and the peer would lose the answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(()) };
        let linger = refusal.linger.get_or_insert_with(|| Box::pin(sleep(LINGER_TIME)));
        if linger.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            let size = buffer.filled().len();
            if read.is_err() || size == 0 || size > refusal.left {
                return Poll::Ready(());
            }
            refusal.left -= size;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            let size = self.again.len().min(buffer.remaining());
            buffer.put_slice(&self.again.split_to(size));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.connection.hears();
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_refused(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_refused(slices.first().map_or(&[], |first| &**first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_to_be_read_again() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_refusal(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        // A flush ends when everything that was written before has been sent. So an answer that hyper has written
        // whole has been sent by now.
        self.connection.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_to_be_read_again() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_refusal(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Origin;
    use crate::connections::Capacity;
    use stratum_storage::ambient::Simulated;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    fn wire() -> (Wire<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(64 << 10);
        let connection = Connection::new(1, Origin::of([192, 0, 2, 1].into()), Capacity::Regular);
        let clock = Arc::new(Simulated::new(0, 1));
        (Wire::new(near, connection, Arc::new(RequestIds::new(&*clock)), clock), far)
    }

    #[tokio::test]
    async fn a_head_that_hyper_has_too_little_room_for_is_read_again() {
        let (mut wire, mut far) = wire();
        wire.write_all(b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n").await.unwrap();
        wire.flush().await.unwrap();
        wire.shutdown().await.unwrap();
        assert!(wire.is_to_be_read_again());
        let mut wire = wire.read_again(Bytes::from_static(b"a head"));
        far.write_all(b" and more").await.unwrap();
        let mut read = [0; 15];
        wire.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"a head and more");
        wire.connection.serves();
        wire.write_all(b"an answer").await.unwrap();
        drop(wire);
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, b"an answer");
    }

    #[tokio::test]
    async fn hypers_own_answer_becomes_an_error_document() {
        let (wire, mut far) = wire();
        let mut wire = wire.read_again(Bytes::new());
        let bare =
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        wire.write_all(bare).await.unwrap();
        drop(tokio::spawn(async move { wire.shutdown().await }));
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\ndate: Thu, 01 Jan 1970"), "{text}");
        assert!(text.contains("<Code>RequestHeaderSectionTooLarge</Code>"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_late_is_refused_and_the_connection_ends() {
        let (wire, mut far) = wire();
        far.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let ended = tokio::spawn(wire.time_out());
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        assert!(text.contains("<Code>RequestTimeout</Code>"), "{text}");
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn an_operations_answer_is_sent_even_if_it_looks_like_hypers_own() {
        let (mut wire, mut far) = wire();
        wire.connection.serves();
        let answer = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        wire.write_all(answer).await.unwrap();
        wire.connection.sends();
        wire.write_all(answer).await.unwrap();
        wire.flush().await.unwrap();
        assert_eq!(wire.connection.phase(), Phase::Idle);
        drop(wire);
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, [answer.as_slice(), answer].concat());
    }
}
