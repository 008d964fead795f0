//! Commands: every mutation of the state, as data.
//!
//! A command carries everything that `apply` needs (times, ids and random values were chosen before it was
//! proposed) and is journaled before it is applied. The body of a small object or part rides in the same journal
//! entry; the record then says [`stratum_storage::blob::Place::ThisEntry`].

pub(crate) mod v1;

use crate::record::{
    AccessKeyRecord, AccountName, BucketConfiguration, BucketDocument, BucketId, BucketRecord, DecodeError,
    DefaultEncryption, DocumentKind, ETag, Grant, IdentityKind, IdentityRecord, LastPart, LegalHold, Level,
    ManagedPolicyRecord, Notice, ObjectLock, ObjectOwnership, ObjectRecord, Owner, PartRecord,
    PublicAccessBlock, Quota, Retention, StorageClass, TakesLevel, TierDecision, TierPin, UploadId,
    UploadRecord, VersionId, Versioning, decode, encode,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, Index, PackedAt, Place};
use stratum_storage::volume::{VolumeEvent, WriterId};

/// What must hold of the current object for a write to go on, evaluated atomically with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteCondition {
    pub if_match: Option<Match>,
    pub if_none_match: Option<Match>,
    /// `x-amz-if-match-last-modified-time` on DeleteObject: whole seconds since the epoch.
    pub if_modified_at: Option<u64>,
    /// `x-amz-if-match-size` on DeleteObject.
    pub if_size: Option<u64>,
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

/// One body that moved, as an entry of a [`Command::Relocate`].
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

/// What was decided of a version's tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierChange {
    pub bucket: BucketId,
    pub key: Vec<u8>,
    pub version: VersionId,
    pub committed: Index,
    /// What must hold of it, or it is passed over.
    pub condition: TierCondition,
    /// What takes it to another tier; nothing if it stays where it belonged.
    pub decision: Option<TierDecision>,
    pub pinning: Pinning,
    /// When it is looked at next; nothing if only another decision changes it.
    pub review: Option<UnixMillis>,
}

impl TierChange {
    /// Whether it only says when the version is looked at next.
    fn is_a_review(&self) -> bool {
        self.decision.is_none() && self.pinning == Pinning::Leave
    }
}

/// What must hold of a version whose tier is decided, evaluated atomically with the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TierCondition {
    /// That it is there.
    Always,
    /// Its review is at this time.
    Reviewed(UnixMillis),
    /// It is what was looked at: nobody has written it anew, or decided of it, since. The id and entry of a version in a bucket
    /// that isn't versioned are the same of whatever comes to stand there, hence the time of its bytes.
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

/// What becomes of a pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pinning {
    Leave,
    Set(TierPin),
    Clear,
}

/// A bucket that is to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewBucket {
    /// The id that its proposer chose, which counts in a state of level 1 only. `apply` gives one otherwise, and wherever
    /// the chosen one is taken.
    pub chosen: Option<BucketId>,
    pub name: String,
    /// The owner's canonical user id.
    pub owner: String,
    pub created: UnixMillis,
    pub region: String,
    /// What it begins with.
    pub configuration: BucketConfiguration,
}

impl NewBucket {
    /// The bucket under the id that it got.
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

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub bucket: BucketId,
    pub key: Vec<u8>,
    /// The version that goes. Without one the current object does, and where versions are kept a delete marker comes over it.
    pub version: Option<VersionId>,
    pub condition: WriteCondition,
    /// When: what the delete marker says that may come of it.
    pub modified: UnixMillis,
    /// Who owns that marker, where it isn't the bucket's owner: a canonical user id.
    pub owner: Option<String>,
    /// Whether a version that is retained in governance mode goes, too.
    pub bypass_governance: bool,
}

impl Deletion {
    /// Of what stands under a key, whatever it is.
    pub fn of(bucket: BucketId, key: Vec<u8>, modified: UnixMillis) -> Deletion {
        let condition = WriteCondition::default();
        Deletion { bucket, key, version: None, condition, modified, owner: None, bypass_governance: false }
    }
}

/// A part of a bucket's configuration that becomes another. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BucketChange {
    Versioning(Versioning),
    /// Nothing for none.
    Tags(Option<BTreeMap<String, String>>),
    /// The document of that kind becomes another, or goes.
    Document {
        kind: DocumentKind,
        document: Option<BucketDocument>,
    },
    /// Nothing for the owner's full control.
    Acl(Option<Vec<Grant>>),
    /// Nothing for what the server has.
    Ownership(Option<ObjectOwnership>),
    PublicAccess(Option<PublicAccessBlock>),
    /// Of a bucket whose versioning is enabled, which it is from then on for good.
    ObjectLock(ObjectLock),
    /// How new objects are encrypted by default; nothing takes the default away.
    Encryption(Option<DefaultEncryption>),
}

