//! When a client was told last that there is no space (`507`).
//!
//! How full the drives are doesn't tell it: what one long body wants may be more than is left, and small ones still fit.

use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct WantOfSpace {
    last: Arc<Mutex<Option<Duration>>>,
}

impl WantOfSpace {
    /// Takes notice of an answer. `now` is of the monotonic clock.
    pub fn answered(&self, status: StatusCode, now: Duration) {
        if status == StatusCode::INSUFFICIENT_STORAGE {
            *self.last.lock() = Some(now);
        }
    }

    /// How long ago it was, if it was at all.
    pub fn since(&self, now: Duration) -> Option<Duration> {
        self.last.lock().map(|last| now.saturating_sub(last))
    }
}
