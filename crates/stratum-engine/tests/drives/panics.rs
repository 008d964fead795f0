//! The committer panics while it holds bodies in volumes: they are freed if their command is certainly not in the
//! journal, and kept if it may be.

use crate::store::{BUCKET, Store, add_bucket, key, record};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use stratum_metadata::command::{Command, Urgency, WriteCondition};
use stratum_metadata::log::{Appended, ClosedSegment, LocalLog, LogEntry, LogError, Replay, Usage};
use stratum_metadata::record::Body;
use stratum_metadata::{CommitError, NotWritten};
use stratum_storage::blob::Index;
use stratum_storage::drive::Drive;
use stratum_storage::journal::{Journal, LostBodies, Search, Verify};
use tracing_mutex::parkinglot::Mutex;

/// When the caller of an append panics.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    After,
}

/// A journal that makes its caller panic once.
struct Panicking {
    journal: Arc<Journal>,
    when: Arc<Mutex<Option<When>>>,
}

impl Panicking {
    fn panic_if(&self, when: When) {
        let planned = self.when.lock().take_if(|planned| *planned == when);
        assert!(planned.is_none(), "by plan");
    }

    fn log(&self) -> &dyn LocalLog {
        self.journal.as_ref()
    }
}

impl LocalLog for Panicking {
    fn append(&self, group: Vec<LogEntry>, urgency: Urgency) -> Result<Appended, CommitError> {
        let appended = LocalLog::append(self.journal.as_ref(), group, urgency);
        self.panic_if(When::After);
        appended
    }

    fn max_group(&self) -> usize {
        self.log().max_group()
    }

    fn has_room(&self, bytes: usize, urgency: Urgency) -> bool {
        self.panic_if(When::Before);
        self.log().has_room(bytes, urgency)
    }

    fn first(&self) -> Index {
        self.log().first()
    }

    fn last(&self) -> Index {
        self.log().last()
    }

    fn hash_at(&self, index: Index) -> Option<u128> {
        self.log().hash_at(index)
    }

    fn replay(&self, from: Index, verify: Verify) -> Replay<'_> {
        self.log().replay(from, verify)
    }

    fn body(&self, index: Index, length: u32, crc32c: u32) -> Result<Bytes, LogError> {
        self.log().body(index, length, crc32c)
    }

    fn search(&self, index: Index, length: u32, crc32c: u32) -> Search {
        self.log().search(index, length, crc32c)
    }

    fn lost_bodies(&self) -> LostBodies {
        self.log().lost_bodies()
    }

    fn usage(&self) -> Usage {
        self.log().usage()
    }

    fn closed_segments(&self) -> Vec<ClosedSegment> {
        self.log().closed_segments()
    }

    fn release(&self, packed: Index, checkpointed: Index) {
        self.log().release(packed, checkpointed);
    }

    fn set_cap(&self, bytes: u64) {
        self.log().set_cap(bytes);
    }

    fn epoch(&self) -> u64 {
        self.log().epoch()
    }

    fn heal(&self) -> Result<usize, LogError> {
        self.log().heal()
    }

    fn join(&self, drives: &[Arc<Drive>]) -> Result<(), LogError> {
        self.log().join(drives)
    }

    fn forget_lost(&self) -> Result<usize, LogError> {
        self.log().forget_lost()
    }
}

const LENGTH: usize = 200_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_freed_only_if_its_command_is_certainly_not_in_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Arc::new(Mutex::new(None));
    let when = plan.clone();
    let over = move |journal| Arc::new(Panicking { journal, when }) as Arc<dyn LocalLog>;
    let store = add_bucket(Store::open_over(dir.path(), 4 << 20, 32 << 20, over).await.unwrap()).await;
    let body = Bytes::from(vec![7; LENGTH]);
    for (number, when) in [(1, When::Before), (2, When::After)] {
        let written = store.write(&body).await;
        let record = record(number, LENGTH as u64, Body::Blob(written.blob.clone()));
        let condition = WriteCondition::default();
        let command = Command::PutObject { bucket: BUCKET, key: key(number), record, condition };
        *plan.lock() = Some(when);
        let commit = store.metadata.commit(command, written.hold);
        let fate = tokio::time::timeout(Duration::from_secs(20), commit).await.expect("it is answered");
        while store.metadata.is_available() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // After a second failure in a row the index is rebuilt a second later.
        let comes_back = async {
            while !store.metadata.is_available() {
                store.metadata.tend_index();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), comes_back).await.expect("it comes back");
        let punched = store.volumes.tend().await.unwrap().punched;
        match when {
            When::Before => {
                assert!(matches!(fate, Err(CommitError::NotWritten(NotWritten::Unavailable(_)))), "{fate:?}");
                assert!(punched > LENGTH as u64, "nobody will ever name it");
            }
            When::After => {
                assert!(matches!(fate, Err(CommitError::Unknown(_))), "{fate:?}");
                assert_eq!(punched, 0, "it may be named, and is");
            }
        }
        let expected = (when == When::After).then(|| body.clone());
        assert_eq!(store.read(number).await, expected);
    }
    store.put_large(3, &body).await;
    assert_eq!(store.read(3).await, Some(body));
}
