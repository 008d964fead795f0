//! GetBucketTagging, PutBucketTagging and DeleteBucketTagging.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Result};
use crate::level;
use crate::ops::configure::{configure, unset};
use crate::ops::no_content;
use crate::tags::{self, Tagged};
use crate::xml;
use crate::xml::tagging::{self, Tagging};
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::BucketRecord;

/// The longest document that is read, in bytes: more than fifty tags take if each character is written as a
/// reference.
const MAX_BODY_BYTES: u64 = 512 * 1024;

/// A bucket without tags has no tag set, which is an error to S3.
pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    xml::answer(&Tagging::of(bucket.configuration.tags.as_ref().ok_or(Code::NoSuchTagSet)?))
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let tags = document.read(|bytes| tagging::read(bytes, Tagged::Bucket)).await?;
    level::require(ctx, "Tagging a bucket")?;
    configure(ctx, bucket, BucketChange::Tags(tags::some(tags))).await?;
    Ok(no_content())
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    unset(ctx, bucket, bucket.configuration.tags.is_some(), BucketChange::Tags(None)).await
}
