//! The file descriptors of the process: how many are open, how many may be, and whether a drive lacked one lately.
//!
//! Each connection and each open file of a volume or the journal takes one. Where none is left, files can't be made and
//! most writes are refused.

use crate::load::is_short;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use stratum_storage::ambient::Clock;
use stratum_storage::drive::descriptors_lacked;
use tracing_mutex::parkinglot::Mutex;

/// How long after a drive lacked a descriptor the status tells of it.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// The folder in which the kernel shows the open descriptors of the process.
const OPEN_FOLDER: &str = "/proc/self/fd";

/// Remembers when a drive last lacked a descriptor.
#[derive(Debug, Default)]
pub struct Descriptors(Mutex<Lacked>);

#[derive(Debug, Default)]
struct Lacked {
    /// How often that had happened at the last look.
    times: u64,
    /// When a look last found that it had happened again, by the monotonic clock.
    at: Option<Duration>,
}

/// The file descriptors of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DescriptorsStatus {
    pub limit: u64,
    pub open: u64,
    /// How often a drive's file couldn't be opened for want of one since the start.
    pub lacked: u64,
    /// Whether that happened lately.
    pub is_lacking: bool,
}

impl Descriptors {
    pub fn status(&self, clock: &dyn Clock) -> DescriptorsStatus {
        let (lacked, limit) = (descriptors_lacked(), limit());
        // Looking takes a descriptor itself: where none can be had, all are taken.
        let open = std::fs::read_dir(OPEN_FOLDER).map_or(limit, |entries| entries.count() as u64);
        DescriptorsStatus { limit, open, lacked, is_lacking: self.is_lacking(lacked, clock.monotonic()) }
    }

    fn is_lacking(&self, times: u64, now: Duration) -> bool {
        let mut seen = self.0.lock();
        if times > seen.times {
            *seen = Lacked { times, at: Some(now) };
        }
        seen.at.is_some_and(|at| now.saturating_sub(at) < TOLD_FOR)
    }
}

fn limit() -> u64 {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What the status tells the operator if descriptors are short.
pub fn note(status: &DescriptorsStatus) -> Option<String> {
    let DescriptorsStatus { limit, open, is_lacking, .. } = status;
    let what = match (is_lacking, is_short(*open, *limit)) {
        (true, _) => {
            "files of drives can't be opened for want of file descriptors, and writes are refused (503)"
        }
        (false, true) => "file descriptors are short",
        (false, false) => return None,
    };
    Some(format!(
        "{what}: {open} of {limit} are in use; raise the limit (`ulimit -n`, or LimitNOFILE= of a systemd unit) and start the \
         server again"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_descriptors_is_told_while_it_lasts_and_for_a_minute() {
        let (descriptors, at) = (Descriptors::default(), Duration::from_secs);
        assert!(!descriptors.is_lacking(0, at(5)));
        assert!(descriptors.is_lacking(3, at(10)) && descriptors.is_lacking(3, at(69)));
        assert!(!descriptors.is_lacking(3, at(70)));
        let told = |open, is_lacking| note(&DescriptorsStatus { limit: 40, open, lacked: 0, is_lacking });
        assert_eq!(told(30, false), None);
        assert!(told(37, false).is_some_and(|note| note.contains("short: 37 of 40")));
        assert!(told(30, true).is_some_and(|note| note.contains("writes are refused (503): 30 of 40")));
    }
}
