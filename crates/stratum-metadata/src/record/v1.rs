//! The forms of level 1 that a later level changed. Frozen: nothing here is ever edited.
//!
//! They can be read and, while a state is of level 1, written. What of them is shared with today's forms, such as a
//! checksum, has not changed since.

use super::level::{Level, Migrate, TakesLevel, same_since};
use super::v2::{
    self, Body, BucketId, ChecksumAlgorithm, ChecksumType, ETag, ObjectHeaders, StorageClass, UploadId,
    VersionId,
};
use super::{Attributes, BucketConfiguration, Checksum, DecodeError};
use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::{Geometry, Tier, VolumeId};
use stratum_storage::volume::{Shard, VolumeState};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObjectRecord {
    version: VersionId,
    modified: UnixMillis,
    size: u64,
    etag: ETag,
    storage_class: StorageClass,
    checksum: Option<Checksum>,
    headers: ObjectHeaders,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketRecord {
    id: BucketId,
    name: String,
    owner: String,
    created: UnixMillis,
    region: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UploadRecord {
    bucket: BucketId,
    key: Vec<u8>,
    initiated: UnixMillis,
    initiator: String,
    storage_class: StorageClass,
    headers: ObjectHeaders,
    checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredUpload {
    record: UploadRecord,
    expires: UnixMillis,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeRecord {
    id: VolumeId,
    tier: Tier,
    geometry: Geometry,
    shards: Vec<Shard>,
    state: VolumeState,
    high_water: u64,
    live: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    index: u64,
    hash: u128,
    fingerprint: u128,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Owner {
    Object { bucket: BucketId, key: Vec<u8>, version: VersionId },
    Part { upload: UploadId, number: u16 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExtentRecord {
    owner: Owner,
    length: u64,
}

same_since!(
    Level::FIRST;
    ObjectRecord,
    BucketRecord,
    UploadRecord,
    StoredUpload,
    VolumeRecord,
    Applied,
    Owner,
    ExtentRecord,
);

impl Migrate for v2::ObjectRecord {
    const SINCE: Level = Level::SECOND;
    type Previous = ObjectRecord;

    fn migrate(previous: ObjectRecord) -> Result<Self, DecodeError> {
        let ObjectRecord { version, modified, size, etag, storage_class, checksum, headers, body } = previous;
        let (committed, attributes) = (0, Attributes::default());
        Ok(v2::ObjectRecord {
            version,
            modified,
            size,
            etag,
            storage_class,
            checksum,
            headers,
            body,
            committed,
            attributes,
        })
    }

    fn previous(&self) -> Result<ObjectRecord, TakesLevel> {
        if self.committed != 0 || self.attributes != Attributes::default() {
            return Err(TakesLevel(Self::SINCE));
        }
        Ok(ObjectRecord {
            version: self.version,
            modified: self.modified,
            size: self.size,
            etag: self.etag,
            storage_class: self.storage_class,
            checksum: self.checksum.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        })
    }
}

impl Migrate for v2::BucketRecord {
    const SINCE: Level = Level::SECOND;
    type Previous = BucketRecord;

    fn migrate(previous: BucketRecord) -> Result<Self, DecodeError> {
        let BucketRecord { id, name, owner, created, region } = previous;
        let configuration = BucketConfiguration::default();
        Ok(v2::BucketRecord { id, name, owner, created, region, configuration })
    }

    fn previous(&self) -> Result<BucketRecord, TakesLevel> {
        let v2::BucketRecord { id, name, owner, created, region, configuration } = self.clone();
        match configuration == BucketConfiguration::default() {
            true => Ok(BucketRecord { id, name, owner, created, region }),
            false => Err(TakesLevel(Self::SINCE)),
        }
    }
}

impl Migrate for v2::UploadRecord {
    const SINCE: Level = Level::SECOND;
    type Previous = UploadRecord;

    fn migrate(previous: UploadRecord) -> Result<Self, DecodeError> {
        let UploadRecord { bucket, key, initiated, initiator, storage_class, headers, checksum } = previous;
        let attributes = Attributes::default();
        Ok(v2::UploadRecord {
            bucket,
            key,
            initiated,
            initiator,
            storage_class,
            headers,
            checksum,
            attributes,
        })
    }

    fn previous(&self) -> Result<UploadRecord, TakesLevel> {
        let v2::UploadRecord {
            bucket,
            key,
            initiated,
            initiator,
            storage_class,
            headers,
            checksum,
            attributes,
        } = self.clone();
        match attributes == Attributes::default() {
            true => Ok(UploadRecord { bucket, key, initiated, initiator, storage_class, headers, checksum }),
            false => Err(TakesLevel(Self::SINCE)),
        }
    }
}

impl Migrate for v2::StoredUpload {
    const SINCE: Level = Level::SECOND;
    type Previous = StoredUpload;

    fn migrate(StoredUpload { record, expires }: StoredUpload) -> Result<Self, DecodeError> {
        Ok(v2::StoredUpload { record: Migrate::migrate(record)?, expires })
    }

    fn previous(&self) -> Result<StoredUpload, TakesLevel> {
        Ok(StoredUpload { record: self.record.previous()?, expires: self.expires })
    }
}

impl Migrate for stratum_storage::volume::VolumeRecord {
    const SINCE: Level = Level::SECOND;
    type Previous = VolumeRecord;

    fn migrate(previous: VolumeRecord) -> Result<Self, DecodeError> {
        let VolumeRecord { id, tier, geometry, shards, state, high_water, live } = previous;
        let (writer, remote) = (None, None);
        Ok(stratum_storage::volume::VolumeRecord {
            id,
            tier,
            geometry,
            shards,
            state,
            high_water,
            live,
            writer,
            remote,
        })
    }

    /// The writer is left out: only `apply` of level 2 asks for it.
    fn previous(&self) -> Result<VolumeRecord, TakesLevel> {
        if self.remote.is_some() {
            return Err(TakesLevel(Self::SINCE));
        }
        Ok(VolumeRecord {
            id: self.id,
            tier: self.tier,
            geometry: self.geometry,
            shards: self.shards.clone(),
            state: self.state,
            high_water: self.high_water,
            live: self.live,
        })
    }

    /// What holds the volume in the remote store came when level 2 already had stores. A record that ends before it has
    /// none, and no record of today's form does.
    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        postcard::from_bytes(bytes).or_else(|error| {
            match postcard::take_from_bytes(&[bytes, &[0]].concat()) {
                Ok((record, [])) => Ok(record),
                _ => Err(DecodeError::Damaged(error)),
            }
        })
    }
}

impl Migrate for v2::Owner {
    const SINCE: Level = Level::SECOND;
    type Previous = Owner;

    fn migrate(previous: Owner) -> Result<Self, DecodeError> {
        Ok(match previous {
            Owner::Object { bucket, key, version } => {
                v2::Owner::Object { bucket, key, version, committed: 0 }
            }
            Owner::Part { upload, number } => v2::Owner::Part { upload, number },
        })
    }

    fn previous(&self) -> Result<Owner, TakesLevel> {
        Ok(match self {
            v2::Owner::Object { bucket, key, version, committed: 0 } => {
                Owner::Object { bucket: *bucket, key: key.clone(), version: *version }
            }
            v2::Owner::Object { .. } => return Err(TakesLevel(Self::SINCE)),
            v2::Owner::Part { upload, number } => Owner::Part { upload: *upload, number: *number },
        })
    }
}

impl Migrate for v2::ExtentRecord {
    const SINCE: Level = Level::SECOND;
    type Previous = ExtentRecord;

    fn migrate(ExtentRecord { owner, length }: ExtentRecord) -> Result<Self, DecodeError> {
        Ok(v2::ExtentRecord { owner: Migrate::migrate(owner)?, length })
    }

    fn previous(&self) -> Result<ExtentRecord, TakesLevel> {
        Ok(ExtentRecord { owner: self.owner.previous()?, length: self.length })
    }
}

impl Migrate for v2::Applied {
    const SINCE: Level = Level::SECOND;
    type Previous = Applied;

    fn migrate(Applied { index, hash, fingerprint }: Applied) -> Result<Self, DecodeError> {
        Ok(v2::Applied { index, hash, fingerprint, level: Level::FIRST })
    }

    fn previous(&self) -> Result<Applied, TakesLevel> {
        let v2::Applied { index, hash, fingerprint, level: _ } = *self;
        Ok(Applied { index, hash, fingerprint })
    }
}
