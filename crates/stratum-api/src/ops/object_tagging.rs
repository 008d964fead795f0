//! GetObjectTagging, PutObjectTagging and DeleteObjectTagging, of the current object or of a version that is named.

use crate::body::RequestBody;
use crate::context::Context;
use crate::error::S3Result;
use crate::key::ObjectKey;
use crate::level;
use crate::ops::configure::configure_object;
use crate::rights::{self, Said};
use crate::tags::{self, Tagged, Tags};
use crate::version::{Looked, Target};
use crate::xml;
use crate::xml::tagging::{self, Tagging};
use axum::body::Body;
use http::{Response, StatusCode};
use stratum_metadata::command::ObjectChange;
use stratum_metadata::record::BucketRecord;

/// The longest document that is read, in bytes: more than ten tags take if each character is written as a reference.
const MAX_BODY_BYTES: u64 = 128 * 1024;

/// The answer for an object without tags is an empty tag set.
pub async fn get(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    let target = Target::of(bucket, key, &ctx.query, ctx.operation.method)?;
    let Looked { object, .. } = target.look_up(&ctx.view)?;
    let mut response = xml::answer(&Tagging::of(object.attributes.tags.as_ref().unwrap_or(&Tags::new())))?;
    target.describe(&object, response.headers_mut());
    Ok(response)
}

pub async fn put(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey, body: RequestBody) -> S3Result {
    let document = body.document(MAX_BODY_BYTES).await?;
    let tags = document.read(|bytes| tagging::read(bytes, Tagged::Object)).await?;
    let said = Said { tags, ..Said::default() };
    rights::authorise_said(ctx, bucket, key, &said)?;
    let Said { tags, .. } = said;
    change(ctx, bucket, key, tags, StatusCode::OK).await
}

pub async fn delete(ctx: &Context, bucket: &BucketRecord, key: &ObjectKey) -> S3Result {
    change(ctx, bucket, key, Tags::new(), StatusCode::NO_CONTENT).await
}

async fn change(
    ctx: &Context,
    bucket: &BucketRecord,
    key: &ObjectKey,
    tags: Tags,
    status: StatusCode,
) -> S3Result {
    // Looked up first, so that an absent object and a delete marker get the same errors as in a read.
    let target = Target::of(bucket, key, &ctx.query, ctx.operation.method)?;
    let Looked { object, .. } = target.look_up(&ctx.view)?;
    let object = match tags::some(tags) {
        None if object.attributes.tags.is_none() => object,
        tags => {
            level::require(ctx, "Tagging an object")?;
            configure_object(ctx, bucket, key, ObjectChange::Tags(tags)).await?
        }
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    target.describe(&object, response.headers_mut());
    Ok(response)
}
