//! Why the server can't start, in words for whoever started it.

/// Any error. Nobody decides by its kind: it is told, and the process ends.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
