//! Commands: every mutation of the state, as data.
//!
//! A command carries everything that `apply` needs (times, ids and random values were chosen before it was
//! proposed) and is journaled before it is applied. The body of a small object or part rides in the same journal
//! entry; the record then says [`stratum_storage::blob::Place::ThisEntry`].

mod outcome;
mod unbounded;
mod unnoticed;
pub(crate) mod v1;

pub use crate::keys::KeyRange;
pub use outcome::{Deleted, Outcome, Refusal};

use crate::record::{
    AccessKeyRecord, AccountName, BucketConfiguration, BucketDocument, BucketId, BucketRecord, DecodeError,
    DefaultEncryption, DocumentKind, Grant, IdentityKind, IdentityRecord, LastPart, LegalHold, Level,
    ManagedPolicyRecord, Notice, ObjectLock, ObjectOwnership, ObjectRecord, Owner, PartRecord,
    PublicAccessBlock, Quota, Retention, StorageClass, TakesLevel, TierDecision, TierPin, UploadId,
    UploadRecord, VersionId, Versioning, decode, encode,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, Index, PackedAt, Place, VolumeId};
use stratum_storage::volume::{VolumeEvent, WriterId};

/// What must hold of the current object for a write to be carried out; evaluated atomically with the write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteCondition {
    pub if_match: Option<Match>,
    pub if_none_match: Option<Match>,
    /// `x-amz-if-match-last-modified-time` on DeleteObject: whole seconds since the epoch.
    pub if_modified_at: Option<u64>,
    /// `x-amz-if-match-size` on DeleteObject.
    pub if_size: Option<u64>,
}

/// Which condition of a [`WriteCondition`] didn't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    IfMatch,
    IfNoneMatch,
    ModifiedAt,
    Size,
}

/// `*`, or any of these ETags (without quotes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Match {
    Any,
    ETags(Vec<String>),
}

/// A part that a CompleteUpload names, as the proposer read it: `apply` refuses if it has changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedPart {
    pub number: u16,
    pub size: u64,
    pub md5: [u8; 16],
}

/// The move of one body, as part of a [`Command::Relocate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    pub owner: Owner,
    /// Applied only if the owner still holds a body at exactly this place.
    pub from: BlobRef,
    pub to: BlobRef,
}

impl Move {
    fn leaves_the_journal(&self) -> bool {
        matches!(self.from.place, Place::Journal { .. })
    }
}

/// A decision about a version's tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierChange {
    pub bucket: BucketId,
    pub key: Vec<u8>,
    pub version: VersionId,
    pub committed: Index,
    /// What must hold of the version for the change to be applied; else it is skipped.
    pub condition: TierCondition,
    /// The decision that takes it to another tier; `None` if it stays where it belonged.
    pub decision: Option<TierDecision>,
    pub pinning: Pinning,
    /// When the version is reviewed next; `None` if only another decision can change its tier.
    pub review: Option<UnixMillis>,
}

impl TierChange {
    /// Whether the change only sets the time of the next review.
    fn is_a_review(&self) -> bool {
        self.decision.is_none() && self.pinning == Pinning::Leave
    }
}

/// What must hold of a version for a tier change; evaluated atomically with the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TierCondition {
    /// The version exists.
    Always,
    /// Its review is at this time.
    Reviewed(UnixMillis),
    /// The version is the one that was looked at: nobody has overwritten it, or decided about it, since. In a bucket
    /// that isn't versioned, every version of a key has the same id and entry, hence the time at which the bytes were
    /// written.
    Unchanged { modified: UnixMillis, decided: Option<UnixMillis> },
}

impl TierCondition {
    pub(crate) fn holds(&self, record: &ObjectRecord) -> bool {
        let decided = || record.attributes.tiering.last().map(|decision| decision.since);
        match self {
            TierCondition::Always => true,
            TierCondition::Reviewed(time) => record.attributes.review == Some(*time),
            TierCondition::Unchanged { modified, decided: then } => {
                record.modified == *modified && decided() == *then
            }
        }
    }
}

