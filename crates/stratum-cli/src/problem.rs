//! What goes wrong, in sentences, and the exit codes that scripts decide by.

use crate::connection::ConnectError;
use crate::place::shown;
use crate::s3::{Kind, S3Error};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    /// Something failed; what else there was to do is done.
    Failed,
    /// The command line can't be meant; nothing was done.
    Usage,
    /// What was named isn't there.
    Missing,
    /// There is no key, it isn't known, or it may not do that.
    Denied,
    /// The endpoint can't be reached.
    Unreachable,
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(match outcome {
            Outcome::Done => 0,
            Outcome::Failed => 1,
            Outcome::Usage => 2,
            Outcome::Missing => 3,
            Outcome::Denied => 4,
            Outcome::Unreachable => 5,
            Outcome::Interrupted => 130,
        })
    }
}

/// Why something wasn't done.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Connect(#[from] ConnectError),
    #[error("{at}: {error}")]
    S3 {
        at: String,
        #[source]
        error: S3Error,
    },
    #[error("{at}: {problem}")]
    At { at: String, problem: String },
    #[error("{0}: nothing is there")]
    Missing(String),
    #[error("{0}: there is no such object, but a folder of that name: say --recursive")]
    OnlyFolder(String),
    /// Whoever read the output has had enough.
    #[error("the output is closed")]
    Closed,
    #[error("the output can't be written: {0}")]
    Output(#[source] std::io::Error),
}

impl Problem {
    /// Of a place.
    pub fn at(at: impl Display, problem: impl Display) -> Problem {
        Problem::At { at: at.to_string(), problem: problem.to_string() }
    }

    /// Of a path.
    pub fn of_path(path: &Path, problem: impl Display) -> Problem {
        Problem::at(shown(&path.to_string_lossy()), problem)
    }

    /// Of a request.
    pub fn s3(at: impl Display) -> impl FnOnce(S3Error) -> Problem {
        let at = at.to_string();
        move |error| Problem::S3 { at, error }
    }

    /// What an endpoint said no with, if it did.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Problem::S3 { error: S3Error::Refused(refusal), .. } => Some(refusal.kind),
            _ => None,
        }
    }

    /// S3's name for it, if it has one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Problem::S3 { error: S3Error::Refused(refusal), .. } => Some(refusal.code()),
            _ => None,
        }
    }

    /// Whether doing the same again may come further.
    pub fn may_pass(&self) -> bool {
        match self {
            Problem::S3 { error: S3Error::Refused(refusal), .. } => refusal.passes(),
            Problem::S3 { error: S3Error::Unreachable { .. }, .. } => true,
            _ => false,
        }
    }

    /// Whether everything else of the same command would fail by it, too.
    pub fn is_of_all(&self) -> bool {
        let is_away =
            matches!(self, Problem::S3 { error: S3Error::Unreachable { .. } | S3Error::Trust(_), .. });
        is_away
            || matches!(self, Problem::Connect(_))
            || matches!(self.kind(), Some(Kind::NoBucket | Kind::Unknown))
    }

    pub fn outcome(&self) -> Outcome {
        match (self, self.kind()) {
            (Problem::Closed, _) => Outcome::Done,
            (Problem::Usage(_), _) => Outcome::Usage,
            (Problem::Connect(ConnectError::NoKeys | ConnectError::Profile(_)), _) => Outcome::Denied,
            (Problem::Connect(_), _) => Outcome::Usage,
            (Problem::Missing(_) | Problem::OnlyFolder(_), _) => Outcome::Missing,
            (_, Some(Kind::NoBucket | Kind::NoObject | Kind::NotFound)) => Outcome::Missing,
            (_, Some(Kind::Denied | Kind::Unknown)) => Outcome::Denied,
            (Problem::S3 { error: S3Error::Unreachable { .. } | S3Error::Trust(_), .. }, _) => {
                Outcome::Unreachable
            }
            _ => Outcome::Failed,
        }
    }
}
