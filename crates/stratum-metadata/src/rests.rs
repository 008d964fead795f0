//! How the two kinds of work that keep the journal short, packing and merging, leave the processors to requests.
//!
//! Neither takes turns at the pace of background work, since writes end where the journal has no room left. But each of them
//! can keep a processor busy without end, and a request that comes meanwhile waits for it. So each rests after every piece
//! for as long as the piece took, and the packer waits while a merge goes on, until the journal is pressed for room.

use crate::log::LocalLog;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stratum_storage::ambient::Clock;
use tracing_mutex::parkinglot::Mutex;

/// From this share of its cap on the journal is pressed for room: nothing rests, and a checkpoint is taken whenever a packed
/// segment waits for one.
pub(crate) const PRESSED_FROM: f32 = 0.5;
/// A merge rests after so many bytes.
const MERGED_BYTES: u64 = 1 << 20;
const LONGEST_REST: Duration = Duration::from_millis(200);
/// The packer's pause between two looks whether a merge has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Whether the journal is so full that packing and merging must not rest.
pub(crate) fn is_pressed(log: &dyn LocalLog) -> bool {
    log.usage().share() >= PRESSED_FROM
}

/// The rests of both, which know of each other.
pub(crate) struct Rests {
    clock: Arc<dyn Clock>,
    is_merging: AtomicBool,
}

impl Rests {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Rests {
        Rests { clock, is_merging: AtomicBool::new(false) }
    }

    /// When a piece of work begins.
    pub(crate) fn begin(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Has the packer rest after a piece of work that began then, and wait for a merge to end, unless that is pressed.
    pub(crate) async fn after_packing(&self, began: Duration, is_pressed: impl Fn() -> bool) {
        if is_pressed() {
            return;
        }
        tokio::time::sleep(self.rest_since(began)).await;
        while self.is_merging.load(Ordering::Acquire) && !is_pressed() {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// A merge goes on while what is returned lives. It doesn't rest while that is pressed.
    pub(crate) fn begin_merge<'a>(&'a self, is_pressed: &'a dyn Fn() -> bool) -> Merging<'a> {
        self.is_merging.store(true, Ordering::Release);
        Merging { rests: self, is_pressed, piece: Mutex::new((0, self.begin())) }
    }

    /// As long as the work took that began then.
    fn rest_since(&self, began: Duration) -> Duration {
        self.clock.monotonic().saturating_sub(began).min(LONGEST_REST)
    }
}

/// A merge that goes on.
pub(crate) struct Merging<'a> {
    rests: &'a Rests,
    is_pressed: &'a dyn Fn() -> bool,
    /// The bytes written since the last rest, and when that ended.
    piece: Mutex<(u64, Duration)>,
}

impl Merging<'_> {
    /// Has the merge rest once so much was written that a piece is done.
    pub(crate) fn rest_after(&self, bytes: u64) {
        let mut piece = self.piece.lock();
        piece.0 += bytes;
        if piece.0 < MERGED_BYTES {
            return;
        }
        if !(self.is_pressed)() {
            std::thread::sleep(self.rests.rest_since(piece.1));
        }
        *piece = (0, self.rests.begin());
    }
}

impl Drop for Merging<'_> {
    fn drop(&mut self) {
        self.rests.is_merging.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use stratum_storage::ambient::Simulated;

    const PIECE: Duration = Duration::from_millis(40);

    /// How long the packer rests after a piece of that length.
    async fn rested(rests: &Rests, clock: &Simulated, is_pressed: bool) -> Duration {
        let began = rests.begin();
        clock.advance(PIECE);
        let from = tokio::time::Instant::now();
        rests.after_packing(began, || is_pressed).await;
        from.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn packing_rests_as_long_as_it_worked_until_the_journal_is_pressed() {
        let clock = Arc::new(Simulated::new(0, 1));
        let rests = Rests::new(clock.clone());
        let rest = rested(&rests, &clock, false).await;
        assert!((PIECE..2 * PIECE).contains(&rest), "{rest:?}");
        assert_eq!(rested(&rests, &clock, true).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn packing_waits_while_a_merge_goes_on_until_the_journal_is_pressed() {
        let clock = Arc::new(Simulated::new(0, 1));
        let rests = Rests::new(clock.clone());
        let merging = rests.begin_merge(&|| false);
        assert_eq!(rested(&rests, &clock, true).await, Duration::ZERO);
        let waiting = tokio::time::timeout(100 * PIECE, rested(&rests, &clock, false));
        assert!(waiting.await.is_err(), "it packs beside a merge");
        drop(merging);
        assert!(rested(&rests, &clock, false).await < 2 * PIECE, "it waits for a merge that has ended");
    }

    #[test]
    fn a_merge_rests_only_after_a_piece() {
        let clock = Arc::new(Simulated::new(0, 1));
        let (rests, asked) = (Rests::new(clock.clone()), AtomicU64::new(0));
        let is_pressed = || asked.fetch_add(1, Ordering::Relaxed) > 0;
        let merging = rests.begin_merge(&is_pressed);
        merging.rest_after(MERGED_BYTES / 2);
        assert_eq!(asked.load(Ordering::Relaxed), 0, "half a piece was written");
        merging.rest_after(MERGED_BYTES / 2);
        merging.rest_after(MERGED_BYTES);
        assert_eq!(asked.load(Ordering::Relaxed), 2, "two pieces were written");
    }
}
