//! A stream whose peer must keep reading.
//!
//! A response keeps memory in use and, through its body, volumes on hold. So once the socket takes no more bytes, the
//! peer must take [`LEAST_BYTES_A_WINDOW`] bytes within [`READ_WINDOW`], and more where the server holds much memory for it, or the
//! connection fails. A stream that never blocks costs nothing.

use crate::connections::Connection;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a peer may take to read the bytes that it must read.
const READ_WINDOW: Duration = Duration::from_secs(30);
/// How many bytes a peer must read within a window, at least.
const LEAST_BYTES_A_WINDOW: u64 = 64 << 10;

/// A stream that fails when its peer stops reading.
#[derive(Debug)]
pub struct Unstalled<S> {
    stream: S,
    connection: Arc<Connection>,
    blocked: Option<Blocked>,
}

/// The state of a stream whose socket has taken no more bytes.
#[derive(Debug)]
struct Blocked {
    window: Pin<Box<Sleep>>,
    /// Bytes that must still go out before the window ends.
    missing: u64,
}

impl<S> Unstalled<S> {
    pub fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection, blocked: None }
    }

    /// Passes on the outcome of a write, or fails it where the peer has not read enough within the window.
    fn watch(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(blocked) = &mut self.blocked {
                    blocked.missing = blocked.missing.saturating_sub(bytes as u64);
                    if blocked.missing == 0 {
                        self.blocked = None;
                    }
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let least =
                    || LEAST_BYTES_A_WINDOW.max(self.connection.minimum_rate() * READ_WINDOW.as_secs());
                let begin = || Blocked { window: Box::pin(sleep(READ_WINDOW)), missing: least() };
                match self.blocked.get_or_insert_with(begin).window.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // A peer that sends its next request has read the answer before it.
        if read.is_ready() {
            self.blocked = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Origin;
    use crate::connections::Capacity;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn connection() -> Arc<Connection> {
        Connection::new(1, Origin::of([192, 0, 2, 1].into()), Capacity::Regular)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_is_cut() {
        let (near, _far) = duplex(1024);
        let failed = Unstalled::new(near, connection()).write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_steadily_is_not_cut() {
        let (near, mut far) = duplex(1024);
        let reader = tokio::spawn(async move {
            let mut total = 0;
            let mut buffer = vec![0; 64 << 10];
            while total < 1 << 20 {
                sleep(Duration::from_millis(100)).await;
                total += far.read(&mut buffer).await.unwrap();
            }
        });
        Unstalled::new(near, connection()).write_all(&[0; 1 << 20]).await.unwrap();
        reader.await.unwrap();
    }
}