/// What becomes of a version's pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pinning {
    Leave,
    Set(TierPin),
    Clear,
}

/// A bucket to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBucket {
    /// The id that the proposer chose; only a state of level 1 uses it, and only if it is free. Otherwise `apply`
    /// gives one.
    pub chosen: Option<BucketId>,
    pub name: String,
    /// The owner's canonical user id.
    pub owner: String,
    pub created: UnixMillis,
    pub region: String,
    /// Its configuration at first.
    pub configuration: BucketConfiguration,
}

impl NewBucket {
    /// The bucket's record, under the id that it was given.
    pub(crate) fn with_id(self, id: BucketId) -> BucketRecord {
        let NewBucket { chosen: _, name, owner, created, region, configuration } = self;
        BucketRecord { id, name, owner, created, region, configuration }
    }
}

impl From<BucketRecord> for NewBucket {
    fn from(record: BucketRecord) -> Self {
        let BucketRecord { id, name, owner, created, region, configuration } = record;
        NewBucket { chosen: Some(id), name, owner, created, region, configuration }
    }
}

/// An object or a version to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub bucket: BucketId,
    pub key: Vec<u8>,
    /// The version to delete. `None`: the current object is deleted, or, in a versioned bucket, covered by a delete
    /// marker.
    pub version: Option<VersionId>,
    pub condition: WriteCondition,
    /// The time of the delete marker that this may create.
    pub modified: UnixMillis,
    /// The canonical user id of the delete marker's owner, if that isn't the bucket's owner.
    pub owner: Option<String>,
    /// Whether a version that is retained in governance mode may be deleted, too.
    pub bypass_governance: bool,
}

impl Deletion {
    /// Deletes the current object of a key without conditions.
    pub fn of(bucket: BucketId, key: Vec<u8>, modified: UnixMillis) -> Deletion {
        let condition = WriteCondition::default();
        Deletion { bucket, key, version: None, condition, modified, owner: None, bypass_governance: false }
    }
}

/// A change of one part of a bucket's configuration. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BucketChange {
    Versioning(Versioning),
    /// `None` removes all tags.
    Tags(Option<BTreeMap<String, String>>),
    /// Replaces the document of that kind, or (`None`) removes it.
    Document {
        kind: DocumentKind,
        document: Option<BucketDocument>,
    },
    /// `None`: only the owner has full control.
    Acl(Option<Vec<Grant>>),
    /// `None`: the server's default.
    Ownership(Option<ObjectOwnership>),
    PublicAccess(Option<PublicAccessBlock>),
    /// Only for a bucket with versioning enabled, which can then never be suspended.
    ObjectLock(ObjectLock),
    /// How new objects are encrypted by default; `None` removes the default.
    Encryption(Option<DefaultEncryption>),
}

/// A change of one part of a version, whose bytes stay. New variants go at the end: the number of a variant is
/// stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectChange {
    /// `None` removes all tags.
    Tags(Option<BTreeMap<String, String>>),
    /// `None`: only the owner has full control.
    Acl(Option<Vec<Grant>>),
    Retention {
        /// `None` removes the retention.
        retention: Option<Retention>,
        /// The time of the change: a retention that has ended by then doesn't bind.
        now: UnixMillis,
        /// Whether a retention in governance mode may be shortened or removed.
        bypass_governance: bool,
    },
    LegalHold(LegalHold),
    /// Lifecycle changes the object's storage class.
    StorageClass {
        class: StorageClass,
        /// When the bytes were written on which lifecycle decided; if the object was overwritten since, it stays as
        /// it is.
        modified: UnixMillis,
    },
}

/// What a rule of a bucket's lifecycle asks for. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LifecycleAction {
    /// Deletes the current object, or puts a delete marker over it; or deletes a version or a delete marker.
    Delete(Deletion),
    /// Changes a version's storage class, as [`ObjectChange::StorageClass`] does.
    Transition {
        bucket: BucketId,
        key: Vec<u8>,
        version: VersionId,
        class: StorageClass,
        modified: UnixMillis,
    },
    AbortUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
    },
}

