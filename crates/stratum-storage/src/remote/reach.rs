//! Whether the remote store can be reached: what was learnt from its last answers.

use super::RemoteError;
use crate::ambient::{Clock, UnixMillis};
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// After so many failures in a row the store counts as away.
const FAILURES_UNTIL_AWAY: u32 = 3;
/// How often a store that is away is asked whether it is back.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Whether a remote store can be reached, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    There,
    /// It answers nothing that is of use. No request goes to it, but for one now and then that looks whether it is
    /// back.
    Away {
        since: UnixMillis,
        error: String,
    },
}

impl Reach {
    pub fn is_away(&self) -> bool {
        matches!(self, Reach::Away { .. })
    }
}

/// Remembers [`Reach`].
#[derive(Debug)]
pub(super) struct Breaker {
    clock: Arc<dyn Clock>,
    state: Mutex<BreakerState>,
}

#[derive(Debug)]
struct BreakerState {
    reach: Reach,
    failures: u32,
    /// When a store that is away is asked next, on the monotonic clock.
    probe_at: Duration,
}

impl Breaker {
    pub fn new(clock: Arc<dyn Clock>) -> Breaker {
        let state = BreakerState { reach: Reach::There, failures: 0, probe_at: Duration::ZERO };
        Breaker { clock, state: Mutex::new(state) }
    }

    pub fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    pub fn reach(&self) -> Reach {
        self.state.lock().reach.clone()
    }

    /// Whether it is time to ask a store that is away. Whoever is told so asks.
    pub fn is_probe_due(&self) -> bool {
        let now = self.clock.monotonic();
        let mut state = self.state.lock();
        let is_due = state.probe_at <= now;
        if is_due {
            state.probe_at = now + PROBE_INTERVAL;
        }
        is_due
    }

    /// Learns from an answer. That something isn't there is an answer, too.
    pub fn note<T>(&self, outcome: &Result<T, RemoteError>) {
        let mut state = self.state.lock();
        match outcome {
            Err(RemoteError::Unavailable(error)) => {
                state.failures = state.failures.saturating_add(1);
                if state.failures >= FAILURES_UNTIL_AWAY && !state.reach.is_away() {
                    tracing::error!(error, "the remote store is out of reach; what lies there answers 503");
                    state.reach = Reach::Away { since: self.clock.now(), error: error.clone() };
                    state.probe_at = self.clock.monotonic() + PROBE_INTERVAL;
                }
            }
            _ => {
                if state.reach.is_away() {
                    tracing::info!("the remote store can be reached again");
                }
                (state.reach, state.failures) = (Reach::There, 0);
            }
        }
    }
}
