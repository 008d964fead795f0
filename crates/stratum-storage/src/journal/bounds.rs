//! How long the journal may be, and the segments that it is made of.
//!
//! Only whole segments are packed and let go, so the length of a segment follows from the cap: a journal that is full
//! must be closed segments for the most part, or nothing would ever make room in it.

use std::time::Duration;

/// The least cap, in bytes a member. A group has at most a third of a segment, so it takes a cap of 32 MiB for every
/// command to fit.
pub const LEAST_CAP_BYTES: u64 = 256 << 10;
/// The cap holds at least this many segments.
const SEGMENTS_IN_CAP: u64 = 8;

/// The journal's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment's length in bytes. Shorter if the cap is less than eight of them.
    pub segment_bytes: u64,
    /// How long a member may take once one on another device has answered.
    pub member_timeout: Duration,
    /// The most that a member holds, in bytes, until [`super::Journal::set_cap`] raises it. At least
    /// [`LEAST_CAP_BYTES`].
    pub cap: u64,
}

impl Options {
    /// Bounds that a journal can live in.
    pub(super) fn bounded(self) -> Options {
        let cap = self.cap.max(LEAST_CAP_BYTES);
        if cap > self.cap {
            tracing::warn!(
                asked = self.cap,
                cap,
                "the journal's cap was raised to the least that it can work with"
            );
        }
        Options { segment_bytes: self.segment_bytes.min(cap / SEGMENTS_IN_CAP), cap, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 32 << 20, member_timeout: Duration::from_secs(5), cap: 512 << 20 }
    }
}

/// How full the journal is, a member, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    /// The part of `bytes` that goes as soon as a new segment begins.
    pub releasable: u64,
    pub cap: u64,
}