/// A part of a version that becomes another while its bytes stay. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectChange {
    /// Nothing for none.
    Tags(Option<BTreeMap<String, String>>),
    /// Nothing for the owner's full control.
    Acl(Option<Vec<Grant>>),
    Retention {
        /// Nothing for none.
        retention: Option<Retention>,
        /// When: a retention that is over by then binds nobody.
        now: UnixMillis,
        /// Whether one in governance mode may be shortened, or taken away.
        bypass_governance: bool,
    },
    LegalHold(LegalHold),
    /// Lifecycle takes it to another class.
    StorageClass {
        class: StorageClass,
        /// When its bytes came: of others nothing was decided.
        modified: UnixMillis,
    },
}

/// A data key that was wrapped anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    pub of: KeyHolder,
    /// Applied only if it holds exactly this wrapped key.
    pub from: Vec<u8>,
    pub to: Vec<u8>,
}

/// Whose record holds a wrapped key. New ones stand at the end: the number of a variant is stored.
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

/// Whose quota it is. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuotaOf {
    Bucket(BucketId),
    /// All buckets together of the owner with that canonical user id.
    User(String),
}

/// Changes of users, groups, roles, their keys and policies: all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityChanges {
    /// The entry that had changed any of them last when they were read, or none; refused with `IdentitiesChanged` if it is
    /// another by now.
    pub read: Option<Index>,
    /// The wrapped key that secrets are sealed with, where it becomes another, or the first.
    pub key: Option<Vec<u8>>,
    pub writes: Vec<IdentityWrite>,
}

/// A record that becomes another, or goes. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityWrite {
    Identity { kind: IdentityKind, at: AccountName, record: Option<IdentityRecord> },
    AccessKey { id: String, record: Option<AccessKeyRecord> },
    Policy { at: AccountName, record: Option<ManagedPolicyRecord> },
}

/// What a journal entry holds: a command, and who proposed it where that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// Who fills the volumes that the command is the first to name something in, or that it opens.
    pub by: Option<WriterId>,
    /// Who is to be told of what it does.
    pub notice: Option<Box<Notice>>,
    pub command: Command,
}

impl From<Command> for Proposed {
    fn from(command: Command) -> Self {
        Proposed { by: None, notice: None, command }
    }
}

impl Proposed {
    /// With who is to be told of it.
    pub fn telling(command: Command, notice: Option<Box<Notice>>) -> Proposed {
        Proposed { by: None, notice, command }
    }

    /// Its bytes in the journal, of what a state of that level is proposed.
    pub(crate) fn encode(&self, level: Level) -> Result<Vec<u8>, TakesLevel> {
        match self.command {
            // So that a binary that doesn't know the level says so.
            Command::SetLevel(raised) => encode(raised.max(level), self),
            _ => encode(level, self),
        }
    }

    /// What a journal entry holds.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Proposed, DecodeError> {
        decode(bytes)
    }
}

/// A mutation.
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
        /// How long a repeated Complete is answered as the first was.
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
    /// Bodies that were copied elsewhere, as one packed stripe (`stripe` is then its place) or one by one.
    Relocate {
        stripe: Option<PackedAt>,
        moves: Vec<Move>,
    },
    Volume(VolumeEvent),
    /// A part, as by [`Command::PutPart`], which journals of earlier servers have. This one also keeps with the upload
    /// that its last part came with this entry.
    UploadPart {
        bucket: BucketId,
        upload: UploadId,
        part: PartRecord,
    },
    /// As [`Command::CompleteUpload`], which journals of earlier servers have. The parts are not carried and compared one
    /// by one: what the proposer read of them holds as long as no part has come since.
    CompleteMultipartUpload {
        bucket: BucketId,
        key: Vec<u8>,
        upload: UploadId,
        /// The upload's last part when its parts were read; `apply` refuses with `UploadChanged` if it is another now.
        last_part: Option<LastPart>,
        /// Whether the upload has parts that the object doesn't name: they become garbage.
        has_spare: bool,
        /// Its body names the upload and the parts.
        record: ObjectRecord,
        condition: WriteCondition,
        remember_until: UnixMillis,
    },
    /// Records and commands are written at this level from now on; never a lower one than before.
    SetLevel(Level),
    /// Decisions of where versions belong, each by itself: one that is gone is passed over.
    DecideTiers(Vec<TierChange>),
    ConfigureBucket {
        bucket: BucketId,
        change: BucketChange,
    },
    /// Of that version, or else of the current object.
    ConfigureObject {
        bucket: BucketId,
        key: Vec<u8>,
        version: Option<VersionId>,
        change: ObjectChange,
    },
    /// Data keys under another key than before, each by itself: one that is another by now is passed over.
    RewrapKeys(Vec<KeyChange>),
    /// Nothing for none.
    SetQuota {
        of: QuotaOf,
        quota: Option<Quota>,
    },
    /// Counts the next of what a bucket held when its count began.
    CountUsage {
        bucket: BucketId,
    },
    ChangeIdentities(IdentityChanges),
    /// Events that waited for that webhook, by the entries that made them happen, were told or needn't be.
    ForgetEvents {
        target: String,
        events: Vec<Index>,
    },
    /// Takes the next of a user's buckets into what is kept of all of them together.
    SumUsage {
        owner: String,
    },
}

