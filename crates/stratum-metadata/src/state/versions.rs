//! Versions of a key: which record a new version moves to the noncurrent ones, and which one comes back when a
//! version is deleted.
//!
//! The current object is the newest of its key's versions, unless the newest is a delete marker: then the key has
//! none. So a new version moves at most one record to the noncurrent ones, and a deletion brings at most one back.

use super::view::View;
use super::{ApplyError, bodies, tiers, uploads, usage};
use crate::keys;
use crate::owned::Found;
use crate::record::{Body, BucketId, NullVersion, ObjectRecord, Version, VersionId, Versioning, decode};
use std::ops::ControlFlow;
use stratum_storage::blob::Index;

/// The id of the version that this entry commits.
pub(super) fn id(versioning: Versioning, index: Index) -> VersionId {
    match versioning {
        Versioning::Enabled => VersionId::of_entry(index),
        Versioning::Suspended => VersionId::NULL,
    }
}

/// Sets the id and place of a new object among the versions of its key. In a bucket that was never versioned it has
/// none.
pub(super) fn commit(record: &mut ObjectRecord, versioning: Option<Versioning>, index: Index) {
    if let Some(versioning) = versioning {
        (record.version, record.committed) = (id(versioning, index), index);
    }
}

/// Makes room for a new version of a key: the current object is deleted for good if it has the same id or versions
/// aren't kept, else it moves to the noncurrent versions. The caller writes or removes the record of the current
/// object.
pub(super) fn make_way(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    current: Option<ObjectRecord>,
    versioning: Option<Versioning>,
) -> Result<(), ApplyError> {
    match current {
        Some(current) if current.gives_way(versioning) => release(view, bucket, key, &current),
        current => {
            if versioning == Some(Versioning::Suspended) {
                remove_null(view, bucket, key)?;
            }
            match current {
                Some(current) => put(view, bucket, key, Version::Object(Box::new(current))),
                None => Ok(()),
            }
        }
    }
}

/// Adds a version to the noncurrent ones.
pub(super) fn put(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    version: Version,
) -> Result<(), ApplyError> {
    let committed = version.committed();
    if is_said_apart(&version) {
        view.put(keys::null_version(bucket, key), &NullVersion(committed))?;
    }
    let at = keys::version(bucket, key, committed);
    if let Some(size) = usage::size_of_version(&version) {
        usage::came(view, bucket, &at, size)?;
    }
    view.put(at, &version)
}

/// The newest noncurrent version of a key, and its key in the state.
pub(super) fn newest_noncurrent(
    view: &View<'_>,
    bucket: BucketId,
    key: &[u8],
) -> Result<Option<(Vec<u8>, Version)>, ApplyError> {
    let mut newest = None;
    let all = keys::versions_of(bucket, key);
    view.scan(&all, &keys::end_of_prefix(&all), |key, value| {
        newest = Some((key.to_vec(), decode(value)?));
        Ok(ControlFlow::Break(()))
    })?;
    Ok(newest)
}

/// Deletes a version for good. If its key then has no current object, the newest noncurrent version becomes current,
/// unless it is a delete marker.
pub(super) fn remove(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    found: Found,
) -> Result<(), ApplyError> {
    let Found { at, version, is_current: _ } = found;
    take(view, bucket, key, at, &version)?;
    if let Version::Object(record) = &version {
        release(view, bucket, key, record)?;
    }
    // No version is older than one that no entry committed.
    let has_older = version.committed() > 0;
    if has_older && !view.contains(keys::object(bucket, key))? {
        promote(view, bucket, key)?;
    }
    Ok(())
}

/// Makes the newest noncurrent version the current object, if it is an object.
pub(super) fn promote(view: &mut View<'_>, bucket: BucketId, key: &[u8]) -> Result<(), ApplyError> {
    let Some((at, newest)) = newest_noncurrent(view, bucket, key)? else { return Ok(()) };
    if let Version::Object(record) = &newest {
        take(view, bucket, key, at, &newest)?;
        let current = keys::object(bucket, key);
        usage::came(view, bucket, &current, record.size)?;
        view.put(current, record.as_ref())?;
    }
    Ok(())
}

/// Removes the record of a version. The caller decides what becomes of its bytes.
pub(super) fn take(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    at: Vec<u8>,
    version: &Version,
) -> Result<(), ApplyError> {
    if is_said_apart(version) {
        view.remove(keys::null_version(bucket, key))?;
    }
    if let Some(size) = usage::size_of_version(version) {
        usage::went(view, bucket, &at, size)?;
    }
    view.remove(at)
}

/// Deletes the noncurrent null version for good, if there is one.
fn remove_null(view: &mut View<'_>, bucket: BucketId, key: &[u8]) -> Result<(), ApplyError> {
    let said: Option<NullVersion> = view.get(keys::null_version(bucket, key))?;
    let at = keys::version(bucket, key, said.map_or(0, |said| said.0));
    let Some(version) = view.get::<Version>(at.clone())? else { return Ok(()) };
    take(view, bucket, key, at, &version)?;
    match &version {
        Version::Object(record) => release(view, bucket, key, record),
        Version::DeleteMarker(_) => Ok(()),
    }
}

/// Whether a separate key records which entry committed this noncurrent version.
fn is_said_apart(version: &Version) -> bool {
    version.id() == VersionId::NULL && version.committed() > 0
}

/// Releases the bytes of a version, which then have no owner.
pub(super) fn release(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    record: &ObjectRecord,
) -> Result<(), ApplyError> {
    tiers::leave_reviews(view, bucket, key, record)?;
    match &record.body {
        Body::Blob(blob) => bodies::release(view, blob),
        Body::Parts { upload, .. } => uploads::drop_parts(view, *upload, Vec::new()),
    }
}