impl LifecycleAction {
    pub(crate) fn bucket(&self) -> BucketId {
        match self {
            LifecycleAction::Delete(deletion) => deletion.bucket,
            LifecycleAction::Transition { bucket, .. } | LifecycleAction::AbortUpload { bucket, .. } => {
                *bucket
            }
        }
    }

    /// The command that does the same whatever the bucket's lifecycle is.
    pub(crate) fn unconditional(self) -> Command {
        match self {
            LifecycleAction::Delete(deletion) => Command::DeleteObject(deletion),
            LifecycleAction::Transition { bucket, key, version, class, modified } => {
                let change = ObjectChange::StorageClass { class, modified };
                Command::ConfigureObject { bucket, key, version: Some(version), change }
            }
            LifecycleAction::AbortUpload { bucket, key, upload } => {
                Command::AbortUpload { bucket, key, upload }
            }
        }
    }
}

/// A data key that was wrapped again, with another key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    pub of: KeyHolder,
    /// Applied only if the record holds exactly this wrapped key.
    pub from: Vec<u8>,
    pub to: Vec<u8>,
}

/// The record that holds a wrapped key. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyHolder {
    Object { bucket: BucketId, key: Vec<u8>, version: VersionId, committed: Index },
    Upload(UploadId),
}

impl fmt::Display for KeyHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.clone() {
            KeyHolder::Object { bucket, key, version, committed } => {
                Owner::Object { bucket, key, version, committed }.fmt(f)
            }
            KeyHolder::Upload(upload) => write!(f, "upload {upload}"),
        }
    }
}

/// What is given up of the state, since no drive gives the blocks of the index that it was in. It says which keys, so that it comes
/// to the same on a machine that has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// In order, and none of them over another.
    pub ranges: Vec<KeyRange>,
    /// Keys in these that are known, and stay; in order.
    pub kept: Vec<Vec<u8>>,
    /// What the others add to the state's fingerprint, whatever they are.
    pub fingerprint: u128,
    pub now: UnixMillis,
}

/// What counts as live of volumes and uploads and nobody names: only records did that were given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unnamed {
    /// Extents, by where they begin. Passed over where their owner names them.
    pub extents: Vec<(VolumeId, u64)>,
    pub stripes: Vec<UnnamedOfStripe>,
    /// Uploads that are gone, of which parts are left.
    pub uploads: Vec<UploadId>,
}

/// How much of what is counted of a packed stripe nobody names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnnamedOfStripe {
    pub volume: VolumeId,
    pub stripe: u64,
    pub live: u64,
    pub bodies: u32,
}

/// What a quota is for. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuotaOf {
    Bucket(BucketId),
    /// All buckets together of the owner with that canonical user id.
    User(String),
}

/// Changes of users, groups, roles, their keys and policies, applied all together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityChanges {
    /// The entry that had last changed any of them when the proposer read them, or `None`. If it is another by now,
    /// `apply` refuses with `IdentitiesChanged`.
    pub read: Option<Index>,
    /// The wrapped key with which secrets are sealed, if this command sets or replaces it.
    pub key: Option<Vec<u8>>,
    pub writes: Vec<IdentityWrite>,
}

/// A record to be written or removed. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityWrite {
    Identity { kind: IdentityKind, at: AccountName, record: Option<IdentityRecord> },
    AccessKey { id: String, record: Option<AccessKeyRecord> },
    Policy { at: AccountName, record: Option<ManagedPolicyRecord> },
}

/// The content of a journal entry: a command, and what else its proposer says with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The writer of the volumes that the command opens, or is the first to name something in.
    pub by: Option<WriterId>,
    /// Who is to be notified of what the command does.
    pub notice: Option<Box<Notice>>,
    pub command: Command,
}

impl From<Command> for Proposed {
    fn from(command: Command) -> Self {
        Proposed { by: None, notice: None, command }
    }
}

impl Proposed {
    /// The command, with those to be notified of it.
    pub fn telling(command: Command, notice: Option<Box<Notice>>) -> Proposed {
        Proposed { by: None, notice, command }
    }

