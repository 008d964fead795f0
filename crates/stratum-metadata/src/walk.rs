//! Walks over all current objects, a page at a time, in the order of their buckets and keys.
//!
//! A walk is no snapshot: each page shows what exists when it is read, and callers act on it by conditional commands.
//! It keeps one page in memory, however much the store holds.

use crate::buckets;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::record::{BucketId, BucketRecord, BucketSummary, ObjectRecord, decode};
use crate::store::ReadView;
use std::ops::ControlFlow;

/// How many objects, and how many bytes of their records, end a page.
const PAGE_OBJECTS: usize = 1_024;
const PAGE_BYTES: usize = 4 << 20;

/// Which objects a walk goes over, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    next: Vec<u8>,
    end: Vec<u8>,
}

/// An object on a page of a walk.
#[derive(Clone, Debug)]
pub struct Walked {
    pub bucket: BucketId,
    pub key: Vec<u8>,
    pub record: ObjectRecord,
}

/// A page of a walk.
#[derive(Clone, Debug, Default)]
pub struct WalkPage {
    pub objects: Vec<Walked>,
    /// Records that can't be read, as far as their number is known; a check of the store, or the status, names them.
    pub damaged: u64,
    pub is_last: bool,
}

impl Walk {
    /// A walk over all objects of all buckets.
    pub fn all() -> Walk {
        Walk { next: keys::start_of(Tag::Object), end: keys::end_of(Tag::Object) }
    }

    /// A walk over the objects of a bucket whose keys begin with `prefix`.
    pub fn under(bucket: BucketId, prefix: &[u8]) -> Walk {
        let next = keys::object(bucket, prefix);
        Walk { end: keys::end_of_prefix(&next), next }
    }

    /// The same walk, beginning after this key of the bucket.
    pub fn after(self, bucket: BucketId, key: &[u8]) -> Walk {
        let after = [keys::object(bucket, key).as_slice(), &[0]].concat();
        Walk { next: self.next.max(after), ..self }
    }
}

impl ReadView {
    /// The next page of a walk, which it moves on. Blocks.
    pub fn walk(&self, walk: &mut Walk) -> Result<WalkPage, ReadError> {
        let (mut page, mut bytes) = (WalkPage { is_last: true, ..WalkPage::default() }, 0);
        let mut last = None;
        let scanned = self.scan(&walk.next, &walk.end, |key, value| {
            match (keys::parse_object(key), decode(value)) {
                (Some((bucket, name)), Ok(record)) => {
                    page.objects.push(Walked { bucket, key: name.to_vec(), record });
                }
                _ => page.damaged += 1,
            }
            bytes += value.len();
            if page.objects.len() < PAGE_OBJECTS && bytes < PAGE_BYTES {
                return ControlFlow::Continue(());
            }
            page.is_last = false;
            last = Some([key, &[0]].concat());
            ControlFlow::Break(())
        });
        match scanned {
            // A lost block doesn't keep the walk from what comes after it.
            Err(ReadError::Lost(block)) => {
                page.damaged += block.keys;
                let behind = block.behind();
                page.is_last = behind >= walk.end;
                last = Some(behind);
            }
            scanned => scanned?,
        }
        if let Some(next) = last {
            walk.next = next;
        }
        Ok(page)
    }

    /// The bucket with that id.
    pub fn bucket_of(&self, id: BucketId) -> Result<Option<BucketRecord>, ReadError> {
        buckets::by_id(id, |key| self.value(key))
    }

    /// What a list shows of the bucket with that id.
    pub fn bucket_summary(&self, id: BucketId) -> Result<Option<BucketSummary>, ReadError> {
        buckets::summary_by_id(id, |key| self.value(key))
    }
}
