//! Caches bucket records: every request needs its bucket's, and they hardly ever change.
//!
//! A cached record belongs to a count of changes to buckets. The count rises before anybody learns of a change, and
//! from then on no record that was cached before is used.

use crate::buckets;
use crate::machine::{Machine, ReadError};
use crate::record::BucketRecord;
use crate::tree::Base;
use std::collections::HashMap;
use std::sync::Arc;
use tracing_mutex::parkinglot::RwLock;

/// How many records are kept. With more, the cache starts over.
const MOST_BUCKETS: usize = 256;

/// Bucket records by name.
#[derive(Debug, Default)]
pub(super) struct BucketCache(RwLock<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// How many changes to buckets had been applied when these records were read.
    changes: u64,
    records: HashMap<String, Arc<BucketRecord>>,
}

impl BucketCache {
    /// The bucket with that name, as it is now.
    pub(super) fn get(&self, machine: &Machine, name: &str) -> Result<Option<Arc<BucketRecord>>, ReadError> {
        // The count is read before the record: a newer record may then be taken for an older one, but never the other
        // way round.
        let changes = machine.bucket_changes();
        if let Some(record) = self.0.read().get(changes, name) {
            return Ok(Some(record.clone()));
        }
        let record =
            buckets::by_name(name.as_bytes(), |key| Ok::<_, ReadError>(machine.get(key)?))?.map(Arc::new);
        if let Some(record) = &record {
            self.0.write().keep(changes, record);
        }
        Ok(record)
    }
}

impl Kept {
    fn get(&self, changes: u64, name: &str) -> Option<&Arc<BucketRecord>> {
        self.records.get(name).filter(|_| self.changes == changes)
    }

    fn keep(&mut self, changes: u64, record: &Arc<BucketRecord>) {
        if changes < self.changes {
            return;
        }
        if changes > self.changes || self.records.len() >= MOST_BUCKETS {
            self.records.clear();
        }
        self.changes = changes;
        self.records.insert(record.name.clone(), record.clone());
    }
}
