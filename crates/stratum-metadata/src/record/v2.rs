//! The values that are stored under keys, in today's forms.
//!
//! A form that no later level changed is that of level 1; of the others, [`v1`](super::v1) keeps the form of level 1.
//! This level is open until a release contains it: until then a field may be added here, and after that in a new
//! level. `docs/EXTENDING.md` says how.

use super::attributes::Attributes;
use super::configuration::BucketConfiguration;
use super::level::Level;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{BlobRef, Index};

/// A bucket's number, unique during the store's life; keys hold it in place of the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketId(pub u64);

/// A multipart upload's id: random, chosen before the upload is proposed. On the wire 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UploadId(pub u128);

/// A version's id. `NULL` is the version of a bucket that is not versioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VersionId(pub u128);

impl UploadId {
    /// A new id: the time in front, so that uploads of one key are listed in the order of their creation, then 80
    /// random bits.
    pub fn new(now: UnixMillis, random: u128) -> Self {
        UploadId((u128::from(now) << 80) | (random >> 48))
    }
}

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl VersionId {
    pub const NULL: VersionId = VersionId(0);
}

/// An MD5 of the bytes, or the MD5 of the parts' MD5s with the number of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ETag {
    Md5([u8; 16]),
    Multipart { md5: [u8; 16], parts: u16 },
}

impl std::fmt::Display for ETag {
    /// The ETag without its quotes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (md5, parts) = match self {
            ETag::Md5(md5) => (md5, None),
            ETag::Multipart { md5, parts } => (md5, Some(parts)),
        };
        // As one piece of text, since every answer has an ETag.
        f.write_str(&hex::encode(md5))?;
        match parts {
            Some(parts) => write!(f, "-{parts}"),
            None => Ok(()),
        }
    }
}

/// The storage class as the client declared it. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StorageClass {
    #[default]
    Standard,
    StandardIa,
    IntelligentTiering,
    GlacierIr,
    ReducedRedundancy,
    OnezoneIa,
    Glacier,
    DeepArchive,
}

/// The checksum algorithms of S3. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumAlgorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
    Sha512,
    Md5,
    XxHash64,
    XxHash3,
    XxHash128,
}

/// Whether a multipart object's checksum covers its bytes or its parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChecksumType {
    FullObject,
    Composite,
}

/// A checksum as S3 returns it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    pub algorithm: ChecksumAlgorithm,
    pub kind: ChecksumType,
    /// The raw digest, big-endian as on the wire (base64 there): 4, 8, 16, 20, 32 or 64 bytes.
    pub value: Vec<u8>,
}

/// The headers that a client gave for an object, which are returned as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectHeaders {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub content_disposition: Option<String>,
    pub cache_control: Option<String>,
    pub expires: Option<String>,
    pub website_redirect_location: Option<String>,
    /// `x-amz-meta-*`, names without the prefix and in lower case.
    pub user: BTreeMap<String, String>,
}

/// A part in a completed object, in the object's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSummary {
    pub number: u16,
    pub size: u64,
    pub checksum: Option<Checksum>,
}

/// The bytes of an object: one blob of its own, or the parts of an upload, which stay records of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    Blob(BlobRef),
    Parts { upload: UploadId, parts: Vec<PartSummary> },
}

/// An object version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    pub version: VersionId,
    /// Chosen before the command was proposed; whole seconds count on the wire.
    pub modified: UnixMillis,
    pub size: u64,
    pub etag: ETag,
    pub storage_class: StorageClass,
    pub checksum: Option<Checksum>,
    pub headers: ObjectHeaders,
    pub body: Body,
    /// The entry that made it the current version of its key, by which versions are ordered. 0 in a bucket that isn't
    /// versioned: such a version is older than all that come after versioning is enabled.
    pub committed: Index,
    pub attributes: Attributes,
}

/// What a listing shows of an object: the first fields of its [`ObjectRecord`], so that the rest need not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSummary {
    pub version: VersionId,
    pub modified: UnixMillis,
    pub size: u64,
    pub etag: ETag,
    pub storage_class: StorageClass,
    pub checksum: Option<Checksum>,
}

