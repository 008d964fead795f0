//! Objects: what is current under a key, and the conditions for replacing it.

use super::view::View;
use super::{ApplyError, Step, bodies, buckets, locks, tiers, usage, versions};
use crate::command::{Condition, Deleted, Deletion, Match, ObjectChange, Outcome, Refusal, WriteCondition};
use crate::keys;
use crate::owned::{self, Found};
use crate::record::{
    Body, BucketId, DeleteMarker, ETag, ObjectRecord, Owner, Version, VersionId, Versioning,
};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

pub(super) fn put(
    view: &mut View<'_>,
    index: Index,
    bucket: BucketId,
    key: Vec<u8>,
    mut record: ObjectRecord,
    condition: &WriteCondition,
) -> Step {
    let versioning = buckets::versioning(view, bucket)?;
    let current = current(view, bucket, &key)?;
    check(condition, current.as_ref())?;
    let goes = current.as_ref().filter(|current| current.gives_way(versioning));
    usage::check_object(view, bucket, record.size, goes, None)?;
    if let Body::Blob(blob) = &mut record.body {
        bodies::settle(blob, index);
        bodies::check(view, blob)?;
    }
    versions::commit(&mut record, versioning, index);
    replace(view, bucket, key, current, versioning, &record)?;
    Ok(Outcome::Object(Box::new(record)))
}

/// Deletes an object or a version. If there is none, that is no error whatever the condition says: so S3 answers.
pub(super) fn delete(view: &mut View<'_>, index: Index, deletion: Deletion) -> Step {
    let deleted = match (buckets::versioning(view, deletion.bucket)?, deletion.version) {
        (_, Some(version)) => delete_version(view, &deletion, version)?,
        (Some(versioning), None) => mark_deleted(view, index, deletion, versioning)?,
        (None, None) => delete_current(view, &deletion)?,
    };
    Ok(Outcome::Deleted(deleted))
}

fn delete_current(view: &mut View<'_>, deletion: &Deletion) -> Step<Deleted> {
    let Deletion { bucket, key, condition, .. } = deletion;
    let Some(current) = current(view, *bucket, key)? else { return Ok(Deleted::Nothing) };
    check(condition, Some(&current))?;
    versions::release(view, *bucket, key, &current)?;
    take_current(view, *bucket, key, &current)?;
    Ok(Deleted::Current)
}

fn mark_deleted(
    view: &mut View<'_>,
    index: Index,
    deletion: Deletion,
    versioning: Versioning,
) -> Step<Deleted> {
    let Deletion { bucket, key, condition, modified, owner, .. } = deletion;
    let current = current(view, bucket, &key)?;
    match &current {
        Some(current) => check(&condition, Some(current))?,
        None if condition == WriteCondition::default() => {}
        None => match versions::newest_noncurrent(view, bucket, &key)? {
            Some((_, Version::DeleteMarker(marker))) => check_marker(&condition, &marker)?,
            // For a key without versions no condition can hold, and there is nothing to delete.
            Some((_, Version::Object(_))) | None => return Ok(Deleted::Nothing),
        },
    }
    if let Some(current) = &current {
        take_current(view, bucket, &key, current)?;
    }
    versions::make_way(view, bucket, &key, current, Some(versioning))?;
    let version = versions::id(versioning, index);
    versions::put(
        view,
        bucket,
        &key,
        Version::DeleteMarker(DeleteMarker { version, modified, committed: index, owner }),
    )?;
    Ok(Deleted::Marked(version))
}

fn delete_version(view: &mut View<'_>, deletion: &Deletion, version: VersionId) -> Step<Deleted> {
    let Deletion { bucket, key, condition, .. } = deletion;
    let found = owned::by_id(*bucket, key, version, |key| view.value(key))?;
    let Some(found) = found else { return Ok(Deleted::Nothing) };
    match &found.version {
        Version::Object(record) => {
            check(condition, Some(record))?;
            locks::check_deletion(&record.attributes, deletion.modified, deletion.bypass_governance)?;
        }
        Version::DeleteMarker(marker) => check_marker(condition, marker)?,
    }
    let deleted = match (&found.version, found.is_current) {
        (Version::DeleteMarker(_), _) => Deleted::Marker,
        (Version::Object(_), true) => Deleted::Current,
        (Version::Object(_), false) => Deleted::NonCurrent,
    };
    versions::remove(view, *bucket, key, found)?;
    Ok(deleted)
}

