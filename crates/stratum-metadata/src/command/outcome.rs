//! What came of a command that was carried out, or why it wasn't.

use super::Condition;
use crate::record::{BucketRecord, ETag, Level, ObjectRecord, VersionId};
use std::fmt;

/// What `apply` returns for a command that it carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// CreateBucket and ConfigureBucket: the bucket as it now is.
    Bucket(Box<BucketRecord>),
    /// PutObject, ConfigureObject and the completion of an upload: the version as it now is.
    Object(Box<ObjectRecord>),
    /// A part was stored.
    Part {
        etag: ETag,
    },
    Deleted(Deleted),
    /// Relocate, DecideTiers and RewrapKeys: how many of the moves or changes were applied. Sweep, CountUsage,
    /// SumUsage, ForgetEvents and Reclaim: how many records were removed or counted; 0 when nothing was left to do.
    Count(u64),
    Refused(Refusal),
}

/// What DeleteObject did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// There was nothing to delete.
    Nothing,
    /// The current object was deleted for good.
    Current,
    /// A noncurrent version was deleted.
    NonCurrent,
    /// A delete marker was deleted.
    Marker,
    /// A delete marker with that id was created.
    Marked(VersionId),
}

/// Why the state did not allow a command; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchBucket,
    /// CreateBucket: the name is taken by this owner.
    BucketExists {
        owner: String,
    },
    BucketNotEmpty,
    /// A condition on the current object of a key that has none, or a change of it.
    NoSuchKey,
    /// A change of a version that doesn't exist, or that is a delete marker.
    NoSuchVersion,
    /// This condition doesn't hold; of several that don't, the first in the order of [`WriteCondition`](super::WriteCondition).
    PreconditionFailed(Condition),
    /// The version is retained, or under a legal hold.
    Locked,
    /// Versioning can't be suspended in a bucket with object lock, and object lock can't be enabled without
    /// versioning.
    BucketState,
    NoSuchUpload,
    /// The parts aren't those that the proposer of a completion read: read them again and propose again.
    UploadChanged,
    /// The record names a volume that is absent or being dropped: the client retries.
    VolumeGone,
    /// A volume event that the volume's state does not allow.
    VolumeState,
    /// SetLevel: the state already has this level, or a higher one.
    LevelIs(Level),
    /// The bucket would hold more than its quota.
    QuotaExceeded,
    /// The buckets of the owner would together hold more than the owner's quota.
    UserQuotaExceeded,
    /// ChangeIdentities: they have changed since they were read: read again and propose again.
    IdentitiesChanged,
    /// GiveUp: among the keys are some that others can't do without.
    Indispensable,
    /// FollowLifecycle: the bucket has another lifecycle by now, or none.
    LifecycleChanged,
}

impl fmt::Display for Outcome {
    /// In a few words, for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("nothing more than that it was done"),
            Outcome::Bucket(bucket) => write!(f, "the bucket {}", bucket.name),
            Outcome::Object(object) => write!(f, "an object of {} bytes", object.size),
            Outcome::Part { etag } => write!(f, "a part with the ETag {etag}"),
            Outcome::Deleted(Deleted::Nothing) => f.write_str("a deletion of what wasn't there"),
            Outcome::Deleted(Deleted::Marked(version)) => write!(f, "the delete marker {version}"),
            Outcome::Deleted(Deleted::Current | Deleted::NonCurrent | Deleted::Marker) => {
                f.write_str("a deletion")
            }
            Outcome::Count(count) => write!(f, "a count of {count}"),
            Outcome::Refused(refusal) => write!(f, "a refusal: {refusal}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoSuchBucket => f.write_str("there is no such bucket"),
            Refusal::BucketExists { owner } => write!(f, "the bucket exists and is {owner}'s"),
            Refusal::BucketNotEmpty => f.write_str("the bucket is not empty"),
            Refusal::NoSuchKey => f.write_str("there is no such key"),
            Refusal::NoSuchVersion => f.write_str("there is no such version"),
            Refusal::PreconditionFailed(Condition::IfMatch) => f.write_str("the object's ETag is another"),
            Refusal::PreconditionFailed(Condition::IfNoneMatch) => f.write_str("there is such an object"),
            Refusal::PreconditionFailed(Condition::ModifiedAt) => {
                f.write_str("the object was modified at another time")
            }
            Refusal::PreconditionFailed(Condition::Size) => f.write_str("the object is of another size"),
            Refusal::Locked => f.write_str("object lock keeps the version"),
            Refusal::BucketState => f.write_str("object lock and versioning go together"),
            Refusal::NoSuchUpload => f.write_str("there is no such upload"),
            Refusal::UploadChanged => f.write_str("the upload's parts have changed"),
            Refusal::VolumeGone => f.write_str("the volume is being dropped"),
            Refusal::VolumeState => f.write_str("the volume's state does not allow it"),
            Refusal::LevelIs(level) => write!(f, "the store is of level {level}"),
            Refusal::QuotaExceeded => f.write_str("the bucket would hold more than its quota"),
            Refusal::UserQuotaExceeded => f.write_str("the owner's buckets would hold more than their quota"),
            Refusal::Indispensable => f.write_str("others can't do without what is among the keys"),
            Refusal::LifecycleChanged => f.write_str("the bucket's lifecycle has changed"),
            Refusal::IdentitiesChanged => f.write_str("users or policies have changed meanwhile"),
        }
    }
}
