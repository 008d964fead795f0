//! Finds the record that a body belongs to, wherever the record lies by now: the one way from an [`Owner`], or from a
//! version's id, to a key.

use crate::keys;
use crate::record::{
    Body, BucketId, DecodeError, NullVersion, ObjectRecord, ObjectSummary, Owner, PartRecord, Version,
    VersionId, decode,
};
use crate::tree::Value;
use stratum_storage::blob::{BlobRef, Extent, Index, Place};

/// The record of an owner.
pub(crate) enum Owned {
    Current(ObjectRecord),
    NonCurrent(ObjectRecord),
    Part(PartRecord),
}

/// A version, the key under which it lies, and whether it is the current object.
pub(crate) struct Found {
    pub(crate) at: Vec<u8>,
    pub(crate) version: Version,
    pub(crate) is_current: bool,
}

/// The version of a key with this id.
pub(crate) fn by_id<E: From<DecodeError>>(
    bucket: BucketId,
    key: &[u8],
    id: VersionId,
    mut get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<Found>, E> {
    let current = keys::object(bucket, key);
    if let Some(value) = get(&current)?
        && decode::<ObjectSummary>(&value)?.version == id
    {
        let version = Version::Object(Box::new(decode(&value)?));
        return Ok(Some(Found { at: current, version, is_current: true }));
    }
    let committed = match id.entry() {
        Some(entry) => entry,
        // If no entry is recorded for the null version, no entry committed it: it is older than its bucket's
        // versioning.
        None => match get(&keys::null_version(bucket, key))? {
            Some(value) => decode::<NullVersion>(&value)?.0,
            None => 0,
        },
    };
    let at = keys::version(bucket, key, committed);
    let Some(value) = get(&at)? else { return Ok(None) };
    let version: Version = decode(&value)?;
    Ok((version.id() == id).then_some(Found { at, version, is_current: false }))
}

/// The current object of a key.
pub(crate) fn current<E: From<DecodeError>>(
    bucket: BucketId,
    key: &[u8],
    mut get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<Found>, E> {
    let at = keys::object(bucket, key);
    let Some(value) = get(&at)? else { return Ok(None) };
    let version = Version::Object(Box::new(decode(&value)?));
    Ok(Some(Found { at, version, is_current: true }))
}

/// The record of that owner and the key under which it lies; `None` if the owner is gone.
pub(crate) fn find<E: From<DecodeError>>(
    owner: &Owner,
    mut get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<(Vec<u8>, Owned)>, E> {
    match owner {
        Owner::Object { bucket, key, version, committed } => {
            let is_owners =
                |record: &ObjectRecord| (record.version, record.committed) == (*version, *committed);
            version_of(*bucket, key, [*committed], is_owners, get)
        }
        Owner::Part { upload, number } => {
            let key = keys::part(*upload, *number);
            let part = get(&key)?.map(|value| decode(&value)).transpose()?;
            Ok(part.map(|part| (key, Owned::Part(part))))
        }
    }
}

/// Whether the owner is there and names that extent.
pub(crate) fn names<E: From<DecodeError>>(
    owner: &Owner,
    extent: &Extent,
    get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<bool, E> {
    let Some((_, mut owned)) = find(owner, get)? else { return Ok(false) };
    let place = owned.blob().map(|blob| &blob.place);
    Ok(matches!(place, Some(Place::Extents(extents)) if extents.contains(extent)))
}

/// The version of a key that holds the body at that place, which entry `entry` brought; `None` if it was overwritten
/// or deleted since. The entry's command doesn't say which version it became, since `apply` gives a version its
/// order.
pub(crate) fn holder<E: From<DecodeError>>(
    place: &Place,
    entry: Index,
    bucket: BucketId,
    key: &[u8],
    get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<ObjectRecord>, E> {
    let holds = |record: &ObjectRecord| matches!(&record.body, Body::Blob(blob) if blob.place == *place);
    // Either that entry committed the version, or none did, since the bucket wasn't versioned then.
    Ok(match version_of(bucket, key, [entry, 0], holds, get)? {
        Some((_, Owned::Current(record) | Owned::NonCurrent(record))) => Some(record),
        _ => None,
    })
}

/// The version of a key that one of these entries committed and for which `holds` is true.
fn version_of<E: From<DecodeError>>(
    bucket: BucketId,
    key: &[u8],
    committed: impl IntoIterator<Item = Index>,
    is_meant: impl Fn(&ObjectRecord) -> bool,
    mut get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<(Vec<u8>, Owned)>, E> {
    let current = keys::object(bucket, key);
    if let Some(value) = get(&current)? {
        let record: ObjectRecord = decode(&value)?;
        if is_meant(&record) {
            return Ok(Some((current, Owned::Current(record))));
        }
        // This version is older than all that come after versioning is enabled. As it is the current one, there are
        // no others.
        if record.committed == 0 {
            return Ok(None);
        }
    }
    for entry in committed {
        let version = keys::version(bucket, key, entry);
        if let Some(value) = get(&version)?
            && let Version::Object(record) = decode(&value)?
            && is_meant(&record)
        {
            return Ok(Some((version, Owned::NonCurrent(*record))));
        }
    }
    Ok(None)
}

impl Owned {
    /// The record's one blob; `None` for an object that is made of parts.
    pub(crate) fn blob(&mut self) -> Option<&mut BlobRef> {
        match self {
            Owned::Part(part) => Some(&mut part.blob),
            Owned::Current(record) | Owned::NonCurrent(record) => match &mut record.body {
                Body::Blob(blob) => Some(blob),
                Body::Parts { .. } => None,
            },
        }
    }
}
