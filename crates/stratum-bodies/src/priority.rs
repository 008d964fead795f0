//! For whom a body is written or read, and so what may be taken from others for it.

use std::sync::Arc;
use stratum_storage::apart::Apart;
use stratum_storage::blocking;
use stratum_storage::pace::{Class, Pace, Turn};
use tokio::task::JoinHandle;

/// Stored bytes that are read or written in one turn.
pub(crate) const TURN_BYTES: u64 = 1 << 20;

static CODING: Apart = Apart::new("coding");

/// For whom work on a body is done.
#[derive(Clone, Debug, Default)]
pub enum Priority {
    /// Somebody waits for it.
    #[default]
    Request,
    /// Nobody does. Drives are read and written in turns of the pace; what takes a processor's time is done between them,
    /// on threads of a low priority.
    Background { pace: Arc<Pace>, class: Class },
}

impl Priority {
    /// Leave to read or write so many bytes, as long as it is kept.
    pub(crate) async fn turn(&self, bytes: u64) -> Option<Turn> {
        match self {
            Priority::Request => None,
            Priority::Background { pace, class } => Some(pace.turn(*class, bytes).await),
        }
    }

    /// Does work that takes a processor's time. To be called within a Tokio runtime.
    pub fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        match self {
            Priority::Request => blocking::spawn(work),
            Priority::Background { .. } => CODING.spawn(work),
        }
    }
}