/// What may be appended near the journal's cap, the most patient first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// New bytes: refused when only the last 5 % are left.
    Ordinary,
    /// What makes room on the drives: deletes, relocation out of volumes. Refused at the cap.
    MakesRoom,
    /// What makes room in the journal: packing, and what it may need. Never refused. It passes the cap by less than the
    /// packed bodies had taken of it.
    Packing,
}

impl Urgency {
    pub const ALL: [Urgency; 3] = [Urgency::Ordinary, Urgency::MakesRoom, Urgency::Packing];
}

impl Command {
    /// Whether it may still be journaled when only the last of the journal's room is left.
    pub(crate) fn urgency(&self) -> Urgency {
        match self {
            Command::CreateBucket(_)
            | Command::ConfigureBucket { .. }
            | Command::SetQuota { .. }
            | Command::CountUsage { .. }
            | Command::SumUsage { .. }
            | Command::ConfigureObject { .. }
            | Command::PutObject { .. }
            | Command::CreateUpload { .. }
            | Command::PutPart { .. }
            | Command::CompleteUpload { .. }
            | Command::UploadPart { .. }
            | Command::CompleteMultipartUpload { .. } => Urgency::Ordinary,
            // Packing into another tier than was decided needs it.
            Command::DecideTiers(changes) if changes.iter().all(TierChange::is_a_review) => Urgency::Packing,
            Command::DecideTiers(_) | Command::RewrapKeys(_) | Command::ChangeIdentities(_) => {
                Urgency::Ordinary
            }
            Command::Relocate { moves, .. } if moves.iter().any(Move::leaves_the_journal) => Urgency::Packing,
            Command::DeleteBucket { .. }
            | Command::DeleteObject(_)
            | Command::AbortUpload { .. }
            | Command::ForgetEvents { .. }
            | Command::Relocate { .. } => Urgency::MakesRoom,
            // Few and short: packing may need a volume, and a checkpoint an entry after the last one.
            Command::Volume(_) | Command::Sweep { .. } | Command::SetLevel(_) => Urgency::Packing,
        }
    }
}

/// What `apply` answers.
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
    /// Relocate, DecideTiers and RewrapKeys: how many of the moves or changes were applied. Sweep, CountUsage, SumUsage and
    /// ForgetEvents: how many records went or were counted, 0 when nothing was left.
    Count(u64),
    Refused(Refusal),
}

/// What DeleteObject came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// There was nothing to delete.
    Nothing,
    /// The current object is gone for good.
    Current,
    /// A version is that wasn't current.
    NonCurrent,
    /// A delete marker is.
    Marker,
    /// A delete marker of that id came over whatever was there.
    Marked(VersionId),
}

/// A mutation that the state did not allow; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchBucket,
    /// CreateBucket: the name is taken by this owner.
    BucketExists {
        owner: String,
    },
    BucketNotEmpty,
    /// A condition on, or a change of, the current object of a key that has none.
    NoSuchKey,
    /// A change of a version that isn't there, or is a delete marker.
    NoSuchVersion,
    PreconditionFailed,
    /// The version is retained, or under a legal hold.
    Locked,
    /// Versioning of a bucket with object lock is to be suspended, or lock to be put on a bucket without versioning.
    BucketState,
    NoSuchUpload,
    /// The parts are no longer what the proposer of a completion read: read again and propose again.
    UploadChanged,
    /// The record names a volume that is absent or being dropped: the client retries.
    VolumeGone,
    /// A volume event that the volume's state does not allow.
    VolumeState,
    /// SetLevel: the state has this level, which is no lower.
    LevelIs(Level),
    /// The bucket would hold more than it may.
    QuotaExceeded,
    /// The buckets of its owner would hold more together than they may.
    UserQuotaExceeded,
    /// ChangeIdentities: they have changed since they were read: read again and propose again.
    IdentitiesChanged,
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
            Refusal::PreconditionFailed => f.write_str("a condition does not hold"),
            Refusal::Locked => f.write_str("object lock keeps the version"),
            Refusal::BucketState => f.write_str("object lock and versioning go together"),
            Refusal::NoSuchUpload => f.write_str("there is no such upload"),
            Refusal::UploadChanged => f.write_str("the upload's parts have changed"),
            Refusal::VolumeGone => f.write_str("the volume is being dropped"),
            Refusal::VolumeState => f.write_str("the volume's state does not allow it"),
            Refusal::LevelIs(level) => write!(f, "the store is of level {level}"),
            Refusal::QuotaExceeded => f.write_str("the bucket would hold more than its quota"),
            Refusal::UserQuotaExceeded => f.write_str("the owner's buckets would hold more than their quota"),
            Refusal::IdentitiesChanged => f.write_str("users or policies have changed meanwhile"),
        }
    }
}
