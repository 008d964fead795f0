//! Why a body couldn't be read, where the reason passes through those who know nothing of S3.

use crate::error::S3Error;
use tracing_mutex::parkinglot::Mutex;

/// What reading a body came to, on its way through those who know nothing of S3.
#[derive(Debug, thiserror::Error)]
#[error("the body couldn't be read")]
pub struct Unread(Mutex<Option<S3Error>>);

impl Unread {
    pub fn of(error: S3Error) -> Self {
        Self(Mutex::new(Some(error)))
    }

    /// What it was, to be told once.
    pub fn take(&self) -> Option<S3Error> {
        self.0.lock().take()
    }
}
