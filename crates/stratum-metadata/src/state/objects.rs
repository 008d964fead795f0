//! Objects: what stands under a key, and the conditions on replacing it.

use super::view::View;
use super::{ApplyError, Step, bodies, buckets, tiers, uploads};
use crate::command::{Match, Outcome, Refusal, WriteCondition};
use crate::keys;
use crate::record::{Body, BucketId, ETag, ObjectRecord, Owner};
use stratum_storage::blob::Index;

pub(super) fn put(
    view: &mut View<'_>,
    index: Index,
    bucket: BucketId,
    key: Vec<u8>,
    mut record: ObjectRecord,
    condition: &WriteCondition,
) -> Step {
    buckets::require(view, bucket)?;
    let current = current(view, bucket, &key)?;
    check(condition, current.as_ref())?;
    if let Body::Blob(blob) = &mut record.body {
        bodies::settle(blob, index);
        bodies::check(view, blob)?;
    }
    replace(view, bucket, key, current, &record)?;
    Ok(Outcome::Object(Box::new(record)))
}

/// Of a key that holds nothing this is no error, whatever the condition says: that is how S3 answers.
pub(super) fn delete(view: &mut View<'_>, bucket: BucketId, key: &[u8], condition: &WriteCondition) -> Step {
    buckets::require(view, bucket)?;
    let Some(current) = current(view, bucket, key)? else {
        return Ok(Outcome::Deleted { existed: false });
    };
    check(condition, Some(&current))?;
    release(view, bucket, key, &current)?;
    view.remove(keys::object(bucket, key))?;
    Ok(Outcome::Deleted { existed: true })
}

pub(super) fn current(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
) -> Result<Option<ObjectRecord>, ApplyError> {
    view.get(keys::object(bucket, key))
}

/// Writes the record in place of the current one, whose bytes become garbage. Nothing is refused from here on.
pub(super) fn replace(
    view: &mut View<'_>,
    bucket: BucketId,
    key: Vec<u8>,
    current: Option<ObjectRecord>,
    record: &ObjectRecord,
) -> Result<(), ApplyError> {
    if let Some(current) = current {
        release(view, bucket, &key, &current)?;
    }
    view.put(keys::object(bucket, &key), record)?;
    tiers::enter_reviews(view, bucket, &key, record)?;
    if let Body::Blob(blob) = &record.body {
        bodies::claim(view, &Owner::object(bucket, key, record), blob)?;
    }
    Ok(())
}

fn release(
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

/// Evaluates a condition on what stands under the key now.
pub(super) fn check(condition: &WriteCondition, current: Option<&ObjectRecord>) -> Step<()> {
    match (&condition.if_match, current) {
        (Some(_), None) => return Err(Refusal::NoSuchKey.into()),
        (Some(wanted), Some(current)) if !matches(wanted, current.etag) => {
            return Err(Refusal::PreconditionFailed.into());
        }
        _ => {}
    }
    let unwanted = |current: &ObjectRecord| {
        condition.if_none_match.as_ref().is_some_and(|unwanted| matches(unwanted, current.etag))
            || condition.if_modified_at.is_some_and(|seconds| current.modified / 1_000 != seconds)
            || condition.if_size.is_some_and(|size| current.size != size)
    };
    match current {
        Some(current) if unwanted(current) => Err(Refusal::PreconditionFailed.into()),
        _ => Ok(()),
    }
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
