//! Versions of a key that aren't its current object.
//!
//! An object lies under its key while it is current, so that a bucket without versions pays nothing for them. As soon as
//! another comes after it, or a delete marker, it lies among the versions of its key, in the order of the entries that
//! committed them. Delete markers lie there from the beginning, the newest of all as well: a listing of current objects
//! never meets what it would have to pass over.

use super::level::{Level, same_since};
use super::{ObjectRecord, VersionId};
use serde::{Deserialize, Serialize};
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// A version that isn't its key's current object. New variants stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    Object(Box<ObjectRecord>),
    DeleteMarker(DeleteMarker),
}

/// What deleting a key of a versioned bucket leaves. While nothing was committed after it, the key has no current object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteMarker {
    pub version: VersionId,
    /// Chosen before the command was proposed; whole seconds count on the wire.
    pub modified: UnixMillis,
    /// The entry that made it.
    pub committed: Index,
    /// The canonical user id of whoever deleted the key, where that isn't the bucket's owner.
    pub owner: Option<String>,
}

same_since!(Level::SECOND; Version);

impl Version {
    /// The entry that committed it.
    pub fn committed(&self) -> Index {
        match self {
            Version::Object(record) => record.committed,
            Version::DeleteMarker(marker) => marker.committed,
        }
    }
}
