//! The keeper of the quarantine: looks for files that no record knows, and says when they may be removed.
//!
//! A file stays in quarantine for a day, by a clock that can be believed, and until a checkpoint has been taken after
//! this run first saw it there. By then a record that still names the file would have turned up. While the state is
//! provisional nothing is quarantined or removed.

use crate::store::Metadata;
use crate::sweep::Time;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use stratum_storage::ambient::{Clock, UnixMillis};
use stratum_storage::blob::Index;
use stratum_storage::quarantine::Quarantined;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};
use stratum_storage::volumes::Volumes;
use tracing_mutex::parkinglot::Mutex;

/// The pause between two looks at the drives. A file that is unknown at two looks in a row is quarantined.
const POLL_INTERVAL: Duration = Duration::from_secs(2 * 3600);
/// When the first look of a run is.
const FIRST_DELAY: Duration = Duration::from_secs(60);
/// How long a file stays in quarantine.
const KEPT_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// What lies in quarantine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct QuarantineStatus {
    pub files: Vec<Quarantined>,
    /// Files that were removed for good in this run.
    pub removed: u64,
    /// Whether nothing is quarantined or removed because the restored state has not been accepted.
    pub held_back: bool,
}

/// The keeper of the quarantine, one for a store.
pub struct Quarantine {
    metadata: Metadata,
    volumes: Volumes,
    clock: Arc<dyn Clock>,
    time: Mutex<Time>,
    /// For each file the newest checkpoint when this run first saw it.
    seen_at: Mutex<HashMap<Quarantined, Index>>,
    status: Mutex<QuarantineStatus>,
}

impl Task for Quarantine {
    fn row(&self) -> Row {
        Row {
            name: "quarantine",
            role: Role::Host,
            class: None,
            executor: Executor::Thread,
            delay: FIRST_DELAY,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            self.look();
            Next::After(POLL_INTERVAL)
        })
    }
}

impl Quarantine {
    pub fn new(metadata: Metadata, volumes: Volumes, clock: Arc<dyn Clock>) -> Arc<Quarantine> {
        let time = Mutex::new(Time::new(clock.clone()));
        let (seen_at, status) = (Mutex::default(), Mutex::default());
        Arc::new(Quarantine { metadata, volumes, clock, time, seen_at, status })
    }

    pub fn status(&self) -> QuarantineStatus {
        self.status.lock().clone()
    }

    /// Looks at all drives once: quarantines files that no record knows, and removes those that have been in
    /// quarantine long enough. Blocks.
    pub fn look(&self) {
        self.volumes.strays.quarantine_unknown(self.clock.now());
        let mut files = self.volumes.strays.quarantined();
        let (now, checkpoint) = (self.time.lock().now(), self.metadata.newest_checkpoint());
        let before = files.len();
        let mut seen_at = self.seen_at.lock();
        seen_at.retain(|file, _| files.contains(file));
        files.retain(|file| {
            let seen = *seen_at.entry(file.clone()).or_insert(checkpoint);
            !(is_over(file.since, now) && checkpoint > seen && self.remove(file))
        });
        drop(seen_at);
        let mut status = self.status.lock();
        status.removed += (before - files.len()) as u64;
        (status.files, status.held_back) = (files, self.volumes.table.is_held_back());
    }

    fn remove(&self, file: &Quarantined) -> bool {
        match self.volumes.strays.remove_quarantined(file) {
            Ok(()) => {
                tracing::info!(drive = file.drive, name = file.name, "removed a file from quarantine");
                true
            }
            Err(error) => {
                tracing::debug!(drive = file.drive, name = file.name, %error, "a file stays in quarantine");
                false
            }
        }
    }
}

/// Whether a file has been there long enough. `now` is 0 if the clock isn't believed.
fn is_over(since: UnixMillis, now: UnixMillis) -> bool {
    now.saturating_sub(since) >= KEPT_PERIOD.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_by_a_clock_that_is_believed() {
        let day = 24 * 3_600_000;
        assert!(is_over(5 * day, 6 * day) && !is_over(5 * day, 6 * day - 1));
        assert!(!is_over(5 * day, 0) && !is_over(9 * day, 5 * day));
    }
}
