//! Reads of the versions of a key. A version lies in one of two places, as its key's current object or among the
//! noncurrent versions, and may move between them while it is looked for.

use crate::keys;
use crate::machine::ReadError;
use crate::owned::{self, Found};
use crate::record::{BucketId, DeleteMarker, Level, ObjectSummary, Version, VersionId, decode};
use crate::store::ReadView;
use std::ops::ControlFlow;

/// The first level whose records can hold versions.
pub const VERSIONS_SINCE: Level = Level::SECOND;

/// How many times a version is looked for again because its key's current object changed meanwhile.
const LOOKUP_ATTEMPTS: usize = 8;

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVersion {
    pub version: Version,
    /// Whether it is the key's current object.
    pub is_current: bool,
}

impl ReadView {
    /// The version of a key with that id.
    pub fn version(
        &self,
        bucket: BucketId,
        key: &[u8],
        id: VersionId,
    ) -> Result<Option<KeyVersion>, ReadError> {
        let mut before = self.current(bucket, key)?;
        for _ in 0..LOOKUP_ATTEMPTS {
            if let Some(Found { version, is_current, .. }) =
                owned::by_id(bucket, key, id, |key| self.value(key))?
            {
                return Ok(Some(KeyVersion { version, is_current }));
            }
            let after = self.current(bucket, key)?;
            if before == after {
                return Ok(None);
            }
            before = after;
        }
        Err(ReadError::Unavailable(
            "a key changed again and again while a version of it was looked for".into(),
        ))
    }

    /// The id of the current object under a key.
    fn current(&self, bucket: BucketId, key: &[u8]) -> Result<Option<VersionId>, ReadError> {
        let value = self.value(&keys::object(bucket, key))?;
        let summary: Option<ObjectSummary> = value.map(|value| decode(&value)).transpose()?;
        Ok(summary.map(|summary| summary.version))
    }

    /// The delete marker that is a key's newest version, if the key has no current object because of one.
    pub fn delete_marker(&self, bucket: BucketId, key: &[u8]) -> Result<Option<DeleteMarker>, ReadError> {
        let (all, mut newest) = (keys::versions_of(bucket, key), None);
        self.scan(&all, &keys::end_of_prefix(&all), |_, value| {
            newest = Some(decode::<Version>(value));
            ControlFlow::Break(())
        })?;
        Ok(match newest.transpose()? {
            Some(Version::DeleteMarker(marker)) => Some(marker),
            Some(Version::Object(_)) | None => None,
        })
    }
}
