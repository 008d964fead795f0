//! GetPublicAccessBlock, PutPublicAccessBlock and DeletePublicAccessBlock. A new bucket has no public access block.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::{Code, S3Result};
use crate::level;
use crate::ops::configure::{configure, unset};
use crate::xml;
use crate::xml::acl::PublicAccessBlockConfiguration;
use axum::body::Body;
use http::Response;
use stratum_metadata::command::BucketChange;
use stratum_metadata::record::BucketRecord;

/// The longest document that is read, in bytes: more than four switches take.
const MAX_BODY_BYTES: u64 = 16 * 1024;

pub async fn get(_: &Context, bucket: &BucketRecord) -> S3Result {
    let block = bucket.configuration.public_access.ok_or(Code::NoSuchPublicAccessBlockConfiguration)?;
    xml::answer(&PublicAccessBlockConfiguration::of(block))
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let block = document.read(PublicAccessBlockConfiguration::read).await?;
    level::require(ctx, "A public access block")?;
    configure(ctx, bucket, BucketChange::PublicAccess(Some(block))).await?;
    Ok(Response::new(Body::empty()))
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord) -> S3Result {
    let has = bucket.configuration.public_access.is_some();
    unset(ctx, bucket, has, BucketChange::PublicAccess(None)).await
}
