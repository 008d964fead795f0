//! Why the state gives no answer.

use crate::record::DecodeError;
use crate::tree::TreeError;

/// Why a read has no answer. Both are our failure, never the caller's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The index failed: nothing is served until it is rebuilt.
    #[error("the index is not available: {0}")]
    Unavailable(String),
    #[error("a stored record can't be read: {0}")]
    Record(#[from] DecodeError),
}

impl From<TreeError> for ReadError {
    fn from(error: TreeError) -> Self {
        ReadError::Unavailable(error.to_string())
    }
}
