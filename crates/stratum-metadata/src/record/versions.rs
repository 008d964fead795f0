//! Noncurrent versions of a key.
//!
//! A current object lies under its key, so a bucket without versions pays nothing for them. When another version or a
//! delete marker replaces it, its record moves to the noncurrent versions of its key, in the order of the entries
//! that committed them. Delete markers lie there from the beginning, even one that is the newest version, so that a
//! listing of current objects never has to skip one.

use super::level::{Level, same_since};
use super::{ObjectRecord, ObjectSummary, VersionId, Versioning};
use serde::{Deserialize, Serialize};
use std::fmt;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// The number of digits in a version id's text, and how many of them check the others.
const ID_DIGITS: usize = 24;
const CHECK_DIGITS: usize = 8;

/// A version that isn't its key's current object. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    Object(Box<ObjectRecord>),
    DeleteMarker(DeleteMarker),
}

/// What a listing shows of a [`Version`]: its first fields, so that the rest need not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VersionSummary {
    Object(ObjectSummary),
    DeleteMarker(DeleteMarker),
}

/// What a delete without a version leaves in a versioned bucket. As long as it is the newest version, the key has no
/// current object.
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

/// The entry that committed a key's null version, if the version is noncurrent and an entry did commit it. Its place
/// among the versions can't be told from its id, as it can for other versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NullVersion(pub Index);

same_since!(Level::SECOND; Version, VersionSummary, NullVersion);

impl VersionId {
    /// The id of the version that this entry commits.
    pub(crate) fn of_entry(entry: Index) -> VersionId {
        VersionId(entry.into())
    }

    /// The entry that committed the version; `None` for the null version, whose id doesn't tell.
    pub(crate) fn entry(self) -> Option<Index> {
        Index::try_from(self.0).ok().filter(|entry| *entry > 0)
    }

    /// Reads an id as [`Display`](fmt::Display) writes it; `None` for text that can't be one.
    pub fn parse(text: &str) -> Option<VersionId> {
        if text == "null" {
            return Some(VersionId::NULL);
        }
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let (check, entry) = text.split_at_checked(CHECK_DIGITS).filter(|_| is_hex)?;
        let (check, entry) = (u32::from_str_radix(check, 16).ok()?, Index::from_str_radix(entry, 16).ok()?);
        let id = VersionId::of_entry(entry);
        (entry > 0 && check == check_of(entry) && text.len() == ID_DIGITS).then_some(id)
    }
}

impl fmt::Display for VersionId {
    /// `null`, or 24 hexadecimal digits: eight that check the others, then the entry. To clients it is opaque.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => write!(f, "{:08x}{entry:016x}", check_of(entry)),
            None => f.write_str("null"),
        }
    }
}

impl ObjectRecord {
    /// Whether the current object is deleted for good when a new version comes, in a bucket of that versioning: what is
    /// never versioned has one version, and where versioning is suspended a key has one null version.
    pub fn gives_way(&self, versioning: Option<Versioning>) -> bool {
        match versioning {
            None => true,
            Some(Versioning::Enabled) => false,
            Some(Versioning::Suspended) => self.version == VersionId::NULL,
        }
    }
}

/// The check digits tell an id that was made up or cut from one whose version is gone.
fn check_of(entry: Index) -> u32 {
    crc32c::crc32c(&entry.to_be_bytes())
}

impl VersionSummary {
    pub fn id(&self) -> VersionId {
        match self {
            VersionSummary::Object(object) => object.version,
            VersionSummary::DeleteMarker(marker) => marker.version,
        }
    }
}

impl Version {
    pub fn id(&self) -> VersionId {
        match self {
            Version::Object(record) => record.version,
            Version::DeleteMarker(marker) => marker.version,
        }
    }

    /// The entry that committed it.
    pub fn committed(&self) -> Index {
        match self {
            Version::Object(record) => record.committed,
            Version::DeleteMarker(marker) => marker.committed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};

    #[test]
    fn an_id_survives_its_text_and_other_text_is_refused() {
        for id in [VersionId::NULL, VersionId::of_entry(1), VersionId::of_entry(u64::MAX)] {
            assert_eq!(VersionId::parse(&id.to_string()), Some(id));
        }
        let id = VersionId::of_entry(0x1234).to_string();
        assert_eq!(id, format!("{:08x}0000000000001234", check_of(0x1234)));
        for wrong in [&id[1..], &id[..23], &id.to_uppercase(), &format!("{id}0"), "", "Null", "+", "é"] {
            assert_eq!(VersionId::parse(wrong), None, "{wrong}");
        }
        let of_another = format!("{}0000000000001235", &id[..8]);
        assert_eq!(VersionId::parse(&of_another), None);
        let of_none = format!("{:08x}{:016x}", check_of(0), 0);
        assert_eq!(VersionId::parse(&of_none), None);
    }

    #[test]
    fn a_summary_is_the_front_of_a_version() {
        let marker = DeleteMarker { version: VersionId(7), modified: 5, committed: 7, owner: None };
        let stored = encode(Level::SECOND, &Version::DeleteMarker(marker.clone())).unwrap();
        assert_eq!(decode(&stored), Ok(VersionSummary::DeleteMarker(marker)));
    }
}
