//! The check of a store that is being served: of its state as it was at one moment.
//!
//! For that moment a checkpoint is taken. It is consistent, proven to be what was applied, and can be read key by key
//! for as long as the check takes while the store goes on. Only bodies in the journal are read where they are now.
//! Packing and deletes go on meanwhile, so a body that can't be read is a finding only if its owner still names it
//! then.

use super::{Bodies, Checked, Finding, check};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::machine::ReadError;
use crate::owners::owners_in;
use crate::record::Owner;
use crate::relocate::blob_of;
use crate::store::Metadata;
use crate::tree::{Base, TreeError, Value};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use stratum_storage::blob::{Index, Place, VolumeId};
use stratum_storage::pace::Turn;
use tracing_mutex::parkinglot::Mutex;

/// How much a page of keys, with the look-ups that it leads to, counts at the pace, in bytes.
const PAGE_BYTES: u64 = 256 << 10;

/// Grants a turn for a piece of work of so many bytes; `None` if the check is called off. Blocks until then.
pub type Turns = dyn Fn(u64) -> Option<Turn> + Send + Sync;

/// Why the state was not checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("no checkpoint could be taken to check it by: {0}")]
    Checkpoint(String),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<CheckpointError> for CheckError {
    fn from(error: CheckpointError) -> CheckError {
        CheckError::Checkpoint(error.to_string())
    }
}

impl Metadata {
    /// Checks that the state is consistent, as it is at some moment of this call, and that its bodies in the journal
    /// can be read. Blocks, for as long as it takes at the pace of `turns`.
    pub fn check(&self, turns: &Turns, report: &mut dyn FnMut(Finding)) -> Result<Checked, CheckError> {
        if self.applied_index() == 0 {
            return Ok(Checked::default());
        }
        let state = Paced { state: self.current_state()?, turns, turn: Mutex::default() };
        Ok(check(&state, &state.state.applied(), &Live(self), report)?)
    }

    /// The owners that now name bytes of these stripes (volume and offset), in words for people. Goes over all
    /// objects and parts.
    pub fn owners_in(&self, stripes: &HashSet<(VolumeId, u64)>) -> Result<Vec<String>, ReadError> {
        owners_in(self.state(), stripes)
    }
}

fn called_off() -> TreeError {
    TreeError::Failed("the check was called off".into())
}

/// A state that is read at the pace: each page of keys takes a turn.
struct Paced<'a> {
    state: Arc<Checkpoint>,
    turns: &'a Turns,
    turn: Mutex<Option<Turn>>,
}

impl Base for Paced<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        self.state.get(key)
    }

    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        visit: &mut dyn FnMut(&[u8], &Value) -> ControlFlow<()>,
    ) -> Result<(), TreeError> {
        drop(self.turn.lock().take());
        *self.turn.lock() = Some((self.turns)(PAGE_BYTES).ok_or_else(called_off)?);
        self.state.scan(from, to, visit)
    }
}

/// The journal of a store that is being served.
struct Live<'a>(&'a Metadata);

impl Bodies for Live<'_> {
    fn check(&self, owner: &Owner, index: Index, length: u32, crc32c: u32) -> Result<(), String> {
        let place = Place::Journal { index, length, crc32c };
        let read = || self.0.log().body(index, length, crc32c).map(drop).map_err(|error| error.to_string());
        let is_named = || match blob_of(self.0.state(), owner) {
            Ok(blob) => blob.is_some_and(|blob| blob.place == place),
            Err(_) => true,
        };
        // A segment is removed only after its bodies have moved: if the owner still names the place after a read
        // failed, the body was there, and is read once more.
        match read() {
            Err(_) if is_named() => read().or_else(|problem| if is_named() { Err(problem) } else { Ok(()) }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, WriteCondition};
    use crate::log::memory::MemoryLog;
    use crate::record::{
        Attributes, Body, BucketId, BucketRecord, ETag, ObjectHeaders, ObjectRecord, VersionId,
    };
    use crate::store::Options;
    use bytes::Bytes;
    use stratum_storage::ambient::Simulated;
    use stratum_storage::blob::BlobRef;

    const BUCKET: BucketId = BucketId(1);

    #[tokio::test]
    async fn a_body_that_is_gone_is_a_finding_only_while_its_owner_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            index: dir.path().join("sled"),
            drives: Vec::new().into(),
            copies: 0,
            sizes: Default::default(),
        };
        let (log, clock) = (Arc::new(MemoryLog::default()), Arc::new(Simulated::new(1_000, 1)));
        let metadata = Metadata::open(&options, log, clock).unwrap();
        let (name, owner, region) = ("bucket".into(), "owner".into(), "us-east-1".into());
        let bucket =
            BucketRecord { id: BUCKET, name, owner, created: 1, region, configuration: Default::default() };
        metadata.commit(Command::CreateBucket(bucket.into()), Bytes::new()).await.unwrap();
        let record = ObjectRecord {
            version: VersionId::NULL,
            modified: 5_000,
            size: 1,
            etag: ETag::Md5([1; 16]),
            storage_class: Default::default(),
            checksum: None,
            headers: ObjectHeaders::default(),
            body: Body::Blob(BlobRef::plain(Place::Journal { index: 999, length: 1, crc32c: 0 })),
            committed: 0,
            attributes: Attributes::default(),
        };
        let (key, condition) = (b"a".to_vec(), WriteCondition::default());
        let put = Command::PutObject { bucket: BUCKET, key: key.clone(), record, condition };
        metadata.commit(put, Bytes::new()).await.unwrap();
        let check = |index| {
            let owner =
                Owner::Object { bucket: BUCKET, key: key.clone(), version: VersionId::NULL, committed: 0 };
            Live(&metadata).check(&owner, index, 1, 0)
        };
        assert!(check(999).is_err(), "it is named, and the journal doesn't have it");
        assert_eq!(check(998), Ok(()), "it was packed or overwritten since the checkpoint");
        metadata.shutdown();
    }
}
