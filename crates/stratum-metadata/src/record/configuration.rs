//! What few buckets have: typed parts of a bucket's record that take room only where they are.
//!
//! Stored as a list of those that are there, in their order, so a bucket without any has one byte for all of them. What
//! may be long, such as a policy, is a document under a key of its own, since every write reads its bucket's record: here
//! stands only which documents there are, and when each was put.

use super::attributes::{Grant, Retention, RetentionMode};
use super::encryption::DefaultEncryption;
use super::level::{Level, same_since};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// The parts. Each is there at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Part>", into = "Vec<Part>")]
pub struct BucketConfiguration {
    /// Absent where it was never enabled.
    pub versioning: Option<Versioning>,
    /// There if the bucket was created with object lock.
    pub object_lock: Option<ObjectLock>,
    /// Tags of the bucket, by key.
    pub tags: Option<BTreeMap<String, String>>,
    /// Its grants, where they aren't the owner's full control alone.
    pub acl: Option<Vec<Grant>>,
    /// The entry that put each of its documents: while that is the same, so is the document.
    pub documents: BTreeMap<DocumentKind, Index>,
    /// Who owns its objects, where that isn't what the server has for all.
    pub ownership: Option<ObjectOwnership>,
    pub public_access: Option<PublicAccessBlock>,
    /// How new objects are encrypted whose request says nothing of it.
    pub encryption: Option<DefaultEncryption>,
}

/// A document of a bucket's, under a key of its own. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum DocumentKind {
    Policy,
    Cors,
    Lifecycle,
    Website,
    Logging,
    Notification,
}

impl DocumentKind {
    pub const ALL: [DocumentKind; 6] = [
        DocumentKind::Policy,
        DocumentKind::Cors,
        DocumentKind::Lifecycle,
        DocumentKind::Website,
        DocumentKind::Logging,
        DocumentKind::Notification,
    ];
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DocumentKind::Policy => "policy",
            DocumentKind::Cors => "CORS",
            DocumentKind::Lifecycle => "lifecycle",
            DocumentKind::Website => "website",
            DocumentKind::Logging => "logging",
            DocumentKind::Notification => "notification",
        })
    }
}

/// A document as it was accepted: the JSON or XML of S3's own form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketDocument(pub String);

same_since!(Level::SECOND; BucketDocument);

/// A bucket that is versioned never ceases to be: it can only be suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    Enabled,
    Suspended,
}

/// Who owns the objects that others write into a bucket. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner, always: there are no access control lists.
    BucketOwnerEnforced,
    /// The bucket's owner where the writer says so.
    BucketOwnerPreferred,
    ObjectWriter,
}

impl ObjectOwnership {
    pub const ALL: [ObjectOwnership; 3] = [
        ObjectOwnership::BucketOwnerEnforced,
        ObjectOwnership::BucketOwnerPreferred,
        ObjectOwnership::ObjectWriter,
    ];

    /// As S3 names it.
    pub fn name(self) -> &'static str {
        match self {
            ObjectOwnership::BucketOwnerEnforced => "BucketOwnerEnforced",
            ObjectOwnership::BucketOwnerPreferred => "BucketOwnerPreferred",
            ObjectOwnership::ObjectWriter => "ObjectWriter",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ownership| ownership.name() == name)
    }
}

/// What of the public's access to a bucket is shut off, in S3's terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicAccessBlock {
    pub block_public_acls: bool,
    pub ignore_public_acls: bool,
    pub block_public_policy: bool,
    pub restrict_public_buckets: bool,
}

/// Object lock of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// What new versions are retained by.
    pub default: Option<DefaultRetention>,
}

/// The retention of new versions whose request names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    pub mode: RetentionMode,
    /// From when a version is made.
    pub period: RetentionPeriod,
}

/// How long, in the unit in which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    Days(u32),
    /// Of 365 days each, as S3 has them.
    Years(u32),
}

impl DefaultRetention {
    /// The retention of a version that is made now.
    pub fn from(&self, now: UnixMillis) -> Retention {
        const DAY: u64 = 24 * 3_600 * 1_000;
        let days = match self.period {
            RetentionPeriod::Days(days) => u64::from(days),
            RetentionPeriod::Years(years) => u64::from(years) * 365,
        };
        Retention { mode: self.mode, until: now.saturating_add(days * DAY) }
    }
}

/// One part as it is stored. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Serialize, Deserialize)]
enum Part {
    Versioning(Versioning),
    ObjectLock(ObjectLock),
    Tags(BTreeMap<String, String>),
    Acl(Vec<Grant>),
    Documents(BTreeMap<DocumentKind, Index>),
    Ownership(ObjectOwnership),
    PublicAccess(PublicAccessBlock),
    Encryption(DefaultEncryption),
}

impl Part {
    fn rank(&self) -> u8 {
        match self {
            Part::Versioning(_) => 0,
            Part::ObjectLock(_) => 1,
            Part::Tags(_) => 2,
            Part::Acl(_) => 3,
            Part::Documents(_) => 4,
            Part::Ownership(_) => 5,
            Part::PublicAccess(_) => 6,
            Part::Encryption(_) => 7,
        }
    }
}

impl From<BucketConfiguration> for Vec<Part> {
    fn from(of: BucketConfiguration) -> Self {
        let parts = [
            of.versioning.map(Part::Versioning),
            of.object_lock.map(Part::ObjectLock),
            of.tags.map(Part::Tags),
            of.acl.map(Part::Acl),
            (!of.documents.is_empty()).then_some(Part::Documents(of.documents)),
            of.ownership.map(Part::Ownership),
            of.public_access.map(Part::PublicAccess),
            of.encryption.map(Part::Encryption),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// A part stands twice, or not in its place: equal records would have unequal bytes.
#[derive(Debug, thiserror::Error)]
#[error("a part of a bucket's configuration stands twice or not in its place")]
struct OutOfOrder;

impl TryFrom<Vec<Part>> for BucketConfiguration {
    type Error = OutOfOrder;

    fn try_from(parts: Vec<Part>) -> Result<Self, OutOfOrder> {
        if !parts.is_sorted_by(|one, next| one.rank() < next.rank()) {
            return Err(OutOfOrder);
        }
        let mut all = BucketConfiguration::default();
        for part in parts {
            match part {
                Part::Versioning(versioning) => all.versioning = Some(versioning),
                Part::ObjectLock(lock) => all.object_lock = Some(lock),
                Part::Tags(tags) => all.tags = Some(tags),
                Part::Acl(grants) => all.acl = Some(grants),
                Part::Ownership(ownership) => all.ownership = Some(ownership),
                Part::PublicAccess(block) => all.public_access = Some(block),
                Part::Documents(documents) => all.documents = documents,
                Part::Encryption(encryption) => all.encryption = Some(encryption),
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_takes_one_byte_and_one_that_stands_twice_is_refused() {
        assert_eq!(postcard::to_allocvec(&BucketConfiguration::default()).unwrap(), [0]);
        let versioned = Part::Versioning(Versioning::Suspended);
        let twice = postcard::to_allocvec(&vec![versioned.clone(), versioned.clone()]).unwrap();
        assert!(postcard::from_bytes::<BucketConfiguration>(&twice).is_err());
        let astray = postcard::to_allocvec(&vec![Part::Acl(Vec::new()), versioned]).unwrap();
        assert!(postcard::from_bytes::<BucketConfiguration>(&astray).is_err());
    }
}
