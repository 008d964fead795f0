//! Unwraps the data keys of encrypted objects with the store's master keys. An object that is encrypted with a key of
//! its client (SSE-C) can't be decrypted.

use super::copy::Opener;
use stratum_cipher::{DataKey, KeyService, MasterKeys};
use stratum_metadata::record::{BucketId, EncryptionMode, ObjectHeaders, ObjectRecord};

/// An object's record with its headers decrypted, and the data key of its bytes.
pub struct Unlocked {
    pub record: ObjectRecord,
    key: Option<DataKey>,
    /// Why an encrypted object can't be opened.
    pub problem: Option<String>,
}

impl Unlocked {
    /// Decrypts the headers of a record, if the object is encrypted and its data key can be unwrapped.
    pub async fn of(
        keys: Option<&MasterKeys>,
        bucket: BucketId,
        key: &[u8],
        record: ObjectRecord,
    ) -> Unlocked {
        let mut unlocked = Unlocked { record, key: None, problem: None };
        match unlock(keys, bucket, key, &mut unlocked.record).await {
            Ok(key) => unlocked.key = key,
            Err(why) => unlocked.problem = Some(format!("it is encrypted, and {why}")),
        }
        unlocked
    }

    /// What is needed to decrypt the object's bytes, if it is encrypted and can be decrypted.
    pub fn opener(&self) -> Option<Opener<'_>> {
        let mode = &self.record.attributes.encryption.as_ref()?.mode;
        Some(Opener { key: self.key.as_ref()?, hides_md5: *mode != EncryptionMode::S3 })
    }
}

async fn unlock(
    keys: Option<&MasterKeys>,
    bucket: BucketId,
    key: &[u8],
    record: &mut ObjectRecord,
) -> Result<Option<DataKey>, String> {
    let Some(encryption) = record.attributes.encryption.as_deref() else { return Ok(None) };
    if encryption.mode == EncryptionMode::Customer {
        return Err("only its client has the key (SSE-C)".into());
    }
    let keys =
        keys.ok_or("there is no master key: name the server's configuration, or set STRATUM_MASTER_KEYS")?;
    let name = encryption.mode.name_of_key(bucket, key);
    let key = keys.unwrap(&encryption.key, &name).await.map_err(|error| error.to_string())?;
    let words = key.open_words(&encryption.headers).ok_or("the object's encrypted headers are damaged")?;
    let headers = ObjectHeaders::from_bytes(&words).map_err(|error| error.to_string())?;
    let to_the_store = std::mem::replace(&mut record.headers, headers).user;
    record.headers.user.extend(to_the_store);
    Ok(Some(key))
}
