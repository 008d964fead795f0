//! Why a command failed, told in sentences, and the exit codes that scripts decide by.

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
    /// Something failed. The rest of the work was done, unless the same cause would have made it fail, too.
    Failed,
    /// The command line is wrong or contradicts itself; nothing was done.
    Usage,
    /// A bucket, object, version or file that was named isn't there.
    Missing,
    /// There is no access key, the endpoint doesn't know it, or it lacks the permission.
    Denied,
    /// The endpoint can't be reached, or TLS can't be set up for it.
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
    #[error("{0}: there is no such object, but there is a folder of that name: say --recursive")]
    OnlyFolder(String),
    /// The reader of the standard output closed it, as `head` does when it has its lines.
    #[error("the output is closed")]
    Closed,
    #[error("the output can't be written: {0}")]
    Output(#[source] std::io::Error),
}

impl Problem {
    /// A problem with whatever `at` names.
    pub fn at(at: impl Display, problem: impl Display) -> Problem {
        Problem::At { at: at.to_string(), problem: problem.to_string() }
    }

    /// A problem with a file or folder of this machine.
    pub fn of_path(path: &Path, problem: impl Display) -> Problem {
        Problem::at(shown(&path.to_string_lossy()), problem)
    }

    /// Makes problems of failed requests about `at`.
    pub fn s3(at: impl Display) -> impl FnOnce(S3Error) -> Problem {
        let at = at.to_string();
        move |error| Problem::S3 { at, error }
    }

    /// Which kind of refusal the endpoint answered with, if it did refuse.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Problem::S3 { error: S3Error::Refused(refusal), .. } => Some(refusal.kind),
            _ => None,
        }
    }

    /// The S3 error code, if the endpoint answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Problem::S3 { error: S3Error::Refused(refusal), .. } => Some(refusal.code()),
            _ => None,
        }
    }

    /// Whether the same request may succeed if it is sent again.
    pub fn may_pass(&self) -> bool {
        match self {
            Problem::S3 { error: S3Error::Refused(refusal), .. } => refusal.passes(),
            Problem::S3 { error: S3Error::Unreachable { .. }, .. } => true,
            _ => false,
        }
    }

    /// Whether every other request of the same command would fail by the same cause, too.
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
            (
                Problem::Connect(
                    ConnectError::NoKeys | ConnectError::NoKeysFor(_) | ConnectError::Profile(_),
                ),
                _,
            ) => Outcome::Denied,
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
