//! What a bucket holds, counted where somebody bounds it.
//!
//! A count that every bucket had would be one more key written by each PUT; so only those have one that a quota is about. It
//! begins with the quota: what was there before is counted a page a command, and what comes and goes meanwhile counts where
//! the pages have been.

use super::level::{Level, same_since};
use serde::{Deserialize, Serialize};
use stratum_storage::blob::Index;

/// The most that a bucket, or all buckets of a user, may hold. Nothing for no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    pub bytes: Option<u64>,
    /// Versions of objects, each by itself; delete markers are none.
    pub objects: Option<u64>,
}

impl Quota {
    /// Whether so much is within it.
    pub fn admits(&self, bytes: u64, objects: u64) -> bool {
        self.bytes.is_none_or(|most| bytes <= most) && self.objects.is_none_or(|most| objects <= most)
    }

    /// Whether it bounds nothing: the bucket is counted for the sake of its owner's quota.
    pub fn is_unbounded(&self) -> bool {
        *self == Quota::default()
    }
}

/// What a bucket holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketUsage {
    pub quota: Quota,
    /// The entry that began the count.
    pub since: Index,
    /// Sizes of all versions, as clients see them, and of the parts of uploads that are under way.
    pub bytes: u64,
    pub objects: u64,
    pub counted: Counted,
}

/// How far what was there before has been counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    All,
    /// What lies under keys below this one.
    Below(Vec<u8>),
}

impl BucketUsage {
    /// Of a bucket that holds nothing yet.
    pub fn empty(quota: Quota, since: Index) -> BucketUsage {
        BucketUsage { quota, since, bytes: 0, objects: 0, counted: Counted::All }
    }

    /// Whether what lies under that key counts already.
    pub(crate) fn has_counted(&self, key: &[u8]) -> bool {
        match &self.counted {
            Counted::All => true,
            Counted::Below(end) => key < end.as_slice(),
        }
    }
}

/// What buckets of a user with a quota hold together: the sum of the [`BucketUsage`]s of those that are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserTotal {
    pub bytes: u64,
    pub objects: u64,
}

/// Beside a [`UserTotal`]: those of the user's buckets are in it whose names are below this one. Where there is none, all are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummedBelow(pub Vec<u8>);

/// What the parts of an upload that is under way count for in the count of that entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadBytes {
    pub since: Index,
    pub bytes: u64,
}

same_since!(Level::SECOND; Quota, BucketUsage, UserTotal, SummedBelow, UploadBytes);
