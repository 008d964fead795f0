//! The error of a start that failed, whose text is for whoever started the server.

/// Any error. No code looks at its kind: its text is printed, and the process ends.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
