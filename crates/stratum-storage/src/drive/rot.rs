//! How often a drive gave other bytes than it was given to keep.
//!
//! Whatever is read is checked, so nobody is served wrong bytes: they are computed from other drives' and written
//! anew. But a drive that gives wrong bytes again and again is on its way out, and somebody must be told before more
//! drives fail at once. Reads, scrub, and looks at the copies of journal and checkpoints all count here. The count is
//! of this run alone: a drive that rots shows it again.

use metrics::Counter;
use std::sync::atomic::{AtomicU64, Ordering};

/// A drive with this many bad pieces is to be replaced. A healthy disk gives a few in its whole life.
const REPLACE_FROM_PIECES: u64 = 16;

/// The bad pieces that were read from a drive: fragments, header pages, copies of segments and of checkpoints.
pub(super) struct Rot {
    label: String,
    pieces: AtomicU64,
    counter: Counter,
}

impl Rot {
    /// `disk` is where the drive lies, for the metrics; a drive that isn't there has none.
    pub(super) fn new(label: &str, disk: Option<&str>) -> Rot {
        let counter = disk.map_or_else(
            Counter::noop,
            |disk| metrics::counter!("stratum_drive_bad_pieces_total", "disk" => disk.to_owned()),
        );
        Rot { label: label.to_owned(), pieces: AtomicU64::new(0), counter }
    }

    pub(super) fn found(&self) {
        self.counter.increment(1);
        let pieces = self.pieces.fetch_add(1, Ordering::Relaxed) + 1;
        if pieces == REPLACE_FROM_PIECES {
            tracing::error!(
                drive = self.label,
                pieces,
                "the drive gives wrong bytes again and again: replace it"
            );
        }
    }

    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    pub(super) fn is_too_much(&self) -> bool {
        self.pieces() >= REPLACE_FROM_PIECES
    }
}

impl std::fmt::Debug for Rot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rot({})", self.pieces())
    }
}
