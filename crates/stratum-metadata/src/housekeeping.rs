//! The tasks of the journal and of the index. Their steps are short and take no turns of the pace.

use crate::store::Metadata;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stratum_storage::task::{self, Executor, Next, Role, Row, Stop, Task, Work};

/// The pause between two looks whether a checkpoint is due: it may be at any time, and clients may wait for it.
const CHECKPOINT_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// One in so many of these looks also heals the journal.
const LOOKS_A_HEAL: u64 = 10;
const INDEX_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Brings the journal back to full redundancy on the available drives, and takes checkpoints that are due.
pub struct JournalKeeper {
    metadata: Metadata,
    looks: AtomicU64,
}

impl JournalKeeper {
    pub fn new(metadata: Metadata) -> JournalKeeper {
        JournalKeeper { metadata, looks: AtomicU64::new(0) }
    }
}

impl Task for JournalKeeper {
    fn row(&self) -> Row {
        Row {
            name: "journal",
            role: Role::Host,
            class: None,
            executor: Executor::Thread,
            delay: CHECKPOINT_POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            if self.looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOKS_A_HEAL) {
                self.metadata.heal_journal();
            }
            self.metadata.take_due_checkpoint();
            Next::After(CHECKPOINT_POLL_INTERVAL)
        })
    }
}

/// Keeps the index available: replaces one that failed, brings one home from a drive, and keeps room for it on its disk.
pub struct IndexKeeper(Metadata);

impl IndexKeeper {
    pub fn new(metadata: Metadata) -> IndexKeeper {
        IndexKeeper(metadata)
    }
}

impl Task for IndexKeeper {
    fn row(&self) -> Row {
        Row {
            name: "index",
            role: Role::Host,
            class: None,
            executor: Executor::Thread,
            delay: INDEX_POLL_INTERVAL,
        }
    }

    fn step<'a>(&'a self, _: &'a Stop) -> Work<'a, Next> {
        task::blocking(|| {
            self.0.tend_index();
            Next::After(INDEX_POLL_INTERVAL)
        })
    }
}
