//! What many operations come to: one part of a bucket, or of a version, becomes another.

use crate::context::Context;
use crate::error::{Code, S3Error};
use crate::key::ObjectKey;
use crate::version;
use bytes::Bytes;
use stratum_metadata::command::{BucketChange, Command, ObjectChange, Outcome};
use stratum_metadata::record::{BucketRecord, ObjectRecord};

/// Changes a bucket.
///
/// # Errors
/// `NoSuchBucket`, and failures of the store.
pub async fn configure(ctx: &Context, bucket: &BucketRecord, change: BucketChange) -> Result<(), S3Error> {
    let command = Command::ConfigureBucket { bucket: bucket.id, change };
    match ctx.store.metadata.commit(command, Bytes::new()).await? {
        Outcome::Refused(refusal) => Err(refusal.into()),
        _ => Ok(()),
    }
}

/// Changes the version that the request names, or what is current.
///
/// # Errors
/// `NoSuchKey`, `NoSuchVersion`, `NoSuchBucket`, and failures of the store.
pub async fn configure_object(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    change: ObjectChange,
) -> Result<ObjectRecord, S3Error> {
    let (version, key) = (version::asked(&ctx.query)?, key.as_bytes().to_vec());
    let command = Command::ConfigureObject { bucket: bucket.id, key, version, change };
    match ctx.store.metadata.commit(command, Bytes::new()).await? {
        Outcome::Object(object) => Ok(*object),
        Outcome::Refused(refusal) => Err(refusal.into()),
        other => Err(S3Error::new(Code::InternalError).because(format_args!("a change came to {other}"))),
    }
}
