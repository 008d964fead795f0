//! How an object is encrypted, as its record says it, and how a bucket's new objects are.
//!
//! The records hold data keys only in wrapped form (`docs/format/encryption.md`). The keys that unwrap them belong to
//! a layer above this crate; here wrapped keys are stored, moved and replaced as bytes.

use super::{BucketId, DecodeError, Level, ObjectHeaders, level};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The first level that has encrypted objects.
pub const ENCRYPTION_SINCE: Level = Level::SECOND;

/// The encryption of an object, or of a future one whose upload is under way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    pub mode: EncryptionMode,
    /// The object's data key, wrapped with the key that [`Encryption::mode`] names.
    pub key: Vec<u8>,
    /// The object's headers, sealed with the data key. The record's own [`ObjectHeaders`] hold only those that the
    /// store must be able to read.
    pub headers: Vec<u8>,
}

impl fmt::Debug for Encryption {
    /// Wrapped and sealed bytes are of no use in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// The key with which the data key is wrapped. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncryptionMode {
    /// The server's own key: SSE-S3.
    S3,
    /// The client's key, which it sends with each request: SSE-C.
    Customer,
    /// A key of the key service: SSE-KMS.
    Kms {
        /// The key's name as the client gave it; `None` is the default key.
        key: Option<String>,
        /// The encryption context as the client gave it, base64 of JSON.
        context: Option<String>,
        /// Whether the client asked for an S3 Bucket Key.
        bucket_key: bool,
    },
}

impl EncryptionMode {
    /// What the data key of an object under that bucket and key is wrapped for. It can be unwrapped for nothing else,
    /// so no record can be given another one's key.
    pub fn name_of_key(&self, bucket: BucketId, key: &[u8]) -> Vec<u8> {
        let context = match self {
            EncryptionMode::Kms { context: Some(context), .. } => context.as_bytes(),
            EncryptionMode::Kms { context: None, .. } | EncryptionMode::S3 | EncryptionMode::Customer => &[],
        };
        let length = (key.len() as u64).to_be_bytes();
        [&bucket.0.to_be_bytes()[..], &length, key, context].concat()
    }

    /// The name of the key service's key that wraps the data key, if it isn't the default key.
    pub fn named_key(&self) -> Option<&str> {
        match self {
            EncryptionMode::Kms { key, .. } => key.as_deref(),
            EncryptionMode::S3 | EncryptionMode::Customer => None,
        }
    }
}

/// How a bucket's new objects are encrypted if the request doesn't say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultEncryption {
    pub algorithm: DefaultAlgorithm,
    /// Whether S3 Bucket Keys are used; `None` if the document didn't say.
    pub bucket_key: Option<bool>,
}

/// The algorithm of a default encryption. New variants go at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultAlgorithm {
    S3,
    /// With the key of this name, or (`None`) the default key.
    Kms(Option<String>),
}

impl ObjectHeaders {
    /// Their bytes, to be sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Headers have a form at that level.
        level::encode_known(ENCRYPTION_SINCE, self)
    }

    /// Reads what [`ObjectHeaders::to_bytes`] made.
    ///
    /// # Errors
    /// If the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<ObjectHeaders, DecodeError> {
        level::decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_data_keys_have_one_name() {
        let kms = |context: &str| EncryptionMode::Kms {
            key: None,
            context: Some(context.into()),
            bucket_key: false,
        };
        let names = [
            EncryptionMode::S3.name_of_key(BucketId(1), b"a"),
            EncryptionMode::S3.name_of_key(BucketId(2), b"a"),
            EncryptionMode::S3.name_of_key(BucketId(1), b"ab"),
            kms("b").name_of_key(BucketId(1), b"a"),
            kms("bc").name_of_key(BucketId(1), b"a"),
        ];
        for (at, name) in names.iter().enumerate() {
            assert!(names[at + 1..].iter().all(|other| other != name), "{at}");
        }
    }

    #[test]
    fn headers_come_back() {
        let headers = ObjectHeaders { content_type: Some("text/plain".into()), ..ObjectHeaders::default() };
        assert_eq!(ObjectHeaders::from_bytes(&headers.to_bytes()), Ok(headers));
        assert!(ObjectHeaders::from_bytes(b"").is_err());
    }

    #[test]
    fn what_is_sealed_is_not_printed() {
        let encryption = Encryption { mode: EncryptionMode::S3, key: vec![171; 3], headers: vec![171; 3] };
        assert!(!format!("{encryption:?}").contains("171"));
    }
}
