//! Buckets: a name, an owner, and the number that stands for them in all other keys.

use super::view::View;
use super::{ApplyError, Step, usage};
use crate::buckets::{by_id, by_name, configuration_of, name_of};
use crate::command::{BucketChange, NewBucket, Outcome, Refusal};
use crate::keys;
use crate::record::{BucketId, BucketRecord, DocumentKind, HighestIds, Level, Versioning};
use std::ops::ControlFlow;
use stratum_storage::blob::Index;

pub(super) fn create(view: &mut View<'_>, index: Index, new: NewBucket) -> Step {
    if let Some(existing) = by_name(new.name.as_bytes(), |key| view.value(key))? {
        return Err(Refusal::BucketExists { owner: existing.owner }.into());
    }
    let highest = view.get::<HighestIds>(keys::highest_ids())?.unwrap_or_default();
    let record = id_for(view, &new, highest)?.map(|id| new.with_id(id));
    // Without an id: 2^64 buckets have been created.
    let record = record.ok_or(Refusal::NoSuchBucket)?;
    put(view, &record)?;
    view.put(keys::bucket_by_owner(&record.owner, &record.name), &())?;
    let bucket = highest.bucket.max(record.id.0);
    view.put(keys::highest_ids(), &HighestIds { bucket, ..highest })?;
    usage::begin(view, index, record.id, &record.owner)?;
    Ok(Outcome::Bucket(Box::new(record)))
}

/// Writes what lies under the bucket's name and id at the state's level, in place of what an earlier level wrote.
fn put(view: &mut View<'_>, record: &BucketRecord) -> Result<(), ApplyError> {
    let (under_name, under_id) =
        (keys::bucket_by_name(record.name.as_bytes()), keys::bucket_by_id(record.id));
    match view.level()? {
        Level::FIRST => {
            view.put(under_name, record)?;
            view.put(under_id, &record.name)
        }
        _ => {
            view.put(under_name, &record.id)?;
            view.put(under_id, record)
        }
    }
}

pub(super) fn configure(view: &mut View<'_>, index: Index, bucket: BucketId, change: BucketChange) -> Step {
    let record = by_id(bucket, |key| view.value(key))?;
    let mut record = record.ok_or(Refusal::NoSuchBucket)?;
    let configuration = &mut record.configuration;
    match change {
        BucketChange::Versioning(Versioning::Suspended) if configuration.object_lock.is_some() => {
            return Err(Refusal::BucketState.into());
        }
        BucketChange::Versioning(versioning) => configuration.versioning = Some(versioning),
        BucketChange::ObjectLock(_) if configuration.versioning != Some(Versioning::Enabled) => {
            return Err(Refusal::BucketState.into());
        }
        BucketChange::ObjectLock(lock) => configuration.object_lock = Some(lock),
        BucketChange::Tags(tags) => configuration.tags = tags,
        BucketChange::Acl(grants) => configuration.acl = grants,
        BucketChange::Ownership(ownership) => configuration.ownership = ownership,
        BucketChange::PublicAccess(block) => configuration.public_access = block,
        BucketChange::Document { kind, document: Some(document) } => {
            configuration.documents.insert(kind, index);
            view.put(keys::bucket_document(bucket, kind), &document)?;
        }
        BucketChange::Document { kind, document: None } => {
            configuration.documents.remove(&kind);
            view.remove(keys::bucket_document(bucket, kind))?;
        }
        BucketChange::Encryption(encryption) => configuration.encryption = encryption,
    }
    put(view, &record)?;
    Ok(Outcome::Bucket(Box::new(record)))
}

/// The number of a new bucket: never one that another bucket has, whoever chose it.
fn id_for(view: &mut View<'_>, new: &NewBucket, highest: HighestIds) -> Step<Option<BucketId>> {
    if let (Level::FIRST, Some(chosen)) = (view.level()?, new.chosen) {
        let is_taken =
            view.contains(keys::bucket_by_id(chosen))? || view.contains(keys::deleted_bucket(chosen))?;
        if !is_taken {
            return Ok(Some(chosen));
        }
    }
    Ok(highest.bucket.checked_add(1).map(BucketId))
}

/// Deletes a bucket. Refused while it holds objects or versions; its uploads under way don't prevent it, and are
/// swept.
pub(super) fn delete(view: &mut View<'_>, bucket: BucketId) -> Step {
    let Some(under_id) = view.value(&keys::bucket_by_id(bucket))? else {
        return Err(Refusal::NoSuchBucket.into());
    };
    let name = name_of(&under_id)?;
    if holds_any(view, &keys::objects_of(bucket))? || holds_any(view, &keys::versions_in(bucket))? {
        return Err(Refusal::BucketNotEmpty.into());
    }
    if holds_any(view, &keys::uploads_of(bucket))? {
        view.put(keys::deleted_bucket(bucket), &())?;
    }
    usage::end(view, bucket)?;
    if let Some(record) = by_id(bucket, |key| view.value(key))? {
        view.remove(keys::bucket_by_owner(&record.owner, &name))?;
        for kind in record.configuration.documents.into_keys() {
            view.remove(keys::bucket_document(bucket, kind))?;
        }
    }
    view.remove(keys::bucket_by_name(name.as_bytes()))?;
    view.remove(keys::bucket_by_id(bucket))?;
    Ok(Outcome::Done)
}

/// Refuses a command on a bucket that doesn't exist.
pub(super) fn require(view: &mut View<'_>, bucket: BucketId) -> Step<()> {
    if view.contains(keys::bucket_by_id(bucket))? { Ok(()) } else { Err(Refusal::NoSuchBucket.into()) }
}

/// Refuses what a bucket's lifecycle asked for, unless the lifecycle is still the one that entry `put` put.
pub(super) fn require_lifecycle(view: &mut View<'_>, bucket: BucketId, put: Index) -> Step<()> {
    let Some(under_id) = view.value(&keys::bucket_by_id(bucket))? else {
        return Err(Refusal::NoSuchBucket.into());
    };
    let documents = configuration_of(&under_id)?.documents;
    match documents.get(&DocumentKind::Lifecycle) {
        Some(now) if *now == put => Ok(()),
        _ => Err(Refusal::LifecycleChanged.into()),
    }
}

/// As [`require`]; also returns whether the bucket's objects have versions.
pub(super) fn versioning(view: &mut View<'_>, bucket: BucketId) -> Step<Option<Versioning>> {
    match view.value(&keys::bucket_by_id(bucket))? {
        Some(under_id) => Ok(configuration_of(&under_id)?.versioning),
        None => Err(Refusal::NoSuchBucket.into()),
    }
}

fn holds_any(view: &View<'_>, prefix: &[u8]) -> Step<bool> {
    let mut found = false;
    view.scan(prefix, &keys::end_of_prefix(prefix), |_, _| {
        found = true;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}
