//! Carries an S3 error through libraries that know nothing of S3 and only pass on why a body couldn't be read.

use crate::error::S3Error;
use tracing_mutex::parkinglot::Mutex;

/// The S3 error with which a body couldn't be read.
#[derive(Debug, thiserror::Error)]
#[error("the body couldn't be read")]
pub struct Unread(Mutex<Option<S3Error>>);

impl Unread {
    pub fn of(error: S3Error) -> Self {
        Self(Mutex::new(Some(error)))
    }

    /// Takes the error out, which works once.
    pub fn take(&self) -> Option<S3Error> {
        self.0.lock().take()
    }
}
