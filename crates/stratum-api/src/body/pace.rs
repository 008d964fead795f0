//! How slow a peer may be while it sends.
//!
//! A peer that sends nothing for [`STALL`] is cut, and so is one that keeps the connection alive with a trickle:
//! once [`GRACE`] has passed, what has arrived must amount to [`MINIMUM_RATE`].

use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::Clock;

/// The longest silence.
pub const STALL: Duration = Duration::from_secs(30);
/// For how long any rate will do.
pub const GRACE: Duration = Duration::from_secs(60);
/// Bytes a second.
pub const MINIMUM_RATE: u64 = 1024;

/// Watches one body, or one response.
#[derive(Debug)]
pub struct Pace {
    clock: Arc<dyn Clock>,
    began: Option<Duration>,
    moved: u64,
}

impl Pace {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, began: None, moved: 0 }
    }

    /// Counts bytes that moved, and says whether the peer is still fast enough. The watch starts with the first.
    pub fn keep(&mut self, bytes: u64) -> bool {
        let now = self.clock.monotonic();
        let began = *self.began.get_or_insert(now);
        self.moved += bytes;
        let passed = now.saturating_sub(began);
        passed < GRACE || self.moved >= passed.as_secs().saturating_mul(MINIMUM_RATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::ambient::Simulated;

    #[test]
    fn a_trickle_is_cut_after_the_grace() {
        let clock = Arc::new(Simulated::new(0, 1));
        let mut pace = Pace::new(clock.clone());
        assert!(pace.keep(0));
        clock.advance(GRACE - Duration::from_secs(1));
        assert!(pace.keep(1));
        clock.advance(Duration::from_secs(2));
        assert!(!pace.keep(1));
        assert!(pace.keep(MINIMUM_RATE * 100));
    }
}
