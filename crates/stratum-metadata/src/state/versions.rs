//! Versions of a key: what makes way for a newer one, and what comes back when that goes.
//!
//! The current object is the newest of its key's versions, unless the newest is a delete marker: then the key has none.
//! So whatever comes moves one record at most among those that aren't current, and whatever goes brings one back at most.

use super::view::View;
use super::{ApplyError, bodies, tiers, uploads, usage};
use crate::keys;
use crate::owned::Found;
use crate::record::{Body, BucketId, NullVersion, ObjectRecord, Version, VersionId, Versioning, decode};
use std::ops::ControlFlow;
use stratum_storage::blob::Index;

/// The id of the version that the entry of that index makes.
pub(super) fn id(versioning: Versioning, index: Index) -> VersionId {
    match versioning {
        Versioning::Enabled => VersionId::of_entry(index),
        Versioning::Suspended => VersionId::NULL,
    }
}

/// Gives a new object its place among the versions of its key. In a bucket that was never versioned it has none.
pub(super) fn commit(record: &mut ObjectRecord, versioning: Option<Versioning>, index: Index) {
    if let Some(versioning) = versioning {
        (record.version, record.committed) = (id(versioning, index), index);
    }
}

/// Whether what is current goes for good when a new version comes.
pub(super) fn goes(current: &ObjectRecord, versioning: Option<Versioning>) -> bool {
    match versioning {
        None => true,
        Some(Versioning::Enabled) => false,
        Some(Versioning::Suspended) => current.version == VersionId::NULL,
    }
}

/// What stands under a key makes way for a new version: it goes for good where that has the same id, and where none are
/// kept, else it joins those that aren't current. What is current is written, or removed, by whoever calls this.
pub(super) fn make_way(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    current: Option<ObjectRecord>,
    versioning: Option<Versioning>,
) -> Result<(), ApplyError> {
    match current {
        Some(current) if goes(&current, versioning) => release(view, bucket, key, &current),
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

/// Puts a version among those that aren't current.
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

/// The newest version of a key that isn't current, and where it lies.
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

/// A version goes for good. Where that leaves its key without a current object, the newest of the others becomes it, unless
/// that is a delete marker.
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
    // Nothing is older than what no entry committed.
    let has_older = version.committed() > 0;
    if has_older && !view.contains(keys::object(bucket, key))? {
        promote(view, bucket, key)?;
    }
    Ok(())
}

/// The newest of the versions that aren't current becomes current, if it is an object.
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

/// Takes a version from where it lies. Its bytes are another matter.
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

/// The null version goes for good, if there is one that isn't current.
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

/// Whether it stands under a key of its own which entry committed a version that isn't current.
fn is_said_apart(version: &Version) -> bool {
    version.id() == VersionId::NULL && version.committed() > 0
}

/// Nobody names the bytes of a version any more.
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
