//! PutObject: stores the request's body as an object.

use crate::bodies::Stored;
use crate::body::RequestBody;
use crate::conditions;
use crate::context::Context;
use crate::encryption::Sealing;
use crate::error::{Code, S3Error, S3Result};
use crate::headers;
use crate::key::ObjectKey;
use crate::lock;
use crate::new_version::NewVersion;
use crate::ops::bucket_lifecycle::tell_expiration;
use crate::ops::notices;
use crate::ops::quotas;
use crate::version;
use axum::body::Body;
use http::uri::Scheme;
use http::{HeaderMap, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use stratum_metadata::command::{Command, Outcome, Proposed, WriteCondition};
use stratum_metadata::record::{
    self, Attributes, BucketRecord, ChecksumAlgorithm, ETag, ObjectRecord, VersionId,
};

pub async fn handle(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, body: RequestBody) -> S3Result {
    let new = NewVersion::asked(ctx, bucket)?;
    let (_, headers) = put(ctx, bucket, key, body, new, 0).await?;
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers;
    Ok(response)
}

/// Stores a body of at least `least` bytes as an object. Gives the object's record, and the headers of the answer.
///
/// # Errors
/// `EntityTooSmall` for a shorter body; those of reading, checking and storing the body, and of [`commit`].
pub async fn put(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    body: RequestBody,
    new: NewVersion,
    least: u64,
) -> Result<(ObjectRecord, HeaderMap), S3Error> {
    let condition = conditions::on_write(&ctx.headers);
    let placement = ctx.store.bodies.place(&new.declared()?, ctx.now);
    let sealing = Sealing::of_write(ctx, bucket, key).await?;
    quotas::admit_object(ctx, bucket, key, body.length()?.unwrap_or(least))?;
    let usual = ChecksumAlgorithm::Crc64Nvme;
    let receiving = ctx.trace.stage("receive");
    let stored = ctx.store.bodies.receive(&ctx.memory, body, placement, usual, sealing.seal()).await?;
    drop(receiving);
    if stored.size < least {
        return Err(Code::EntityTooSmall.into());
    }
    let object = commit(ctx, bucket, key, stored, new, &sealing, condition).await?;
    let mut said = HeaderMap::new();
    let out = &mut said;
    out.insert(http::header::ETAG, headers::etag(&object.etag));
    if let Some(checksum) = &object.checksum {
        headers::write_checksum(checksum, None, out);
    }
    version::made(object.version, out);
    tell_expiration(ctx, bucket, key, &object, out)?;
    sealing.describe(out);
    headers::write_tier(ctx.store.bodies.tier_of(&ctx.view, &object)?, out);
    Ok((object, said))
}

/// Makes a stored body the object under the key, if the condition holds. `sealing` is the encryption that the body
/// was stored with.
///
/// # Errors
/// `PreconditionFailed`, `NoSuchKey`, `NoSuchBucket`, and failures of the store.
pub async fn commit(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    mut stored: Stored,
    new: NewVersion,
    sealing: &Sealing,
    condition: WriteCondition,
) -> Result<ObjectRecord, S3Error> {
    let notice = notices::of_object(ctx, bucket, key, None, &[new.made])?;
    let mut attributes = new.attributes(ctx, stored.attributes.clone())?;
    lock::retain_by_default(&mut attributes, bucket, ctx.now);
    let (headers, encryption) = sealing.put_away(new.headers);
    let record = ObjectRecord {
        version: VersionId::NULL,
        modified: ctx.now,
        size: stored.size,
        etag: ETag::Md5(sealing.etag(stored.md5)),
        storage_class: new.class,
        checksum: Some(stored.checksum.clone()),
        headers,
        body: record::Body::Blob(stored.blob.clone()),
        committed: 0,
        attributes: Attributes { encryption, ..attributes },
    };
    let ends = std::mem::take(&mut stored.ends);
    let command = Command::PutObject { bucket: bucket.id, key: key.as_bytes().to_vec(), record, condition };
    let _committing = ctx.trace.stage("commit");
    match ctx.store.bodies.commit(Proposed::telling(command, notice), stored).await? {
        Outcome::Object(object) => {
            ctx.offer_kept(bucket.id, key, &object, ends);
            Ok(*object)
        }
        Outcome::Refused(refusal) => Err(conditions::refused(refusal)),
        other => {
            Err(S3Error::new(Code::InternalError)
                .because(format_args!("the outcome of PutObject was: {other}")))
        }
    }
}

/// The object's URL, with the bucket in the path.
pub fn location(scheme: &Scheme, host: &str, bucket: &str, key: &ObjectKey) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
    format!("{scheme}://{host}/{bucket}/{}", utf8_percent_encode(key.as_str(), KEPT))
}
