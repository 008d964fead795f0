//! Gives the fuzz targets access to the parsers of stored bytes. Not a public interface.

use crate::checkpoint;
use crate::command::Proposed;
use crate::keys;
use crate::record::{
    AccessKeyRecord, Applied, BucketDocument, BucketRecord, BucketUsage, Completion, Dropped, EventQueue,
    EventRecord, EventShare, ExtentRecord, IdentitiesRecord, IdentityRecord, LastPart, Level,
    ManagedPolicyRecord, NullVersion, ObjectRecord, ObjectSummary, Owner, PartRecord, Quota, StoredUpload,
    StripeRecord, SummedBelow, UploadBytes, UploadId, UserTotal, Version, VersionId, VersionSummary, decode,
};
use stratum_storage::volume::VolumeRecord;

/// Parses bytes as every kind of record.
pub fn records(bytes: &[u8]) {
    let _ = (decode::<ObjectRecord>(bytes), decode::<ObjectSummary>(bytes), decode::<BucketRecord>(bytes));
    let _ = (decode::<PartRecord>(bytes), decode::<StoredUpload>(bytes), decode::<Completion>(bytes));
    let _ = (decode::<Dropped>(bytes), decode::<ExtentRecord>(bytes), decode::<StripeRecord>(bytes));
    let _ = (decode::<VolumeRecord>(bytes), decode::<Applied>(bytes), decode::<LastPart>(bytes));
    let _ = (decode::<Version>(bytes), decode::<VersionSummary>(bytes), decode::<NullVersion>(bytes));
    let _ = (decode::<Owner>(bytes), decode::<BucketDocument>(bytes));
    let _ = (decode::<Quota>(bytes), decode::<BucketUsage>(bytes), decode::<UploadBytes>(bytes));
    let _ = (decode::<UserTotal>(bytes), decode::<SummedBelow>(bytes));
    let _ = (decode::<EventRecord>(bytes), decode::<EventQueue>(bytes), decode::<EventShare>(bytes));
    let _ = (decode::<IdentityRecord>(bytes), decode::<AccessKeyRecord>(bytes));
    let _ = (decode::<ManagedPolicyRecord>(bytes), decode::<IdentitiesRecord>(bytes));
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(id) = VersionId::parse(text)
    {
        assert!(id.to_string() == text);
    }
}

/// Parses bytes as a command of the journal. A command that can be read must be encoded to something that reads the
/// same.
pub fn command(bytes: &[u8]) {
    if let Ok(proposed) = Proposed::decode(bytes) {
        for level in [Level::FIRST, Level::SECOND] {
            let Ok(bytes) = proposed.encode(level) else { continue };
            let again = Proposed::decode(&bytes).map(|again| again.encode(level));
            assert!(again == Ok(Ok(bytes)), "{proposed:?} is read back as {again:?}");
        }
    }
}

/// Parses bytes as keys, and encodes them again.
pub fn keys(bytes: &[u8]) {
    let _ = (keys::parse_dropped(bytes), keys::parse_deleted_bucket(bytes));
    let _ = (keys::parse_offset(bytes), keys::parse_due(bytes));
    if let Some((bucket, kind)) = keys::parse_bucket_document(bytes) {
        assert!(keys::bucket_document(bucket, kind) == bytes || bytes[0] != keys::Tag::BucketDocument as u8);
    }
    if let Some((key, upload)) = keys::parse_upload_by_key(bytes) {
        let bucket = crate::record::BucketId(7);
        let again = keys::upload_by_key(bucket, &key, upload);
        assert!(keys::parse_upload_by_key(&again) == Some((key, upload)));
    }
    if let Some((bucket, key, committed)) = keys::parse_version(bytes) {
        let again = keys::version(bucket, &key, committed);
        assert!(keys::parse_version(&again) == Some((bucket, key, committed)));
    }
    if let Some((kind, at)) = keys::parse_identity(bytes) {
        assert!(keys::identity(kind, &at) == bytes || bytes[0] != keys::Tag::Identity as u8);
    }
    if let Some(at) = keys::parse_managed_policy(bytes) {
        assert!(keys::managed_policy(&at) == bytes || bytes[0] != keys::Tag::ManagedPolicy as u8);
    }
    let nulls = keys::null_version(crate::record::BucketId(1), bytes);
    assert!(keys::parse_object(&nulls) == Some((crate::record::BucketId(1), bytes)));
    let made = keys::upload_by_key(crate::record::BucketId(1), bytes, UploadId(2));
    assert!(keys::parse_upload_by_key(&made) == Some((bytes.to_vec(), UploadId(2))));
}

/// Parses bytes as a checkpoint's header, frame and pairs.
pub fn checkpoint(bytes: &[u8]) {
    checkpoint::fuzz(bytes);
}
