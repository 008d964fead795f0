//! What the metadata keeps of buckets, objects, uploads and parts, as types that can't hold nonsense.
//!
//! A stored value is one byte, the [level](level) of the state that wrote it, then a postcard record in the form of
//! that level. [`v2`] has today's forms, and [`v1`] those that have changed since level 1.

mod attributes;
mod configuration;
mod encryption;
mod events;
mod identity;
pub(crate) mod level;
mod names;
mod tiering;
pub(crate) mod unbounded;
mod usage;
pub(crate) mod v1;
pub mod v2;
mod versions;

pub use attributes::{
    Attributes, Grant, Grantee, LegalHold, Permission, ReplicationState, Retention, RetentionMode,
};
pub use configuration::{
    BucketConfiguration, BucketDocument, DefaultRetention, DocumentKind, ObjectLock, ObjectOwnership,
    PublicAccessBlock, RetentionPeriod, Versioning,
};
pub use encryption::{DefaultAlgorithm, DefaultEncryption, ENCRYPTION_SINCE, Encryption, EncryptionMode};
pub use events::{Addressee, EventKind, EventObject, EventQueue, EventRecord, EventShare, Happening, Notice};
pub use identity::{
    AccessKeyRecord, AccountName, IdentitiesRecord, IdentityDetail, IdentityKind, IdentityRecord,
    ManagedPolicyRecord, PolicyVersion,
};
#[cfg(feature = "faults")]
pub use level::know_up_to;
pub use level::{Level, TakesLevel};
pub(crate) use level::{Migrate, decode, encode, encode_known, level_of};
pub use names::{BucketName, InvalidBucketName, InvalidObjectKey, ObjectKey};
pub use tiering::{Compared, TierBasis, TierDecision, TierDecisions, TierPin, TierReason};
pub use usage::{BucketUsage, Counted, Quota, SummedBelow, UploadBytes, UserTotal};
pub use v2::*;
pub use versions::{DeleteMarker, NullVersion, Version, VersionSummary};

/// Stored bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the record has level {found}; this binary knows levels up to {known}: use a newer one")]
    Level { found: u8, known: Level },
    #[error("the record is damaged: {0}")]
    Damaged(#[source] postcard::Error),
    #[error("the record is empty")]
    Empty,
}

level::same_since!(
    Level::FIRST;
    BucketSummary,
    ObjectSummary,
    PartRecord,
    Completion,
    Dropped,
    LastPart,
    StripeRecord,
    HighestIds,
);

// Stored as the id under a bucket's name, which level 1 doesn't have.
level::same_since!(Level::SECOND; BucketId);
// Stored sealed, in the record of an encrypted object.
level::same_since!(Level::SECOND; ObjectHeaders);
// Stored in a review, to say which version of a key it is for.
level::same_since!(Level::SECOND; VersionId);

impl Applied {
    /// Its stored bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // The record has a form at every level.
        encode_known(self.level, self)
    }
}

impl Owner {
    /// Its bytes in the directory of a packed stripe, which belongs to no state and outlives levels.
    pub(crate) fn in_stripe(&self) -> Vec<u8> {
        // They are of the lowest level that can express the owner, so that equal owners have equal bytes there.
        encode(Level::FIRST, self).unwrap_or_else(|_| encode_known(Level::SECOND, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_storage::blob::{BlobRef, Place};

    fn object() -> ObjectRecord {
        let headers = ObjectHeaders {
            content_type: Some("text/plain".into()),
            user: [("a".into(), "b".into())].into(),
            ..ObjectHeaders::default()
        };
        ObjectRecord {
            version: VersionId::NULL,
            modified: 1_700_000_000_000,
            size: 4096,
            etag: ETag::Multipart { md5: [7; 16], parts: 3 },
            storage_class: StorageClass::GlacierIr,
            checksum: Some(Checksum {
                algorithm: ChecksumAlgorithm::Sha1,
                kind: ChecksumType::Composite,
                value: vec![9; 20],
            }),
            headers,
            body: Body::Blob(BlobRef::plain(Place::Journal { index: 9, length: 4096, crc32c: 5 })),
            committed: 0,
            attributes: Attributes::default(),
        }
    }

    #[test]
    fn level_2_costs_a_small_object_two_bytes() {
        let [first, second] = [Level::FIRST, Level::SECOND].map(|level| encode(level, &object()).unwrap());
        assert_eq!(second.len(), first.len() + 2);
        assert_eq!(decode::<ObjectRecord>(&first), Ok(object()));
    }

    #[test]
    fn a_value_that_needs_level_2_is_not_written_at_level_1() {
        let attributes = Attributes { legal_hold: Some(LegalHold::On), ..Attributes::default() };
        for record in [ObjectRecord { committed: 1, ..object() }, ObjectRecord { attributes, ..object() }] {
            assert_eq!(encode(Level::FIRST, &record), Err(TakesLevel(Level::SECOND)));
            assert_eq!(decode(&encode(Level::SECOND, &record).unwrap()), Ok(record));
        }
    }

    #[test]
    fn an_owner_in_a_stripe_has_the_lowest_level_that_can_express_it() {
        let (bucket, key, version) = (BucketId(1), b"a".to_vec(), VersionId::NULL);
        for (committed, level) in [(0, 1), (7, 2)] {
            let owner = Owner::Object { bucket, key: key.clone(), version, committed };
            assert_eq!(owner.in_stripe()[0], level);
            assert_eq!(decode(&owner.in_stripe()), Ok(owner));
        }
    }

    #[test]
    fn a_summary_is_the_front_of_a_record() {
        let record = object();
        for level in [Level::FIRST, Level::SECOND] {
            let summary: ObjectSummary = decode(&encode(level, &record).unwrap()).unwrap();
            assert_eq!(summary.modified, record.modified);
            assert_eq!(summary.etag, record.etag);
            assert_eq!(summary.checksum, record.checksum);
            assert_eq!(summary.storage_class, record.storage_class);
        }
    }

    #[test]
    fn a_bucket_s_summary_is_the_front_of_its_record() {
        let tags = Some([("tag".to_owned(), "value".repeat(100))].into());
        let of_level = |configuration| BucketRecord {
            id: BucketId(7),
            name: "photos".into(),
            owner: "ann".into(),
            created: 1_700_000_000_000,
            region: "us-east-1".into(),
            configuration,
        };
        let tagged = BucketConfiguration { tags, ..BucketConfiguration::default() };
        for (level, configuration) in
            [(Level::FIRST, BucketConfiguration::default()), (Level::SECOND, tagged)]
        {
            let bytes = encode(level, &of_level(configuration)).unwrap();
            let expected = BucketSummary {
                id: BucketId(7),
                name: "photos".into(),
                owner: "ann".into(),
                created: 1_700_000_000_000,
            };
            assert_eq!(decode(&bytes), Ok(expected));
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        let bytes = encode(Level::NEWEST, &object()).unwrap();
        assert_eq!(decode::<ObjectRecord>(&bytes), Ok(object()));
        for found in [0, Level::NEWEST.number() + 1] {
            let refused = DecodeError::Level { found, known: Level::NEWEST };
            assert_eq!(decode::<ObjectRecord>(&[&[found], &bytes[1..]].concat()), Err(refused));
        }
        assert_eq!(decode::<ObjectRecord>(&[]), Err(DecodeError::Empty));
        for len in 1..bytes.len() {
            assert!(matches!(decode::<ObjectRecord>(&bytes[..len]), Err(DecodeError::Damaged(_))), "{len}");
        }
    }
}
