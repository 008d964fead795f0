//! Checks the noncurrent versions of a key: they lie in their order, below the current object or below a delete
//! marker, and the null version among them can be found.

use super::keyed::{NOT_A_KEY, Read, read};
use super::{Check, Finding};
use crate::keys;
use crate::machine::ReadError;
use crate::record::{BucketId, NullVersion, ObjectRecord, Owner, Version, VersionId};
use stratum_storage::blob::Index;

impl Check<'_> {
    pub(super) fn version(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((bucket, object, committed)) = keys::parse_version(key) else {
            return Ok(Err(NOT_A_KEY.into()));
        };
        let version = match read::<Version>(value) {
            Ok(version) if version.committed() == committed => version,
            Ok(_) => return Ok(Err(NOT_A_KEY.into())),
            Err(problem) => return Ok(Err(problem)),
        };
        self.place_of_version(bucket, &object, &version)?;
        match version {
            Version::Object(record) => self.object_record(bucket, object, &record).map(Ok),
            Version::DeleteMarker(marker) => {
                if !self.has(&keys::bucket_by_id(bucket))? {
                    let owner = version_owner(bucket, object, marker.version, committed);
                    self.found(Finding::NoBucket { owner: self.named(&owner) });
                }
                Ok(Ok(()))
            }
        }
    }

    /// A noncurrent version must be older than the current one, or lie below a delete marker.
    fn place_of_version(&mut self, bucket: BucketId, key: &[u8], version: &Version) -> Result<(), ReadError> {
        let committed = version.committed();
        let owner = |check: &mut Self, problem| {
            let owner = check.named(&version_owner(bucket, key.to_vec(), version.id(), committed));
            check.found(Finding::Version { owner, problem });
        };
        if version.id() == VersionId::NULL && committed > 0 {
            let said: Option<NullVersion> = self.get(&keys::null_version(bucket, key))?;
            if said != Some(NullVersion(committed)) {
                owner(self, "is its key's null version, and can't be found as that");
            }
        }
        // The first noncurrent version of a key that the pass comes to is the newest of them.
        let is_first =
            self.last_versions.as_ref().is_none_or(|last| (last.0, last.1.as_slice()) != (bucket, key));
        if is_first {
            self.last_versions = Some((bucket, key.to_vec()));
            match (self.get::<ObjectRecord>(&keys::object(bucket, key))?, version) {
                (Some(current), _) if current.committed <= committed => {
                    owner(self, "isn't current, and isn't older than what is");
                }
                (None, Version::Object(_)) => {
                    owner(self, "is the newest version of its key, and isn't current");
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn null_version(&mut self, key: &[u8], value: &[u8]) -> Result<Read, ReadError> {
        let Some((bucket, object)) = keys::parse_object(key) else { return Ok(Err(NOT_A_KEY.into())) };
        let NullVersion(committed) = match read(value) {
            Ok(said) => said,
            Err(problem) => return Ok(Err(problem)),
        };
        let version: Option<Version> = self.get(&keys::version(bucket, object, committed))?;
        if version.is_none_or(|version| version.id() != VersionId::NULL) {
            let owner = self.named(&version_owner(bucket, object.to_vec(), VersionId::NULL, committed));
            self.found(Finding::Version {
                owner,
                problem: "is said to have a null version, and has none there",
            });
        }
        Ok(Ok(()))
    }
}

fn version_owner(bucket: BucketId, key: Vec<u8>, version: VersionId, committed: Index) -> Owner {
    Owner::Object { bucket, key, version, committed }
}
