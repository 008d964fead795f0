//! Configuration that few buckets have: typed parts of a bucket's record that take space only where they are set.
//!
//! They are stored as a list of those that are set, in a fixed order, so a bucket without any takes one byte for all
//! of them. What may be long, such as a policy, is a document under a key of its own, since every write reads its
//! bucket's record: the record only says which documents there are, and which entry put each of them.

use super::attributes::{Grant, Retention, RetentionMode};
use super::encryption::DefaultEncryption;
use super::level::{Level, same_since};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::blob::Index;

/// The configuration of a bucket, each part set at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Part>", into = "Vec<Part>")]
pub struct BucketConfiguration {
    /// `None` if it was never enabled.
    pub versioning: Option<Versioning>,
    /// Set if the bucket was created with object lock.
    pub object_lock: Option<ObjectLock>,
    /// Tags of the bucket, by key.
    pub tags: Option<BTreeMap<String, String>>,
    /// The grants of its access control list, if its owner isn't the only one who has access.
    pub acl: Option<Vec<Grant>>,
    /// The entry that put each of its documents: as long as that is the same, so is the document.
    pub documents: BTreeMap<DocumentKind, Index>,
    /// Who owns its objects, if that differs from the server's default.
    pub ownership: Option<ObjectOwnership>,
    pub public_access: Option<PublicAccessBlock>,
    /// How new objects are encrypted if the request doesn't say it.
    pub encryption: Option<DefaultEncryption>,
}

/// The kinds of a bucket's documents, each under a key of its own. New variants go at the end: the number of a
/// variant is stored.
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

/// A document as it was accepted: S3's own JSON or XML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketDocument(pub String);

same_since!(Level::SECOND; BucketDocument);

/// Versioning can be suspended, but a bucket that ever had it always has versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    Enabled,
    Suspended,
}

/// Who owns the objects that other users write into a bucket. New variants go at the end: the number of a variant is
/// stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner, always: there are no access control lists.
    BucketOwnerEnforced,
    /// The bucket's owner, if the writer asks for that.
    BucketOwnerPreferred,
    ObjectWriter,
}

impl ObjectOwnership {
    pub const ALL: [ObjectOwnership; 3] = [
        ObjectOwnership::BucketOwnerEnforced,
        ObjectOwnership::BucketOwnerPreferred,
        ObjectOwnership::ObjectWriter,
    ];

    /// The name in S3's API.
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

/// Which of the public's ways of access to a bucket are blocked, in S3's terms.
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
    /// The retention of new versions by default.
    pub default: Option<DefaultRetention>,
}

/// The retention of new versions whose request doesn't give one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    pub mode: RetentionMode,
    /// How long, from the creation of a version.
    pub period: RetentionPeriod,
}

/// The period in the unit in which it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetentionPeriod {
    Days(u32),
    /// Years of 365 days, as in S3.
    Years(u32),
}

impl DefaultRetention {
    /// The retention of a version that is created at `now`.
    pub fn from(&self, now: UnixMillis) -> Retention {
        const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;
        let days = match self.period {
            RetentionPeriod::Days(days) => u64::from(days),
            RetentionPeriod::Years(years) => u64::from(years) * 365,
        };
        Retention { mode: self.mode, until: now.saturating_add(days * DAY_MILLIS) }
    }
}

/// One part as it is stored. New variants go at the end: the number of a variant is stored.
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

/// A part stands twice or in the wrong order, so that equal records would have unequal bytes.
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
