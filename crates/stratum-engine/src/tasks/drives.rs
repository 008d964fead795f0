//! Tasks that watch the drives themselves.

use std::sync::Arc;
use std::time::Duration;
use stratum_storage::blob::Tier;
use stratum_storage::drive::{Doing, Drive, SLOWNESS_WINDOW, judge};
use stratum_storage::journal::Journal;
use stratum_storage::set::Set;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};

const WATCH_INTERVAL: Duration = Duration::from_secs(1);

fn row(name: &'static str, delay: Duration) -> Row {
    Row { name, role: Role::Host, class: None, executor: Executor::Thread, delay }
}

/// Notices drives that come, go and fail.
pub(super) struct DriveWatch(pub Arc<Set>);

impl Task for DriveWatch {
    fn row(&self) -> Row {
        row("drive watch", WATCH_INTERVAL)
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            self.0.check();
            Next::After(WATCH_INTERVAL)
        })
    }
}

/// Compares the drives with each other, and has the journal go on without a member that is slow.
pub(super) struct SlowDrives {
    pub set: Arc<Set>,
    pub journal: Arc<Journal>,
}

impl Task for SlowDrives {
    fn row(&self) -> Row {
        row("slow drives", SLOWNESS_WINDOW)
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            let judged = Tier::ALL.into_iter().flat_map(|tier| judge(&self.set.drives(tier)));
            judged.for_each(|(drive, doing)| tell(&drive, doing));
            if let Err(error) = self.journal.leave_slow() {
                tracing::warn!(%error, "the journal can't go on without a slow member; trying again");
            }
            Next::After(SLOWNESS_WINDOW)
        })
    }
}

/// Logs that a drive has become slow compared with its peers, or no longer is.
fn tell(drive: &Drive, doing: Doing) {
    let slow = match doing {
        Doing::Reads => drive.pulse().is_slow(),
        Doing::JournalWrites | Doing::VolumeWrites => drive.writes_slowly(),
    };
    let drive = drive.label();
    match (slow, doing) {
        (true, Doing::Reads) => {
            tracing::warn!(drive, "answers far later than its peers; what it holds is read elsewhere")
        }
        (true, _) => {
            tracing::warn!(drive, "writes far later than its peers; what is new avoids it")
        }
        (false, _) => tracing::info!(drive, "is as fast as its peers again, or gets another try"),
    }
}

/// Restores the small files that are on every drive on drives that lack them.
pub(super) struct ReplicatedFiles {
    pub set: Arc<Set>,
    pub interval: Duration,
}

impl Task for ReplicatedFiles {
    fn row(&self) -> Row {
        row("replicated files", WATCH_INTERVAL)
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            self.set.repair();
            Next::After(self.interval)
        })
    }
}
