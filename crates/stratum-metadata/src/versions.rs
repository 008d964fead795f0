//! What can be asked of the versions of a key. A version lies in one of two places, as its key's current object or among the
//! others, and may go from one to the other while it is looked for.

use crate::keys;
use crate::machine::ReadError;
use crate::owned::{self, Found};
use crate::record::{BucketId, DeleteMarker, Level, ObjectSummary, Version, VersionId, decode};
use crate::store::ReadView;
use std::ops::ControlFlow;

/// Keeping versions takes records that a state of level 1 doesn't have.
pub const VERSIONS_SINCE: Level = Level::SECOND;

/// How often a version is looked for anew because its key's current object is another than before.
const ATTEMPTS: usize = 8;

/// A version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVersion {
    pub version: Version,
    /// Whether it is the key's current object.
    pub is_current: bool,
}

impl ReadView {
    /// The version of a key that has that id.
    pub fn version(
        &self,
        bucket: BucketId,
        key: &[u8],
        id: VersionId,
    ) -> Result<Option<KeyVersion>, ReadError> {
        let mut before = self.current(bucket, key)?;
        for _ in 0..ATTEMPTS {
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

    /// The id of what stands under a key.
    fn current(&self, bucket: BucketId, key: &[u8]) -> Result<Option<VersionId>, ReadError> {
        let value = self.value(&keys::object(bucket, key))?;
        let summary: Option<ObjectSummary> = value.map(|value| decode(&value)).transpose()?;
        Ok(summary.map(|summary| summary.version))
    }

    /// The delete marker that is the newest version of a key that has no current object.
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
