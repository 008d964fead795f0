//! When a client was last told that there is no space (`507`).
//!
//! The status of the server shows this, since how full the drives are doesn't say it: there may be too little space
//! for a long body while there is still enough for small ones.

use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// The time of the newest such answer. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct WantOfSpace {
    last: Arc<Mutex<Option<Duration>>>,
}

impl WantOfSpace {
    /// Notes an answer, if it is such a one. `now` is by the monotonic clock.
    pub fn answered(&self, status: StatusCode, now: Duration) {
        if status == StatusCode::INSUFFICIENT_STORAGE {
            *self.last.lock() = Some(now);
        }
    }

    /// How long ago the newest such answer was; none where there was none.
    pub fn since(&self, now: Duration) -> Option<Duration> {
        self.last.lock().map(|last| now.saturating_sub(last))
    }
}
