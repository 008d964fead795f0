//! The newest requests that failed on the server's side, for an operator who doesn't have the server's log at hand.
//! Each has the id under which the log has it.

use super::{Answered, shown};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// How many failures are kept.
const KEPT_FAILURES: usize = 20;

/// A request that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    pub seconds_ago: u64,
    pub id: String,
    pub operation: &'static str,
    /// The beginning of the request's path.
    pub path: String,
    pub status: u16,
    /// S3's error code, if the answer had one.
    pub code: Option<&'static str>,
    /// The cause, if it is known.
    pub cause: Option<String>,
}

/// The failures, the newest first, each with the time of its answer by the monotonic clock.
#[derive(Default)]
struct Failures(VecDeque<(Duration, Failure)>);

static FAILURES: LazyLock<Mutex<Failures>> = LazyLock::new(Mutex::default);

/// Keeps a request if it failed on the server's side.
pub(super) fn note(request: &Answered<'_>) {
    if request.status.is_server_error() {
        FAILURES.lock().note(request);
    }
}

/// The failures, the newest first; `now` is by the monotonic clock.
pub fn newest(now: Duration) -> Vec<Failure> {
    FAILURES.lock().newest(now)
}

impl Failures {
    fn note(&mut self, request: &Answered<'_>) {
        let (code, cause) = request.error.map_or((None, None), |(code, cause)| (Some(code), cause));
        let failure = Failure {
            seconds_ago: 0,
            id: request.id.to_owned(),
            operation: request.operation,
            path: shown(request.path).to_owned(),
            status: request.status.as_u16(),
            code,
            cause: cause.map(|cause| shown(cause).to_owned()),
        };
        self.0.push_front((request.now, failure));
        self.0.truncate(KEPT_FAILURES);
    }

    fn newest(&self, now: Duration) -> Vec<Failure> {
        let aged = |(then, failure): &(Duration, Failure)| Failure {
            seconds_ago: now.saturating_sub(*then).as_secs(),
            ..failure.clone()
        };
        self.0.iter().map(aged).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, StatusCode};

    #[test]
    fn the_newest_failures_are_kept_and_told_with_their_age() {
        let mut failures = Failures::default();
        for second in 0..30 {
            failures.note(&Answered {
                id: &second.to_string(),
                named: None,
                operation: "GetObject",
                metered: None,
                peer: None,
                user: None,
                method: &Method::GET,
                path: &"/k".repeat(1000),
                status: StatusCode::SERVICE_UNAVAILABLE,
                sent: 0,
                took: Duration::ZERO,
                now: Duration::from_secs(second),
                is_write: false,
                error: Some(("SlowDown", Some("no room"))),
            });
        }
        let newest = failures.newest(Duration::from_secs(40));
        assert_eq!((newest.len(), newest[0].id.as_str(), newest[0].seconds_ago), (KEPT_FAILURES, "29", 11));
        assert_eq!((newest[0].code, newest[0].cause.as_deref()), (Some("SlowDown"), Some("no room")));
        assert!(newest[0].path.len() < 300 && newest[KEPT_FAILURES - 1].seconds_ago == 30);
    }
}
