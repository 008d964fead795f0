//! Why a read of the state has no answer.

use crate::lost::LostBlock;
use crate::record::DecodeError;
use crate::tree::TreeError;
use std::sync::Arc;

/// Why a read has no answer. Both are our failure, never the caller's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The index failed: nothing is served until it is rebuilt.
    #[error("the index is not available: {0}")]
    Unavailable(String),
    #[error("a stored record can't be read: {0}")]
    Record(#[from] DecodeError),
    /// The record lies in a lost block, which no drive can give. Everything else is served.
    #[error("what is stored there can't be known: {0}; `stratum lost show` says what can be done")]
    Lost(Arc<LostBlock>),
}

impl From<TreeError> for ReadError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Lost(block) => ReadError::Lost(block),
            error => ReadError::Unavailable(error.to_string()),
        }
    }
}
