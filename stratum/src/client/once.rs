//! A single request over a connection of its own, for receivers that hear from the server only now and then, such as a
//! webhook or an OTLP collector.

use super::stream::{Peer, Stream};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error("connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// Sends a request, and reads the answer's head and at most `most` bytes of its body. Redirects are not followed, and
/// the time is not limited here.
///
/// # Errors
/// No answer came. The request may have arrived nevertheless.
pub(crate) async fn ask(
    address: &str,
    tls: Option<&Peer>,
    request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Response<Bytes>, Unanswered> {
    let stream = Stream::connect(address, tls).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut answer = std::pin::pin!(async { front(sender.send_request(request).await?, most).await });
    tokio::select! {
        biased;
        answer = &mut answer => Ok(answer?),
        // hyper sends and receives only while `connection` is polled. When it ends first, the answer may have arrived
        // already.
        _ = connection => Ok(answer.await?),
    }
}

/// The answer with the first `most` bytes of its body.
async fn front(answer: Response<Incoming>, most: usize) -> Result<Response<Bytes>, hyper::Error> {
    let (head, mut body) = answer.into_parts();
    let mut read = BytesMut::new();
    while read.len() < most
        && let Some(frame) = body.frame().await.transpose()?
    {
        let piece = frame.into_data().unwrap_or_default();
        read.extend_from_slice(&piece[..piece.len().min(most - read.len())]);
    }
    Ok(Response::from_parts(head, read.freeze()))
}
