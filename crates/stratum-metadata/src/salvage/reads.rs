//! Reads of a salvaged state: everything that has bytes.

use super::Salvaged;
use crate::buckets;
use crate::keys::{self, Tag};
use crate::machine::ReadError;
use crate::record::{BucketId, DecodeError, ObjectRecord, PartRecord, UploadId, Version, decode};
use crate::space;
use crate::tree::Base;
use std::ops::ControlFlow;
use stratum_storage::blob::Index;
use stratum_storage::volume::VolumeRecord;

/// A bucket's record; if that is lost, only its number, from the objects in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalvagedBucket {
    pub id: BucketId,
    pub name: Option<String>,
}

/// A noncurrent version, and the entry that committed it, after which the next page goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalvagedVersion {
    pub key: Vec<u8>,
    pub committed: Index,
    pub version: Result<Version, DecodeError>,
}

/// The object under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SalvagedObject {
    pub key: Vec<u8>,
    pub record: Result<ObjectRecord, DecodeError>,
}

impl Salvaged {
    /// All buckets by number, also those that are known only from objects in them.
    pub fn buckets(&self) -> Result<Vec<SalvagedBucket>, ReadError> {
        let mut ids = Vec::new();
        self.machine().scan(&keys::start_of(Tag::BucketById), &keys::end_of(Tag::BucketById), |key, _| {
            ids.extend(keys::parse_bucket_by_id(key));
            ControlFlow::Continue(())
        })?;
        self.buckets_with(Tag::Object, keys::objects_of, &mut ids)?;
        self.buckets_with(Tag::Version, keys::versions_in, &mut ids)?;
        ids.sort_unstable();
        ids.dedup();
        let named = |id: BucketId| -> Result<SalvagedBucket, ReadError> {
            let value = self.machine().get(&keys::bucket_by_id(id))?;
            Ok(SalvagedBucket { id, name: value.and_then(|value| buckets::name_of(&value).ok()) })
        };
        ids.into_iter().map(named).collect()
    }

    /// The buckets in keys of that kind, found with one seek for each.
    fn buckets_with(
        &self,
        tag: Tag,
        all_of: fn(BucketId) -> Vec<u8>,
        ids: &mut Vec<BucketId>,
    ) -> Result<(), ReadError> {
        let mut from = Some(keys::start_of(tag));
        while let Some(bucket) =
            from.take().map(|from| self.first_bucket_with(tag, &from)).transpose()?.flatten()
        {
            ids.push(bucket);
            from = bucket.0.checked_add(1).map(|next| all_of(BucketId(next)));
        }
        Ok(())
    }

    fn first_bucket_with(&self, tag: Tag, from: &[u8]) -> Result<Option<BucketId>, ReadError> {
        let mut found = None;
        self.machine().scan(from, &keys::end_of(tag), |key, _| {
            found = keys::parse_object(key).map(|(bucket, _)| bucket);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// The bucket's objects with keys after `after`, in order, at most `max`, including those whose records can't be
    /// read.
    pub fn objects(
        &self,
        bucket: BucketId,
        after: Option<&[u8]>,
        max: usize,
    ) -> Result<Vec<SalvagedObject>, ReadError> {
        let all = keys::objects_of(bucket);
        let from =
            after.map_or_else(|| all.clone(), |key| [&keys::object(bucket, key), [0].as_slice()].concat());
        let mut objects = Vec::new();
        self.machine().scan(&from, &keys::end_of_prefix(&all), |key, value| {
            let object = |key: &[u8]| SalvagedObject { key: key.to_vec(), record: decode(value) };
            objects.extend(keys::parse_object(key).map(|(_, key)| object(key)));
            if objects.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(objects)
    }

    /// The bucket's noncurrent versions after `after`, by key and then from the newest, at most `max`, including
    /// delete markers and those whose records can't be read.
    pub fn versions(
        &self,
        bucket: BucketId,
        after: Option<(&[u8], Index)>,
        max: usize,
    ) -> Result<Vec<SalvagedVersion>, ReadError> {
        let all = keys::versions_in(bucket);
        let from = after.map_or_else(
            || all.clone(),
            |(key, committed)| [&keys::version(bucket, key, committed), [0].as_slice()].concat(),
        );
        let mut versions = Vec::new();
        self.machine().scan(&from, &keys::end_of_prefix(&all), |key, value| {
            let version = |(_, key, committed)| SalvagedVersion { key, committed, version: decode(value) };
            versions.extend(keys::parse_version(key).map(version));
            if versions.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(versions)
    }

    /// Whether any of the bucket's keys begins with this.
    pub fn has_prefix(&self, bucket: BucketId, prefix: &[u8]) -> Result<bool, ReadError> {
        let from = keys::object(bucket, prefix);
        let mut found = false;
        self.machine().scan(&from, &keys::end_of_prefix(&from), |_, _| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// A part of a completed object.
    pub fn part(&self, upload: UploadId, number: u16) -> Result<Option<PartRecord>, ReadError> {
        match self.machine().get(&keys::part(upload, number))? {
            Some(value) => Ok(Some(decode(&value)?)),
            None => Ok(None),
        }
    }

    /// All volumes that the state knows, by number.
    pub fn volumes(&self) -> Result<Vec<VolumeRecord>, ReadError> {
        space::records(self.machine())
    }
}