    /// Its bytes in the journal, as proposed to a state of that level.
    pub(crate) fn encode(&self, level: Level) -> Result<Vec<u8>, TakesLevel> {
        match self.command {
            // A binary that doesn't know the new level must see that already in this entry.
            Command::SetLevel(raised) => encode(raised.max(level), self),
            _ => encode(level, self),
        }
    }

    /// Reads the content of a journal entry.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Proposed, DecodeError> {
        decode(bytes)
    }
}

/// A mutation of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    CreateBucket(NewBucket),
    DeleteBucket {
        bucket: BucketId,
    },
    PutObject {
        bucket: BucketId,
        key: Vec<u8>,
        record: ObjectRecord,
        condition: WriteCondition,
    },
    DeleteObject(Deletion),
    CreateUpload {
        upload: UploadId,
        record: UploadRecord,
        expires: UnixMillis,
    },
    PutPart {
        bucket: BucketId,
        upload: UploadId,
        part: PartRecord,
    },
    /// The proposer read the upload and its parts, checked the client's list against them and computed `record`
    /// (ETag, size, checksum; its body names the upload and the parts). `apply` evaluates the condition and
    /// refuses with `UploadChanged` if a named part is no longer the one that was read.
    CompleteUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
        parts: Vec<CompletedPart>,
        record: ObjectRecord,
        condition: WriteCondition,
        /// Until when a repeated Complete gets the same answer as the first.
        remember_until: UnixMillis,
    },
    AbortUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
    },
    /// Removes up to a bounded number of parts of dropped uploads, and expired uploads and completions.
    Sweep {
        now: UnixMillis,
    },
    /// Bodies that were copied elsewhere: into the packed stripe at `stripe`, or one by one.
    Relocate {
        stripe: Option<PackedAt>,
        moves: Vec<Move>,
    },
    Volume(VolumeEvent),
    /// Stores a part. [`Command::PutPart`], which only journals of earlier servers have, did the same, but didn't
    /// keep with the upload that its last part came with this entry.
    UploadPart {
        bucket: BucketId,
        upload: UploadId,
        part: PartRecord,
    },
    /// Completes an upload. [`Command::CompleteUpload`], which only journals of earlier servers have, carried all
    /// parts to compare them one by one; here what the proposer read of them holds as long as no part has come since.
    CompleteMultipartUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
        /// The upload's last part when its parts were read; `apply` refuses with `UploadChanged` if it is another now.
        last_part: Option<LastPart>,
        /// Whether the upload has parts that the object doesn't name, which become garbage.
        has_spare: bool,
        /// The new object's record, whose body names the upload and the parts.
        record: ObjectRecord,
        condition: WriteCondition,
        remember_until: UnixMillis,
    },
    /// Records and commands are written at this level from now on; never a lower one than before.
    SetLevel(Level),
    /// Decisions about the tiers of versions, each applied by itself: a version that no longer exists is skipped.
    DecideTiers(Vec<TierChange>),
    ConfigureBucket {
        bucket: BucketId,
        change: BucketChange,
    },
    /// Changes that version, or (`None`) the current object.
    ConfigureObject {
        bucket: BucketId,
        key: Vec<u8>,
        version: Option<VersionId>,
        change: ObjectChange,
    },
    /// Data keys that were wrapped again, each applied by itself: a record whose key is another by now is skipped.
    RewrapKeys(Vec<KeyChange>),
    /// `None` removes the quota.
    SetQuota {
        of: QuotaOf,
        quota: Option<Quota>,
    },
    /// Counts the next part of what a bucket held when its count began.
    CountUsage {
        bucket: BucketId,
    },
    ChangeIdentities(IdentityChanges),
    /// Removes events that waited for that webhook, given by their entries: they were delivered, or need not be.
    ForgetEvents {
        target: String,
        events: Vec<Index>,
    },
    /// Adds the next of a user's buckets to the user's total.
    SumUsage {
        owner: String,
    },
    /// Keys whose records nobody knows are there no more.
    GiveUp(GivenUp),
    /// Gives back what nobody names.
    Reclaim(Unnamed),
    /// Does what the bucket's lifecycle asks for. `apply` refuses with `LifecycleChanged` if the lifecycle isn't the one
    /// any more that entry `put` put: what a removed rule had asked for is not done, however late the command comes.
    FollowLifecycle {
        put: Index,
        action: LifecycleAction,
    },
}

