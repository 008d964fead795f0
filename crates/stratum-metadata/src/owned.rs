//! The record that a body belongs to, wherever it lies by now.

use crate::keys::{self, Tag};
use crate::record::{Body, DecodeError, ObjectRecord, Owner, PartRecord, Version, decode};
use crate::tree::Value;
use stratum_storage::blob::BlobRef;

/// An owner's record.
pub(crate) enum Owned {
    Current(ObjectRecord),
    NonCurrent(ObjectRecord),
    Part(PartRecord),
}

/// The record of that owner and the key under which it lies, if the owner is still there.
pub(crate) fn find<E: From<DecodeError>>(
    owner: &Owner,
    mut get: impl FnMut(&[u8]) -> Result<Option<Value>, E>,
) -> Result<Option<(Vec<u8>, Owned)>, E> {
    for key in keys::of_owner(owner) {
        let Some(value) = get(&key)? else { continue };
        if let Some(owned) = Owned::read(owner, &key, &value)? {
            return Ok(Some((key, owned)));
        }
    }
    Ok(None)
}

impl Owned {
    /// What lies under a key of the owner, if it is the owner's.
    fn read(owner: &Owner, key: &[u8], value: &[u8]) -> Result<Option<Owned>, DecodeError> {
        let Owner::Object { version, committed, .. } = owner else {
            return Ok(Some(Owned::Part(decode(value)?)));
        };
        let is_owners = |record: &ObjectRecord| (record.version, record.committed) == (*version, *committed);
        if keys::is(Tag::Object, key) {
            return Ok(Some(decode(value)?).filter(is_owners).map(Owned::Current));
        }
        Ok(match decode(value)? {
            Version::Object(record) => Some(record).filter(is_owners).map(Owned::NonCurrent),
            Version::DeleteMarker(_) => None,
        })
    }

    /// Its one blob; an object that is made of parts has none.
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
