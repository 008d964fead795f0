//! How slow a peer may be while it sends.
//!
//! A peer that sends nothing for [`STALL`] is cut, and so is one that keeps the connection alive with a trickle: in
//! every [`WINDOW`] it must send at the rate that is the least for what the server holds for it
//! ([`Memory::minimum_rate`](crate::admission::Memory::minimum_rate)).

use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Clock;

/// The longest silence.
pub const STALL: Duration = Duration::from_secs(30);
/// Over how long a rate is judged.
pub const WINDOW: Duration = Duration::from_secs(30);

/// Watches one body.
#[derive(Debug)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    /// When the window began; the first does with the first bytes.
    began: Option<Duration>,
    /// Bytes in this window.
    moved: u64,
}

impl Pace {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, began: None, moved: 0 }
    }

    /// Counts bytes that moved, and says whether the peer is still fast enough. `minimum_rate` is in bytes a second,
    /// and is asked at a window's end.
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
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