/// Which commands may still be appended when the journal is nearly full, those that are refused first in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Commands that bring new bytes: refused when only the last 5 % are left.
    Ordinary,
    /// Commands that free space on the drives: deletes, and relocation out of volumes. Refused at the cap.
    MakesRoom,
    /// Commands that free space in the journal: packing, and what it needs. Never refused. They pass the cap by less
    /// than the packed bodies had taken of it.
    Packing,
}

impl Urgency {
    pub const ALL: [Urgency; 3] = [Urgency::Ordinary, Urgency::MakesRoom, Urgency::Packing];
}

impl Command {
    /// Whether somebody asked for the command, so that it can't be forgotten without a word. The others are the
    /// server's own work, which it does again.
    pub(crate) fn was_asked_for(&self) -> bool {
        match self {
            Command::CreateBucket(_)
            | Command::DeleteBucket { .. }
            | Command::PutObject { .. }
            | Command::DeleteObject(_)
            | Command::CreateUpload { .. }
            | Command::PutPart { .. }
            | Command::CompleteUpload { .. }
            | Command::AbortUpload { .. }
            | Command::UploadPart { .. }
            | Command::CompleteMultipartUpload { .. }
            | Command::SetLevel(_)
            | Command::ConfigureBucket { .. }
            | Command::ConfigureObject { .. }
            | Command::RewrapKeys(_)
            | Command::SetQuota { .. }
            | Command::ChangeIdentities(_)
            | Command::GiveUp(_) => true,
            Command::Sweep { .. }
            | Command::Relocate { .. }
            | Command::Volume(_)
            | Command::DecideTiers(_)
            | Command::CountUsage { .. }
            | Command::SumUsage { .. }
            | Command::ForgetEvents { .. }
            | Command::FollowLifecycle { .. }
            | Command::Reclaim(_) => false,
        }
    }

    /// When the command is refused as the journal fills up.
    pub(crate) fn urgency(&self) -> Urgency {
        match self {
            Command::CreateBucket(_)
            | Command::ConfigureBucket { .. }
            | Command::SetQuota { .. }
            | Command::CountUsage { .. }
            | Command::SumUsage { .. }
            | Command::ConfigureObject { .. }
            | Command::FollowLifecycle { action: LifecycleAction::Transition { .. }, .. }
            | Command::PutObject { .. }
            | Command::CreateUpload { .. }
            | Command::PutPart { .. }
            | Command::CompleteUpload { .. }
            | Command::UploadPart { .. }
            | Command::CompleteMultipartUpload { .. } => Urgency::Ordinary,
            // Packing a body into another tier than was decided needs a review.
            Command::DecideTiers(changes) if changes.iter().all(TierChange::is_a_review) => Urgency::Packing,
            Command::DecideTiers(_) | Command::RewrapKeys(_) | Command::ChangeIdentities(_) => {
                Urgency::Ordinary
            }
            Command::Relocate { moves, .. } if moves.iter().any(Move::leaves_the_journal) => Urgency::Packing,
            Command::DeleteBucket { .. }
            | Command::DeleteObject(_)
            | Command::AbortUpload { .. }
            | Command::ForgetEvents { .. }
            | Command::FollowLifecycle {
                action: LifecycleAction::Delete(_) | LifecycleAction::AbortUpload { .. },
                ..
            }
            | Command::GiveUp(_)
            | Command::Reclaim(_)
            | Command::Relocate { .. } => Urgency::MakesRoom,
            // They are few and short. Packing may need a new volume, and a checkpoint needs one more entry.
            Command::Volume(_) | Command::Sweep { .. } | Command::SetLevel(_) => Urgency::Packing,
        }
    }
}
