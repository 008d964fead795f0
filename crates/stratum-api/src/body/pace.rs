//! How slowly a peer may send a body.
//!
//! A peer that sends nothing for [`STALL`] is cut off, and so is a peer that keeps the connection alive with a trickle:
//! in every [`WINDOW`] it must send at [`Memory::minimum_rate`] at least, which depends on what the server holds for
//! it. A peer that cuts its bytes into many small pieces is held back.

use crate::admission::{Memory, SMALL_PIECE_BYTES};
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Clock;

/// How long a peer may send nothing.
pub const STALL: Duration = Duration::from_secs(30);
/// The time over which a peer's rate is judged.
pub const WINDOW: Duration = Duration::from_secs(30);

/// The pace of one body.
#[derive(Debug)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    /// When the window began. The first window begins with the first bytes.
    began: Option<Duration>,
    /// The bytes that came in this window.
    moved: u64,
    /// Small pieces that the party isn't charged with yet.
    small: u32,
}

/// How many small pieces are charged to the party at once.
const PIECES_A_CHARGE: u32 = 64;

impl Pace {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, began: None, moved: 0, small: 0 }
    }

    /// Counts bytes that came, and says whether the peer is still fast enough. `minimum_rate` is in bytes a second, and
    /// is asked only at the end of a window.
    pub fn keep(&mut self, bytes: u64, minimum_rate: impl FnOnce() -> u64) -> bool {
        let now = self.clock.monotonic();
        let began = *self.began.get_or_insert(now);
        self.moved += bytes;
        let passed = now.saturating_sub(began);
        if passed < WINDOW {
            return true;
        }
        let moved = std::mem::take(&mut self.moved);
        self.began = Some(now);
        moved >= passed.as_secs().saturating_mul(minimum_rate())
    }

    /// Waits where the peer's party sends too many small pieces. The window is shifted by that time, in which the peer
    /// couldn't send.
    pub async fn hold_back(&mut self, bytes: usize, memory: &Memory) {
        self.small += u32::from(bytes < SMALL_PIECE_BYTES);
        if self.small < PIECES_A_CHARGE {
            return;
        }
        let wait = memory.small_pieces(std::mem::take(&mut self.small), self.clock.monotonic());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
            self.began = self.began.map(|began| began + wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::{Admission, Party};
    use stratum_storage::ambient::Simulated;

    #[test]
    fn a_trickle_is_cut_however_much_came_before_it() {
        let clock = Arc::new(Simulated::new(0, 1));
        let mut pace = Pace::new(clock.clone());
        let mut after = |time: Duration, bytes| {
            clock.advance(time);
            pace.keep(bytes, || 1000)
        };
        assert!(after(Duration::ZERO, 1 << 30));
        assert!(after(WINDOW, 1));
        assert!(after(WINDOW / 2, 15_000));
        assert!(after(WINDOW / 2, 15_000));
        assert!(after(WINDOW / 2, 1));
        assert!(!after(WINDOW / 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_sends_small_pieces_is_held_back() {
        let pool = Admission::new(64 << 20);
        let memory = pool.enter(Party::User("someone".into())).unwrap();
        let mut pace = Pace::new(Arc::new(Simulated::new(0, 1)));
        let began = tokio::time::Instant::now();
        for _ in 0..20_000 {
            pace.hold_back(SMALL_PIECE_BYTES, &memory).await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
        for _ in 0..20_000 {
            pace.hold_back(1, &memory).await;
        }
        assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
    }
}
