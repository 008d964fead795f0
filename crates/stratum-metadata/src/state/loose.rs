//! Applies commands whose predecessors are unknown.
//!
//! This is for a rescue only, after a gap in the journal. `apply` would refuse an object whose bucket or volume was
//! created in the gap. Here the record is kept as it came, and nothing is counted or claimed: the state is only read
//! from then on. Conditions are still checked against what is known, since a write that was refused must not replace
//! one that wasn't.

use super::view::View;
use super::{
    ApplyError, Step, Stop, bodies, buckets, encryption, give_up, identities, locks, objects, relocate,
    versions, volumes,
};
use crate::command::{Command, Deletion, WriteCondition};
use crate::keys;
use crate::owned;
use crate::record::{Body, BucketId, DeleteMarker, ObjectRecord, Version, Versioning};
use stratum_storage::blob::Index;
use stratum_storage::volume::VolumeEvent;

/// Keeps what the command of that entry says of objects, parts, buckets and volumes.
pub(crate) fn apply_loosely(view: &mut View<'_>, index: Index, command: Command) -> Result<(), ApplyError> {
    match keep(view, index, command) {
        Ok(()) | Err(Stop::Refused(_)) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn keep(view: &mut View<'_>, index: Index, command: Command) -> Step<()> {
    match command {
        Command::CreateBucket(new) => drop(buckets::create(view, index, new)?),
        Command::DeleteBucket { bucket } => drop(buckets::delete(view, bucket)?),
        Command::PutObject { bucket, key, mut record, condition } => {
            if let Body::Blob(blob) = &mut record.body {
                bodies::settle(blob, index);
            }
            put(view, index, bucket, &key, record, &condition)?;
        }
        Command::DeleteObject(deletion) => delete(view, index, deletion)?,
        Command::ConfigureBucket { bucket, change } => drop(buckets::configure(view, index, bucket, change)?),
        Command::ConfigureObject { bucket, key, version, change } => {
            drop(objects::configure(view, bucket, &key, version, change)?);
        }
        Command::PutPart { bucket: _, upload, mut part }
        | Command::UploadPart { bucket: _, upload, mut part } => {
            bodies::settle(&mut part.blob, index);
            view.put(keys::part(upload, part.number), &part)?;
        }
        Command::CompleteUpload { bucket, key, record, condition, .. }
        | Command::CompleteMultipartUpload { bucket, key, record, condition, .. } => {
            put(view, index, bucket, &key, record, &condition)?;
        }
        Command::Relocate { stripe: _, moves } => {
            for moved in moves {
                relocate::swap(view, &moved.owner, &moved.from, &moved.to)?;
            }
        }
        Command::RewrapKeys(changes) => drop(encryption::rewrap(view, changes)?),
        Command::ChangeIdentities(changes) => identities::change_anyway(view, index, changes)?,
        // Where a volume lies. What was lost of the volume's earlier events doesn't matter for reading it.
        Command::Volume(
            event @ (VolumeEvent::Opened { .. } | VolumeEvent::Sealed { .. } | VolumeEvent::Uploaded { .. }),
        ) => drop(volumes::event(view, event)?),
        Command::GiveUp(given_up) => drop(give_up::give_up(view, index, given_up)?),
        Command::FollowLifecycle { put, action } => {
            buckets::require_lifecycle(view, action.bucket(), put)?;
            keep(view, index, action.unconditional())?;
        }
        // Uploads under way are not rescued, and garbage may stay.
        Command::CreateUpload { .. }
        | Command::AbortUpload { .. }
        | Command::Sweep { .. }
        | Command::DecideTiers(_)
        | Command::SetQuota { .. }
        | Command::CountUsage { .. }
        | Command::SumUsage { .. }
        | Command::ForgetEvents { .. }
        | Command::SetLevel(_)
        | Command::Reclaim(_)
        | Command::Volume(_) => {}
    }
    Ok(())
}

/// Whether a bucket's objects have versions, as far as it is known.
fn versioning(view: &mut View<'_>, bucket: BucketId) -> Step<Option<Versioning>> {
    match buckets::versioning(view, bucket) {
        Err(Stop::Refused(_)) => Ok(None),
        known => known,
    }
}

fn put(
    view: &mut View<'_>,
    index: Index,
    bucket: BucketId,
    key: &[u8],
    mut record: ObjectRecord,
    condition: &WriteCondition,
) -> Step<()> {
    let (versioning, current) = (versioning(view, bucket)?, objects::current(view, bucket, key)?);
    objects::check(condition, current.as_ref())?;
    versions::commit(&mut record, versioning, index);
    outdate(view, bucket, key, current, versioning)?;
    Ok(view.put(keys::object(bucket, key), &record)?)
}

fn delete(view: &mut View<'_>, index: Index, deletion: Deletion) -> Step<()> {
    let Deletion { bucket, key, version, condition, modified, owner, bypass_governance } = deletion;
    if let Some(version) = version {
        let found = owned::by_id(bucket, &key, version, |key| view.value(key))?;
        let Some(found) = found else { return Ok(()) };
        if let Version::Object(record) = &found.version {
            objects::check(&condition, Some(record))?;
            locks::check_deletion(&record.attributes, modified, bypass_governance)?;
        }
        versions::take(view, bucket, &key, found.at, &found.version)?;
        if !view.contains(keys::object(bucket, &key))? {
            versions::promote(view, bucket, &key)?;
        }
        return Ok(());
    }
    let (versioning, current) = (versioning(view, bucket)?, objects::current(view, bucket, &key)?);
    if current.is_some() {
        objects::check(&condition, current.as_ref())?;
        view.remove(keys::object(bucket, &key))?;
        outdate(view, bucket, &key, current, versioning)?;
    }
    if let Some(versioning) = versioning {
        let version = versions::id(versioning, index);
        let marker = DeleteMarker { version, modified, committed: index, owner };
        versions::put(view, bucket, &key, Version::DeleteMarker(marker))?;
    }
    Ok(())
}

/// Keeps the former current object as a version if the bucket has versions, even beside one with the same id: it is
/// better to rescue too much than too little.
fn outdate(
    view: &mut View<'_>,
    bucket: BucketId,
    key: &[u8],
    current: Option<ObjectRecord>,
    versioning: Option<Versioning>,
) -> Step<()> {
    match current.filter(|_| versioning.is_some()) {
        Some(current) => Ok(versions::put(view, bucket, key, Version::Object(Box::new(current)))?),
        None => Ok(()),
    }
}