/// Changes a version in place. Its key and its bytes stay as they are.
pub(super) fn configure(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    version: Option<VersionId>,
    change: ObjectChange,
) -> Step {
    buckets::require(view, bucket)?;
    let found = match version {
        Some(version) => owned::by_id(bucket, key, version, |key| view.value(key))?,
        None => owned::current(bucket, key, |key| view.value(key))?,
    };
    let Some(Found { at, version: Version::Object(mut record), is_current }) = found else {
        return Err(if version.is_some() { Refusal::NoSuchVersion } else { Refusal::NoSuchKey }.into());
    };
    let attributes = &mut record.attributes;
    match change {
        ObjectChange::Tags(tags) => attributes.tags = tags,
        ObjectChange::Acl(grants) => attributes.acl = grants,
        ObjectChange::Retention { retention, now, bypass_governance } => {
            locks::check_retention(attributes, retention, now, bypass_governance)?;
            attributes.retention = retention;
        }
        ObjectChange::LegalHold(hold) => attributes.legal_hold = Some(hold),
        ObjectChange::StorageClass { modified, .. } if modified != record.modified => {
            return Err(Refusal::PreconditionFailed(Condition::ModifiedAt).into());
        }
        ObjectChange::StorageClass { class, .. } => record.storage_class = class,
    }
    match is_current {
        true => view.put(at, record.as_ref())?,
        false => view.put(at, &Version::Object(record.clone()))?,
    }
    Ok(Outcome::Object(record))
}

pub(super) fn current(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
) -> Result<Option<ObjectRecord>, ApplyError> {
    view.get(keys::object(bucket, key))
}

/// Removes the current object's record from under its key. The caller decides what becomes of the object.
fn take_current(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    current: &ObjectRecord,
) -> Result<(), ApplyError> {
    let at = keys::object(bucket, key);
    usage::went(view, bucket, &at, current.size)?;
    view.remove(at)
}

/// Writes the record in place of the current one. Nothing is refused from here on.
pub(super) fn replace(
    view: &mut View<'_>,
    bucket: BucketId,
    key: Vec<u8>,
    current: Option<ObjectRecord>,
    versioning: Option<Versioning>,
    record: &ObjectRecord,
) -> Result<(), ApplyError> {
    let at = keys::object(bucket, &key);
    if let Some(current) = &current {
        usage::went(view, bucket, &at, current.size)?;
    }
    versions::make_way(view, bucket, &key, current, versioning)?;
    usage::came(view, bucket, &at, record.size)?;
    view.put(at, record)?;
    tiers::enter_reviews(view, bucket, &key, record)?;
    if let Body::Blob(blob) = &record.body {
        bodies::claim(view, &Owner::object(bucket, key, record), blob)?;
    }
    Ok(())
}

/// Evaluates a condition on the object that is now under the key.
pub(super) fn check(condition: &WriteCondition, current: Option<&ObjectRecord>) -> Step<()> {
    let Some(current) = current else {
        return if condition.if_match.is_some() { Err(Refusal::NoSuchKey.into()) } else { Ok(()) };
    };
    let is = |etags: &Match| matches(etags, current.etag);
    first_unmet([
        (Condition::IfMatch, condition.if_match.as_ref().is_none_or(is)),
        (Condition::IfNoneMatch, !condition.if_none_match.as_ref().is_some_and(is)),
        (Condition::ModifiedAt, is_modified_at(condition, current.modified)),
        (Condition::Size, condition.if_size.is_none_or(|size| current.size == size)),
    ])
}

/// Evaluates a condition on a delete marker, which exists and has neither an ETag nor a size.
fn check_marker(condition: &WriteCondition, marker: &DeleteMarker) -> Step<()> {
    first_unmet([
        (Condition::IfMatch, !matches!(condition.if_match, Some(Match::ETags(_)))),
        (Condition::IfNoneMatch, !matches!(condition.if_none_match, Some(Match::Any))),
        (Condition::ModifiedAt, is_modified_at(condition, marker.modified)),
        (Condition::Size, condition.if_size.is_none()),
    ])
}

/// Refuses by the first condition that doesn't hold.
fn first_unmet(conditions: [(Condition, bool); 4]) -> Step<()> {
    let unmet = conditions.into_iter().find(|(_, holds)| !holds);
    unmet.map_or(Ok(()), |(condition, _)| Err(Refusal::PreconditionFailed(condition).into()))
}

fn is_modified_at(condition: &WriteCondition, modified: UnixMillis) -> bool {
    condition.if_modified_at.is_none_or(|seconds| modified / 1_000 == seconds)
}

fn matches(wanted: &Match, etag: ETag) -> bool {
    match wanted {
        Match::Any => true,
        Match::ETags(etags) => {
            let etag = etag.to_string();
            etags.contains(&etag)
        }
    }
}
