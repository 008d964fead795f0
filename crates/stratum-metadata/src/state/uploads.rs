//! Multipart uploads: parts are records of their own, before and after the upload is completed.

use super::view::View;
use super::{ApplyError, Step, bodies, buckets, objects};
use crate::command::{CompletedPart, Outcome, Refusal, WriteCondition};
use crate::keys::{self, DueKind};
use crate::record::{
    BucketId, Completion, Dropped, ETag, ObjectRecord, Owner, PartRecord, StoredUpload, UploadId,
    UploadRecord, decode,
};
use std::ops::ControlFlow;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

pub(super) fn create(
    view: &mut View<'_>,
    upload: UploadId,
    record: UploadRecord,
    expires: UnixMillis,
) -> Step {
    buckets::require(view, record.bucket)?;
    view.put(keys::upload_by_key(record.bucket, &record.key, upload), &())?;
    view.put(keys::due(expires, DueKind::Upload, upload), &())?;
    view.put(keys::upload(upload), &StoredUpload { record, expires })?;
    Ok(Outcome::Done)
}

/// Stores a part; one that was there under the same number is replaced.
pub(super) fn put_part(
    view: &mut View<'_>,
    index: Index,
    bucket: BucketId,
    upload: UploadId,
    mut part: PartRecord,
) -> Step {
    buckets::require(view, bucket)?;
    require(view, bucket, None, upload)?;
    bodies::settle(&mut part.blob, index);
    bodies::check(view, &part.blob)?;
    let key = keys::part(upload, part.number);
    if let Some(replaced) = view.get::<PartRecord>(key.clone())? {
        bodies::release(view, &replaced.blob)?;
    }
    view.put(key, &part)?;
    bodies::claim(view, &Owner::Part { upload, number: part.number }, &part.blob)?;
    Ok(Outcome::Part { etag: ETag::Md5(part.md5) })
}

/// A `CompleteUpload`, its condition apart.
pub(super) struct Complete {
    pub(super) bucket: BucketId,
    pub(super) key: Vec<u8>,
    pub(super) upload: UploadId,
    pub(super) parts: Vec<CompletedPart>,
    pub(super) record: ObjectRecord,
    pub(super) remember_until: UnixMillis,
}

/// The object takes the upload's place; parts that it doesn't name become garbage.
pub(super) fn complete(view: &mut View<'_>, complete: Complete, condition: &WriteCondition) -> Step {
    let Complete { bucket, key, upload, parts, record, remember_until } = complete;
    buckets::require(view, bucket)?;
    let stored = require(view, bucket, Some(&key), upload)?;
    let current = objects::current(view, bucket, &key)?;
    objects::check(condition, current.as_ref())?;
    let spare = compare_parts(view, upload, &parts)?;

    let numbers: Vec<u16> = parts.iter().map(|part| part.number).collect();
    forget(view, upload, &stored)?;
    if spare {
        drop_parts(view, upload, numbers.clone())?;
    }
    let completion = Completion {
        bucket,
        key: key.clone(),
        version: record.version,
        etag: record.etag,
        checksum: record.checksum.clone(),
        parts: numbers,
        remember_until,
    };
    view.put(keys::completion(upload), &completion)?;
    view.put(keys::due(remember_until, DueKind::Completion, upload), &())?;
    objects::replace(view, bucket, key, current, &record)?;
    Ok(Outcome::Object(Box::new(record)))
}

/// Refuses parts that are no longer what the proposer read; says whether there are others beside them.
fn compare_parts(view: &View<'_>, upload: UploadId, parts: &[CompletedPart]) -> Step<bool> {
    let mut named = parts.iter().peekable();
    let mut spare = false;
    let mut changed = false;
    let range = keys::parts_of(upload);
    view.scan(&range, &keys::end_of_prefix(&range), |_, value| {
        let part: PartRecord = decode(value)?;
        match named.next_if(|named| named.number == part.number) {
            Some(named) => changed |= named.size != part.size || named.md5 != part.md5,
            None => spare = true,
        }
        Ok(if changed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if changed || named.next().is_some() { Err(Refusal::UploadChanged.into()) } else { Ok(spare) }
}

pub(super) fn abort(view: &mut View<'_>, bucket: BucketId, key: &[u8], upload: UploadId) -> Step {
    buckets::require(view, bucket)?;
    let stored = require(view, bucket, Some(key), upload)?;
    forget(view, upload, &stored)?;
    drop_parts(view, upload, Vec::new())?;
    Ok(Outcome::Done)
}

/// The upload, if it is one of that bucket (and key).
fn require(
    view: &mut View<'_>,
    bucket: BucketId,
    key: Option<&[u8]>,
    upload: UploadId,
) -> Step<StoredUpload> {
    let stored = view.get::<StoredUpload>(keys::upload(upload))?;
    let fits = |stored: &StoredUpload| {
        stored.record.bucket == bucket && key.is_none_or(|key| stored.record.key == key)
    };
    stored.filter(fits).ok_or(Refusal::NoSuchUpload.into())
}

/// The upload is no longer under way. What becomes of its parts is another matter.
pub(super) fn forget(view: &mut View<'_>, upload: UploadId, stored: &StoredUpload) -> Result<(), ApplyError> {
    view.remove(keys::upload(upload))?;
    view.remove(keys::upload_by_key(stored.record.bucket, &stored.record.key, upload))?;
    view.remove(keys::due(stored.expires, DueKind::Upload, upload))
}

/// All parts but these become garbage: one key now, and the sweep does the rest.
pub(super) fn drop_parts(view: &mut View<'_>, upload: UploadId, keep: Vec<u16>) -> Result<(), ApplyError> {
    view.put(keys::dropped(upload), &Dropped { keep, next: 0 })
}
