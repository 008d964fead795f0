//! Why there is no model, or no answer.

use std::io;
use std::path::PathBuf;

/// Why a model can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("what describes the model can't be read: {0}")]
    Config(String),
    #[error("it is no model that can be run: {0}")]
    Unfit(String),
    #[error("this server was built without what runs models (the feature `onnx`)")]
    NotBuilt,
}

/// Why a sample couldn't be classified.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);
