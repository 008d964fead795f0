//! Multipart uploads: parts are records of their own, before and after the upload is completed.

use super::view::View;
use super::{ApplyError, Step, bodies, buckets, objects, usage, versions};
use crate::command::{CompletedPart, Outcome, Refusal, WriteCondition};
use crate::keys::{self, DueKind};
use crate::record::{
    Body, BucketId, Completion, Dropped, ETag, LastPart, ObjectRecord, Owner, PartRecord, StoredUpload,
    UploadId, UploadRecord, Versioning, decode,
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

/// Stores a part; an earlier part with the same number is replaced.
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
    let key = keys::part(upload, part.number);
    let replaced = view.get::<PartRecord>(key.clone())?;
    let size = replaced.as_ref().map(|replaced| replaced.size);
    usage::check_part(view, bucket, part.size, size)?;
    bodies::check(view, &part.blob)?;
    if let Some(replaced) = replaced {
        bodies::release(view, &replaced.blob)?;
    }
    usage::part_came(view, bucket, upload, part.size, size)?;
    view.put(key, &part)?;
    bodies::claim(view, &Owner::Part { upload, number: part.number }, &part.blob)?;
    Ok(Outcome::Part { etag: ETag::Md5(part.md5) })
}

/// [`put_part`], and keeps with the upload that its last part came with this entry.
pub(super) fn upload_part(
    view: &mut View<'_>,
    index: Index,
    bucket: BucketId,
    upload: UploadId,
    part: PartRecord,
) -> Step {
    let outcome = put_part(view, index, bucket, upload, part)?;
    view.put(keys::last_part(upload), &LastPart(index))?;
    Ok(outcome)
}

/// The object that an upload is to become.
pub(super) struct Completed {
    pub(super) bucket: BucketId,
    pub(super) key: Vec<u8>,
    pub(super) upload: UploadId,
    pub(super) record: ObjectRecord,
    pub(super) remember_until: UnixMillis,
}

/// Completes an upload, if no part came since the proposer read the parts. Apart from the record's own length, the
/// cost doesn't depend on how many there are.
pub(super) fn complete(
    view: &mut View<'_>,
    index: Index,
    object: Completed,
    condition: &WriteCondition,
    last_part: Option<LastPart>,
    has_spare: bool,
) -> Step {
    let upload = object.upload;
    let replaced = completable(view, &object, condition)?;
    if view.get::<LastPart>(keys::last_part(upload))? != last_part {
        return Err(Refusal::UploadChanged.into());
    }
    let numbers = match &object.record.body {
        Body::Parts { upload: of, parts } if *of == upload => parts.iter().map(|part| part.number).collect(),
        // An object that isn't made of the upload's parts can't complete it.
        _ => return Err(Refusal::NoSuchUpload.into()),
    };
    finish(view, index, object, replaced, numbers, has_spare)
}

/// [`complete`] as earlier servers proposed it: each part is compared with what the proposer read of it.
pub(super) fn complete_comparing(
    view: &mut View<'_>,
    index: Index,
    object: Completed,
    condition: &WriteCondition,
    parts: &[CompletedPart],
) -> Step {
    let replaced = completable(view, &object, condition)?;
    let has_spare = compare_parts(view, object.upload, parts)?;
    let numbers = parts.iter().map(|part| part.number).collect();
    finish(view, index, object, replaced, numbers, has_spare)
}

/// What a completed object replaces.
struct Replaced {
    upload: StoredUpload,
    current: Option<ObjectRecord>,
    /// Whether the bucket's objects have versions.
    versioning: Option<Versioning>,
}

/// The upload that is to become the object, and what is under its key now.
fn completable(view: &mut View<'_>, object: &Completed, condition: &WriteCondition) -> Step<Replaced> {
    let versioning = buckets::versioning(view, object.bucket)?;
    let upload = require(view, object.bucket, Some(&object.key), object.upload)?;
    let current = objects::current(view, object.bucket, &object.key)?;
    objects::check(condition, current.as_ref())?;
    let goes = current.as_ref().filter(|current| current.gives_way(versioning));
    usage::check_object(view, object.bucket, object.record.size, goes, Some(object.upload))?;
    Ok(Replaced { upload, current, versioning })
}

/// Replaces the upload by the object; parts that the object doesn't name become garbage.
fn finish(
    view: &mut View<'_>,
    index: Index,
    object: Completed,
    replaced: Replaced,
    numbers: Vec<u16>,
    has_spare: bool,
) -> Step {
    let Completed { bucket, key, upload, mut record, remember_until } = object;
    forget(view, upload, &replaced.upload)?;
    if has_spare {
        drop_parts(view, upload, numbers.clone())?;
    }
    versions::commit(&mut record, replaced.versioning, index);
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
    objects::replace(view, bucket, key, replaced.current, replaced.versioning, &record)?;
    Ok(Outcome::Object(Box::new(record)))
}

/// Refuses if a part is no longer what the proposer read; says whether the upload has further parts.
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

/// The upload, if it belongs to that bucket (and key).
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

/// Removes the upload's record and keys. The caller decides what becomes of its parts.
pub(super) fn forget(view: &mut View<'_>, upload: UploadId, stored: &StoredUpload) -> Result<(), ApplyError> {
    usage::upload_went(view, stored.record.bucket, upload)?;
    view.remove(keys::upload(upload))?;
    view.remove(keys::last_part(upload))?;
    view.remove(keys::upload_by_key(stored.record.bucket, &stored.record.key, upload))?;
    view.remove(keys::due(stored.expires, DueKind::Upload, upload))
}

/// Makes all parts but these garbage: that takes one key now, and the sweep does the rest.
pub(super) fn drop_parts(view: &mut View<'_>, upload: UploadId, keep: Vec<u16>) -> Result<(), ApplyError> {
    view.put(keys::dropped(upload), &Dropped { keep, next: 0 })
}
