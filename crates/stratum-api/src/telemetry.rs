//! The telemetry of requests: each has one line in the log, and is counted and timed by operation and status.
//!
//! The lines have a tracing target of their own, [`REQUESTS`], so that a filter of the log can leave them out.

mod buckets;
pub mod failures;
pub mod history;

use crate::traces::Named;
use http::{Method, StatusCode};
use metrics::{Counter, Histogram};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;
use tracing_mutex::parkinglot::RwLock;

/// The tracing target of the lines of requests, by which a filter of the log names them.
pub(crate) const REQUESTS: &str = "requests";
/// How much of a path a line shows, in bytes. A percent-encoded key has up to three times 1,024.
const SHOWN_PATH_BYTES: usize = 256;

/// A request that was answered.
pub struct Answered<'a> {
    pub id: &'a str,
    /// The ids of its trace and its span, if it is traced.
    pub named: Option<Named>,
    pub operation: &'static str,
    /// The bucket that the request named, if the bucket has metrics of its own.
    pub metered: Option<&'a str>,
    /// The address from which the connection comes.
    pub peer: Option<SocketAddr>,
    /// The id of the user who signed the request.
    pub user: Option<&'a str>,
    pub method: &'a Method,
    pub path: &'a str,
    pub status: StatusCode,
    /// Bytes of the body that the response announces.
    pub sent: u64,
    /// The time from the request's head to the response's head.
    pub took: Duration,
    /// The time of the answer, by the monotonic clock.
    pub now: Duration,
    pub is_write: bool,
    /// The error's code, and its cause, which the client isn't told.
    pub error: Option<(&'static str, Option<&'a str>)>,
}

/// The counter and the histogram of one operation and status.
#[derive(Clone)]
struct Handles {
    requests: Counter,
    seconds: Histogram,
}

/// The handles of each pair of operation and status that has occurred. A lookup takes a shared lock and a hash, which
/// is cheaper than to register the metrics with each request.
static HANDLES: LazyLock<RwLock<HashMap<(&'static str, u16), Handles>>> = LazyLock::new(Default::default);

/// The counters of bytes.
struct Bytes {
    received: Counter,
    sent: Counter,
    framed: Counter,
    framed_stored: Counter,
}

static BYTES: LazyLock<Bytes> = LazyLock::new(|| Bytes {
    received: metrics::counter!("stratum_received_bytes_total"),
    sent: metrics::counter!("stratum_sent_bytes_total"),
    framed: metrics::counter!("stratum_framed_bytes_total"),
    framed_stored: metrics::counter!("stratum_framed_stored_bytes_total"),
});

/// Counts the bytes of a payload that was received.
pub fn received(bytes: u64) {
    if bytes > 0 {
        BYTES.received.increment(bytes);
    }
}

/// Counts a body of `plaintext` bytes that is stored in frames of `stored` bytes.
pub fn framed(plaintext: u64, stored: u64) {
    BYTES.framed.increment(plaintext);
    BYTES.framed_stored.increment(stored);
}

/// Logs and counts a request.
pub fn answered(request: &Answered<'_>) {
    let handles = handles(request.operation, request.status.as_u16());
    handles.requests.increment(1);
    handles.seconds.record(request.took.as_secs_f64());
    history::count(request.now, request.is_write, request.took, request.status.is_server_error());
    failures::note(request);
    if request.sent > 0 {
        BYTES.sent.increment(request.sent);
    }
    if let Some(bucket) = request.metered {
        buckets::answered(bucket, request);
    }
    let status = request.status.as_u16();
    let millis = request.took.as_micros() as f64 / 1000.0;
    let (id, operation, method, user) =
        (request.id, request.operation, request.method, request.user.unwrap_or("-"));
    let path = shown(request.path);
    let peer = request.peer.map(tracing::field::display);
    let trace = request.named.map(|named| tracing::field::display(named.trace));
    let span = request.named.map(|named| tracing::field::display(named.span));
    match request.error {
        Some((code, cause)) if request.status.is_server_error() => {
            tracing::warn!(target: REQUESTS, id, trace, span, peer, user, operation, %method, path, status, millis, code, cause, "request");
        }
        Some((code, cause)) => {
            tracing::info!(target: REQUESTS, id, trace, span, peer, user, operation, %method, path, status, millis, code, cause, "request")
        }
        None => {
            tracing::info!(target: REQUESTS, id, trace, span, peer, user, operation, %method, path, status, millis, "request")
        }
    }
}

/// The beginning of a path, cut between characters: not every client percent-encodes characters of several bytes.
fn shown(path: &str) -> &str {
    let end = (0..=SHOWN_PATH_BYTES.min(path.len())).rev().find(|end| path.is_char_boundary(*end));
    path.get(..end.unwrap_or(0)).unwrap_or_default()
}

fn handles(operation: &'static str, status: u16) -> Handles {
    if let Some(handles) = HANDLES.read().get(&(operation, status)) {
        return handles.clone();
    }
    let labels = [("operation", operation.to_owned()), ("status", status.to_string())];
    let handles = Handles {
        requests: metrics::counter!("stratum_requests_total", &labels),
        seconds: metrics::histogram!("stratum_request_seconds", &labels),
    };
    HANDLES.write().entry((operation, status)).or_insert(handles).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_the_beginning_of_a_path() {
        assert_eq!(shown("/bucket/key"), "/bucket/key");
        assert_eq!(shown(&"k".repeat(3000)).len(), SHOWN_PATH_BYTES);
        let cut = format!("/{}", "\u{e9}".repeat(3000));
        assert_eq!(shown(&cut).len(), SHOWN_PATH_BYTES - 1);
    }
}
