//! What the metadata keeps of buckets, objects, uploads and parts, and the types that cannot hold nonsense.
//!
//! The encodings are frozen by version: [`v1`] is what is written today; a later version gets a module of its own
//! and a migration from this one. A stored record is a version byte, then postcard.

mod names;
pub mod v1;

pub use names::{BucketName, InvalidBucketName, InvalidObjectKey, ObjectKey};
pub use v1::*;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version that is written.
pub(crate) const VERSION: u8 = 1;

/// Stored bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the record has version {0}; this binary knows version {VERSION}")]
    Version(u8),
    #[error("the record is damaged: {0}")]
    Damaged(postcard::Error),
    #[error("the record is empty")]
    Empty,
}

/// A record's stored bytes.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    bytes.push(VERSION);
    // Postcard fails only on sequences of unknown length, and no record has one.
    postcard::to_extend(record, bytes).unwrap_or_default()
}

/// A record from its stored bytes. What follows it is left alone, so that a summary can be read off the front.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(DecodeError::Damaged),
        Some((version, _)) => Err(DecodeError::Version(*version)),
        None => Err(DecodeError::Empty),
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
        }
    }

    #[test]
    fn a_summary_is_the_front_of_a_record() {
        let record = object();
        let summary: ObjectSummary = decode(&encode(&record)).unwrap();
        assert_eq!(summary.modified, record.modified);
        assert_eq!(summary.etag, record.etag);
        assert_eq!(summary.checksum, record.checksum);
        assert_eq!(summary.storage_class, record.storage_class);
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let bytes = encode(&object());
        assert_eq!(decode::<ObjectRecord>(&bytes), Ok(object()));
        assert_eq!(decode::<ObjectRecord>(&[&[2], &bytes[1..]].concat()), Err(DecodeError::Version(2)));
        assert_eq!(decode::<ObjectRecord>(&[]), Err(DecodeError::Empty));
        for len in 1..bytes.len() {
            assert!(matches!(decode::<ObjectRecord>(&bytes[..len]), Err(DecodeError::Damaged(_))), "{len}");
        }
    }
}
