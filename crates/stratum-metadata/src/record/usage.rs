//! What a bucket holds, counted only if a quota applies to it.
//!
//! A count for every bucket would be one more key to write for each PUT. A count begins with the quota: what the
//! bucket held before is counted a page a command, and objects that come and go meanwhile count if they lie in the
//! part that the pages have passed.

use super::level::{Level, same_since};
use serde::{Deserialize, Serialize};
use stratum_storage::blob::Index;

/// The most that a bucket, or all buckets of a user, may hold; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    pub bytes: Option<u64>,
    /// Versions of objects, each counted by itself; delete markers don't count.
    pub objects: Option<u64>,
}

impl Quota {
    /// Whether so much is within the quota.
    pub fn admits(&self, bytes: u64, objects: u64) -> bool {
        self.bytes.is_none_or(|most| bytes <= most) && self.objects.is_none_or(|most| objects <= most)
    }

    /// Whether it limits nothing: the bucket is counted only for its owner's quota.
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
    /// The sizes of all versions, as clients see them, and of the parts of uploads under way, in bytes.
    pub bytes: u64,
    pub objects: u64,
    pub counted: Counted,
}

/// How much of what the bucket held before the count has been counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    All,
    /// What lies under keys below this one.
    Below(Vec<u8>),
}

impl BucketUsage {
    /// The usage of a bucket that holds nothing yet.
    pub fn empty(quota: Quota, since: Index) -> BucketUsage {
        BucketUsage { quota, since, bytes: 0, objects: 0, counted: Counted::All }
    }

    /// Whether what lies under that key has been counted.
    pub(crate) fn has_counted(&self, key: &[u8]) -> bool {
        match &self.counted {
            Counted::All => true,
            Counted::Below(end) => key < end.as_slice(),
        }
    }
}

/// What the buckets of a user with a quota hold together: the sum of the [`BucketUsage`]s that have been added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserTotal {
    pub bytes: u64,
    pub objects: u64,
}

/// Beside a [`UserTotal`]: the user's buckets with names below this one have been added. Absent once all have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummedBelow(pub Vec<u8>);

/// What the parts of an upload under way add to the count that began with entry `since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadBytes {
    pub since: Index,
    pub bytes: u64,
}

same_since!(Level::SECOND; Quota, BucketUsage, UserTotal, SummedBelow, UploadBytes);
