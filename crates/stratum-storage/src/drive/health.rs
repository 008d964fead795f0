//! A drive's health: a latch that goes one way. A drive that comes back is opened anew, and gets another one.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_mutex::parkinglot::Mutex;

/// Whether a drive can be counted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    /// A write or sync failed, or the drive is no longer what was opened. It may still answer reads.
    Failed {
        reason: String,
    },
    /// Not there when the set was opened.
    Missing {
        reason: String,
        /// Something else is in its place, or it was taken out: it will hardly come back.
        gone: bool,
    },
}

type Listener = Box<dyn FnOnce(&str) + Send>;

/// Holds a [`Health`] and tells whoever wants to know when it turns bad.
pub(super) struct Latch {
    label: String,
    healthy: AtomicBool,
    /// The set doesn't name the drive any more: it will never be used again.
    struck: AtomicBool,
    state: Mutex<LatchState>,
}

struct LatchState {
    health: Health,
    listeners: Vec<Listener>,
}

impl Latch {
    pub(super) fn new(label: &str, health: Health) -> Latch {
        let healthy = health == Health::Healthy;
        let state = Mutex::new(LatchState { health, listeners: Vec::new() });
        Latch { label: label.to_owned(), healthy: healthy.into(), struck: AtomicBool::new(false), state }
    }

    pub(super) fn get(&self) -> Health {
        self.state.lock().health.clone()
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    pub(super) fn fail(&self, reason: &str) {
        let listeners = {
            let mut state = self.state.lock();
            if state.health != Health::Healthy {
                return;
            }
            state.health = Health::Failed { reason: reason.to_owned() };
            self.healthy.store(false, Ordering::Release);
            std::mem::take(&mut state.listeners)
        };
        tracing::error!(drive = self.label, reason, "the drive failed and is not written to any more");
        // Outside the lock: a listener may ask for the health.
        for listener in listeners {
            listener(reason);
        }
    }

    /// The drive was taken out of the set: it can't be counted on any more, and that is no failure.
    pub(super) fn leave(&self) {
        let mut state = self.state.lock();
        state.health = Health::Missing { reason: "it was taken out of the set".into(), gone: true };
        self.healthy.store(false, Ordering::Release);
    }

    pub(super) fn strike(&self) {
        self.struck.store(true, Ordering::Release);
    }

    pub(super) fn is_struck(&self) -> bool {
        self.struck.load(Ordering::Acquire)
    }

    pub(super) fn on_fail(&self, listener: Listener) {
        let mut state = self.state.lock();
        let reason = match &state.health {
            Health::Healthy => return state.listeners.push(listener),
            Health::Failed { reason } | Health::Missing { reason, .. } => reason.clone(),
        };
        drop(state);
        listener(&reason);
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.get())
    }
}
