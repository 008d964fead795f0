//! Reads of the versions of a key. A version lies in one of two places, as its key's current object or among the
//! noncurrent versions, and may move between them while it is looked for.

use crate::keys;
use crate::machine::ReadError;
use crate::owned::{self, Found};
use crate::record::{BucketId, DeleteMarker, Level, Version, VersionId, decode};
use crate::store::ReadView;
use std::ops::ControlFlow;

/// The first level whose records can hold versions.
pub const VERSIONS_SINCE: Level = Level::SECOND;

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
        let mut found = owned::by_id(bucket, key, id, |key| self.value(key))?;
        if found.is_none() {
            // It isn't there, or it was moved meanwhile to the place that had been looked into. In one moment that
            // shows. No drive is waited for then, since what lies there was read just now.
            let moment = self.machine()?.moment()?;
            found = owned::by_id(bucket, key, id, |key| moment.get(key).map_err(ReadError::from))?;
        }
        Ok(found.map(|Found { version, is_current, .. }| KeyVersion { version, is_current }))
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
