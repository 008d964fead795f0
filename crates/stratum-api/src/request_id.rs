//! The id of a request, by which its client, error documents and the log name it.

use http::HeaderValue;
use std::sync::atomic::{AtomicU64, Ordering};
use stratum_storage::ambient::Entropy;

/// A request's id: 16 hex digits, in `x-amz-request-id`, in every error document and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    pub fn from_u64(id: u64) -> Self {
        let mut text = [0; 16];
        for (at, digit) in text.iter_mut().enumerate() {
            let nibble = (id >> (60 - 4 * at)) as usize & 0xf;
            *digit = b"0123456789ABCDEF"[nibble];
        }
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id as a header's value.
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

/// Gives each request an id. No two are the same while the server runs, and ones of different runs are unlikely to
/// be.
#[derive(Debug)]
pub struct RequestIds {
    start: u64,
    given: AtomicU64,
}

impl RequestIds {
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self { start: entropy.next_u64(), given: AtomicU64::new(0) }
    }

    pub fn next(&self) -> RequestId {
        // Multiplied by an odd number, all counts give different ids, and the ids of requests that follow each other
        // look different.
        let step = self.given.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        RequestId::from_u64(self.start.wrapping_add(step))
    }
}
