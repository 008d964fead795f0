//! What an object's record says of how the object is encrypted, and a bucket's of how new objects are.
//!
//! Of keys there is what only a key above opens (`docs/format/encryption.md`). Who has those is above this crate; here it is
//! kept, carried along and exchanged as bytes.

use super::{BucketId, DecodeError, Level, ObjectHeaders, level};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The first level that has encrypted objects.
pub const ENCRYPTION_SINCE: Level = Level::SECOND;

/// An object that is encrypted, or is to be when its upload is completed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    pub mode: EncryptionMode,
    /// The object's data key, wrapped with the key above it.
    pub key: Vec<u8>,
    /// What the client said of the object, sealed with the data key: [`ObjectHeaders`] of the record but for those in it, which
    /// are the store's to read.
    pub headers: Vec<u8>,
}

impl fmt::Debug for Encryption {
    /// What is wrapped and sealed tells nobody anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryption").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Whose key is above the data key. New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EncryptionMode {
    /// The server's own: SSE-S3.
    S3,
    /// The client's, which it sends with each request: SSE-C.
    Customer,
    /// One of the key service's: SSE-KMS.
    Kms {
        /// Its name as the client gave it; the usual key without one.
        key: Option<String>,
        /// The encryption context as the client gave it, base64 of JSON.
        context: Option<String>,
        /// Whether the client asked for an S3 Bucket Key.
        bucket_key: bool,
    },
}

impl EncryptionMode {
    /// What the data key of an object of that bucket and key is the key of: it opens for nothing else, so that no record can be
    /// given another's.
    pub fn name_of_key(&self, bucket: BucketId, key: &[u8]) -> Vec<u8> {
        let context = match self {
            EncryptionMode::Kms { context: Some(context), .. } => context.as_bytes(),
            EncryptionMode::Kms { context: None, .. } | EncryptionMode::S3 | EncryptionMode::Customer => &[],
        };
        let length = (key.len() as u64).to_be_bytes();
        [&bucket.0.to_be_bytes()[..], &length, key, context].concat()
    }

    /// The name of the key service's key that is above, where it isn't the usual one.
    pub fn named_key(&self) -> Option<&str> {
        match self {
            EncryptionMode::Kms { key, .. } => key.as_deref(),
            EncryptionMode::S3 | EncryptionMode::Customer => None,
        }
    }
}

/// How new objects of a bucket are encrypted whose request says nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultEncryption {
    pub algorithm: DefaultAlgorithm,
    /// Whether S3 Bucket Keys are used. Nothing where the document didn't say.
    pub bucket_key: Option<bool>,
}

/// New ones stand at the end: the number of a variant is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultAlgorithm {
    S3,
    /// With that key, or the usual one.
    Kms(Option<String>),
}

impl ObjectHeaders {
    /// Their bytes, for who seals them.
    pub fn to_bytes(&self) -> Vec<u8> {
        // They have a form at that level.
        level::encode(ENCRYPTION_SINCE, self).unwrap_or_default()
    }

    /// What [`ObjectHeaders::to_bytes`] made.
    ///
    /// # Errors
    /// For anything else.
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
