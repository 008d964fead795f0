//! The owners of bytes in a stripe or in the journal, for messages about losses and for counting them.

use crate::buckets;
use crate::keys::{self, Tag};
use crate::machine::{Machine, ReadError};
use crate::record::{Body, BucketId, ObjectRecord, Owner, PartRecord, UploadId, Version, VersionId, decode};
use crate::space;
use crate::tree::Value;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use stratum_storage::blob::{BlobRef, Extent, Geometry, Index, Place, VolumeId};
use stratum_storage::format::layout::stripes_of;

/// The owners of bytes in these stripes, in words for people. Goes over all objects and parts.
pub(crate) fn owners_in(
    machine: &Machine,
    stripes: &HashSet<(VolumeId, u64)>,
) -> Result<Vec<String>, ReadError> {
    let mut owners = Vec::new();
    let is_among =
        |piece| matches!(piece, Piece::Stripe(volume, offset) if stripes.contains(&(volume, offset)));
    each_owner_in(machine, &is_among, |owner| owners.push(owner))?;
    let uploads = owners.iter().filter_map(|owner| match owner {
        Owner::Part { upload, .. } => Some(*upload),
        Owner::Object { .. } => None,
    });
    let (buckets, objects) = (bucket_names(machine)?, made_of(machine, &uploads.collect())?);
    let words = |bucket: BucketId, key: &[u8], version: VersionId| {
        object_in_words(buckets.get(&bucket).map(String::as_str), bucket, key, version)
    };
    let named = |owner: &Owner| match owner {
        Owner::Object { bucket, key, version, .. } => words(*bucket, key, *version),
        Owner::Part { upload, number } => match objects.get(upload) {
            Some((bucket, key)) => format!("{} (part {number})", words(*bucket, key, VersionId::NULL)),
            None => owner.to_string(),
        },
    };
    Ok(owners.iter().map(named).collect())
}

/// The owner in words for people, with its bucket's name if that can be read. `get` reads a key of the state.
pub(crate) fn in_words(owner: &Owner, get: impl FnMut(&[u8]) -> Result<Option<Value>, ReadError>) -> String {
    let Owner::Object { bucket, key, version, .. } = owner else { return owner.to_string() };
    let known = buckets::by_id(*bucket, get).ok().flatten();
    object_in_words(known.as_ref().map(|bucket| bucket.name.as_str()), *bucket, key, *version)
}

fn object_in_words(name: Option<&str>, bucket: BucketId, key: &[u8], version: VersionId) -> String {
    let key = String::from_utf8_lossy(key);
    let object = match name {
        Some(name) => format!("the object \"{}\" in {name}", key.escape_debug()),
        None => format!("the object \"{}\" of bucket {}", key.escape_debug(), bucket.0),
    };
    match version {
        VersionId::NULL => object,
        version => format!("{object} (version {version})"),
    }
}

fn bucket_names(machine: &Machine) -> Result<HashMap<BucketId, String>, ReadError> {
    let mut names = HashMap::new();
    machine.scan(&keys::start_of(Tag::BucketById), &keys::end_of(Tag::BucketById), |key, value| {
        names.extend(keys::parse_bucket_by_id(key).zip(buckets::name_of(value).ok()));
        ControlFlow::Continue(())
    })?;
    Ok(names)
}

/// The objects that were made of these uploads. Goes over all objects, unless `uploads` is empty.
fn made_of(
    machine: &Machine,
    uploads: &HashSet<UploadId>,
) -> Result<HashMap<UploadId, (BucketId, Vec<u8>)>, ReadError> {
    let mut made = HashMap::new();
    if uploads.is_empty() {
        return Ok(made);
    }
    machine.scan(&keys::start_of(Tag::Object), &keys::end_of(Tag::Version), |key, value| {
        if let Some((bucket, key, ObjectRecord { body: Body::Parts { upload, .. }, .. })) =
            version(key, value)
            && uploads.contains(&upload)
        {
            made.insert(upload, (bucket, key));
        }
        ControlFlow::Continue(())
    })?;
    Ok(made)
}

/// A stripe or an entry that holds bytes of objects or parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A stripe of a volume, by offset.
    Stripe(VolumeId, u64),
    /// An entry of the journal.
    Entry(Index),
}

/// Calls `see` with every owner of bytes in pieces for which `is_among` is true. Goes over all objects and parts.
pub(crate) fn each_owner_in(
    machine: &Machine,
    is_among: &dyn Fn(Piece) -> bool,
    mut see: impl FnMut(Owner),
) -> Result<(), ReadError> {
    let volumes = space::records(machine)?.into_iter();
    let geometries: HashMap<VolumeId, Geometry> =
        volumes.map(|record| (record.id, record.geometry)).collect();
    machine.scan(&keys::start_of(Tag::Object), &keys::end_of(Tag::Part), |key, value| {
        if let Some((owner, blob)) = owned(key, value)
            && touches(&blob, is_among, &geometries)
        {
            see(owner);
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

/// A current object or noncurrent version, with its bucket and key.
fn version(key: &[u8], value: &[u8]) -> Option<(BucketId, Vec<u8>, ObjectRecord)> {
    if keys::is(Tag::Object, key) {
        let (bucket, object) = keys::parse_object(key)?;
        return Some((bucket, object.to_vec(), decode(value).ok()?));
    }
    let (bucket, object, _) = keys::parse_version(key).filter(|_| keys::is(Tag::Version, key))?;
    match decode(value).ok()? {
        Version::Object(record) => Some((bucket, object, *record)),
        Version::DeleteMarker(_) => None,
    }
}

/// The blob in an object's or a part's record, and its owner.
fn owned(key: &[u8], value: &[u8]) -> Option<(Owner, BlobRef)> {
    if keys::is(Tag::Part, key) {
        let upload = UploadId(u128::from_be_bytes(key.get(1..17)?.try_into().ok()?));
        let part: PartRecord = decode(value).ok()?;
        return Some((Owner::Part { upload, number: part.number }, part.blob));
    }
    let (bucket, key, record) = version(key, value)?;
    let owner = Owner::object(bucket, key, &record);
    match record.body {
        Body::Blob(blob) => Some((owner, blob)),
        Body::Parts { .. } => None,
    }
}

fn touches(
    blob: &BlobRef,
    is_among: &dyn Fn(Piece) -> bool,
    geometries: &HashMap<VolumeId, Geometry>,
) -> bool {
    let extent = |extent: &Extent| {
        geometries.get(&extent.volume).is_some_and(|geometry| {
            stripes_of(*geometry, extent).any(|(offset, _)| is_among(Piece::Stripe(extent.volume, offset)))
        })
    };
    match &blob.place {
        Place::Packed(at) => is_among(Piece::Stripe(at.volume, at.stripe)),
        Place::Extents(extents) => extents.iter().any(extent),
        Place::Journal { index, .. } => is_among(Piece::Entry(*index)),
        Place::Empty | Place::ThisEntry { .. } => false,
    }
}