impl From<ObjectRecord> for ObjectSummary {
    fn from(record: ObjectRecord) -> Self {
        let ObjectRecord { version, modified, size, etag, storage_class, checksum, .. } = record;
        ObjectSummary { version, modified, size, etag, storage_class, checksum }
    }
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    pub id: BucketId,
    pub name: String,
    /// The owner's canonical user id.
    pub owner: String,
    pub created: UnixMillis,
    /// The server's region when the bucket was created, which events and logs tell. Clients sign for the region that
    /// the server has now.
    pub region: String,
    pub configuration: BucketConfiguration,
}

/// What a list of buckets shows of one: the first fields of its [`BucketRecord`]. The rest, which may be a hundred times
/// as long, need not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSummary {
    pub id: BucketId,
    pub name: String,
    /// The owner's canonical user id.
    pub owner: String,
    pub created: UnixMillis,
}

/// A multipart upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    pub bucket: BucketId,
    pub key: Vec<u8>,
    pub initiated: UnixMillis,
    /// The initiator's canonical user id.
    pub initiator: String,
    pub storage_class: StorageClass,
    pub headers: ObjectHeaders,
    /// The checksum that Create asked for.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// The attributes of the future object.
    pub attributes: Attributes,
}

/// A part of an upload, or of an object that was completed from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    pub number: u16,
    pub modified: UnixMillis,
    pub size: u64,
    pub md5: [u8; 16],
    pub checksum: Option<Checksum>,
    pub blob: BlobRef,
}

/// What is stored of an upload: the record, and when it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredUpload {
    pub record: UploadRecord,
    pub expires: UnixMillis,
}

/// How an upload was completed, to answer a repeated Complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    pub bucket: BucketId,
    pub key: Vec<u8>,
    pub version: VersionId,
    pub etag: ETag,
    pub checksum: Option<Checksum>,
    /// The parts that the client named, in its order.
    pub parts: Vec<u16>,
    pub remember_until: UnixMillis,
}

/// The parts of an upload that are garbage and still to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The parts that belong to an object, in rising order; all others are garbage.
    pub keep: Vec<u16>,
    /// Parts with numbers below this one have been removed.
    pub next: u16,
}

/// The entry that stored an upload's last part: as long as it is the same, so are the parts' numbers, sizes and MD5s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPart(pub u64);

/// An extent of a volume that a record names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtentRecord {
    pub owner: Owner,
    /// Payload bytes.
    pub length: u64,
}

/// How much of a packed stripe is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripeRecord {
    /// The whole stripe's payload length in bytes.
    pub payload: u32,
    /// Payload bytes that records name.
    pub live: u64,
    /// Bodies that records name.
    pub bodies: u32,
}

/// The highest ids ever given out: neither is used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HighestIds {
    pub bucket: u64,
    pub volume: u64,
}

/// The last entry that has been applied, its hash, and the fingerprint of the state after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub index: u64,
    pub hash: u128,
    pub fingerprint: u128,
    /// The state's level, as the key for it says.
    pub level: Level,
}

/// Who a blob belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Owner {
    Object {
        bucket: BucketId,
        key: Vec<u8>,
        version: VersionId,
        /// The entry in the version's record: it tells versions of a key apart that have no id of their own.
        committed: Index,
    },
    Part {
        upload: UploadId,
        number: u16,
    },
}

impl Owner {
    /// The owner for the version of that key that has this record.
    pub fn object(bucket: BucketId, key: Vec<u8>, record: &ObjectRecord) -> Owner {
        Owner::Object { bucket, key, version: record.version, committed: record.committed }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Owner::Object { bucket: BucketId(bucket), key, version, .. } => {
                let key = String::from_utf8_lossy(key);
                write!(f, "the object \"{}\" of bucket {bucket}", key.escape_debug())?;
                match *version {
                    VersionId::NULL => Ok(()),
                    version => write!(f, " (version {version})"),
                }
            }
            Owner::Part { upload, number } => write!(f, "part {number} of upload {upload}"),
        }
    }
}
